"""Nested plain values and arrays in one npz file that is safe to read.

The file is a zip archive without compression. ``manifest.json`` holds the values, with the names of the arrays
in place of the arrays, and a digest of everything; each array is a member ``NAME.npy``, so `numpy.load` can read
the arrays too. Nothing in the file is ever unpickled, extracted or run. Reading takes memory in proportion to the
size of the file, whatever sizes the file declares.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from . import half

Array = np.ndarray[Any, Any]
Path = str | os.PathLike[str]

_MANIFEST = "manifest.json"
# Kinds of numpy dtypes that are numbers.
_NUMBERS = "biufc"
# More characters than the header of an array of numbers can have.
_MAX_HEADER = 2000


def write(path: Path, kind: str, version: int, tree: Any) -> None:
    """Write a file atomically: it appears under its name complete, or not at all.

    Parameters
    ----------
    path : str or path-like
        An existing file is replaced. Equal values give equal bytes.
    kind, version : str, int
        What the file is; `read` checks it.
    tree : object
        None, bool, int, float, complex, str, NumPy numbers and arrays of numbers (bfloat16 included), and
        lists, tuples and dicts of these.

    Raises
    ------
    TypeError
        If `tree` holds anything else. Nothing has been written then.
    OSError
        If the file cannot be written. An existing file is still there then.
    """
    arrays: dict[str, Array] = {}
    encoded = _encode(tree, arrays, ())
    stored = {name: _as_stored(array) for name, array in arrays.items()}
    manifest: dict[str, Any] = {
        "kind": kind,
        "version": version,
        "arrays": {name: [array.dtype.name, list(array.shape)] for name, array in arrays.items()},
        "tree": encoded,
    }
    manifest["sha256"] = _digest(manifest, stored)
    with _replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, _MANIFEST, json.dumps(manifest, allow_nan=False).encode())
        for name, array in stored.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            _add(archive, f"{name}.npy", buffer.getbuffer())


def read(path: Path, kind: str, version: int) -> Any:
    """Read a file that `write` has written.

    Parameters
    ----------
    path : str or path-like
    kind, version : str, int
        The kind that the file must have, and the latest version that can be read.

    Returns
    -------
    object
        What was written, to the bit, with new writable arrays.

    Raises
    ------
    ValueError
        If the file is not of this kind, is of a later version, is damaged, or holds anything that `write` does
        not write.
    OSError
        If there is no such file, or it cannot be read.
    """
    name = os.fspath(path)
    _check_regular(path)  # before it is opened, since opening a pipe waits for a writer
    with open(path, "rb") as file:
        try:
            manifest, arrays = _contents(file, os.fstat(file.fileno()).st_size, kind, version)
            return _decode(manifest["tree"], arrays)
        except _RefusedError as error:
            raise ValueError(f"{name!r} {error}") from None
        except Exception as error:
            # A damaged or hostile archive can make zipfile and NumPy raise almost anything, and seek to nowhere.
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"{name!r} is damaged, or is not an rprop_ref {kind} ({reason})") from error


def check_place(path: Path) -> None:
    """Raise the OSError or ValueError that `write` would raise if it cannot create a file at this path."""
    _check_regular(path)
    folder = os.path.dirname(os.path.realpath(path))
    for code, wrong in (
        (errno.EISDIR, os.path.isdir(path)),
        (errno.ENOENT, not os.path.isdir(folder)),
        (errno.EACCES, not os.access(folder, os.W_OK)),
    ):
        if wrong:
            raise OSError(code, os.strerror(code), os.fspath(path))


def _check_regular(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ValueError(f"{os.fspath(path)!r} is not a regular file")


class _RefusedError(Exception):
    """What is wrong with a file: a text that follows the name of the file."""


def _contents(file: IO[bytes], size: int, kind: str, version: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """The manifest and the arrays of a file, after all checks."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        # Not compressed, and in all no longer than the file: then nothing can unpack to more than the file has.
        sizes = [m.file_size for m in members]
        if (
            sizes != [m.compress_size for m in members]
            or sum(sizes) > size
            or any(m.compress_type for m in members)
        ):
            raise _RefusedError(f"is not an rprop_ref {kind}: its members are compressed, or longer than the file")
        names = [m.filename for m in members]
        if names.count(_MANIFEST) != 1:
            raise _RefusedError(f"is not an rprop_ref {kind}: it has no {_MANIFEST}")
        manifest = json.loads(archive.read(_MANIFEST))
        if manifest["kind"] != kind:
            raise _RefusedError(f"is an rprop_ref {manifest['kind']}, not a {kind}")
        if manifest["version"] not in range(1, version + 1):
            raise _RefusedError(
                f"has version {manifest['version']} of the format, but this rprop_ref reads only versions up to "
                f"{version}; a later one may read it"
            )
        declared = manifest["arrays"]
        if sorted(names) != sorted([_MANIFEST, *(f"{name}.npy" for name in declared)]):
            raise _RefusedError("is damaged: its members differ from those in its manifest")
        stored = {name: _parse_npy(archive.read(f"{name}.npy")) for name in declared}
    if _digest(manifest, stored) != manifest["sha256"]:
        raise _RefusedError("is damaged: its content does not match its digest")
    return manifest, {name: _from_stored(stored[name], *declared[name]) for name in declared}


def _digest(manifest: dict[str, Any], stored: dict[str, Array]) -> str:
    covered = {key: value for key, value in manifest.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(covered, sort_keys=True, allow_nan=False).encode())
    for name in manifest["arrays"]:
        digest.update(f"{name} {stored[name].dtype.str} {stored[name].shape} ".encode())
        digest.update(stored[name].tobytes())
    return digest.hexdigest()


def _parse_npy(content: bytes) -> Array:
    """The array in an npy file, whose header is trusted only if it agrees with the length of the file.

    (`numpy.load` would allocate whatever the header declares.)
    """
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream, _MAX_HEADER)
    elif version == (2, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(stream, _MAX_HEADER)
    else:
        raise _RefusedError(f"is damaged: npy version {version}")
    start = stream.tell()
    if fortran_order or dtype.kind not in _NUMBERS or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise _RefusedError(f"is damaged: a member declares {shape} of {dtype} and is {len(content)} bytes long")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _as_stored(array: Array) -> Array:
    """The array as npy can hold it: a dtype that is not NumPy's own is stored as unsigned integers."""
    array = np.asarray(array, order="C")
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind not in _NUMBERS else array


def _from_stored(stored: Array, name: str, shape: list[int]) -> Array:
    if name == "bfloat16":
        stored = stored.view(half.named(name))
    if stored.dtype.name != name or list(stored.shape) != shape:
        raise _RefusedError(f"is damaged: {name} {shape} is stored as {stored.dtype} {list(stored.shape)}")
    return stored.copy()


def _encode(value: Any, arrays: dict[str, Array], path: tuple[str, ...]) -> Any:
    """The value as JSON can hold it; its arrays are added to `arrays`, under names made of their paths."""
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is complex:
        return {"complex": [_encode(value.real, arrays, path), _encode(value.imag, arrays, path)]}
    if isinstance(value, (np.ndarray, np.generic)) and _is_number(value.dtype):
        name = re.sub(r"[^\w.]", "_", ".".join(path), flags=re.ASCII) or "value"
        while name in arrays:
            name += "_"
        arrays[name] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "scalar": name}
    if kind in (list, tuple):
        entries = [_encode(entry, arrays, (*path, str(i))) for i, entry in enumerate(value)]
        return entries if kind is list else {"tuple": entries}
    if isinstance(value, dict):
        pairs = [
            [_encode(k, arrays, (*path, "key")), _encode(v, arrays, (*path, str(k)))] for k, v in value.items()
        ]
        return {"dict": pairs}
    raise TypeError(
        f"cannot save {'.'.join(path) or 'this'}: it is {value!r} of type {kind.__name__}; numbers, strings, "
        "None, arrays of numbers, and lists, tuples and dicts of these can be saved"
    )


def _decode(value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, list):
        return [_decode(entry, arrays) for entry in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "float":
        return float(content)
    if tag == "complex":
        real, imag = (_decode(part, arrays) for part in content)
        return complex(real, imag)
    if tag == "array":
        return arrays[content]
    if tag == "scalar":
        return arrays[content][()]
    if tag == "tuple":
        return tuple(_decode(entry, arrays) for entry in content)
    if tag == "dict":
        return {_decode(key, arrays): _decode(entry, arrays) for key, entry in content}
    raise _RefusedError(f"is damaged: it has a value of unknown kind {tag!r}")


def _is_number(dtype: np.dtype[Any]) -> bool:
    # Dtypes of other packages may have the kind of a number too, but npy cannot hold them.
    return (dtype.kind in _NUMBERS and dtype.type.__module__ == "numpy") or dtype.name == "bfloat16"


def _add(archive: zipfile.ZipFile, name: str, content: Any) -> None:
    # With a fixed date, so that equal values give equal files.
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file beside `path` that replaces it when everything has been written."""
    _check_regular(path)
    target = os.fsdecode(os.path.realpath(path))
    temporary = os.path.join(os.path.dirname(target), f".{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            if os.path.exists(target):
                os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise

"""The stamp that ties compiled code on disk to the sources it was made from.

Numba's ``cache=True`` looks at the file of the kernel alone: an edit of a function that the kernel calls,
or other compile flags, go unnoticed, and the old machine code runs. But the *closure cells* of a function
are part of the key under which Numba files it. So every kernel here closes over a string that names the
contents of all files that can end up in it; after an edit of any of them the kernel is compiled once, and
found on disk from then on.
"""

import hashlib
from pathlib import Path

from rprop_ref import _iteration, rules

_SOURCES = (Path(rules.__file__), Path(_iteration.__file__), *sorted(Path(__file__).parent.glob("*.py")))

#: SHA-256 of the sources, as 64 hexadecimal digits.
DIGEST = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()

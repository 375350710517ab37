"""Any language: an implementation that is a program, spoken to in lines of JSON. See ``docs/crosscheck.md``."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from .cases import COMPLEX, FEATURES, REALS, Array
from .observe import CouldNotRun, hexadecimal

#: The version of the protocol.
VERSION = 1

#: After so many crashes, hangs or answers that make no sense a program is not started again.
PATIENCE = 5


class Program:
    """A program that speaks the protocol; a factory, as `check` wants it, and a context manager.

    Parameters
    ----------
    command : str or sequence of str
        What to run, with its arguments.
    timeout : float, optional
        How many seconds an answer may take.

    Attributes
    ----------
    name : str
        What the program calls itself.
    dtypes : tuple of str
        Those it knows.
    has : frozenset of str
        What it has of "none", "set" and "save".
    lacks : tuple of str
        What it does not have of the other features that `check` knows.

    Raises
    ------
    CouldNotRun
        If it does not start, or gives no sensible answer to the greeting.
    """

    def __init__(self, command: str | Sequence[str], timeout: float = 10.0) -> None:
        self.command = shlex.split(command) if isinstance(command, str) else list(command)
        if not self.command:
            raise CouldNotRun("the command is empty")
        self.timeout = timeout
        self._failures = 0
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: Any = None
        self._start()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> _Run:
        """Start a run."""
        if self._process is None:
            if self._failures >= PATIENCE:
                raise CouldNotRun(f"the program has failed {PATIENCE} times and is not started again")
            self._start()
        self.ask(
            {
                "op": "new",
                "dtype": x0.dtype.name,
                **_numbers("x0", x0),
                **_numbers("lr", np.float64(lr)),
                **_numbers("etas", np.array(etas, float)),
                **_numbers("step_sizes", np.array(step_sizes, float)),
                "maximize": bool(maximize),
            }
        )
        return _Run(self, x0)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a line, and return the answer."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        if not self._lines.empty():
            # A line would be taken for the next answer.
            left = self._lines.get()
            text = "the program has ended" if left is None else f"nobody asked for the line {left.strip()[:80]!r}"
            raise self._failure(text)
        try:
            process.stdin.write(json.dumps(question, allow_nan=False) + "\n")
            process.stdin.flush()
        except OSError:
            raise self._failure("the program has ended") from None
        try:
            line = self._lines.get(timeout=self.timeout)
        except queue.Empty:
            raise self._failure(f"no answer to {question['op']!r} within {self.timeout:g} s") from None
        if line is None:
            raise self._failure(f"the program ended instead of answering {question['op']!r}")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise self._failure(f"the answer to {question['op']!r} is no JSON: {line.strip()[:80]!r}") from None
        if not isinstance(answer, dict):
            raise self._failure(f"the answer to {question['op']!r} is no JSON object: {line.strip()[:80]!r}")
        if "error" in answer:
            raise CouldNotRun(f"the program says: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the program."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write('{"op": "bye"}\n')
                process.stdin.close()
                process.wait(timeout=1)
            except (OSError, subprocess.TimeoutExpired):
                _kill(process)
                process.wait()
            self._reader.join(timeout=1)
            if self._reader.is_alive():  # something that the program has started keeps its output open
                _kill(process)
                self._reader.join(timeout=1)
            if not self._reader.is_alive():
                process.stdout.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        try:
            self._process = process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                encoding="utf-8", errors="replace", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self.close()
            raise CouldNotRun(f"cannot run {self.command[0]}: {error.strerror}") from None
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=_read, args=(process.stdout, self._lines), daemon=True)
        self._reader.start()
        try:
            self._greet(self.ask({"op": "hello", "protocol": VERSION}))
        except CouldNotRun:
            self.close()
            raise

    def _greet(self, hello: dict[str, Any]) -> None:
        if hello.get("protocol") != VERSION:
            raise self._failure(f"it speaks protocol {hello.get('protocol')!r}, not {VERSION}")
        self.name = str(hello.get("name", self.command[0]))
        self.dtypes = self._words(hello, "dtypes", (*REALS, *COMPLEX)) or ("float64",)
        self.has = frozenset(self._words(hello, "has", ("none", "set", "save")))
        self.lacks = self._words(hello, "lacks", FEATURES)

    def _words(self, hello: dict[str, Any], name: str, known: Sequence[str]) -> tuple[str, ...]:
        words = hello.get(name, [])
        if not isinstance(words, list):
            raise self._failure(f"{name} should be a list: {words!r}")
        for word in words:
            if word not in known:
                raise self._failure(f"{name} has {word!r}, which is none of {', '.join(known)}")
        return tuple(words)

    def _failure(self, text: str) -> CouldNotRun:
        """End the program that does not keep to the protocol; the next run starts another."""
        self._failures += 1
        process = self._process
        assert process is not None
        if process.poll() is None and "ended" in text:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
        status = process.poll()
        if status is None:
            _kill(process)
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        self.close()
        if status:
            text += f" (status {status})"
        return CouldNotRun(text + (f"; it wrote: {said[-1][:200]}" if said else ""))


def _kill(process: subprocess.Popen[str]) -> None:
    """End a program and all that it has started, which would keep its output open."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _read(stream: Any, lines: queue.SimpleQueue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


class _Run:
    """One run of a program."""

    def __init__(self, program: Program, x0: Array) -> None:
        self._program, self._like = program, x0
        self.accepts_none = "none" in program.has
        self.step_size: Array | None = None
        self.prev: Array | None = None
        if "set" in program.has:
            self.set = self._set
        if "save" in program.has:
            self.save, self.load = self._save, self._load

    def step(self, grad: Array | None, loss: float | None = None) -> Array:
        """Make a step, and return the new parameters."""
        question: dict[str, Any] = {"op": "step"}
        question |= {"grad": None, "grad_hex": None} if grad is None else _numbers("grad", grad)
        if loss is not None:
            question |= _numbers("loss", np.float64(loss))
        answer = self._program.ask(question)
        x = self._array(answer, "x")
        if x is None:
            raise CouldNotRun("the answer to 'step' has neither x nor x_hex")
        self.step_size, self.prev = self._array(answer, "step_size"), self._array(answer, "prev")
        return x

    def _set(self, **setting: Any) -> None:
        question: dict[str, Any] = {"op": "set"}
        for name, value in setting.items():
            question |= _numbers(name, np.array(value, float))
        self._program.ask(question)

    def _save(self) -> Any:
        return self._program.ask({"op": "save"}).get("state")

    def _load(self, state: Any) -> None:
        self._program.ask({"op": "load", "state": state})

    def _array(self, answer: dict[str, Any], name: str) -> Array | None:
        exact = f"{name}_hex" in answer
        values = answer.get(f"{name}_hex" if exact else name)
        if values is None:
            return None
        try:
            if not isinstance(values, list):
                raise TypeError(values)
            numbers = [float.fromhex(v) if exact else float(v) for v in values]
        except (TypeError, ValueError, OverflowError):
            raise CouldNotRun(f"{name} is no list of numbers: {str(values)[:80]}") from None
        with np.errstate(all="ignore"):
            flat = np.array(numbers).astype(self._like.real.dtype)
        if flat.size == self._like.size * (2 if np.iscomplexobj(self._like) else 1):
            return flat.view(self._like.dtype)
        raise CouldNotRun(f"{name} has {flat.size} numbers for {self._like.size} coordinates")


def _numbers(name: str, values: Any) -> dict[str, Any]:
    """Numbers as decimals and in hexadecimal; a complex number is two."""
    array = np.asarray(values)
    if np.iscomplexobj(array):
        array = np.ascontiguousarray(array).view(array.real.dtype)
    if array.ndim == 0:
        return {name: _decimal(array), f"{name}_hex": hexadecimal(array)}
    return {name: [_decimal(v) for v in array], f"{name}_hex": [hexadecimal(v) for v in array]}


def _decimal(value: Any) -> float | str:
    """JSON has no NaN and no infinities; they are strings."""
    number = float(value)
    return number if np.isfinite(number) else str(number)

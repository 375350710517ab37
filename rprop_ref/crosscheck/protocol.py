"""Implementations in any language: programs that answer in lines of JSON, see ``docs/crosscheck.md``."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from ._cases.case import FEATURES, Array
from ._cases.dtypes import COMPLEX, REALS
from ._comparison.json_numbers import both_forms
from ._comparison.observe import AnswersMixedUp, CouldNotRun

#: The version of the protocol.
VERSION = 1

#: After this many crashes, timeouts or invalid answers, a program is not started again.
MAX_FAILURES = 5

#: The most characters that a line may have.
MAX_LINE = 10_000_000

_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[+-]?(0x[0-9a-f]+(\.[0-9a-f]*)?(p[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)


class Program:
    """A program that speaks the protocol. It is a factory, as `check` needs it, and a context manager.

    Parameters
    ----------
    command : str or sequence of str
        The program and its arguments.
    timeout : float, optional
        How many seconds to wait for an answer; at most a day.

    Attributes
    ----------
    name : str
        The name that the program gives itself.
    dtypes : tuple of str
        The dtypes it has.
    has : frozenset of str
        Those of "none", "set" and "save" that it has.
    lacks : tuple of str
        The features that it does not have, by the names of ``without=``.

    Raises
    ------
    CouldNotRun
        If it does not start, or its first answer is invalid.
    ValueError
        If `timeout` is not a number in this range.
    """

    #: Tells `observe` to call `finish` at the end of each run.
    checks_runs = True

    @property
    def answers_are_known(self) -> bool:
        """Whether its answers repeat the id of the question."""
        return self._echoes

    def __init__(self, command: str | Sequence[str], timeout: float = 10.0) -> None:
        try:
            self.command = shlex.split(command) if isinstance(command, str) else [os.fspath(p) for p in command]
        except (TypeError, ValueError) as error:
            raise CouldNotRun(f"the command {command!r} cannot be read: {error}") from None
        if not self.command:
            raise CouldNotRun("the command is empty")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= 86400:
            raise ValueError(f"timeout={timeout!r} should be a number of seconds, above 0 and at most 86400")
        self.timeout = timeout
        self._closed = False
        self._echoes = False
        self._asked = 0
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
        if self._closed:
            raise CouldNotRun("the program has been closed")
        if self._process is None:
            if self._failures >= MAX_FAILURES:
                raise CouldNotRun(f"the program has failed {MAX_FAILURES} times and is not started again")
            self._start()
        new = {
            "op": "new",
            "dtype": x0.dtype.name,
            **both_forms("x0", x0),
            **both_forms("lr", np.float64(lr)),
            **both_forms("etas", np.array(etas, float)),
            **both_forms("step_sizes", np.array(step_sizes, float)),
            "maximize": bool(maximize),
        }
        self.ask_for_nothing(new)
        return _Run(self, x0, new)

    def ask_for_nothing(self, question: dict[str, Any]) -> None:
        """Ask a question whose answer is {}. If it has more in it, it belongs to another question."""
        answer = self.ask(question)
        for name in ("x", "x_hex", "state"):
            if name in answer and "id" not in answer:
                raise self.mixed_up(
                    f"the answer to {question['op']!r} has {name!r}, so it belongs to another question"
                )

    def mixed_up(self, text: str) -> CouldNotRun:
        """The error for an answer to another question than the one asked."""
        text += " (answers that repeat the id of the question cannot be mixed up)"
        return self._failure(text, AnswersMixedUp)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a question, and return the answer."""
        if self._process is None:
            raise CouldNotRun("the program has ended" if not self._closed else "the program has been closed")
        self._refuse_unasked_line()
        self._asked += 1
        self._send({**question, "id": self._asked})
        answer = self._parsed(self._next_line(question["op"]), question["op"])
        self._echoes = "id" in answer
        if answer.get("id", self._asked) != self._asked:
            text = f"the answer to {question['op']!r}, which has the id {self._asked}, has the id {answer['id']!r}"
            raise self._failure(text, AnswersMixedUp)
        if "error" in answer:
            raise CouldNotRun(f"the program says: {answer['error']}")
        return answer

    def _refuse_unasked_line(self) -> None:
        """Raise if a line is waiting, which would be taken for the next answer."""
        if not self._lines.empty():
            line = self._lines.get()
            if line is None:
                raise self._failure("the program has ended")
            raise self.mixed_up(f"nobody asked for the line {line.strip()[:80]!r}")

    def _send(self, question: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._failure("the program has ended, or has closed its input") from None

    def _next_line(self, op: str) -> str:
        try:
            line = self._lines.get(timeout=self.timeout)
        except queue.Empty:
            raise self._failure(f"no answer to {op!r} within {self.timeout:g} s") from None
        if line is None:
            raise self._failure(f"the program ended instead of answering {op!r}")
        return line

    def _parsed(self, line: str, op: str) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise self._failure(f"the answer to {op!r} is not JSON: {line.strip()[:80]!r}") from None
        if not isinstance(answer, dict):
            raise self._failure(f"the answer to {op!r} is not a JSON object: {line.strip()[:80]!r}")
        return answer

    def close(self) -> None:
        """End the program; it is not started again."""
        self._closed = True
        self._end()

    def _end(self) -> None:
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
            if self._reader.is_alive():  # a process that the program has started keeps its output open
                _kill(process)
                self._reader.join(timeout=1)
            if not self._reader.is_alive():
                process.stdout.close()
            _kill(process)  # processes it has started may still run
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
        except (OSError, ValueError) as error:
            self._end()
            raise CouldNotRun(f"cannot run {self.command[0]}: {getattr(error, 'strerror', error)}") from None
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=_read, args=(process.stdout, self._lines), daemon=True)
        self._reader.start()
        try:
            self._greet(self.ask({"op": "hello", "protocol": VERSION}))
        except BaseException:
            self._end()
            raise

    def _greet(self, hello: dict[str, Any]) -> None:
        if hello.get("protocol") != VERSION:
            raise self._failure(f"it speaks protocol {hello.get('protocol')!r}, not {VERSION}")
        self.name = str(hello.get("name", self.command[0]))
        self.dtypes = self._words(hello, "dtypes", (*REALS, *COMPLEX)) or ("float64",)
        self.has = frozenset(self._words(hello, "has", ("none", "set", "save")))
        self.lacks = self._words(hello, "lacks", (*FEATURES, *REALS, *COMPLEX, "prev", "step_size"))

    def _words(self, hello: dict[str, Any], name: str, allowed: Sequence[str]) -> tuple[str, ...]:
        words = hello.get(name, [])
        if not isinstance(words, list):
            raise self._failure(f"the answer to 'hello': {name!r} should be a list, and is {words!r}")
        for word in words:
            if word not in allowed:
                choice = ", ".join(allowed)
                raise self._failure(f"the answer to 'hello': {name!r} contains {word!r}; choose from {choice}")
        return tuple(words)

    def _failure(self, text: str, kind: type[CouldNotRun] = CouldNotRun) -> CouldNotRun:
        """End a program that breaks the protocol, and return the error; the next run starts the program again."""
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
        errors = self._errors.read().strip().splitlines()
        self._end()
        if status:
            text += f" (status {status})"
        return kind(text + (f"; it wrote: {errors[-1][:200]}" if errors else ""))


def _kill(process: subprocess.Popen[str]) -> None:
    """End a program and the processes it has started, which may keep its output open."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _read(stream: Any, lines: queue.SimpleQueue[str | None]) -> None:
    while line := stream.readline(MAX_LINE):
        lines.put(line)
        if len(line) == MAX_LINE:
            # Do not fill the memory. A part of a line is not JSON, so the program will be ended.
            break
    lines.put(None)


class _Run:
    """One run of a program."""

    def __init__(self, program: Program, x0: Array, new: dict[str, Any]) -> None:
        self._program, self._x0, self._new = program, x0, new
        self.accepts_none = "none" in program.has
        self.step_size: Array | None = None
        self.prev: Array | None = None
        if "set" in program.has:
            self.set = self._set
        if "save" in program.has:
            self.save, self.load = self._save, self._load

    def step(self, grad: Array | None, loss: float | None = None) -> Array:
        """Make a step, and return the new parameters."""
        question = {"op": "step", **both_forms("grad", grad)}
        if loss is not None:
            question |= both_forms("loss", np.float64(loss))
        answer = self._program.ask(question)
        x = self._array(answer, "x")
        if x is None:
            raise self._program.mixed_up("the answer to 'step' has neither x nor x_hex")
        self.step_size, self.prev = self._array(answer, "step_size"), self._array(answer, "prev")
        return x

    def finish(self) -> None:
        """Start one more run, which is not used, to see whether an answer to another question arrives."""
        self._program.ask_for_nothing(self._new)

    def _set(self, **setting: Any) -> None:
        question: dict[str, Any] = {"op": "set"}
        for name, value in setting.items():
            question |= both_forms(name, np.array(value, float))
        self._program.ask_for_nothing(question)

    def _save(self) -> Any:
        answer = self._program.ask({"op": "save"})
        if "state" not in answer:
            raise self._program.mixed_up("the answer to 'save' has no state")
        return answer["state"]

    def _load(self, state: Any) -> None:
        self._program.ask_for_nothing({"op": "load", "state": state})

    def _array(self, answer: dict[str, Any], name: str) -> Array | None:
        exact = f"{name}_hex" in answer
        values = answer.get(f"{name}_hex" if exact else name)
        if values is None:
            return None
        try:
            if not isinstance(values, list):
                raise TypeError(values)
            numbers = [_exactly(v) if exact else _roughly(v) for v in values]
        except (TypeError, ValueError, OverflowError):
            kind = "hexadecimal floats, such as '0x1.8p-3'" if exact else "numbers"
            key = f"{name}_hex" if exact else name
            raise CouldNotRun(f"{key} should be a list of {kind}, and is {str(values)[:80]}") from None
        with np.errstate(all="ignore"):
            flat = np.array(numbers).astype(self._x0.real.dtype)
        if flat.size == self._x0.size * (2 if np.iscomplexobj(self._x0) else 1):
            return flat.view(self._x0.dtype)
        raise CouldNotRun(f"{name} has {flat.size} numbers for {self._x0.size} coordinates")


@functools.lru_cache(1 << 16)
def _exactly(text: Any) -> float:
    # float.fromhex would read "0.1" as 1/16.
    if not isinstance(text, str) or not _HEXADECIMAL.fullmatch(text):
        raise ValueError(text)
    return float.fromhex(text)


def _roughly(value: Any) -> float:
    # A string is allowed because JavaScript can write -0.0 only as a string.
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(value)
    return float(value)

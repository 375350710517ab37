"""Implementations in any language: programs that answer in lines of JSON, see ``docs/crosscheck.md``."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from ._cases.case import FEATURES, Array, Case
from ._cases.dtypes import COMPLEX, REALS
from ._comparison.json_numbers import both_forms_as_text, each_as_text
from ._comparison.observe import AnswersMixedUp, CouldNotRun

#: The version of the protocol.
VERSION = 1

#: After this many crashes, timeouts or invalid answers, a program is not started again.
MAX_FAILURES = 5

#: The most characters that a line may have.
MAX_LINE = 10_000_000

#: The most characters of questions that are written before their answers are read. A pipe holds more, so writing
#: does not wait for a program that hangs. (A single question may be longer.)
MAX_AHEAD = 16_000

_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)
_HEXADECIMAL = r"[+-]?+(?:0x[0-9a-f]++(?:\.[0-9a-f]*+)?+(?:p[+-]?+[0-9]++)?+|nan|inf(?:inity)?+)"
_HEXADECIMALS = re.compile(f"(?:{_HEXADECIMAL} )*+", re.ASCII)  # in small letters, which is much faster


class _Question(NamedTuple):
    """A question: what it asks for, and the members of its JSON object."""

    op: str
    members: str


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

    #: Tells `observe` to call `announce` before the steps of each run, and `finish` at its end.
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
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = _Lines()
        self._announced: deque[_Question] = deque()
        self._written: deque[tuple[_Question, int]] = deque()  # and not answered, with its id
        self._unanswered = 0  # how many characters these are
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
        self._forget_announced()
        if self._process is None:
            if self._failures >= MAX_FAILURES:
                raise CouldNotRun(f"the program has failed {MAX_FAILURES} times and is not started again")
            self._start()
        numbers = both_forms_as_text(
            x0=x0, lr=np.float64(lr), etas=np.array(etas, float), step_sizes=np.array(step_sizes, float)
        )
        dtype, maximize_text = json.dumps(x0.dtype.name), json.dumps(bool(maximize))
        new = _Question("new", f'"op": "new", "dtype": {dtype}, {numbers}, "maximize": {maximize_text}')
        self.ask_for_nothing(new)
        return _Run(self, x0, new)

    def ask_for_nothing(self, question: _Question) -> None:
        """Ask a question whose answer is {}. If it has more in it, it belongs to another question."""
        answer = self.answer_to(question)
        for name in ("x", "x_hex", "state"):
            if name in answer and "id" not in answer:
                raise self.mixed_up(
                    f"the answer to {question.op!r} has {name!r}, so it belongs to another question"
                )

    def mixed_up(self, text: str) -> CouldNotRun:
        """The error for an answer to another question than the one asked."""
        text += " (answers that repeat the id of the question cannot be mixed up)"
        return self._failure(text, AnswersMixedUp)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a question, and return the answer."""
        return self.answer_to(_Question(question["op"], json.dumps(question)[1:-1]))

    def answer_to(self, question: _Question) -> dict[str, Any]:
        """Send a question, unless it was announced and is written already, and return the answer."""
        if self._process is None:
            raise CouldNotRun("the program has ended" if not self._closed else "the program has been closed")
        if not self._written:
            self._refuse_unasked_line()
        if not self.is_announced:
            self._announced.append(question)
        self._write_ahead()
        return self._next_answer()

    @property
    def is_announced(self) -> bool:
        """Whether the next question was announced."""
        return bool(self._announced or self._written)

    def announce(self, questions: Sequence[_Question]) -> None:
        """Tell which questions come next, so that some can be written before earlier ones are answered."""
        self._announced.extend(questions)
        self._write_ahead()

    def _write_ahead(self) -> None:
        """Write the next question, and some of those after it if their answers cannot be mixed up."""
        texts = []
        # Writing takes long, so it waits until there is room for many.
        most = 0 if not self._echoes or self._unanswered > MAX_AHEAD // 2 else MAX_AHEAD
        while self._announced and (not self._written or self._unanswered < most):
            question = self._announced.popleft()
            self._asked += 1
            texts.append(f'{{{question.members}, "id": {self._asked}}}\n')
            self._written.append((question, self._asked))
            self._unanswered += len(question.members)
        if texts:
            self._send("".join(texts))

    def _next_answer(self) -> dict[str, Any]:
        """The answer to the first question that is not answered."""
        question, number = self._written.popleft()
        self._unanswered -= len(question.members)
        answer = self._parsed(self._next_line(question.op), question.op)
        self._echoes = "id" in answer
        if answer.get("id", number) != number:
            text = f"the answer to {question.op!r}, which has the id {number}, has the id {answer['id']!r}"
            raise self._failure(text, AnswersMixedUp)
        if "error" in answer:
            raise CouldNotRun(f"the program says: {answer['error']}")
        return answer

    def _forget_announced(self) -> None:
        """Drop what an earlier run announced and did not ask for, because it failed."""
        self._announced.clear()
        while self._written and self._process is not None:
            with contextlib.suppress(CouldNotRun):
                self._next_answer()

    def _refuse_unasked_line(self) -> None:
        """Raise if a line is waiting, which would be taken for the next answer."""
        if self._lines.waiting():
            line = self._lines.next(0)
            if line is None:
                raise self._failure("the program has ended")
            raise self.mixed_up(f"nobody asked for the line {line.strip()[:80]!r}")

    def _send(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # A pipe takes so much at once; more waits for the program, which may have stopped reading.
        limit = threading.Timer(self.timeout, _kill, (self._process,)) if len(text) > MAX_AHEAD else None
        try:
            if limit is not None:
                limit.daemon = True
                limit.start()
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except OSError:
            if limit is not None and not limit.is_alive():
                raise self._failure(f"the program did not read a question within {self.timeout:g} s") from None
            if len(self._written) > 1:
                return  # it may have answered those before; reading shows which it has not
            raise self._failure("the program has ended, or has closed its input") from None
        finally:
            if limit is not None:
                limit.cancel()

    def _next_line(self, op: str) -> str:
        try:
            line = self._lines.next(self.timeout)
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
        self._announced.clear()
        self._written.clear()
        self._unanswered = 0
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(b'{"op": "bye"}\n')
                process.stdin.close()
                process.wait(timeout=1)
            except (OSError, subprocess.TimeoutExpired):
                with contextlib.suppress(OSError):
                    process.stdin.close()
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
                start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            self._end()
            raise CouldNotRun(f"cannot run {self.command[0]}: {getattr(error, 'strerror', error)}") from None
        self._lines = _Lines()
        self._reader = threading.Thread(target=self._lines.read, args=(process.stdout,), daemon=True)
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


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and the processes it has started, which may keep its output open."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


class _Lines:
    """The lines that a program writes, which a thread reads as they come."""

    def __init__(self) -> None:
        self._read: queue.SimpleQueue[bytes] = queue.SimpleQueue()  # empty at the end
        self._lines: deque[bytes] = deque()
        self._rest: list[bytes] = []  # of a line that has not ended

    def read(self, stream: Any) -> None:
        """Read a stream to its end."""
        length = 0
        while some := stream.read1(1 << 16):
            self._read.put(some)
            length = len(some) - end if (end := some.rfind(b"\n")) >= 0 else length + len(some)
            if length > MAX_LINE:
                # Do not fill the memory. A part of a line is not JSON, so the program will be ended.
                break
        self._read.put(b"")

    def waiting(self) -> bool:
        """Whether there is a line, or the end, already."""
        while not self._lines and not self._read.empty():
            self._take(self._read.get())
        return bool(self._lines)

    def next(self, timeout: float) -> str | None:
        """The next line; None at the end.

        Raises
        ------
        queue.Empty
            If there is none within so many seconds.
        """
        if not self._lines:
            until = time.monotonic() + timeout
            while not self._lines:
                self._take(self._read.get(timeout=max(0.0, until - time.monotonic())))
        line = self._lines.popleft()
        return line.decode(errors="replace") if line else None

    def _take(self, some: bytes) -> None:
        """Take what was read: the lines in it, and the rest. The end is a line without characters."""
        first, *others = some.split(b"\n") if some else (b"", b"")
        self._rest.append(first)
        for other in others:
            line = b"".join(self._rest)
            if line or some:
                self._lines.append(line + b"\n" * bool(some))
            self._rest = [other]
        if not some:
            self._lines.append(b"")


class _Run:
    """One run of a program."""

    def __init__(self, program: Program, x0: Array, new: _Question) -> None:
        self._program, self._x0, self._new = program, x0, new
        self._answer: dict[str, Any] = {}
        self.accepts_none = "none" in program.has
        if "set" in program.has:
            self.set = self._set
        if "save" in program.has:
            self.save, self.load = self._save, self._load

    def announce(self, case: Case, start: int, stop: int) -> None:
        """Tell which steps of a case will be made next.

        All are encoded at once. Where answers repeat the id of the question, and so cannot be mixed up, some are
        asked for at once as well.
        """
        gradients = each_as_text("grad", case.g[start:stop])
        losses = each_as_text("loss", np.array(case.loss[start:stop], float)) if case.loss else []
        questions = []
        for t in range(start, stop):
            if t in case.edits:
                questions.append(_setting(case.edits[t]))
            grad = both_forms_as_text(grad=None) if t in case.none else gradients[t - start]
            loss = f", {losses[t - start]}" if case.loss else ""
            questions.append(_Question("step", f'"op": "step", {grad}{loss}'))
        self._program.announce(questions)

    def step(self, grad: Array | None, loss: float | None = None) -> Array:
        """Make a step, and return the new parameters."""
        self._answer = self._program.answer_to(_STEP if self._program.is_announced else _step(grad, loss))
        x = self._array("x")
        if x is None:
            raise self._program.mixed_up("the answer to 'step' has neither x nor x_hex")
        return x

    # Read only where they are asked for, because most of the referee's experiments compare x alone.
    @property
    def step_size(self) -> Array | None:
        """The step sizes after the last step, if the program shows them."""
        return self._array("step_size")

    @property
    def prev(self) -> Array | None:
        """The gradients of the last step, if the program shows them."""
        return self._array("prev")

    def finish(self) -> None:
        """Start one more run, which is not used, to see whether an answer to another question arrives."""
        if not self._program.answers_are_known:
            self._program.ask_for_nothing(self._new)

    def _set(self, **setting: Any) -> None:
        self._program.ask_for_nothing(_setting(setting))

    def _save(self) -> Any:
        answer = self._program.ask({"op": "save"})
        if "state" not in answer:
            raise self._program.mixed_up("the answer to 'save' has no state")
        return answer["state"]

    def _load(self, state: Any) -> None:
        self._program.ask_for_nothing(_Question("load", json.dumps({"op": "load", "state": state})[1:-1]))

    def _array(self, name: str) -> Array | None:
        answer = self._answer
        exact = f"{name}_hex" in answer
        values = answer.get(f"{name}_hex" if exact else name)
        if values is None:
            return None
        try:
            if not isinstance(values, list):
                raise TypeError(values)
            numbers = _exactly(values) if exact else _roughly(values)
        except (TypeError, ValueError, OverflowError):
            kind = "hexadecimal floats, such as '0x1.8p-3'" if exact else "numbers"
            key = f"{name}_hex" if exact else name
            raise CouldNotRun(f"{key} should be a list of {kind}, and is {str(values)[:80]}") from None
        with np.errstate(all="ignore"):
            flat = np.array(numbers, np.float64).astype(self._x0.real.dtype)
        if flat.size == self._x0.size * (2 if np.iscomplexobj(self._x0) else 1):
            return flat.view(self._x0.dtype)
        raise CouldNotRun(f"{name} has {flat.size} numbers for {self._x0.size} coordinates")


def _step(grad: Array | None, loss: float | None) -> _Question:
    numbers = (
        both_forms_as_text(grad=grad) if loss is None else both_forms_as_text(grad=grad, loss=np.float64(loss))
    )
    return _Question("step", f'"op": "step", {numbers}')


def _setting(setting: dict[str, Any]) -> _Question:
    return _Question(
        "set", f'"op": "set", {both_forms_as_text(**{k: np.array(v, float) for k, v in setting.items()})}'
    )


#: Stands for a step that was announced.
_STEP = _Question("step", "")


def _exactly(texts: list[Any]) -> list[float]:
    # float.fromhex would read "0.1" as 1/16.
    if not _HEXADECIMALS.fullmatch(" ".join([*texts, ""]).lower()):
        raise ValueError(texts)
    return list(map(float.fromhex, texts))


def _roughly(values: list[Any]) -> list[float]:
    if all(type(value) is float for value in values):
        return values
    return [_rough(value) for value in values]


def _rough(value: Any) -> float:
    # A string is allowed because JavaScript can write -0.0 only as a string.
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(value)
    return float(value)

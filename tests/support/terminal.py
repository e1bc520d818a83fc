"""Terminals: a stand-in that has all that is typed beforehand, and commands on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import io
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import pytest

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")
PATIENCE_SECONDS = 120.0  # for what must appear: the machine may be busy


class Terminal(io.StringIO):
    """A terminal; what is typed comes from its text."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def typed(text: str, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Have somebody type this; returns the terminal that shows the question."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(text))
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


class Pty:
    """A command on a pseudo-terminal: keys are typed, and the transcript has all that it printed."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], *, columns: int = 120, lines: int = 40) -> None:
        self._master, slave = os.openpty()
        self._printed = b""
        self._seen = 0  # how much of the transcript `expect` has passed
        self.resize(columns, lines)
        # Its own session with this terminal, so that Ctrl-C reaches the command and nobody else.
        self._process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=dict(env), start_new_session=True, preexec_fn=_control
        )
        os.close(slave)

    def __enter__(self) -> Pty:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._master)

    @property
    def transcript(self) -> str:
        """All that was printed so far, without colours and other controls."""
        return _CONTROLS.sub("", self.raw).replace("\r\n", "\n")

    @property
    def raw(self) -> str:
        """All that was printed so far, as the terminal got it."""
        return self._printed.decode(errors="replace")

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str | bytes) -> None:
        """Press keys; \\x03 is Ctrl-C, \\x04 the end of input."""
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)

    def expect(self, text: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until this is printed, behind what was expected before."""
        deadline = time.monotonic() + seconds
        while (at := self.transcript.find(text, self._seen)) < 0:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} was not printed:\n{self.transcript[self._seen :]}")
        self._seen = at + len(text)

    def end(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait until the command has ended; its exit code."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        try:
            return self._process.wait(max(0.0, deadline - time.monotonic()) + 1)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended:\n{self.transcript}") from None

    def _read(self, deadline: float) -> bool:
        """Read what is printed next; false at its end, and at the deadline."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self._printed += data
        return bool(data)


def _control() -> None:
    """In the child: make standard input its controlling terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)

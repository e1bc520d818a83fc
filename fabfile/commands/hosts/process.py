"""The process that does one host's work: what it prints, what it asks, and how it ended.

It is a copy of this process (fork), so that what is loaded is loaded once for all hosts. It has no terminal of its own:
Ctrl-C reaches it once, by this process, and its questions go through here, one at a time.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Final, NoReturn

from fabfile import output

Act = Callable[[], tuple[int, str]]
"""One host's work: returns the exit code, and the first line of the error that it has printed."""

_CHUNK: Final = 1 << 16  # bytes
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED: Final = 130
_FAULT: Final = 70


class Stream:
    """Standard output or error of the process, as this process reads it, by line."""

    def __init__(self, descriptor: int, encoding: str, *, is_error: bool) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.is_error = is_error
        self.is_open = True
        self._encoding = encoding
        self._rest = b""

    def fileno(self) -> int:
        """For `select`."""
        return self.descriptor

    def lines(self) -> Iterator[str]:
        """The whole lines that are there by now."""
        while self.is_open:
            try:
                data = os.read(self.descriptor, _CHUNK)
            except BlockingIOError:
                return
            self.is_open = bool(data)
            *whole, self._rest = (self._rest + data).split(b"\n")
            yield from (line.decode(self._encoding, "replace") for line in whole)

    def rest(self) -> str:
        """What has no end of line yet, as a question has none."""
        text, self._rest = self._rest.decode(self._encoding, "replace"), b""
        return text


class Process:
    """One host's process. Begins at once."""

    def __init__(self, host: str, act: Act, at_terminal: bool, others: Iterable[Process]) -> None:
        self.host = host
        self.ended = ""
        self._began = time.monotonic()
        self.seconds = 0.0
        encodings = [getattr(stream, "encoding", None) or "utf-8" for stream in (sys.stdout, sys.stderr)]
        pipes = [os.pipe(), os.pipe()]
        self._link, its_link = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self.pid = os.fork()
        if not self.pid:
            for other in others:
                other.close()
            self._link.close()
            _work(act, [pipe[1] for pipe in pipes], encodings, its_link, at_terminal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        its_link.close()
        for _, its_end in pipes:
            os.close(its_end)
        self.streams = [
            Stream(pipe[0], encoding, is_error=number == 1)
            for number, (pipe, encoding) in enumerate(zip(pipes, encodings, strict=True))
        ]
        self._received = b""

    def fileno(self) -> int:
        """For `select`: what it asks, and its end."""
        return self._link.fileno()

    def messages(self) -> Iterator[int]:
        """The numbers of the questions that have come. Raises EOFError where the process has ended."""
        data = b""
        with contextlib.suppress(ConnectionError):  # where it has ended with an answer unread
            data = self._link.recv(_CHUNK)
        *whole, self._received = (self._received + data).split(b"\n")
        for line in whole:
            message = json.loads(line)
            self.ended = message.get("ended", self.ended)
            if "question" in message:
                yield message["question"]
        if not data:
            raise EOFError

    def answer(self, number: int, text: str) -> None:
        """Answer a question, which may be no longer waited for."""
        with contextlib.suppress(OSError):
            _send(self._link, number=number, text=text)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code; a negative number is the signal that ended it."""
        _, status = os.waitpid(self.pid, 0)
        self.seconds = time.monotonic() - self._began
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Close what this process has open of it."""
        self._link.close()
        for stream in self.streams:
            os.close(stream.descriptor)


class _Questions(io.TextIOBase):
    """Standard input of a host's process: each line is asked of the process that has the terminal."""

    def __init__(self, link: socket.socket, at_terminal: bool) -> None:
        self._link = link
        self._answers = link.makefile("r", encoding="utf-8")
        self._at_terminal = at_terminal
        self._number = 0

    def isatty(self) -> bool:
        return self._at_terminal

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]  # typeshed's base reads bytes
        """The line that the operator types; empty at the end of input, and where there is no terminal."""
        if not self._at_terminal:
            return ""
        self._number += 1
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        _send(self._link, question=self._number)
        for line in self._answers:
            answer = json.loads(line)
            if answer["number"] == self._number:  # not to one that Ctrl-C has ended
                return str(answer["text"])
        return ""


def _work(act: Act, ends: list[int], encodings: list[str], link: socket.socket, at_terminal: bool) -> NoReturn:
    """Be the host's process, to its end."""
    code = _FAULT
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        for descriptor, end in enumerate((os.open(os.devnull, os.O_RDONLY), *ends)):
            os.dup2(end, descriptor)
        sys.stdin = _Questions(link, at_terminal)
        sys.stdout, sys.stderr = (_writer(number, name) for number, name in enumerate(encodings, 1))
        output.print_in_any_encoding()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        with output.outlive_readers():
            code, ended = act()
        _send(link, ended=ended)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _writer(descriptor: int, encoding: str) -> IO[str]:
    return open(descriptor, "w", encoding=encoding, buffering=1, closefd=False)


def _send(link: socket.socket, **message: Any) -> None:
    link.sendall(json.dumps(message).encode() + b"\n")

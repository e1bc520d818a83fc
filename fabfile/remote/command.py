"""Runs a command on the VPS with this process's own input and output, over a connection that is there already."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import paramiko

from fabfile.errors import Unreachable
from fabfile.remote.here import LocalChannel, Terminal

_CHUNK = 1 << 15  # bytes
_POLL_SECONDS = 0.2  # between two looks whether the command has ended

Channel = paramiko.Channel | LocalChannel
Sink = Callable[[str, bytes], None]  # of what comes from "stdout" or "stderr"


class _Execute(Protocol):
    def __call__(self, argv: Sequence[str], terminal: Terminal | None = None) -> Channel: ...


class Command:
    """A command that is ready to be run once."""

    def __init__(self, argv: Sequence[str], execute: _Execute, end: Callable[[], object]) -> None:
        self._argv = argv
        self._execute = execute
        self._end = end

    def run(self, sink: Sink) -> int:
        """Run it with what comes on standard input; returns its exit code. Raises Unreachable.

        Whatever interrupts this ends the command.
        """
        return self._run(sink, None)

    def run_at_terminal(self, sink: Sink) -> int:
        """As `run`, with this process's terminal, whose keys all reach the command, Ctrl-C too."""
        size = shutil.get_terminal_size()
        with _raw():
            return self._run(sink, Terminal(os.environ.get("TERM") or "vt100", size.columns, size.lines))

    def _run(self, sink: Sink, terminal: Terminal | None) -> int:
        try:
            channel = self._execute(self._argv, terminal)
            try:
                with _resizing(channel) if terminal else contextlib.nullcontext():
                    threading.Thread(target=_send_input, args=(channel, bool(terminal)), daemon=True).start()
                    _receive(channel, sink)
                    code: int = channel.recv_exit_status()
            finally:
                channel.close()
        finally:
            self._end()
        if code == -1:
            raise Unreachable(
                "the connection was lost while the command ran",
                state="Whether the command has ended is not known.",
                next_step="inv status shows whether the VPS can be reached; then look whether the command still runs.",
            )
        return code


def _receive(channel: Channel, sink: Sink) -> None:
    """Pass on all output until the command has ended."""
    streams = (("stdout", channel.recv_ready, channel.recv), ("stderr", channel.recv_stderr_ready, channel.recv_stderr))
    while True:
        ended = channel.exit_status_ready() or channel.closed
        if not ended:
            select.select([channel], [], [], _POLL_SECONDS)
        for name, is_ready, receive in streams:
            while is_ready():
                sink(name, receive(_CHUNK))
        if ended and (channel.eof_received or channel.closed):
            return


def _send_input(channel: Channel, at_terminal: bool) -> None:
    """Pass on what comes on standard input; a terminal that the command does not have is no input."""
    with contextlib.suppress(OSError, EOFError, ValueError):
        descriptor = sys.stdin.fileno()
        while at_terminal or not os.isatty(descriptor):
            data = os.read(descriptor, _CHUNK)
            if not data:
                break
            channel.sendall(data)
    with contextlib.suppress(OSError, EOFError):
        channel.shutdown_write()


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Within the block the terminal passes on each key as it is."""
    import termios  # which Windows lacks
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)  # what has been typed by now is for the command
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resizing(channel: Channel) -> Iterator[None]:
    """Within the block the command's terminal has the size of this one."""

    def resize(number: int, frame: object) -> None:
        size = shutil.get_terminal_size()
        with contextlib.suppress(OSError, paramiko.SSHException):
            channel.resize_pty(size.columns, size.lines)

    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)

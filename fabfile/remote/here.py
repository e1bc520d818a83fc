"""Works on the VPS when the tool itself runs there: what would be a channel of SSH is a child process.

That an address is this machine's is not believed, but proven as ssh proves it: by the host keys that are known for it.
Two machines may have one address, one in front of the other, as where a port leads into a virtual machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import ipaddress
import os
import select
import socket
import struct
import subprocess
import termios
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from fabfile.remote import hostkeys, openssh
from fabfile.remote.openssh import SshConfig

_HOST_KEYS = Path("/etc/ssh")


class Terminal(NamedTuple):
    """What a terminal is: its kind (TERM), and its size in characters."""

    kind: str
    width: int
    height: int


def is_here(config: SshConfig, host_keys: Path = _HOST_KEYS) -> bool:
    """Whether a host is this machine: its address is, and a key that is known for it is one of this machine's.

    Raises Unreachable where a known_hosts file can't be read.
    """
    in_between = any(config.value(word) not in ("", "none") for word in ("proxyjump", "proxycommand", "hostkeyalias"))
    if in_between or not _is_own(config.hostname):
        return False
    own = {words[1] for file in host_keys.glob("ssh_host_*_key.pub") for words in [_words(file)] if len(words) > 1}
    known = hostkeys.known_keys(config, with_openssh=openssh.available())
    return any(line.key in own for line in (*known.lines, *known.portless) if not line.marker)


def _is_own(name: str) -> bool:
    """Whether a name leads to an address of this machine's network; the loopback is everybody's."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    return bool(addresses) and all(not one.is_loopback and _can_bind(str(one)) for one in addresses)


def _can_bind(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((address, 0))
        except OSError:
            return False
    return True


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").split()
    except OSError:
        return []


class LocalChannel:
    """A command on this machine, with those of a channel's methods that are used. What it prints ends with it."""

    closed = False

    def __init__(self, words: Sequence[str], terminal: Terminal | None = None) -> None:
        """Start it, at a terminal of its own where one is given. Raises OSError."""
        self._timeout: float | None = None
        self._master: int | None = None
        # In a session of its own: Ctrl-C is for this process, as it is where the command runs elsewhere.
        if terminal:
            self._master, theirs = os.openpty()
            self.resize_pty(terminal.width, terminal.height)
            environment = {**os.environ, "TERM": terminal.kind}
            try:
                self._process = subprocess.Popen(
                    ["setsid", "--ctty", "--wait", *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
                )
            finally:
                os.close(theirs)
            self._outputs = {"out": self._master}
        else:
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
            self._outputs = {"out": self._file(self._process.stdout), "err": self._file(self._process.stderr)}
        self._open = set(self._outputs)

    @property
    def eof_received(self) -> bool:
        """Whether all that it prints has been read."""
        return not self._open

    def settimeout(self, seconds: float) -> None:
        """How long reading waits for something, at most."""
        self._timeout = seconds

    def fileno(self) -> int:
        """What select(2) waits for: output, or else that it ends."""
        return next((self._outputs[name] for name in sorted(self._open)), self._outputs["out"])

    def sendall(self, data: bytes) -> None:
        """Write all of its input. Raises BrokenPipeError where it reads no more."""
        if self._master is not None:
            while data:  # a terminal takes a part at a time
                data = data[os.write(self._master, data) :]
        elif self._process.stdin:
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def shutdown_write(self) -> None:
        """End its input."""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def recv_ready(self) -> bool:
        """Whether there is output to read."""
        return self._is_ready("out")

    def recv_stderr_ready(self) -> bool:
        """Whether there is something to read on its standard error."""
        return self._is_ready("err")

    def recv(self, size: int) -> bytes:
        """Output, empty at its end. Raises TimeoutError."""
        return self._read("out", size)

    def recv_stderr(self, size: int) -> bytes:
        """What comes on its standard error, empty at its end. Raises TimeoutError."""
        return self._read("err", size)

    def makefile(self, mode: str) -> IO[bytes]:
        """Its output as a file."""
        return io.BufferedReader(_Reader(self.recv))

    def makefile_stderr(self, mode: str) -> IO[bytes]:
        """Its standard error as a file."""
        return io.BufferedReader(_Reader(self.recv_stderr))

    def exit_status_ready(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def recv_exit_status(self) -> int:
        """Its exit code, once it has ended; as a shell's where a signal has ended it."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def resize_pty(self, width: int, height: int) -> None:
        """Give its terminal this size, in characters."""
        if self._master is not None:
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def close(self) -> None:
        """Read and write no more; the command goes on until it notices."""
        self.shutdown_write()
        if self._master is not None:
            os.close(self._master)
            self._master = None
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        self._open.clear()

    def _is_ready(self, name: str) -> bool:
        return name in self._open and bool(select.select([self._outputs[name]], [], [], 0)[0])

    def _read(self, name: str, size: int) -> bytes:
        if name not in self._open:
            return b""
        if not select.select([self._outputs[name]], [], [], self._timeout)[0]:
            raise TimeoutError(f"no output within {self._timeout:g} s")
        try:
            data = os.read(self._outputs[name], size)
        except OSError:  # a terminal that nobody holds any more
            data = b""
        if not data:
            self._open.discard(name)
        return data

    @staticmethod
    def _file(stream: IO[bytes] | None) -> int:
        assert stream is not None
        return stream.fileno()


class _Reader(io.RawIOBase):
    """A file of what `read` returns."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into it; returns how many bytes."""
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

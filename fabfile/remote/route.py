"""The way to a host's SSH port: a TCP connection, or the program that the configuration puts in its place.

Jump hosts are OpenSSH's own business, with strict host keys at each of them: an unknown one is refused, as it is for
the VPS itself.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from typing import IO

from fabfile.errors import Unreachable
from fabfile.remote import login_errors, openssh
from fabfile.remote.openssh import SshConfig

_STRICT = ("BatchMode=yes", "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "ControlMaster=no", "LogLevel=INFO")
_TARGET = "[%h]:%p"  # which the ssh that runs a ProxyCommand replaces by where it wants to go
_HOPS = 8  # more jump hosts than anybody has: one that is reached through itself
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_LAST_WORDS_SECONDS = 2.0  # seconds for a program that failed to end, once its connection has


class Route:
    """An open way: `socket` for Paramiko, and the program that stands behind it, if one does."""

    def __init__(self, config: SshConfig, timeout: float) -> None:
        """Open it. Raises Unreachable."""
        self._began = time.monotonic()
        self._target = f"{config.hostname}:{config.port}"
        self._through = config.expand(config.value("proxyjump"))
        self._command = _command(config, timeout)
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        if self._command and config.is_on("proxyusefdpass"):
            raise login_errors.unsupported("ProxyUseFdpass", "yes")
        self.socket = self._proxied() if self._command else _direct(config, self._target, timeout)

    def __str__(self) -> str:
        """Where it leads, and through what."""
        through = (
            f" through {self._through}" if self._through else " through its proxy command" if self._command else ""
        )
        return f"{self._target}{through}"

    @property
    def age(self) -> float:
        """Seconds since it began to open."""
        return time.monotonic() - self._began

    def failure(self, *, silent: bool) -> Unreachable | None:
        """The error where the program behind it has ended, in its own words; `silent`: even where it said nothing."""
        if self._process is None or self._stderr is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS_SECONDS)
        code = self._process.poll()
        self._stderr.seek(0)
        words = login_errors.last_words(self._stderr.read().decode(errors="replace"))
        if code is None or not (words or silent):
            return None
        if "open failed" in words:
            return login_errors.refused_connection(self._target, f"the jump host can't connect to it ({words})")
        why = words or f"it ended with exit code {code} and without a word"
        return login_errors.proxy_failed(self._target, self._command, why, is_jump=bool(self._through))

    def close(self) -> None:
        """Close it; the program sees the end of its input."""
        self.socket.close()
        if self._process is not None:
            _end(self._process)
        if self._stderr is not None:
            self._stderr.close()

    def _proxied(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  `close` closes it
        try:
            # In a session of its own it can't ask at the operator's terminal, and Ctrl-C is for this tool alone.
            self._process = subprocess.Popen(
                [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {self._command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._stderr,
                start_new_session=True,
                env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
            )
        except OSError as error:
            ours.close()
            self._stderr.close()
            why = error.strerror or str(error)
            raise login_errors.proxy_failed(self._target, self._command, why, is_jump=bool(self._through)) from error
        finally:
            theirs.close()
        return ours


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LAST_WORDS_SECONDS)
            return


def _command(config: SshConfig, timeout: float) -> str:
    """The program that connects to the host, as one line for the shell; empty where none is needed."""
    jumps = config.value("proxyjump")
    if jumps:
        target = f"[{config.hostname}]:{config.port}"
        return shlex.join(_through(config.expand(jumps), target, timeout, config.file))
    return config.expand(config.value("proxycommand"))


def _through(jumps: str, target: str, timeout: float, file: str, depth: int = 1) -> list[str]:
    """The ssh that connects to `target` from the last of some jump hosts, each reached through the one before it.

    Its options don't reach an ssh that it would start itself, so each jump host has its own command here, the one
    before it as the ProxyCommand of the next.
    """
    if depth > _HOPS:
        raise login_errors.unsupported("ProxyJump", f"by more than {_HOPS} jump hosts, or by one through itself,")
    before, _, last = jumps.rpartition(",")
    user, name, port = openssh.split(last.strip())
    inner, command = openssh.jump(name, user, port, file)
    inner = before or inner
    options = [*_STRICT, f"ConnectTimeout={max(1, round(timeout))}"]
    if inner:
        words = _through(inner, _TARGET, timeout, file, depth + 1)
        escaped = (word if word == _TARGET else word.replace("%", "%%") for word in words)
        options.append(f"ProxyCommand={shlex.join(escaped)}")
    elif not command:
        options.append("ProxyCommand=none")
    return [
        *("ssh", *(("-F", file) if file else ()), *(word for option in options for word in ("-o", option))),
        *(*(("-l", user) if user else ()), *(("-p", port) if port else ()), "-W", target, "--", name),
    ]


def _direct(config: SshConfig, target: str, timeout: float) -> socket.socket:
    """A TCP connection to the first of the host's addresses that answers, each for at most `timeout` seconds."""
    try:
        family = _FAMILIES.get(config.value("addressfamily"), socket.AF_UNSPEC)
        addresses = socket.getaddrinfo(config.hostname, config.port, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise login_errors.unknown_name(target, getattr(error, "strerror", None) or str(error)) from error
    failure: Exception = OSError("it has no address")
    started = time.monotonic()
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeout)
            if config.value("bindaddress"):
                connection.bind((config.value("bindaddress"), 0))
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = failure if isinstance(failure, ConnectionRefusedError) else error
        else:
            return connection
    if isinstance(failure, TimeoutError) or time.monotonic() - started >= timeout:
        raise login_errors.timed_out(target, timeout) from failure
    raise login_errors.refused_connection(target, getattr(failure, "strerror", None) or str(failure)) from failure

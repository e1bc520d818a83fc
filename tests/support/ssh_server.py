"""A real OpenSSH server of the test's own on 127.0.0.1, with a world of its own behind it.

Its users see nothing on PATH but what the test puts there, so that a VPS without python3 or without sudo can be
had anywhere. As root it runs in a mount namespace where `delta` is root by another name; otherwise one logs in as
oneself.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fabfile import inventory

_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv PATH={folder}/bin
"""

_CLIENT = """#!/bin/sh
exec {ssh} -F {config} "$@"
"""

# A user database of its own, and a /run where sshd finds the folder it wants: seen by this server alone.
_IN_NAMESPACE = (
    'mount --bind "$1" /etc/passwd && mount -t tmpfs none /run && mkdir -m 755 /run/sshd && shift && exec "$@"'
)

SUDO = """#!/bin/sh
[ "$1" = -n ] && shift
command -v "$1" >/dev/null || { echo "sudo: $1: command not found" >&2; exit 1; }
exec "$@"
"""


@dataclass
class Server:
    """The running server, and how to get in."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def user(self) -> str:
        """Who can log in; never root, so that sudo is asked for."""
        return "delta" if os.geteuid() == 0 else getpass.getuser()

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def host(self) -> inventory.Host:
        """The entry that an inventory would have for it."""
        return inventory.Host(
            name="vps",
            address="127.0.0.1",
            port=self.port,
            user=self.user,
            key=self.folder / "key",
            known_hosts=self.known_hosts,
        )

    def program(self, name: str, text: str) -> None:
        """Put a program on the users' PATH, in place of the one that is there."""
        path = self.folder / "bin" / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def without(self, name: str) -> None:
        """Take a program away."""
        (self.folder / "bin" / name).unlink()

    def connections(self) -> list[int]:
        """The processes that serve a connection each."""
        return _children(self.process.pid)

    def drop_connections(self) -> None:
        """End every connection as a cut cable would, without a word; what was started over them goes on."""
        for child in self.connections():
            for process in (*_children(child), child):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def stop(self) -> None:
        """End the server and its connections."""
        self.drop_connections()
        self.process.terminate()
        self.process.wait()


class Client:
    """The operator's own OpenSSH, with a configuration that the test writes: the one that `ssh` reads."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = folder / "config"
        self.config.write_text("")
        programs = folder / "client"
        programs.mkdir()
        ssh = shutil.which("ssh") or pytest.fail("these tests need an SSH client: apt-get install openssh-client")
        self.ssh = programs / "ssh"
        self.ssh.write_text(_CLIENT.format(ssh=ssh, config=shlex.quote(str(self.config))))
        self.ssh.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@contextlib.contextmanager
def running(folder: Path, settings: str = "", shell: str = "/bin/sh", within: Sequence[str] = ()) -> Iterator[Server]:
    """Start a server that keeps its things in `folder`; it ends with the block.

    `settings` are lines of sshd's, which win over the ones here; `shell` is its users' login shell; `within` is a
    command that runs it elsewhere, as in another network.
    """
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd:
        pytest.fail("these tests need an SSH server: apt-get install openssh-server", pytrace=False)
    port = _free_port()
    make_key(folder / "host_key")
    make_key(folder / "key")
    (folder / "sshd_config").write_text(f"{settings}\n" + _CONFIG.format(port=port, folder=folder))
    argv = [sshd, "-D", "-e", "-f", str(folder / "sshd_config")]
    if os.geteuid() == 0:
        others = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
        users = [f"{name}:*:0:0::{folder}:{shell}" for name in ("root", "delta")]
        (folder / "passwd").write_text("\n".join([*users, *others]) + "\n")
        argv = ["unshare", "--mount", "sh", "-c", _IN_NAMESPACE, "sh", str(folder / "passwd"), *argv]
    with open(folder / "log", "wb") as log, subprocess.Popen([*within, *argv], stdout=log, stderr=log) as process:
        server = Server(folder, port, process)
        _furnish(server)
        _await(server)
        try:
            yield server
        finally:
            server.stop()


def make_key(path: Path, passphrase: str = "") -> None:
    """A key pair of its own at `path` and `path`.pub."""
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)


def _furnish(server: Server) -> None:
    (server.folder / "bin").mkdir()
    for name in ("env", "sh", "sleep"):
        (server.folder / "bin" / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is missing"))
    server.program("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    server.program("sudo", SUDO)
    kind, key = (server.folder / "host_key.pub").read_text().split()[:2]
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {kind} {key}\n")


def _await(server: Server) -> None:
    for _ in range(400):
        if f"Server listening on 127.0.0.1 port {server.port}" in (server.folder / "log").read_text():
            return
        if server.process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"sshd did not start: {(server.folder / 'log').read_text()}", pytrace=False)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []

"""The supervisor process of a lab: its network, and the boot of its VPS. Run as a script, standard library only.

It listens on 127.0.0.1, then steps out of the host's network and mount namespaces into its own: its bridge is the
internet, with the VPS's public side at the other end, so that what comes through the forwarders has to pass the VPS's
firewall like any stranger. It boots the VPS there and boots it again whenever the VPS asks for a reboot. Every mount
it makes ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
OUTSIDE, PUBLIC = "203.0.113.1", "203.0.113.10"
PROVIDER_PORT = 8099
DROPPED_MS = 1000
SYSTEMD_HOST = Path("/run/systemd/system").exists()
REBOOT = 133  # what systemd-nspawn exits with, given --keep-unit, when the guest asked for a reboot


class Pipe(asyncio.Protocol):
    """One end of a forwarded connection; what arrives goes out at the other end, at the pace of the slower."""

    def __init__(self, peer: Pipe | None = None) -> None:
        self.peer = peer
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        if self.peer and self.peer.transport and self.peer.transport.can_write_eof():
            self.peer.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.close()


class Entrance(Pipe):
    """The near end: connects to the VPS's port before it reads anything."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport
        self.transport.pause_reading()
        self.connecting = asyncio.get_running_loop().create_task(self._connect(self.transport))

    async def _connect(self, near: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        # What the VPS's firewall drops is never answered: the near end, accepted already, is cut instead.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DROPPED_MS)
        try:
            await loop.sock_connect(sock, (PUBLIC, self.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)
            _, far = await loop.create_connection(lambda: Pipe(self), sock=sock)
        except OSError:
            sock.close()
            near.abort()
            return
        self.peer = far
        if near.is_closing() and far.transport:
            far.transport.close()
        else:
            near.resume_reading()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The options provider, out on the internet: it answers 401, as one does whose key has expired."""
    with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
    writer.close()


def listen(ports: dict[str, list[int]]) -> list[tuple[socket.socket, int]]:
    """Listening sockets on 127.0.0.1, each with the VPS's port that it leads to."""
    sockets = []
    for near, far in ports.values():
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", near))
        sock.listen(4096)
        sockets.append((sock, far))
    return sockets


def step_outside() -> None:
    """Leave the host's network and mounts; the sockets opened before stay where they were opened."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "outside", "type", "bridge")
    run("ip", "addr", "add", f"{OUTSIDE}/24", "dev", "outside")
    run("ip", "link", "set", "outside", "up")


def mount(spec: dict[str, Any]) -> None:
    """The VPS's disk: what it writes goes to `upper`, over the layers that all labs share."""
    options = f"lowerdir={':'.join(spec['lower'])},upperdir={spec['upper']},workdir={spec['work']}"
    # Databases and deployments rename folders, which overlayfs refuses for shared layers without redirects.
    run("mount", "-t", "overlay", "overlay", "-o", f"{options},redirect_dir=on", spec["root"])


def enter_cgroup() -> Path:
    """A control group for this lab alone, as the systemd inside takes all of it for its own; returns its folder.

    On a host with systemd this process has been started in a scope of its own, which is just that.
    """
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    top = next(Path(words[4]) for words in mounts if words[words.index("-") + 1] == "cgroup2")
    if not SYSTEMD_HOST:
        group = top / f"islandflow-lab-{os.getpid()}-{time.time_ns()}"
        group.mkdir()
        (group / "cgroup.procs").write_text(str(os.getpid()))
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next(line.removeprefix("0::/") for line in lines if line.startswith("0::"))
    return top / own


def enter_cpu_group() -> Path | None:
    """Where processors are shared out by a hierarchy of their own (version 1): a group of it for this lab alone."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for words in mounts:
        if words[words.index("-") + 1] == "cgroup" and "cpu" in words[-1].split(","):
            group = Path(words[4]) / f"islandflow-lab-{os.getpid()}-{time.time_ns()}"
            group.mkdir()
            (group / "cgroup.procs").write_text(str(os.getpid()))
            return group
    return None


def nspawn(spec: dict[str, Any]) -> list[str]:
    """The command that boots the VPS."""
    binds = [f"--bind={source}:{target}" for target, source in spec["binds"].items()]
    return [
        "systemd-nspawn", "--quiet", "--boot", f"--directory={spec['root']}", f"--machine=islandflow-lab-{os.getpid()}",
        "--network-bridge=outside", "--capability=all", "--system-call-filter=add_key keyctl bpf",
        "--register=no", "--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
        "--keep-unit", *binds,
    ]  # fmt: skip


async def serve(spec: dict[str, Any], sockets: list[tuple[socket.socket, int]]) -> int:
    """Forward connections and keep the VPS powered until it powers off; its exit status."""
    loop = asyncio.get_running_loop()
    for sock, port in sockets:
        await loop.create_server(functools.partial(Entrance, port), sock=sock, backlog=4096)
    await asyncio.start_server(refuse, OUTSIDE, PROVIDER_PORT)
    environment = os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
    while True:
        machine = await asyncio.create_subprocess_exec(*nspawn(spec), stdin=subprocess.DEVNULL, env=environment)
        status = await machine.wait()
        if status != REBOOT:
            return status


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def main(state: Path) -> int:
    """Run the VPS that machine.json in `state` describes, until it powers off; its exit status."""
    spec = json.loads((state / "machine.json").read_text())
    sockets = listen(spec["ports"])
    groups = [enter_cgroup(), enter_cpu_group()]
    (state / "cgroup").write_text("\n".join(str(group) for group in groups if group))
    step_outside()
    mount(spec)
    return asyncio.run(serve(spec, sockets))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""Who listens on which port, from /proc: the only witness that says which process answers."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..wire.facts import Listener

_ESTABLISHED, _LISTEN = "01", "0A"


def listeners(ports: Sequence[int]) -> tuple[Listener, ...]:
    """The sockets that listen on `ports` in the host's network namespace, with their processes."""
    found = [entry for entry in _listening(Path("/proc/self/net")) if entry[1] in ports]
    holders = _holders({inode for _, _, inode in found})
    return tuple(_listener(address, port, holders.get(inode, 0)) for address, port, inode in found)


def listening_ports(pid: int) -> list[int]:
    """The ports that are listened on in the network namespace of `pid`."""
    return sorted({port for _, port, _ in _listening(Path(f"/proc/{pid}/net"))})


def connections(pid: int) -> list[tuple[str, int, int]]:
    """The established TCP connections in the network namespace of `pid`: remote address and port, local port."""
    found = []
    for words in _sockets(Path(f"/proc/{pid}/net"), _ESTABLISHED):
        address, port = words[2].split(":")
        found.append((_address(address), int(port, 16), int(words[1].split(":")[1], 16)))
    return found


def reachable(address: str) -> str:
    """The address to use from this host for a socket bound to `address`."""
    return {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(address, address)


def _listener(address: str, port: int, pid: int) -> Listener:
    return Listener(port, address, pid, _read(f"/proc/{pid}/comm"), cgroup_of(pid) if pid else "")


def cgroup_of(pid: int) -> str:
    """The control group of a process; empty when it is gone.

    Version 2's line starts with `0::`; on a hybrid host the same path stands in the line of `name=systemd`.
    """
    for line in _read(f"/proc/{pid}/cgroup").splitlines():
        if line.startswith("0::"):
            return line[3:]
    return ""


def _listening(net: Path) -> Iterator[tuple[str, int, int]]:
    """Address, port and inode of each listening socket."""
    for words in _sockets(net, _LISTEN):
        address, port = words[1].split(":")
        yield _address(address), int(port, 16), int(words[9])


def _sockets(net: Path, state: str) -> Iterator[list[str]]:
    """The lines of the TCP sockets in a state, as words, proc_net_tcp(5)."""
    for name in ("tcp", "tcp6"):
        for line in _read(str(net / name)).splitlines()[1:]:
            words = line.split()
            if words[3] == state:
                yield words


def _address(text: str) -> str:
    raw = struct.pack(f"={len(text) // 8}I", *(int(text[i : i + 8], 16) for i in range(0, len(text), 8)))
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    plain = socket.inet_ntop(socket.AF_INET6, raw)
    return plain[7:] if plain.startswith("::ffff:") else plain


def _holders(inodes: set[int]) -> dict[int, int]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        if len(found) == len(wanted):
            break
        if process.name.isdigit():
            found.update({wanted[link]: int(process.name) for link in _links(process / "fd") if link in wanted})
    return found


def _links(folder: Path) -> Iterator[str]:
    """What the open files of a process are; one that is closed meanwhile, as databases do all the time, is left out."""
    try:
        names = os.listdir(folder)
    except OSError:  # the process ended meanwhile
        return
    for name in names:
        with contextlib.suppress(OSError):
            yield os.readlink(f"{folder}/{name}")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""

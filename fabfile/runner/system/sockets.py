"""Reads TCP sockets from /proc: which process listens on which port, and the connections to it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..wire.facts import Listener

_ESTABLISHED, _LISTEN = "01", "0A"  # in /proc/net/tcp

# What follows is of the kernel's own table of sockets, sock_diag(7).
_DIAG, _BY_FAMILY, _DONE, _ERROR = 4, 20, 3, 2  # NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLMSG_DONE, NLMSG_ERROR
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_STATES = 1 << 1  # established ones
_INFO = 2  # INET_DIAG_INFO: a struct tcp_info
_RECEIVED = 128  # where tcpi_bytes_received lies in it, 8 bytes
_HEAD, _MESSAGE = 16, 72  # bytes of a struct nlmsghdr, and of a struct inet_diag_msg
_TIMEOUT_SECONDS = 2.0  # the kernel answers at once or never


Ends = tuple[str, int, int]  # remote address, remote port, own port


def listeners(ports: Sequence[int]) -> tuple[Listener, ...]:
    """The sockets that listen on `ports` in the host's network namespace, with their processes."""
    entries = [entry for entry in _listening(Path("/proc/self/net")) if entry[1] in ports]
    holders = _holders({inode for _, _, inode in entries})
    return tuple(_listener(address, port, holders.get(inode, 0)) for address, port, inode in entries)


def listening_ports(pid: int) -> list[int]:
    """The ports that are listened on in the network namespace of `pid`."""
    return sorted({port for _, port, _ in _listening(Path(f"/proc/{pid}/net"))})


def connections(pid: int) -> list[tuple[str, int, int]]:
    """The established TCP connections in the network namespace of `pid`: remote address and port, local port."""
    established = []
    for words in _sockets(Path(f"/proc/{pid}/net"), _ESTABLISHED):
        address, port = words[2].split(":")
        established.append((_address(address), int(port, 16), int(words[1].split(":")[1], 16)))
    return established


def received_bytes() -> dict[Ends, int]:
    """Bytes that each established connection of this thread's network has received, by sock_diag(7). Raises OSError.

    They distinguish an unanswered request from a websocket, which an age alone can't.
    """
    counts: dict[Ends, int] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _DIAG) as line:
            line.settimeout(_TIMEOUT_SECONDS)
            request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), _STATES)
            line.send(struct.pack("=IHHII", _HEAD + len(request), _BY_FAMILY, _DUMP, 1, 0) + request)
            for message in _messages(line):
                ends, count = _connection(message)
                counts[ends] = count
    return counts


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
    inode_of = {f"socket:[{inode}]": inode for inode in inodes}
    holders: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        if len(holders) == len(inode_of):
            break
        if process.name.isdigit():
            holders.update({inode_of[link]: int(process.name) for link in _links(process / "fd") if link in inode_of})
    return holders


def _links(folder: Path) -> Iterator[str]:
    """The targets of a process's open files; one that is closed meanwhile, as databases do often, is left out."""
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


def _messages(line: socket.socket) -> Iterator[bytes]:
    """The bodies of the kernel's answer until it is complete."""
    while True:
        part = line.recv(1 << 18)
        at = 0
        while at + _HEAD <= len(part):
            length, kind = struct.unpack_from("=IH", part, at)
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise OSError(-struct.unpack_from("=i", part, at + _HEAD)[0], "the kernel does not list its sockets")
            yield part[at + _HEAD : at + length]
            at += (length + 3) & ~3


def _connection(message: bytes) -> tuple[Ends, int]:
    family = message[0]
    own, remote = struct.unpack_from(">HH", message, 4)
    raw = message[24:40] if family == socket.AF_INET6 else message[24:28]
    address = socket.inet_ntop(family, raw)
    plain = address[7:] if address.startswith("::ffff:") and "." in address else address
    at = _MESSAGE
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _INFO and length >= 4 + _RECEIVED + 8:
            return (plain, remote, own), int(struct.unpack_from("=Q", message, at + 4 + _RECEIVED)[0])
        at += max(4, (length + 3) & ~3)
    raise OSError("the kernel does not report how many bytes its sockets have received")

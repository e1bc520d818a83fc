"""How much each TCP connection has received so far, from the kernel's own table, sock_diag(7).

It tells a request that nobody has answered yet from a websocket, which an age alone can't.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_DIAG, _BY_FAMILY, _DONE, _ERROR = 4, 20, 3, 2  # NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLMSG_DONE, NLMSG_ERROR
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ESTABLISHED = 1 << 1
_INFO = 2  # INET_DIAG_INFO: a struct tcp_info
_RECEIVED = 128  # where tcpi_bytes_received lies in it, 8 bytes
_HEAD, _MESSAGE = 16, 72  # bytes of a struct nlmsghdr, and of a struct inet_diag_msg
_PATIENCE = 2.0  # seconds; the kernel answers at once or never

Ends = tuple[str, int, int]  # remote address, remote port, own port


def received() -> dict[Ends, int]:
    """Bytes that each established connection of this thread's network has received. Raises OSError."""
    found: dict[Ends, int] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _DIAG) as line:
            line.settimeout(_PATIENCE)
            wanted = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), _ESTABLISHED)
            line.send(struct.pack("=IHHII", _HEAD + len(wanted), _BY_FAMILY, _DUMP, 1, 0) + wanted)
            for message in _messages(line):
                ends, count = _connection(message)
                found[ends] = count
    return found


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
                raise OSError(-struct.unpack_from("=i", part, at + _HEAD)[0], "the kernel does not tell of its sockets")
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
    raise OSError("the kernel does not tell what its sockets have received")

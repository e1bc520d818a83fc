"""Asks an upstream as the edge would: its name resolved by DNS, from the edge's own network namespace."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
import struct
from typing import NamedTuple, TypedDict

from ..system import http

TIMEOUT = 10.0  # seconds, where nobody says how long a question may take
CONNECT = 5.0  # seconds until a connection that nobody accepts is given up: a firewall drops its packets
AGENT = {"User-Agent": "islandflow-probe"}


class Question(NamedTuple):
    """What is asked of an upstream; with an empty path only a connection."""

    host: str
    port: int
    path: str
    domain: str


class Answer(TypedDict, total=False):
    """What one address answers: `kind` is answer, open, silent, slow, refused, unknown or broken; `text` says it.

    Only an `answer` has a status and headers (names in lower case).
    """

    kind: str
    text: str
    address: str
    status: int
    headers: dict[str, str]


_CLONE_NEWNET = 0x40000000


def enter_network(pid: int) -> None:
    """Have the sockets that this thread opens be of the network namespace of `pid`, setns(2), until the thread ends.

    Raises OSError.
    """
    with open(f"/proc/{pid}/ns/net") as namespace, open("/proc/thread-self/ns/net") as own:
        if os.path.sameopenfile(namespace.fileno(), own.fileno()):
            return
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, f"the edge's network cannot be entered: {os.strerror(number)}")


def resolve(name: str, server: str, timeout: float = TIMEOUT, port: int = 53) -> list[str]:
    """The IPv4 addresses that the DNS server has for `name`, without search domains, as nginx asks.

    Raises OSError when the server does not answer, or does not know the name.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
        question.settimeout(timeout)
        question.connect((server, port))
        number = os.urandom(2)
        labels = b"".join(bytes([len(part)]) + part.encode("idna") for part in name.split("."))
        head = number + struct.pack(">5H", 0x0100, 1, 0, 0, 0)
        question.send(head + labels + b"\0" + struct.pack(">2H", 1, 1))
        reply = question.recv(4096)
        while reply[:2] != number:
            reply = question.recv(4096)
    found = _addresses(reply)
    if not found:
        raise OSError(f"the edge's DNS ({server}) knows no address for {name}")
    return found


def probe_upstream(host: str, port: int, path: str, domain: str, server: str, timeout: float = TIMEOUT) -> list[Answer]:
    """What each address of `host` answers: `kind` is answer, open, silent, slow, refused, unknown or broken.

    With an empty path only a connection is asked for (`open`). A `slow` one has accepted it and not answered in time.
    """
    try:
        addresses = [host] if _is_address(host) else resolve(host, server, timeout)
    except OSError as error:
        return [{"kind": "unknown", "address": host, "text": str(error) or type(error).__name__}]
    return [_probe_address(address, port, path, domain, timeout) for address in addresses]


def _probe_address(address: str, port: int, path: str, domain: str, timeout: float) -> Answer:
    try:
        plain = socket.create_connection((address, port), min(timeout, CONNECT))
    except socket.timeout:  # not TimeoutError before Python 3.10
        text = f"no answer within {min(timeout, CONNECT):g} s"
        return {"kind": "silent", "address": address, "text": text}
    except OSError as error:
        kind = "refused" if isinstance(error, ConnectionRefusedError) else "broken"
        return {"kind": kind, "address": address, "text": str(error)}
    with plain:
        plain.settimeout(timeout)
        if not path:
            return {"kind": "open", "address": address, "text": "accepts connections"}
        return {"address": address, **_page(plain, path, domain, timeout)}


def _page(plain: socket.socket, path: str, domain: str, timeout: float) -> Answer:
    try:
        answer = http.request_over(plain, path, seconds=timeout, host=domain, headers=AGENT)
    except socket.timeout:
        return {"kind": "slow", "text": f"accepts connections, but no answer within {timeout:.1f} s"}
    except OSError as error:
        return {"kind": "broken", "text": f"accepts connections, but: {error or type(error).__name__}"}
    return {"kind": "answer", "status": answer.status, "headers": answer.headers, "text": f"answers {answer.status}"}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(reply: bytes) -> list[str]:
    """The A records of a DNS reply."""
    answers = struct.unpack(">H", reply[6:8])[0]
    at = _past_name(reply, 12) + 4
    found = []
    for _ in range(answers):
        at = _past_name(reply, at)
        kind, _, _, length = struct.unpack(">HHIH", reply[at : at + 10])
        at += 10
        if kind == 1:
            found.append(socket.inet_ntoa(reply[at : at + length]))
        at += length
    return found


def _past_name(reply: bytes, at: int) -> int:
    while reply[at]:
        if reply[at] >= 0xC0:  # a pointer ends a name
            return at + 2
        at += 1 + reply[at]
    return at + 1

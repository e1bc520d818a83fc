"""Sends requests to an upstream as the edge would: resolves its name by DNS, in the edge's own network namespace."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
import struct
from typing import NamedTuple, TypedDict

from ..system import http

TIMEOUT_SECONDS = 10.0  # for a probe whose caller sets no limit
CONNECT_SECONDS = 5.0  # for a connection: a firewall may drop its packets
HEADERS = {"User-Agent": "islandflow-probe"}


class ProbeRequest(NamedTuple):
    """A request to an upstream; with an empty path only a connection."""

    host: str
    port: int
    path: str
    domain: str


class ProbeAnswer(TypedDict, total=False):
    """One address's answer: `kind` is answer, open, silent, slow, refused, unknown or broken; `text` is for people.

    Only an `answer` has a status and headers (names in lower case).
    """

    kind: str
    text: str
    address: str
    status: int
    headers: dict[str, str]


_CLONE_NEWNET = 0x40000000


def enter_network(pid: int) -> None:
    """Move this thread into the network namespace of `pid`, setns(2), until the thread ends.

    Raises OSError.
    """
    with open(f"/proc/{pid}/ns/net") as namespace, open("/proc/thread-self/ns/net") as own:
        if os.path.sameopenfile(namespace.fileno(), own.fileno()):
            return
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, f"the edge's network cannot be entered: {os.strerror(number)}")


def resolve(name: str, server: str, timeout: float = TIMEOUT_SECONDS, port: int = 53) -> list[str]:
    """Resolve `name` to IPv4 addresses by the DNS server, without search domains, as nginx does.

    Raises OSError when the server does not answer, or has no address for the name.
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
    addresses = _addresses(reply)
    if not addresses:
        raise OSError(f"the edge's DNS ({server}) has no address for {name}")
    return addresses


def probe_upstream(
    host: str, port: int, path: str, domain: str, server: str, timeout: float = TIMEOUT_SECONDS
) -> list[ProbeAnswer]:
    """Return the answer of each address of `host`: `kind` is answer, open, silent, slow, refused, unknown or broken.

    An empty path opens a connection only (`open`). A `slow` address has accepted it and not answered in time.
    """
    try:
        addresses = [host] if _is_address(host) else resolve(host, server, timeout)
    except OSError as error:
        return [{"kind": "unknown", "address": host, "text": str(error) or type(error).__name__}]
    return [_probe_address(address, port, path, domain, timeout) for address in addresses]


def _probe_address(address: str, port: int, path: str, domain: str, timeout: float) -> ProbeAnswer:
    try:
        plain = socket.create_connection((address, port), min(timeout, CONNECT_SECONDS))
    except socket.timeout:  # not TimeoutError before Python 3.10
        text = f"no answer within {min(timeout, CONNECT_SECONDS):g} s"
        return {"kind": "silent", "address": address, "text": text}
    except OSError as error:
        kind = "refused" if isinstance(error, ConnectionRefusedError) else "broken"
        return {"kind": kind, "address": address, "text": str(error)}
    with plain:
        plain.settimeout(timeout)
        if not path:
            return {"kind": "open", "address": address, "text": "accepts connections"}
        return {"address": address, **_request_page(plain, path, domain, timeout)}


def _request_page(plain: socket.socket, path: str, domain: str, timeout: float) -> ProbeAnswer:
    try:
        answer = http.request_over(plain, path, seconds=timeout, host=domain, headers=HEADERS)
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
    """Return the A records of a DNS reply."""
    answers = struct.unpack(">H", reply[6:8])[0]
    at = _past_name(reply, 12) + 4
    addresses = []
    for _ in range(answers):
        at = _past_name(reply, at)
        kind, _, _, length = struct.unpack(">HHIH", reply[at : at + 10])
        at += 10
        if kind == 1:
            addresses.append(socket.inet_ntoa(reply[at : at + length]))
        at += length
    return addresses


def _past_name(reply: bytes, at: int) -> int:
    while reply[at]:
        if reply[at] >= 0xC0:  # a pointer ends a name
            return at + 2
        at += 1 + reply[at]
    return at + 1

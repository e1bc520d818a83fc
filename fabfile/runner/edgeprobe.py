"""Asks an upstream as the edge would: its name resolved by DNS, from the edge's own network namespace.

A script of its own as well: `nsenter` starts it inside the container's network namespace, where it reads the
question from its argument and prints the answers. So it imports nothing but the standard library.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import socket
import ssl
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Tuple

TIMEOUT = 2.0  # seconds; a packet that a firewall drops is never answered
Answer = Dict[str, Any]


def ask(
    address: str, port: int, domain: str, path: str, tls: bool = False, timeout: float = TIMEOUT
) -> Tuple[int, Dict[str, str]]:
    """Status and headers (names in lower case) of one GET to address:port for `domain`.

    Certificates are not verified: this asks the origin by its address. Raises OSError, HTTPException.
    """
    with socket.create_connection((address, port), timeout) as plain:
        connection = http.client.HTTPConnection(domain, timeout=timeout)
        connection.sock = _wrapped(plain, domain) if tls else plain
        try:
            connection.request("GET", path, headers={"Connection": "close", "User-Agent": "islandflow-probe"})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()


def resolve(name: str, server: str, timeout: float = TIMEOUT, port: int = 53) -> List[str]:
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


def probe(host: str, port: int, path: str, domain: str, server: str, timeout: float = TIMEOUT) -> List[Answer]:
    """What each address of `host` answers: `kind` is answer, open, silent, refused, unknown or broken.

    With an empty path only a connection is asked for (`open`).
    """
    try:
        addresses = [host] if _is_address(host) else resolve(host, server, timeout)
    except OSError as error:
        return [{"kind": "unknown", "address": host, "text": str(error) or type(error).__name__}]
    return [_probe_address(address, port, path, domain, timeout) for address in addresses]


def _probe_address(address: str, port: int, path: str, domain: str, timeout: float) -> Answer:
    try:
        socket.create_connection((address, port), timeout).close()
    except socket.timeout:  # not TimeoutError before Python 3.10
        return {"kind": "silent", "address": address, "text": f"no answer within {timeout:g} s"}
    except OSError as error:
        kind = "refused" if isinstance(error, ConnectionRefusedError) else "broken"
        return {"kind": kind, "address": address, "text": str(error)}
    if not path:
        return {"kind": "open", "address": address, "text": "accepts connections"}
    try:
        status, headers = ask(address, port, domain, path, timeout=timeout)
    except (OSError, http.client.HTTPException) as error:
        text = f"accepts connections, but: {error or type(error).__name__}"
        return {"kind": "broken", "address": address, "text": text}
    return {
        "kind": "answer",
        "address": address,
        "status": status,
        "headers": headers,
        "text": f"answers {status}",
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(reply: bytes) -> List[str]:
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


def _wrapped(plain: socket.socket, domain: str) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=domain)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    with ThreadPoolExecutor(max_workers=len(asked) or 1) as pool:  # side by side: silence takes its time
        print(json.dumps(list(pool.map(lambda question: probe(**question), asked))))

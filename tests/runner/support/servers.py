"""Small real servers on this machine: lines, HTTP, TLS."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Talk = Callable[[socket.socket], None]


@contextmanager
def serving(talk: Talk, port: int = 0, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that talks with each caller in a thread of its own; the block's value is its port."""
    with socket.create_server(("127.0.0.1", port), reuse_port=False) as server:
        over = threading.Event()

        def one(connection: socket.socket) -> None:
            try:
                with context.wrap_socket(connection, server_side=True) if context else connection as line:
                    talk(line)
            except OSError:  # the caller is gone
                pass

        def accept() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.settimeout(5)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            acceptor.join()


def says(words: bytes, ask: bool = True) -> Talk:
    """Reads a question, if there is one to be read, and answers always the same."""

    def talk(line: socket.socket) -> None:
        if ask:
            line.recv(4096)
        line.sendall(words)

    return talk


def page(status: int = 200, body: bytes = b"fine", headers: Mapping[str, str] | None = None) -> bytes:
    """An HTTP answer."""
    fields = {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def trickle(line: socket.socket) -> None:
    """An HTTP answer that never ends, a byte at a time."""
    line.recv(4096)
    line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(400):
        line.sendall(b".")
        threading.Event().wait(0.05)


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A context with a certificate for a name that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context

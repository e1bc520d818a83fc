"""The public side as the checks meet it: an HTTPS server on 127.0.0.1 with a certificate authority of its own."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.utils import accept_key

Key = ec.EllipticCurvePrivateKey
DAY = datetime.timedelta(days=1)


@dataclass
class Answer:
    """What is answered to a path: `upgrade` opens a websocket that says `messages`, `silent` closes the connection."""

    status: int = 200
    kind: str = "application/json"
    runtime: str = "native"
    body: str = "{}"
    upgrade: bool = False
    messages: tuple[str, ...] = ('{"op":"event"}',)
    leaves: bool = False  # the websocket is closed from this side at once
    silent: bool = False
    after: float = 0.0  # seconds that it takes
    location: str = ""


@dataclass
class Behaviour:
    """What each path answers, and what was asked: (method, Host header, path).

    Names in `unknown` get the TLS alert that a server gives which has no host of that name.
    """

    paths: dict[str, Answer]
    otherwise: Answer = field(default_factory=lambda: Answer(404, "text/html"))
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)  # as each client gave them in its TLS greeting
    heard: list[str] = field(default_factory=list)  # bodies of POSTs, and messages to a websocket
    unknown: set[str] = field(default_factory=set)


class Authority:
    """Signs certificates that the checks are told to trust."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(self._signed(self._name, self._key, [], DAY)))

    def certificate(self, *names: str, lasts: datetime.timedelta = 90 * DAY) -> tuple[Path, Path]:
        """Files of a certificate for these names and of its key; with a negative `lasts` it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        paths = self._folder / "server.pem", self._folder / "server.key"
        paths[0].write_bytes(_pem(self._signed(subject, key, list(names), lasts)))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def _signed(self, subject: x509.Name, key: Key, names: list[str], lasts: datetime.timedelta) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * DAY)
            .not_valid_after(now + lasts)
            .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@contextlib.contextmanager
def serving(
    behaviour: Behaviour, certificate: tuple[Path, Path] | None, *, address: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """Serve until the block ends, without a certificate plain HTTP; yields the port."""

    def note_name(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        behaviour.names.append(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name in behaviour.unknown else None

    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        context.sni_callback = note_name
    handler = type("Handler", (_Handler,), {"behaviour": behaviour, "context": context})
    with _Server((address, port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that turns away from a certificate is what some tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour
    context: ssl.SSLContext | None
    protocol_version = "HTTP/1.1"
    timeout = 5

    def setup(self) -> None:
        if self.context:
            self.request = self.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def do_GET(self) -> None:
        behaviour = self.behaviour
        behaviour.asked.append((self.command, self.headers["Host"], self.path))
        answer = behaviour.paths.get(self.path, behaviour.otherwise)
        self.close_connection = True
        time.sleep(answer.after)
        if answer.silent:
            return
        if answer.upgrade and self.headers["Upgrade"] == "websocket":
            self._upgrade(answer)
            return
        if self.command == "POST":
            behaviour.heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        body = b"" if self.command == "HEAD" else answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Islandflow-Runtime", answer.runtime)
        if answer.location:
            self.send_header("Location", answer.location)
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_POST = do_GET

    def _upgrade(self, answer: Answer) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept_key(self.headers["Sec-WebSocket-Key"]))
        self.send_header("X-Islandflow-Runtime", answer.runtime)
        self.end_headers()
        goodbye = b"\x88\x02\x03\xe8"  # close, 1000
        if answer.leaves:
            self.wfile.write(goodbye)
        for message in answer.messages:
            self.wfile.write(bytes([0x81, len(message)]) + message.encode())  # text, in one short frame
        while (frame := self._frame())[0] != 0x88:
            self.behaviour.heard.append(frame[1].decode())
        self.wfile.write(goodbye)

    def _frame(self) -> tuple[int, bytes]:
        """A short frame from the client, which masks what it sends; its end counts as a close frame."""
        kind, length, *mask = self.rfile.read(6) or (0x88, 0x80, 0, 0, 0, 0)
        return kind, bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(length & 0x7F)))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)

"""A closed host, held against what a name gets that no host has: as a real nginx answers it, however it is set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile.runner.edge import server
from fabfile.runner.system.machine import Observation
from tests.runner.support.nginx_server import free_port, nginx
from tests.support.https_server import DAY, Authority

CLOSED, OPEN = "api.flow.example.test", "flow.example.test"
# What NPM's page calls the default site, and what it gives a name that no host has.
SETTINGS = {
    "congratulations": ('default_type text/html; return 200 "<h1>Congratulations!</h1> $host";', "answers 200"),
    "404": ("return 404;", "answers 404"),
    "444": ("return 444;", "gets no answer"),
    "redirect": ("return 301 $scheme://$host/elsewhere;", "answers 301"),
    "html": ('default_type text/html; return 200 "<p>nothing here</p>";', "answers 200"),
}
REJECTED = "ssl_reject_handshake on;"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextlib.contextmanager
def edge(folder: Path, authority: Authority, default: str, monkeypatch: pytest.MonkeyPatch, tls: str) -> Iterator[None]:
    """An edge with one open host, on ports of its own; `tls` is what its default host says on port 443."""
    plain, secure = free_port(), free_port()
    monkeypatch.setattr(server, "_PORTS", {False: plain, True: secure})
    certificate, key = authority.certificate(OPEN, lasts=DAY)
    keys = f"ssl_certificate {certificate};\nssl_certificate_key {key};\n"
    hosts = (
        f"server {{\nlisten 127.0.0.1:{plain} default_server;\n{default}\n}}\n"
        f"server {{\nlisten 127.0.0.1:{secure} ssl default_server;\n{keys}{tls}\n}}\n"
        f"server {{\nlisten 127.0.0.1:{plain};\nlisten 127.0.0.1:{secure} ssl;\n{keys}server_name {OPEN};\n"
        'return 200 "{}";\n}\n'
    )
    with nginx(folder, hosts, plain):
        yield


def seen(tls: bool, domain: str) -> Observation:
    return server.probe_closed_host("127.0.0.1", tls, domain, 30)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_closed_host_gets_what_nobody_gets_and_an_open_one_does_not(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, setting: str, tls: bool
) -> None:
    default, words = SETTINGS[setting]
    with edge(tmp_path, authority, default, monkeypatch, REJECTED):
        closed, opened = seen(tls, CLOSED), seen(tls, OPEN)
    assert closed.ok and f"without TLS {words}" in closed.text
    assert ("UNRECOGNIZED_NAME" in closed.text) == tls
    assert not opened.ok and opened.text.startswith("still answers 200; a name that no host has ")


def test_a_default_host_with_a_certificate_is_no_open_host(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with edge(tmp_path, authority, "return 404;", monkeypatch, "return 404;"):
        closed, opened = seen(True, CLOSED), seen(True, OPEN)
    assert closed.ok and "with TLS answers 404" in closed.text and not opened.ok


def test_an_edge_that_is_down_has_closed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PORTS", {False: free_port(), True: free_port()})
    assert not seen(False, CLOSED).ok and not seen(True, CLOSED).ok


@pytest.mark.parametrize(
    ("says", "status", "words"),
    [("return 444;", 444, "closed connection"), ("ssl_verify_client on; return 200;", 400, "answers 400")],
)
def test_a_host_that_refuses_us_is_seen_with_its_status(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, says: str, status: int, words: str
) -> None:
    trusted = f"ssl_client_certificate {authority.file};\n"
    with edge(tmp_path, authority, "return 404;", monkeypatch, trusted + says):
        found = server.probe_host("127.0.0.1", True, CLOSED, "/", "", timeout=30)
    assert (found.ok, found.data["status"]) == (False, status) and words in found.text

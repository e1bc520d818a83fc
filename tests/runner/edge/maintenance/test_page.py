"""What a real nginx answers during maintenance: to browsers, to programs, and to those who renew certificates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fabfile.runner.edge.maintenance import page, region
from fabfile.runner.edge.nginx import parse
from fabfile.runner.system import http
from fabfile.runner.wire.edge import Maintenance
from tests.runner.support.nginx_server import free_port, nginx

WORDS = r"""Don't panic: <b> "quotes", \n \\ $host ${uri} ; } { # Grüße 🚧"""
ON = Maintenance(1_700_000_000, 1_900_000_000.0, WORDS)
APP, API = "flow.example.test", "api.flow.example.test"
RETRY = "Sun, 17 Mar 2030 17:46:40 GMT"
WEBSOCKET = {"Connection": "Upgrade", "Upgrade": "websocket"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> int:
    return free_port()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, port: int) -> object:
    """Both hostnames, with locations that would win over any other, as NPM and operators write them."""
    folder = tmp_path_factory.mktemp("nginx")
    servers = "".join(
        f"server {{{region.written(ON, ('ws', 'v1.0'), program)}\n  listen 127.0.0.1:{port};\n  server_name {name};\n"
        "location ^~ /.well-known/acme-challenge/ { return 200 token; }\nlocation ~ ^/(ws|v1\\.0)(/|$) "
        "{ return 200 api; }\nlocation = / { return 200 root; }\nlocation / { auth_basic x; return 200 app; }\n}\n"
        for name, program in ((APP, False), (API, True))
    )
    with nginx(folder, servers, port):
        yield


def ask(port: int, name: str, path: str, headers: dict[str, str] | None = None) -> http.Answer:
    return http.request("127.0.0.1", port, path, seconds=30, host=name, headers=headers or {}, body=http.Body.KEEP)


@pytest.mark.parametrize(
    ("name", "path", "kind"),
    [
        *(
            (APP, path, "text/html")
            for path in ("/", "/quotes?a=b", "/wsx", "/v1x0/y", "/.islandflow-maintenance/json")
        ),
        *((APP, path, "application/json") for path in ("/ws", "/ws/live?x=1", "/v1.0/prints")),
        *((API, path, "application/json") for path in ("/", "/ws", "/anything/else.html")),
    ],
)
def test_everybody_gets_503_in_the_form_that_suits_them(
    edge: object, port: int, name: str, path: str, kind: str
) -> None:
    answer = ask(port, name, path)
    assert (answer.status, answer.headers["content-type"]) == (503, kind + "; charset=utf-8" * (kind == "text/html"))
    assert (answer.headers["retry-after"], answer.headers["cache-control"]) == (RETRY, "no-store")
    assert answer.headers[page.HEADER.lower()] == "1700000000"
    if kind == "application/json":
        assert json.loads(answer.body) == {"error": "maintenance", "message": WORDS, "until": RETRY}
    else:
        text = answer.body.decode("ascii")
        assert "Don&#x27;t panic: &lt;b&gt; &quot;quotes&quot;" in text and "&#36;host" in text and "&#128679;" in text
        assert RETRY in text and text.endswith("</html>")


def test_a_websocket_is_refused_in_the_same_way(edge: object, port: int) -> None:
    assert ask(port, APP, "/ws/live", WEBSOCKET).status == 503


@pytest.mark.parametrize("name", [APP, API])
def test_certificates_can_be_renewed(edge: object, port: int, name: str) -> None:
    answer = ask(port, name, "/.well-known/acme-challenge/abc")
    assert (answer.status, answer.body) == (200, b"token")


def test_nobody_has_said_until_when(tmp_path: Path) -> None:
    port = free_port()
    statements = page.statements(Maintenance(1.0), (), False)
    with nginx(tmp_path, f"server {{\nlisten 127.0.0.1:{port};\nserver_name {APP};\n{statements}\n}}\n", port):
        answer = ask(port, APP, "/")
    assert answer.status == 503 and answer.headers["retry-after"] == str(page.RETRY_SECONDS)
    assert page.DEFAULT_MESSAGE.encode() in answer.body and b"Expected" not in answer.body


@pytest.mark.parametrize("character", ["$", "'", "\\", "🚧", "ü", "<"])
def test_nginx_reads_the_longest_message(tmp_path: Path, character: str) -> None:
    port, message = free_port(), character * page.MOST_CHARACTERS
    assert not page.problem_of(message) and "201" in page.problem_of(message + "x")
    statements = page.statements(Maintenance(1.0, 1e9, message), ("ws",), False)
    assert parse(f"server {{\n{statements}\n}}")
    with nginx(tmp_path, f"server {{\nlisten 127.0.0.1:{port};\nserver_name {APP};\n{statements}\n}}\n", port):
        assert json.loads(ask(port, APP, "/ws").body)["message"] == message


def test_a_message_is_one_line() -> None:
    assert "one line" in page.problem_of("a\nb")

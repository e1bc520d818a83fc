"""The webhook: begin, failures and end of a plan, as lines of the schema; it never delays a plan nor fails it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fabfile.commands import session
from fabfile.commands.apply import Operation
from fabfile.commands.extensions.webhook import Webhook
from fabfile.console import Console
from fabfile.errors import Failed
from fabfile.inventory import Notify, Site
from fabfile.runner.wire.events import Event
from tests.commands.test_session import DONE, build
from tests.support import json_lines
from tests.support.events import begun, event, finished
from tests.support.fake_host import FakeHost
from tests.support.https_server import Authority, Behaviour, serving

FAILED = [*DONE[:2], event("failed", "files", error="no"), event("undone", "files"), finished("reverted", why="no")]


class Receiver:
    """Somebody's webhook on this machine."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer = 204
        self.silent = threading.Event()  # while it is not set, no request is answered
        self.silent.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.headers.append(dict(self.headers))
                receiver.got.append(json.loads(body))
                receiver.silent.wait(20)
                self.send_response(receiver.answer)
                self.send_header("Location", f"{receiver.url}elsewhere")
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.silent.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def told(settings: Notify, events: list[Event], **environ: str) -> None:
    with Webhook(settings, Console(), environ) as webhook:
        for each in events:
            webhook.event(each)


def test_begin_failure_and_end_are_lines_of_the_schema(receiver: Receiver) -> None:
    told(Notify(url=receiver.url), [*FAILED, *FAILED])
    assert [(line["kind"], line["step"]) for line in receiver.got] == [
        ("start", None),
        ("failed", "files"),
        ("finished", None),
    ], "each once, though a plan may be followed from its first event again"
    assert [json_lines.problems(line) for line in receiver.got] == [[], [], []]
    assert "Authorization" not in receiver.headers[0]


def test_address_and_token_come_from_the_environment(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Notify(url_env="HOOK_URL", token_env="HOOK_TOKEN")
    told(settings, DONE, HOOK_URL=receiver.url, HOOK_TOKEN="s3cret")
    assert receiver.headers[0]["Authorization"] == "Bearer s3cret"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("answer", [500, 302])
def test_what_is_not_accepted_is_one_warning_without_the_address(
    receiver: Receiver, capsys: pytest.CaptureFixture[str], answer: int
) -> None:
    receiver.answer = answer
    told(Notify(url_env="HOOK_URL"), FAILED, HOOK_URL=f"{receiver.url}secret-path")
    said = capsys.readouterr().err
    assert said.count("warning:") == 1 and f"it answered {answer}" in said
    assert "secret-path" not in said and len(receiver.got) == 3


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "HOOK_URL, HOOK_TOKEN is not set"),
        ({"HOOK_URL": "http://hooks.example/s3cret", "HOOK_TOKEN": "x"}, "what HOOK_URL holds is no https:// address"),
        (
            {"HOOK_URL": "http://localhost.test/s3cret", "HOOK_TOKEN": "x"},
            "what HOOK_URL holds is no https:// address",
        ),
        ({"HOOK_URL": "http://[::/s3cret", "HOOK_TOKEN": "x"}, "what HOOK_URL holds is no https:// address"),
        ({"HOOK_URL": "http://127.0.0.1:1/s3cret", "HOOK_TOKEN": "x"}, "ConnectionError"),
    ],
)
def test_where_nobody_can_be_reached_it_is_one_warning(
    capsys: pytest.CaptureFixture[str], environ: dict[str, str], said: str
) -> None:
    told(Notify(url_env="HOOK_URL", token_env="HOOK_TOKEN"), FAILED, **environ)
    printed = capsys.readouterr().err
    assert said in " ".join(printed.split()) and printed.count("warning:") == 1 and "s3cret" not in printed


def test_the_token_is_sent_though_netrc_has_a_login_for_the_same_host(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    told(Notify(url=receiver.url, token_env="HOOK_TOKEN"), DONE, HOOK_TOKEN="s3cret")
    assert receiver.headers[0]["Authorization"] == "Bearer s3cret"


def test_a_certificate_that_nobody_trusts_gets_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with serving(Behaviour({}), Authority(tmp_path).certificate("127.0.0.1")) as port:
        told(Notify(url=f"https://127.0.0.1:{port}/s3cret", token_env="HOOK_TOKEN"), FAILED, HOOK_TOKEN="x")
    printed = capsys.readouterr().err
    assert "SSLError" in printed and printed.count("warning:") == 1 and "s3cret" not in printed


def test_an_answer_that_never_ends_delays_the_end_no_longer_than_the_timeout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each byte comes in time, the whole does not."""
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        with server.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            with contextlib.suppress(OSError):
                while not over.wait(0.1):
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        began = time.monotonic()
        told(Notify(url=f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=1.0), FAILED)
        assert time.monotonic() - began < 4
        over.set()
    assert "it did not answer within 1 s" in " ".join(capsys.readouterr().err.split())


def test_somebody_who_does_not_answer_delays_nothing(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    receiver.silent.clear()
    webhook = Webhook(Notify(url=receiver.url, timeout=1.0), Console(), {})
    with webhook:
        began = time.monotonic()
        for each in FAILED:
            webhook.event(each)
        assert time.monotonic() - began < 0.5
    assert time.monotonic() - began < 4
    assert capsys.readouterr().err.count("warning:") == 1


def test_a_plan_that_is_carried_out_is_told_of(receiver: Receiver, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    host.events["ship"] = FAILED
    host.stand_in(monkeypatch)
    ours = site.model_copy(update={"notify": Notify(url=receiver.url)})
    monkeypatch.setattr(session, "load_site", lambda: ours)
    with pytest.raises(Failed):
        Operation(object()).apply(build)
    assert [line["kind"] for line in receiver.got] == ["start", "failed", "finished"]


def test_without_settings_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Webhook(None, Console(), {}) as webhook:
        webhook.event(begun())
    assert capsys.readouterr().err == ""

"""Checks made from outside, against a real HTTPS server on the loopback that goes by the public names."""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fabfile import public
from fabfile.inventory import Site
from tests import inventories
from tests.https_server import DAY, Answer, Authority, Behaviour, serving

APP, API = "flow.deltaisland.io", "api.flow.deltaisland.io"
PREFIXES = ["ws", "prints", "lookup"]
PAGE, HEALTH, SOCKET = f"HEAD https://{APP}", f"GET https://{API}", "/ws/live upgrades"

Outcome = dict[str, tuple[bool, str]]  # check → good or not, evidence


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def behaviour() -> Behaviour:
    """An app that is as it should be."""
    return Behaviour(
        {
            "/": Answer(kind="text/html"),
            "/health": Answer(),
            "/ws/live": Answer(upgrade=True),
            **{f"/{prefix}": Answer() for prefix in PREFIXES},
        }
    )


@pytest.fixture
def port(behaviour: Behaviour, authority: Authority) -> Iterator[int]:
    with serving(behaviour, authority.certificate(APP, API)) as port:
        yield port


@pytest.fixture
def site(tmp_path: Path, authority: Authority, port: int) -> Site:
    return site_of(tmp_path, port, ca=str(authority.file))


def site_of(tmp_path: Path, port: int, **table: Any) -> Site:
    return inventories.site(
        tmp_path,
        {
            "edge.api_prefixes": PREFIXES,
            **{f"public.{key}": value for key, value in {"address": "127.0.0.1", "https_port": port, **table}.items()},
        },
    )


def asked(site: Site, runtime: str = "") -> Outcome:
    """Every check's outcome, by the beginning of its name where a port follows."""
    found = public.checks(site, runtime)
    return {check.name.partition(f":{site.public.https_port}")[0]: (check.ok, check.text) for check in found}


def bad(outcome: Outcome) -> dict[str, str]:
    return {name: text for name, (ok, text) in outcome.items() if not ok}


def test_an_app_that_is_as_it_should_be_passes(site: Site) -> None:
    outcome = asked(site, "native")
    assert bad(outcome) == {}
    assert list(outcome) == [PAGE, HEALTH, SOCKET, *(f"/{prefix} is the API's" for prefix in PREFIXES)]
    assert {text for _, text in outcome.values()} == {
        "answers 200, served by native",
        "upgrades, served by native",
    }


def test_the_server_is_asked_for_the_public_names_with_their_port(site: Site, behaviour: Behaviour, port: int) -> None:
    asked(site)
    assert {(name, path) for _, name, path in behaviour.asked} == {
        (f"{APP}:{port}", "/"),
        (f"{API}:{port}", "/health"),
        (f"{APP}:{port}", "/ws/live"),
        *((f"{APP}:{port}", f"/{prefix}") for prefix in PREFIXES),
    }
    assert set(behaviour.names) == {APP, API}


def test_a_query_is_kept(tmp_path: Path, authority: Authority, behaviour: Behaviour, port: int) -> None:
    url = f"https://{API}:{port}/health?deep=1"
    asked(site_of(tmp_path, port, ca=str(authority.file), api_health_url=url))
    assert "/health?deep=1" in [path for _, _, path in behaviour.asked]


def test_a_proxy_of_the_environment_does_not_come_between(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert bad(asked(site)) == {}


def test_html_on_a_route_means_the_web_app(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/prints"] = Answer(kind="text/html; charset=utf-8")
    assert bad(asked(site)) == {"/prints is the API's": "answers 200 with HTML: the edge sent it to the web app"}


def test_a_route_that_is_neither_html_nor_json_is_told(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/prints"] = Answer(kind="text/plain")
    assert bad(asked(site)) == {"/prints is the API's": "answers 200 with text/plain instead of JSON"}


def test_a_route_that_is_not_found_is_told(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/prints"] = Answer(404)
    assert bad(asked(site)) == {"/prints is the API's": "answers 404: the API does not know it"}


@pytest.mark.parametrize("status", [400, 401, 405, 426])
def test_a_route_may_refuse_a_bare_get(site: Site, behaviour: Behaviour, status: int) -> None:
    behaviour.paths["/lookup"] = Answer(status)
    assert bad(asked(site, "native")) == {}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(500), "answers 500"),
        (Answer(404), "answers 404"),
        (Answer(204), "answers 204"),
        (Answer(kind="text/html"), "answers 200 with HTML: the edge sent it to the web app"),
    ],
)
def test_a_health_that_is_not_good_is_told(site: Site, behaviour: Behaviour, answer: Answer, text: str) -> None:
    behaviour.paths["/health"] = answer
    assert bad(asked(site)) == {HEALTH: text}


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_app_that_is_down_is_told_from_a_wrong_route(site: Site, behaviour: Behaviour, status: int) -> None:
    behaviour.paths, behaviour.otherwise = {}, Answer(status, "text/html", runtime="")
    outcome = asked(site)
    down = f"answers {status}: nothing behind the edge answers"
    assert {text for name, (_, text) in outcome.items() if name != SOCKET} == {down}
    assert not any(ok for ok, _ in outcome.values())


def test_the_wrong_runtime_is_named(site: Site, behaviour: Behaviour) -> None:
    for path in ("/", "/prints", "/ws/live"):
        behaviour.paths[path].runtime = "docker"
    wrong = "served by docker instead of native"
    assert bad(asked(site, "native")) == {PAGE: wrong, SOCKET: wrong, "/prints is the API's": wrong}


def test_any_runtime_will_do_where_none_is_asked_for(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/"].runtime = "docker"
    assert bad(asked(site)) == {}


def test_an_answer_that_does_not_say_who_served_it_will_do(site: Site, behaviour: Behaviour) -> None:
    for answer in behaviour.paths.values():
        answer.runtime = ""
    assert bad(asked(site, "native")) == {}


def test_a_websocket_that_does_not_upgrade_is_told(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/ws/live"] = Answer(200)
    outcome = bad(asked(site))
    assert list(outcome) == [SOCKET] and "HTTP 200" in outcome[SOCKET]


def test_a_connection_that_is_closed_without_an_answer_is_told(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/ws/live"] = behaviour.paths["/"] = Answer(silent=True)
    outcome = bad(asked(site))
    assert list(outcome) == [PAGE, SOCKET] and all(outcome.values())


def test_nobody_listening_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    outcome = asked(site_of(tmp_path, port))
    assert len(outcome) == 6
    assert set(bad(outcome).values()) == {"[Errno 111] Connection refused"}


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        outcome = asked(site_of(tmp_path, listener.getsockname()[1]))
    assert all("timed out" in text for text in bad(outcome).values()) and len(bad(outcome)) == 6


# ── Certificates ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("names", "lasts", "text"),
    [
        ((APP, API), -DAY, "certificate has expired"),
        (("other.example",), DAY, "match"),
    ],
)
def test_a_certificate_that_does_not_hold_is_told(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, names: tuple[str, ...], lasts: Any, text: str
) -> None:
    with serving(behaviour, authority.certificate(*names, lasts=lasts)) as port:
        outcome = asked(site_of(tmp_path, port, ca=str(authority.file)))
    assert len(bad(outcome)) == 6 and all(text in said for said in bad(outcome).values())


def test_an_authority_that_nobody_trusts_is_told(tmp_path: Path, port: int) -> None:
    outcome = asked(site_of(tmp_path, port))
    assert len(bad(outcome)) == 6
    assert all("certificate verify failed" in text for text in bad(outcome).values())


def test_a_missing_ca_file_is_told(tmp_path: Path, port: int) -> None:
    outcome = asked(site_of(tmp_path, port, ca=str(tmp_path / "nowhere.pem")))
    assert len(bad(outcome)) == 6
    assert "nowhere.pem" in outcome[PAGE][1]


def test_verification_can_be_turned_off_and_nags_nobody(
    tmp_path: Path, authority: Authority, behaviour: Behaviour
) -> None:
    certificate = authority.certificate("other.example", lasts=-DAY)
    with serving(behaviour, certificate) as port, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bad(asked(site_of(tmp_path, port, verify_tls=False))) == {}


# ── Waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_checks_are_repeated_until_all_pass(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/prints"] = Answer(502)
    mend = threading.Timer(0.8, lambda: behaviour.paths.update({"/prints": Answer()}))
    mend.start()
    assert all(check.ok for check in public.until_good(site, "native", 20))
    assert mend.finished.is_set()


def test_the_last_round_is_told_when_time_is_up(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/prints"] = Answer(502)
    started = time.monotonic()
    found = public.until_good(site, "native", 0.7)
    assert [check.name for check in found if not check.ok] == ["/prints is the API's"]
    assert len([path for _, _, path in behaviour.asked if path == "/prints"]) > 1
    assert time.monotonic() - started < 10

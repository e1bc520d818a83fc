"""Page, health, API routes and lookups, asked from outside."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from fabfile.inventory import Site
from fabfile.public import endpoint
from tests.public.outside import (
    API,
    APP,
    ASKED,
    HEALTH,
    LOOKUP,
    PAGE,
    PRINTS,
    SOCKET,
    asked,
    bad,
    site_of,
    without_header,
)
from tests.support.https_server import Answer, Authority, Behaviour

WEB_APP = "the edge sent it to the web app"
ROUTE = "/prints/options?limit=1"


def test_an_app_that_is_as_it_should_be_passes(site: Site) -> None:
    outcome = asked(site, "native")
    assert bad(outcome) == {}
    assert list(outcome) == ASKED
    assert outcome[PRINTS] == (True, "answers 200, served by native")
    assert outcome[SOCKET] == (True, "upgrades and delivers, served by native")


def test_requests_have_the_public_names_with_their_port(site: Site, behaviour: Behaviour, port: int) -> None:
    asked(site)
    assert {(name, path) for _, name, path in behaviour.asked} == {
        (f"{APP}:{port}", "/"),
        (f"{API}:{port}", "/health"),
        *((f"{APP}:{port}", path) for path in ("/ws/live", "/ws", ROUTE, "/lookup", "/lookup/options-support")),
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
    behaviour.paths[ROUTE] = Answer(kind="text/html; charset=utf-8")
    assert bad(asked(site)) == {PRINTS: f"answers 200 with HTML: {WEB_APP}"}


def test_a_route_that_is_neither_html_nor_json_fails_the_check(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths[ROUTE] = Answer(kind="text/plain")
    assert bad(asked(site)) == {PRINTS: "answers 200 with text/plain instead of JSON"}


def test_a_route_that_answers_404_fails_the_check(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths[ROUTE] = Answer(404)
    assert bad(asked(site)) == {PRINTS: f"answers 404: {WEB_APP}, or the API does not know it"}
    behaviour.paths[ROUTE] = Answer(404, "text/html")
    assert bad(asked(site)) == {PRINTS: f"answers 404 with HTML: {WEB_APP}"}


@pytest.mark.parametrize("status", [400, 401, 405, 426])
def test_a_route_may_refuse_a_bare_get(site: Site, behaviour: Behaviour, status: int) -> None:
    behaviour.paths[ROUTE] = Answer(status)
    assert bad(asked(site, "native")) == {}


def test_a_prefix_under_which_there_are_lookups_alone_may_be_unknown_to_the_api(
    site: Site, behaviour: Behaviour
) -> None:
    behaviour.paths["/lookup"] = Answer(404)
    assert bad(asked(site, "native")) == {}
    behaviour.paths["/lookup"] = Answer(404, "text/html")
    assert bad(asked(site)) == {"/lookup is the API's": f"answers 404 with HTML: {WEB_APP}"}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(500), "answers 500"),
        (Answer(404), "answers 404"),
        (Answer(204), "answers 204"),
        (Answer(kind="text/html"), "answers 200 with HTML: the edge sent it to the web app"),
    ],
)
def test_a_bad_health_answer_fails_the_check(site: Site, behaviour: Behaviour, answer: Answer, text: str) -> None:
    behaviour.paths["/health"] = answer
    assert bad(asked(site)) == {HEALTH: text}


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_app_that_is_down_is_distinguished_from_a_wrong_route(site: Site, behaviour: Behaviour, status: int) -> None:
    behaviour.paths, behaviour.otherwise = {}, Answer(status, "text/html", runtime="")
    outcome = asked(site)
    down = f"answers {status}: nothing behind the edge answers"
    told = bad(outcome)
    assert told.pop(SOCKET) == f"does not upgrade: {down}"
    assert set(told) == set(ASKED[2:]) - {SOCKET} and set(told.values()) == {down}


def test_the_wrong_runtime_is_named(site: Site, behaviour: Behaviour) -> None:
    for path in ("/", ROUTE, "/ws/live", "/lookup/options-support"):
        behaviour.paths[path].runtime = "docker"
    wrong = "served by docker instead of native"
    assert bad(asked(site, "native")) == {PAGE: wrong, SOCKET: wrong, PRINTS: wrong, LOOKUP: wrong}


def test_any_runtime_passes_where_none_is_required(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/"].runtime = "docker"
    assert bad(asked(site)) == {}


def test_where_no_header_names_the_runtime_none_is_read(site: Site) -> None:
    outcome = asked(without_header(site), "docker")
    assert bad(outcome) == {} and outcome[PRINTS] == (True, "answers 200")
    assert outcome[SOCKET] == (True, "upgrades and delivers")


def test_an_answer_that_does_not_say_who_served_it_will_do(site: Site, behaviour: Behaviour) -> None:
    for answer in behaviour.paths.values():
        answer.runtime = ""
    assert bad(asked(site, "native")) == {}


def test_a_connection_that_is_closed_without_an_answer_fails_the_check(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/ws/live"] = behaviour.paths["/"] = Answer(silent=True)
    outcome = bad(asked(site))
    assert list(outcome) == [PAGE, SOCKET] and all(outcome.values())


def test_a_port_without_listener_fails_the_check(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    outcome = asked(site_of(tmp_path, port))
    assert list(bad(outcome)) == ASKED
    assert set(bad(outcome).values()) == {"127.0.0.1 refuses the connection"}


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        outcome = asked(site_of(tmp_path, listener.getsockname()[1]))
    assert list(bad(outcome)) == ASKED and set(bad(outcome).values()) == {"does not answer: timed out"}


@pytest.mark.parametrize(
    ("status", "why"), [(521, "the origin refuses its connection"), (522, "it can't connect to the origin")]
)
def test_an_error_of_a_cdn_is_told_from_one_of_the_app(site: Site, behaviour: Behaviour, status: int, why: str) -> None:
    behaviour.paths["/"] = Answer(status, "text/html", runtime="")
    assert bad(asked(site)) == {PAGE: f"answers {status}: a CDN stands in front, and {why}"}


# ── Lookups ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lookup_posts_the_inventorys_json(site: Site, behaviour: Behaviour) -> None:
    asked(site)
    assert ("POST", "/lookup/options-support") in [(method, path) for method, _, path in behaviour.asked]
    assert [json.loads(body) for body in behaviour.heard] == [{"trace_ids": [], "nbbo_context": []}]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(kind="text/html"), f"answers 200 with HTML: {WEB_APP}"),
        (Answer(404), "answers 404: {}"),
        (Answer(400, body='{"error":"invalid lookup"}'), 'answers 400: {"error":"invalid lookup"}'),
        (Answer(502, "text/html"), "answers 502: nothing behind the edge answers"),
        (Answer(body="{"), "answers 200 with JSON that can't be read"),
    ],
)
def test_a_lookup_without_an_answer_fails_the_check(
    site: Site, behaviour: Behaviour, answer: Answer, text: str
) -> None:
    behaviour.paths["/lookup/options-support"] = answer
    assert bad(asked(site)) == {LOOKUP: text}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"packets":[],"found":{}}', None),
        ('{"packets":[]}', "answers 200, but without found"),
        ('["packets","found"]', "answers 200, but without packets, found"),
    ],
)
def test_a_lookups_answer_has_what_is_expected(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, port: int, body: str, text: str | None
) -> None:
    lookup = {"path": "/lookup/options-support", "body": "{}", "expect": ["packets", "found"]}
    behaviour.paths["/lookup/options-support"] = Answer(body=body)
    outcome = asked(site_of(tmp_path, port, ca=str(authority.file), lookups={"options": lookup}))
    assert bad(outcome) == ({LOOKUP: text} if text else {})


def test_a_lookup_without_a_body_is_a_get(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, port: int
) -> None:
    path = "/prints/options?limit=1"
    site = site_of(tmp_path, port, ca=str(authority.file), lookups={"prints": {"path": path, "expect": ["data"]}})
    behaviour.paths[path] = Answer(body='{"data": []}')
    assert asked(site)[f"GET {path}"] == (True, "answers 200, served by native")
    behaviour.paths[path] = Answer(body="{}")
    assert bad(asked(site)) == {f"GET {path}": "answers 200, but without data"}

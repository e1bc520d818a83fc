"""The API's own hostname, closed as the inventory says: neither JSON nor a websocket comes out of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile import public
from fabfile.inventory import Site
from tests.public.outside import API, APP, HEALTH, TLS_API, asked, bad, named, site_of
from tests.support.https_server import DAY, Answer, Authority, Behaviour, serving

CLOSED = f"{API} is closed"
AS_DECLARED = "the inventory says that it is closed (public.raw_api)"
UNKNOWN = "TLS alert unrecognized_name: the edge has no host of this name"


@pytest.fixture
def plain() -> Behaviour:
    """The edge's port 80, where no host has the name."""
    return Behaviour({})


@pytest.fixture
def http_port(plain: Behaviour) -> Iterator[int]:
    with serving(plain, None) as port:
        yield port


@pytest.fixture
def closed(tmp_path: Path, authority: Authority, port: int, http_port: int) -> Site:
    return site_of(tmp_path, port, ca=str(authority.file), http_port=http_port, raw_api="closed")


def test_npms_answers_for_a_name_without_a_host_are_closed(closed: Site, behaviour: Behaviour) -> None:
    behaviour.unknown = {API}
    outcome = asked(closed)
    assert bad(outcome) == {} and TLS_API not in outcome and HEALTH not in outcome
    assert outcome[CLOSED][1] == f"HTTPS: {UNKNOWN}; HTTP: answers 404 without JSON"


def test_json_means_that_it_is_open(closed: Site) -> None:
    url = f"https://{API}/health"
    assert bad(asked(closed)) == {CLOSED: f"answers 200 with JSON to {url}: {AS_DECLARED}"}


def test_a_certificate_that_does_not_hold_closes_nothing(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, http_port: int
) -> None:
    with serving(behaviour, authority.certificate(APP, lasts=90 * DAY)) as port:
        site = site_of(tmp_path, port, ca=str(authority.file), http_port=http_port, raw_api="closed")
        assert "answers 200 with JSON" in bad(asked(site))[CLOSED]


def test_a_websocket_means_that_it_is_open(closed: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/health"] = Answer(403, "text/html")
    assert bad(asked(closed)) == {CLOSED: f"answers 101 to /ws/live: {AS_DECLARED}"}


def test_the_plain_port_counts_too(closed: Site, behaviour: Behaviour, plain: Behaviour) -> None:
    behaviour.unknown = {API}
    plain.paths["/health"] = Answer()
    assert bad(asked(closed)) == {CLOSED: f"answers 200 with JSON to http://{API}/health: {AS_DECLARED}"}


@pytest.mark.parametrize("code", [403, 404, 410, 502])
def test_anything_but_the_api_is_closed(closed: Site, behaviour: Behaviour, code: int) -> None:
    behaviour.paths["/health"] = behaviour.paths["/ws/live"] = Answer(code, "text/html")
    # the app's own websocket is asked at the same server and fails here
    assert asked(closed)[CLOSED] == (
        True,
        f"HTTPS: answers {code} without JSON; HTTP: answers 404 without JSON",
    )


def test_an_open_one_that_should_be_closed_keeps_no_hand_over_back(closed: Site) -> None:
    found = {named(closed, check): check for check in public.until_good(closed, "native", 5)}
    assert (found[CLOSED].ok, found[CLOSED].warning) == (True, True)
    assert "answers 200 with JSON" in found[CLOSED].text


def test_the_health_url_at_another_name_is_checked_while_the_api_is_closed(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, port: int, http_port: int
) -> None:
    url = f"https://{APP}:{port}/health"
    site = site_of(tmp_path, port, ca=str(authority.file), http_port=http_port, raw_api="closed", api_health_url=url)
    behaviour.unknown = {API}
    outcome = asked(site)
    assert bad(outcome) == {} and outcome[f"GET https://{APP}"] == (True, "answers 200, served by native")

"""Asked through DNS and pinned to the VPS: whose fault it is."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fabfile import public
from fabfile.inventory import Site
from tests.public.outside import API, APP, ASKED, HEALTH, PAGE, PRINTS, SOCKET, TLS_APP, asked, bad, leading_to, site_of
from tests.support import inventories
from tests.support.https_server import DAY, Answer, Authority, Behaviour, serving

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
PINNED_IS_GOOD = f"; pinned to {HERE} it is good"
ROUTE = "/prints/options?limit=1"


@pytest.fixture
def site(tmp_path: Path, authority: Authority, port: int) -> Site:
    return site_of(tmp_path, port, ca=str(authority.file), resolve=True)


@pytest.fixture
def other(behaviour: Behaviour) -> Behaviour:
    """What DNS leads to in place of the VPS: as good, to begin with."""
    return Behaviour(dict(behaviour.paths))


@pytest.fixture
def elsewhere(other: Behaviour, authority: Authority, port: int) -> Iterator[None]:
    with serving(other, authority.certificate(APP, API), address=ELSEWHERE, port=port):
        yield


def faults(site: Site, addresses: Sequence[str]) -> set[str]:
    return {check.fault for check in public.checks(site, resolve=leading_to(*addresses)) if not check.ok}


def test_both_ways_are_probed_and_equal_answers_are_printed_once(site: Site, behaviour: Behaviour) -> None:
    found = public.checks(site, "native", leading_to(HERE))
    assert all(check.ok for check in found)
    assert {tuple(answer.way for answer in check.answers) for check in found} == {("DNS", "pinned")}
    assert found[2].text == "answers 200, served by native"
    assert [path for _, _, path in behaviour.asked].count("/health") == 2


def test_bad_both_ways_is_the_origins_fault(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths[ROUTE] = Answer(kind="text/html")
    told = "origin: answers 200 with HTML: the edge sent it to the web app"
    assert bad(asked(site, resolve=leading_to(HERE))) == {PRINTS: told}
    assert faults(site, [HERE]) == {"origin"}


def test_a_name_that_does_not_resolve_is_dns(site: Site) -> None:
    def resolve(name: str) -> Sequence[str]:
        if name == HERE:
            return [HERE]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    told = bad(asked(site, resolve=resolve))
    assert list(told) == ASKED
    assert told[PAGE] == f"DNS or CDN: {APP} does not resolve: Name or service not known{PINNED_IS_GOOD}"
    assert told[HEALTH] == f"DNS or CDN: {API} does not resolve: Name or service not known{PINNED_IS_GOOD}"


def test_an_address_where_nobody_listens_is_dns(site: Site) -> None:
    told = bad(asked(site, resolve=leading_to(ELSEWHERE)))
    assert list(told) == ASKED
    where = f"DNS or CDN: {APP} resolves to {ELSEWHERE} instead"
    assert told[TLS_APP] == f"{where}: {ELSEWHERE} refuses the connection{PINNED_IS_GOOD}"


@pytest.mark.usefixtures("elsewhere")
def test_another_server_behind_dns_is_named_with_its_answer(site: Site, other: Behaviour) -> None:
    other.paths[ROUTE] = Answer(kind="text/html")
    other.paths["/"] = Answer(522, "text/html")
    other.paths["/ws/live"] = Answer(200)
    where = f"DNS or CDN: {APP} resolves to {ELSEWHERE} instead"
    cdn = "answers 522: a CDN stands in front, and it can't connect to the origin"
    html = "answers 200 with HTML: the edge sent it to the web app"
    assert bad(asked(site, resolve=leading_to(ELSEWHERE))) == {
        PAGE: f"{where}: {cdn}{PINNED_IS_GOOD}",
        PRINTS: f"{where}: {html}{PINNED_IS_GOOD}",
        SOCKET: f"{where}: does not upgrade: answers 200 with application/json{PINNED_IS_GOOD}",
    }
    assert faults(site, [ELSEWHERE]) == {"DNS or CDN"}


def test_another_certificate_behind_dns_is_named(
    site: Site, other: Behaviour, tmp_path: Path, port: int, authority: Authority
) -> None:
    with serving(other, authority.certificate(APP, API, lasts=-DAY), address=ELSEWHERE, port=port):
        told = bad(asked(site, resolve=leading_to(ELSEWHERE)))
    start = f"DNS or CDN: {APP} resolves to {ELSEWHERE} instead: TLS differs from the origin's: the certificate expired"
    assert list(told) == ASKED and told[TLS_APP].startswith(start) and told[TLS_APP].endswith(PINNED_IS_GOOD)


@pytest.mark.usefixtures("elsewhere")
def test_a_cdn_that_serves_as_well_as_the_origin_is_good(site: Site) -> None:
    assert bad(asked(site, "native", leading_to(ELSEWHERE))) == {}


@pytest.mark.usefixtures("elsewhere")
def test_good_through_dns_alone_asks_for_the_inventorys_address(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/"] = Answer(500)
    ending = f"is {HERE} the VPS (public.address)?"
    text = f"pinned to {HERE}: answers 500; through DNS ({ELSEWHERE}) it is good: {ending}"
    assert bad(asked(site, resolve=leading_to(ELSEWHERE))) == {PAGE: text}


@pytest.mark.usefixtures("elsewhere")
def test_different_evidence_is_told_of_both_ways(site: Site, behaviour: Behaviour, other: Behaviour) -> None:
    behaviour.paths["/"], other.paths["/"] = Answer(500), Answer(502)
    told = bad(asked(site, resolve=leading_to(ELSEWHERE)))[PAGE]
    assert told == "origin: answers 500 (through DNS: answers 502: nothing behind the edge answers)"


def test_the_next_address_is_tried_where_the_first_does_not_answer(site: Site) -> None:
    assert bad(asked(site, resolve=leading_to(ELSEWHERE, HERE))) == {}


def test_the_pinned_address_is_the_default_hosts_unless_the_inventory_names_one(tmp_path: Path) -> None:
    table = site_of(tmp_path, 443, address="192.0.2.7")
    assert table.origin == "192.0.2.7"
    assert inventories.site(tmp_path).origin == "203.0.113.10"


def test_what_dns_breaks_keeps_no_hand_over_back(site: Site) -> None:
    found = public.until_good(site, "native", 5, leading_to(ELSEWHERE))
    assert all(check.ok and check.warning and check.text.startswith("DNS or CDN: ") for check in found)


def test_what_dns_breaks_counts_where_dns_was_changed(site: Site) -> None:
    found = public.until_good(site, "", 0, leading_to(ELSEWHERE), through_dns=True)
    assert not any(check.ok for check in found)


@pytest.mark.usefixtures("elsewhere")
def test_a_wrong_answer_from_the_vps_keeps_a_hand_over_back_whatever_dns_leads_to(
    site: Site, behaviour: Behaviour
) -> None:
    behaviour.paths["/"] = Answer(kind="text/html", runtime="docker")
    found = public.until_good(site, "native", 0, leading_to(ELSEWHERE))
    assert [check.name.startswith(PAGE) for check in found if not check.ok] == [True]


def test_an_address_that_is_not_the_edges_keeps_no_hand_over_back(
    tmp_path: Path, authority: Authority, port: int
) -> None:
    site = site_of(tmp_path, port, ca=str(authority.file), resolve=True, address=ELSEWHERE)
    found = public.until_good(site, "native", 5, leading_to(HERE))
    assert all(check.ok and check.warning for check in found)
    assert found[2].text.startswith(f"pinned to {ELSEWHERE}: {ELSEWHERE} refuses the connection; through DNS ({HERE})")


def test_what_the_origin_breaks_keeps_a_hand_over_back(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/"].runtime = "docker"
    found = public.until_good(site, "native", 0, leading_to(HERE))
    assert [check.text for check in found if not check.ok] == ["origin: served by docker instead of native"]


# ── An access list at the edge ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [401, 403])
def test_what_an_access_list_refuses_keeps_no_hand_over_back(site: Site, behaviour: Behaviour, status: int) -> None:
    behaviour.paths["/"] = Answer(status, kind="text/html")
    found = public.until_good(site, "native", 0, leading_to(HERE), refusing={site.edge.app_domain: (401, 403, 302)})
    (page,) = [check for check in found if check.name.startswith(PAGE)]
    assert (page.ok, page.warning) == (True, True) and "the edge itself refuses this machine" in page.text
    found = public.until_good(site, "native", 0, leading_to(HERE))
    assert [check.name.startswith(PAGE) for check in found if not check.ok] == [True]


@pytest.mark.parametrize("answer", [Answer(302, "text/html", runtime=""), Answer(silent=True)])
def test_a_portals_redirect_or_no_answer_is_not_the_apps_page(site: Site, behaviour: Behaviour, answer: Answer) -> None:
    behaviour.paths["/"] = answer
    found = public.until_good(site, "native", 0, leading_to(HERE), refusing={site.edge.app_domain: (302, 444)})
    (page,) = [check for check in found if check.name.startswith(PAGE)]
    assert (page.ok, page.warning) == (True, True) and "the edge itself refuses this machine" in page.text
    found = public.until_good(site, "native", 0, leading_to(HERE), refusing={site.edge.app_domain: (401,)})
    assert not [check for check in found if check.warning and check.name.startswith(PAGE)]


def test_an_access_list_excuses_no_other_answer(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/"] = Answer(502, kind="text/html")
    found = public.until_good(site, "native", 0, leading_to(HERE), refusing={site.edge.app_domain: (401, 403, 302)})
    assert [check.name.startswith(PAGE) for check in found if not check.ok] == [True]

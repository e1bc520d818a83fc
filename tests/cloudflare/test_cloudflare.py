"""The dns tasks through both doors, against a server that behaves as Cloudflare does and a public side on HTTPS."""

from __future__ import annotations

import getpass
import json
import logging
import shlex
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from fabfile.cloudflare import client
from fabfile.cloudflare.client import Api
from fabfile.cloudflare.schema import Record, Zone
from fabfile.cloudflare.token import Secret
from fabfile.errors import CutoverError, DnsFailed
from tests.support import https_server, inventories
from tests.support.cloudflare_server import OTHER_ID, TOKEN, ZONE_ID, Cloudflare, Fault, Grant, serving
from tests.support.entry_points import DOORS, Run, inv
from tests.support.https_server import Answer, Authority, Behaviour

ZONE, APP, API = "deltaisland.io", "flow.deltaisland.io", "api.flow.deltaisland.io"
VPS = "127.0.0.1"
SOCKET = "/ws/live is live"
PROXIED, DNS_ONLY = {"proxied": True, "ttl": 1}, {"proxied": False, "ttl": 300}

both_doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@dataclass
class Clock:
    """Stands in for `time` where Cloudflare is waited for: no test waits for real."""

    slept: list[float] = field(default_factory=list)
    deadlines: list[SimpleNamespace] = field(default_factory=list)

    def deadline(self, seconds: float) -> SimpleNamespace:
        """A deadline of which each sleep takes its time."""
        made = SimpleNamespace(left=seconds)
        self.deadlines.append(made)
        return made

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        for deadline in self.deadlines:
            deadline.left -= seconds


@dataclass
class World:
    """Cloudflare, the public side, and an inventory that leads to both."""

    cloudflare: Cloudflare
    behaviour: Behaviour
    clock: Clock
    folder: Path
    address: str
    public: dict[str, Any]

    def inventory(self, **changes: Any) -> None:
        """Write the inventory; `__` in a key stands for a dot."""
        settings = {
            "edge.api_prefixes": ["prints"],
            **{f"public.{key}": {} for key in ("routes", "lookups", "closed_ports")},
            "dns.api": self.address,
            "dns.records.app.content": VPS,
            "dns.records.api.content": VPS,
            "timeouts.confirm": 60,
            "timeouts.edge": 60,
            **{f"public.{key}": value for key, value in self.public.items()},
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
        (self.folder / "inventory.toml").write_text(inventories.toml(inventories.changed(settings)))

    @property
    def app(self) -> dict[str, Any]:
        return self.cloudflare.records[ZONE_ID][0]

    @property
    def api(self) -> dict[str, Any]:
        return self.cloudflare.records[ZONE_ID][1]

    @property
    def postures(self) -> list[dict[str, Any]]:
        return [{name: record[name] for name in ("proxied", "ttl")} for record in self.cloudflare.records[ZONE_ID][:2]]

    def break_public(self, when: Callable[[], bool] = lambda: True) -> None:
        """The websocket stops upgrading whenever a record has changed and `when` is true."""

        def react(record: dict[str, Any]) -> None:
            self.behaviour.paths["/ws/live"] = Answer(502) if when() else Answer(upgrade=True)

        self.cloudflare.after_change = react


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two records that are as the inventory says, and a public side that is as it should be."""
    cloudflare = Cloudflare()
    cloudflare.zone(ZONE)
    cloudflare.record(APP, "A", VPS)
    cloudflare.record(API, "A", VPS)
    cloudflare.record(ZONE, "MX", "mail.deltaisland.io", proxied=False, ttl=3600)
    behaviour = Behaviour({"/": Answer(), "/health": Answer(), "/prints": Answer(), "/ws/live": Answer(upgrade=True)})
    authority, clock = Authority(tmp_path), Clock()
    monkeypatch.setattr(client, "time", clock)
    monkeypatch.setattr(client, "Deadline", clock.deadline)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(tmp_path / "inventory.toml"))
    with serving(cloudflare) as address, https_server.serving(behaviour, authority.certificate(APP, API)) as port:
        public = {"https_port": port, "ca": str(authority.file), "address": VPS, "resolve": False}
        made = World(cloudflare, behaviour, clock, tmp_path, address, public)
        made.inventory()
        yield made


@pytest.fixture(autouse=True)
def no_token_in_a_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "urllib3"):
        yield
    assert TOKEN not in caplog.text


def run(door: Callable[..., Run], *words: str) -> Run:
    """A task through a door; nothing it prints may hold the token."""
    done = door(*words)
    assert TOKEN not in done.said
    return done


def lines(done: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


# ── dns.status ──────────────────────────────────────────────────────────────────────────────────────────────────────


@both_doors
def test_records_that_are_as_the_inventory_says_are_shown(door: Callable[..., Run], world: World) -> None:
    done = run(door, "dns.status")
    assert done.code == 0
    assert f"zone {ZONE} (active)" in done.out
    shown = [line.split() for line in done.out.splitlines() if line.startswith("✓")]
    assert shown == [["✓", name, "A", VPS, "proxied", "automatic"] for name in (APP, API)]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (DNS_ONLY, ["the inventory says proxied", "the inventory says TTL automatic"]),
        ({"content": "198.51.100.9"}, [f"leads to 198.51.100.9, and the inventory says {VPS}"]),
    ],
)
def test_what_differs_from_the_inventory_is_told(world: World, values: dict[str, Any], texts: list[str]) -> None:
    world.app.update(values)
    done = run(inv, "dns.status")
    assert done.code == 1 and all(text in done.out for text in texts)
    assert f"not as the inventory says: {APP}\n" in done.err and API not in done.err
    assert "DNS:   This command only looked" in done.err


def test_a_ttl_counts_only_while_dns_only(world: World) -> None:
    world.inventory(dns__records__app__proxied=False, dns__records__api__proxied=False)
    world.app.update(DNS_ONLY)
    world.api.update({**DNS_ONLY, "ttl": 120})
    done = run(inv, "dns.status")
    assert done.code == 1 and f"✗ {API}: the inventory says TTL 300 s" in done.out and f"✗ {APP}: " not in done.out


def test_json_tells_both_sides(world: World) -> None:
    world.app.update(DNS_ONLY)
    first, second, error = lines(run(inv, "dns.status", "--json"))
    assert error["kind"] == "error" and error["exit_code"] == 1
    assert first["found"] == {"type": "A", "name": APP, "content": VPS, **DNS_ONLY}
    assert first["expected"] == {"type": "A", "domain": APP, "content": VPS, "proxied": True, "ttl": 300}
    assert len(first["problems"]) == 2 and second["problems"] == []


def test_a_zone_that_others_answer_for_is_told(world: World) -> None:
    world.cloudflare.zones[0]["status"] = "pending"
    done = run(inv, "dns.status")
    assert done.code == 1 and "zone deltaisland.io (pending)" in done.out
    refused = run(inv, "dns.posture", "--to", "dns-only")
    assert refused.code == 3 and "other name servers answer for it" in refused.err


def test_a_zone_that_the_token_may_not_see_is_told(world: World) -> None:
    world.cloudflare.zones[0]["name"] = "other.example"
    done = run(inv, "dns.status")
    assert done.code == 1 and f"the token is shown no zone {ZONE}" in done.err and "Zone:Read" in done.err


def test_two_zones_of_one_name_are_told_apart_by_nobody(world: World) -> None:
    world.cloudflare.zone(ZONE, OTHER_ID, "moved")
    done = run(inv, "dns.status")
    assert done.code == 1 and f"{ZONE_ID} (active), {OTHER_ID} (moved)" in done.err


@both_doors
def test_an_inventory_without_dns_says_so(door: Callable[..., Run], world: World) -> None:
    (world.folder / "inventory.toml").write_text(inventories.toml(inventories.changed({"dns": inventories.REMOVED})))
    for words in (["dns.status"], ["dns.verify-token"], ["dns.posture", "--to", "proxied"]):
        done = run(door, *words)
        assert done.code == 2 and "the inventory has no [dns]" in done.err
    assert world.cloudflare.asked == []


# ── Pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 23), size=st.integers(1, 9))
def test_every_record_of_every_page_is_found_once(count: int, size: int) -> None:
    cloudflare = Cloudflare(page_size=size)
    cloudflare.zone(ZONE)
    made = [cloudflare.record(APP, "A", f"192.0.2.{number}")["id"] for number in range(count)]
    cloudflare.record(API, "A", "192.0.2.250")
    with serving(cloudflare) as address:
        found = Api(address, Secret(TOKEN), print).all(Record, f"/zones/{ZONE_ID}/dns_records", 100, name=APP)
    assert [record.id for record in found] == made
    assert [query["page"] for _, _, query, _ in cloudflare.asked] == [
        str(page) for page in range(1, max(1, -(-count // size)) + 1)
    ]


def test_a_zone_on_a_later_page_is_found(world: World) -> None:
    for number in range(3):
        world.cloudflare.zones.insert(0, {"id": f"{number:032x}", "name": ZONE.upper(), "status": "active"})
    world.cloudflare.page_size = 1
    assert run(inv, "dns.status").code == 0


def test_what_was_not_asked_for_is_left_alone(world: World) -> None:
    world.cloudflare.filters = False
    world.cloudflare.zone("other.example", OTHER_ID)
    assert run(inv, "dns.status").code == 0


def test_pages_without_an_end_are_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_MOST_PAGES", 3)
    world.cloudflare.page_size = 1
    for number in range(9):
        world.cloudflare.record(APP, "A", f"192.0.2.{number}")
    done = run(inv, "dns.status")
    assert done.code == 6 and "there is no end after 3 pages" in done.err


# ── dns.posture ─────────────────────────────────────────────────────────────────────────────────────────────────────


@both_doors
def test_the_posture_is_changed_and_changed_back(door: Callable[..., Run], world: World) -> None:
    done = run(door, "dns.posture", "--to", "dns-only")
    assert done.code == 0, done.said
    assert world.cloudflare.changes == [DNS_ONLY, DNS_ONLY] and world.postures == [DNS_ONLY, DNS_ONLY]
    assert f"✓ {APP} A {VPS}: proxied → dns-only, TTL automatic → 300 s" in done.err
    assert "public checks: 6 of 6 good" in done.err and "2 records are dns-only now" in done.out

    assert run(door, "dns.posture", "--to", "proxied").code == 0
    assert world.postures == [PROXIED, PROXIED]
    assert world.cloudflare.changes[2:] == [PROXIED, PROXIED]


@both_doors
def test_a_second_run_has_nothing_to_do(door: Callable[..., Run], world: World) -> None:
    done = run(door, "dns.posture", "--to", "proxied")
    assert done.code == 0 and "nothing to do, all 2 records are proxied already" in done.out
    assert world.cloudflare.changes == [] and world.behaviour.asked == []
    assert lines(run(door, "dns.posture", "--to", "proxied", "--json")) == [
        {"version": 2, "kind": "nothing", "name": "dns.posture", "no_ops": {}}
    ]


@both_doors
def test_dry_shows_the_change_and_makes_none(door: Callable[..., Run], world: World) -> None:
    done = run(door, "dns.posture", "--to", "dns-only", "--dry")
    assert done.code == 0 and f"{APP} A {VPS}: proxied → dns-only, TTL automatic → 300 s" in done.out
    told = lines(run(door, "dns.posture", "--to", "dns-only", "--dry", "--json"))
    assert [(line["domain"], line["former"], line["fields"]) for line in told] == [
        (name, PROXIED, DNS_ONLY) for name in (APP, API)
    ]
    assert world.cloudflare.changes == [] and world.behaviour.asked == []


def test_only_what_differs_is_changed(world: World) -> None:
    world.app.update(DNS_ONLY)
    world.api.update({**DNS_ONLY, "ttl": 120})
    assert run(inv, "dns.posture", "--to", "dns-only").code == 0
    assert [(path, body) for method, path, _, body in world.cloudflare.asked if method == "PATCH"] == [
        (f"/zones/{ZONE_ID}/dns_records/{world.api['id']}", {"ttl": 300})
    ]


def test_an_inventory_that_says_otherwise_is_mentioned(world: World) -> None:
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert "warning: dns.records.app in the inventory still says proxied" in done.err
    assert "still says" not in run(inv, "dns.posture", "--to", "proxied").said


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (
            [(APP, "A", "192.0.2.8")],
            f"there are 2 such records ({VPS}, 192.0.2.8), and which one is ours can't be told",
        ),
        ([(APP, "AAAA", "2001:db8::1")], "there is a record AAAA 2001:db8::1, too, which the inventory does not know"),
        ([(APP, "CNAME", "cdn.example.org")], "there is a record CNAME cdn.example.org, too, which the inventory"),
    ],
)
def test_records_that_are_not_expected_are_refused(world: World, records: list[Any], text: str) -> None:
    for record in records:
        world.cloudflare.record(*record)
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 3 and f"{APP} A: {text}" in done.err
    assert world.cloudflare.changes == []


def test_a_cname_in_place_of_the_record_is_refused(world: World) -> None:
    world.app.update(type="CNAME", content="cdn.example.org")
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 3 and world.cloudflare.changes == []
    assert f"{APP} A: there is no such record" in done.err and "record CNAME cdn.example.org, too" in done.err


def test_a_record_that_leads_elsewhere_is_refused_and_not_corrected(world: World) -> None:
    world.app["content"] = "198.51.100.9"
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 3 and world.cloudflare.changes == []
    assert f"{APP} A: leads to 198.51.100.9, and the inventory says {VPS}" in done.err


def test_both_families_of_one_domain_are_changed_together(world: World) -> None:
    world.cloudflare.record(APP, "AAAA", "2001:db8::1")
    extra = {"type": "AAAA", "domain": APP, "content": "2001:db8:0::1", "proxied": True, "ttl": 300}
    world.inventory(dns__records__six=extra)
    assert run(inv, "dns.posture", "--to", "dns-only").code == 0
    assert world.cloudflare.changes == [DNS_ONLY] * 3


# ── Watched, and put back ───────────────────────────────────────────────────────────────────────────────────────────


@both_doors
def test_failing_checks_put_the_former_records_back(door: Callable[..., Run], world: World) -> None:
    world.inventory(timeouts__confirm=0.3)
    world.break_public(lambda: not world.app["proxied"])
    done = run(door, "dns.posture", "--to", "dns-only")
    assert done.code == 1
    assert world.cloudflare.changes == [DNS_ONLY, DNS_ONLY, PROXIED, PROXIED] and world.postures == [PROXIED, PROXIED]
    assert f"the public checks fail with the new records: {SOCKET}" in done.err
    assert "DNS:   Everything is as before:" in done.err and "The public checks pass again." in done.err
    assert f"{APP} A {VPS}, proxied, TTL automatic" in done.err and f"  ✗ {SOCKET}: " in done.err


def test_checks_that_fail_all_the_same_are_told_apart(world: World) -> None:
    world.inventory(timeouts__confirm=0.3, timeouts__edge=0.3)
    world.behaviour.paths["/health"] = Answer(502)
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 1 and world.postures == [PROXIED, PROXIED]
    assert "fail with the former records, too, so look beyond this change" in done.err


def test_a_public_side_that_needs_a_moment_is_waited_for(world: World) -> None:
    world.break_public()
    repair = threading.Timer(0.8, lambda: world.behaviour.paths.update({"/ws/live": Answer(upgrade=True)}))
    repair.start()
    assert run(inv, "dns.posture", "--to", "dns-only").code == 0
    repair.join()


def test_dns_only_is_checked_where_it_leads_whatever_a_resolver_says(world: World) -> None:
    """The names of the inventory do not resolve here: only the record's own address can have answered."""
    world.public |= {"address": "127.0.0.9", "resolve": True}
    world.inventory()
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 0 and "public checks: 6 of 6 good" in done.err and "don't see what DNS says" not in done.err


def test_records_that_lead_apart_are_checked_through_dns(world: World) -> None:
    """And there they can't be found, since no resolver knows them."""
    world.public |= {"address": "127.0.0.9", "resolve": True}
    world.inventory(dns__records__api__content="127.0.0.2", timeouts__confirm=0.3, timeouts__edge=0.3)
    world.api["content"] = "127.0.0.2"
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 1 and "Name or service not known" in done.err and world.behaviour.asked == []


def test_pinned_checks_are_mentioned(world: World) -> None:
    said = run(inv, "dns.posture", "--to", "dns-only").err
    assert "public.resolve is false: the checks go to 127.0.0.1 and don't see what DNS says" in said


def test_a_refused_change_is_told_in_cloudflares_words_and_the_others_are_put_back(world: World) -> None:
    world.api["proxiable"] = False
    world.app.update(DNS_ONLY)
    world.api.update(DNS_ONLY)
    done = run(inv, "dns.posture", "--to", "proxied")
    assert done.code == 1 and world.postures == [DNS_ONLY, DNS_ONLY]
    assert "9041 Invalid proxied mode. Record cannot be proxied" in done.err
    assert world.cloudflare.changes == [PROXIED, PROXIED, DNS_ONLY]


def test_a_token_that_may_only_read_changes_nothing_and_ends_with_1(world: World) -> None:
    world.cloudflare.tokens[TOKEN].edit = False
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 1 and world.postures == [PROXIED, PROXIED] and len(world.cloudflare.changes) == 1
    assert "10000 Authentication error" in done.err and "DNS:Edit" in done.err and "Everything is as before" in done.err


def test_a_change_whose_answer_is_lost_is_repeated(world: World) -> None:
    world.cloudflare.faults = [Fault("PATCH", late=True)]
    assert run(inv, "dns.posture", "--to", "dns-only").code == 0
    assert world.cloudflare.changes == [DNS_ONLY] * 3 and world.postures == [DNS_ONLY, DNS_ONLY]


def test_a_change_whose_answers_are_all_lost_is_put_back(world: World) -> None:
    world.cloudflare.faults = [Fault("PATCH", late=True) for _ in range(client.TRIES)]
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 1 and world.postures == [PROXIED, PROXIED]
    assert "can't be reached" in done.err and "Everything is as before" in done.err


def test_ctrl_c_puts_the_former_records_back(world: World) -> None:
    def press(record: dict[str, Any]) -> None:
        world.cloudflare.after_change = lambda record: None
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    world.cloudflare.after_change = press
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 130 and "Everything is as before" in done.err
    assert world.postures == [PROXIED, PROXIED]


def test_ctrl_c_while_putting_back_leaves_nothing_unsaid(world: World) -> None:
    world.cloudflare.after_change = lambda record: signal.pthread_kill(
        threading.main_thread().ident or 0, signal.SIGINT
    )
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 5 and "interrupted, and putting back failed too: interrupted" in done.err
    assert f"{APP} A {VPS}, " in done.err and " | curl " in done.err


@both_doors
def test_what_can_not_be_put_back_is_told_with_the_command_that_fixes_it(
    door: Callable[..., Run], world: World
) -> None:
    def react(record: dict[str, Any]) -> None:
        world.behaviour.paths["/ws/live"] = Answer(502)
        world.cloudflare.tokens[TOKEN].edit = record is not world.api

    world.inventory(timeouts__confirm=0.3)
    world.cloudflare.after_change = react
    done = run(door, "dns.posture", "--to", "dns-only")
    assert done.code == 5 and world.postures == [DNS_ONLY, DNS_ONLY]
    assert "10000 Authentication error" in done.err
    for name in (APP, API):
        now, before = f"{name} A {VPS}, dns-only, TTL 300 s", f"{name} A {VPS}, proxied, TTL automatic"
        assert f"{now} (before: {before})" in done.err

    world.cloudflare.tokens[TOKEN].edit = True
    world.cloudflare.after_change = lambda record: None
    commands = [line.strip() for line in done.err.splitlines() if " | curl " in line]
    assert len(commands) == 2
    for command in commands:
        follow(command)
    assert world.postures == [PROXIED, PROXIED]


def follow(command: str) -> None:
    """Do what `printf 'header = …' "$TOKEN" | curl …` says, without a curl."""
    header, _, request = command.partition(" | ")
    printf, pattern, variable = shlex.split(header)
    assert printf == "printf" and variable == "$CLOUDFLARE_API_TOKEN"
    name, _, value = pattern.removeprefix("header = ").removesuffix(r"\n").strip('"').partition(": ")
    words = shlex.split(request)
    options, [url] = words[3:-1], words[-1:]
    assert words[:3] == ["curl", "-K", "-"] and options[::2] == ["-X", "-H", "-d"]
    method, kind, data = options[1::2]
    headers = {name: value % TOKEN, **dict([kind.split(": ")])}
    assert requests.request(method, url, headers=headers, data=data, timeout=5).json()["success"] is True


def test_when_cloudflare_can_not_even_be_asked_it_says_what_may_be(world: World) -> None:
    def vanish(record: dict[str, Any]) -> None:
        world.cloudflare.faults = [Fault() for _ in range(100)]

    world.cloudflare.after_change = vanish
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 5
    assert f"perhaps changed, can't be asked: {APP} A {VPS}: proxied → dns-only" in done.err


# ── The token ───────────────────────────────────────────────────────────────────────────────────────────────────────


def ahead(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat(timespec="seconds").replace("+00:00", "Z")


@both_doors
@pytest.mark.parametrize(
    ("grant", "code", "text"),
    [
        (Grant, 0, "token: active, never expires by itself"),
        (lambda: Grant(expires_on=ahead(days=6, hours=1)), 0, "UTC (in 6 days)"),
        (lambda: Grant(expires_on=ahead(hours=5, minutes=20)), 0, "UTC (in 5 h)"),
        (lambda: Grant(expires_on=ahead(days=-1)), 1, "token: expired, expired "),
        (lambda: Grant(status="disabled"), 1, "token: disabled"),
        (lambda: Grant(not_before=ahead(days=1)), 1, "not valid before "),
    ],
)
def test_a_token_is_told_with_its_end_and_that_it_should_be_rotated(
    door: Callable[..., Run], world: World, grant: Callable[[], Grant], code: int, text: str
) -> None:
    world.cloudflare.tokens[TOKEN] = grant()
    done = run(door, "dns.verify-token")
    assert done.code == code and text in done.out and "warning: A temporary token is done with after this" in done.err


def test_json_tells_a_token_in_two_lines(world: World) -> None:
    world.cloudflare.tokens[TOKEN] = Grant(expires_on="2999-01-01T00:00:00Z")
    told, advice = lines(run(inv, "dns.verify-token", "--json"))
    assert told["kind"] == "token" and told["text"].startswith("active, expires 2999-01-01")
    assert (told["status"], told["expires_on"], told["ok"]) == ("active", "2999-01-01T00:00:00+00:00", True)
    assert advice["kind"] == "warning"


def test_a_change_tells_the_tokens_end_too(world: World) -> None:
    world.cloudflare.tokens[TOKEN] = Grant(expires_on=ahead(days=6, hours=1))
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert "token: active, expires " in done.err and "roll or delete it" in done.err


def test_a_token_that_can_not_be_asked_about_changes_records_all_the_same(world: World) -> None:
    """As an account's own tokens, which are verified elsewhere."""
    world.cloudflare.tokens[TOKEN].verifiable = False
    done = run(inv, "dns.posture", "--to", "dns-only")
    assert done.code == 0 and world.postures == [DNS_ONLY, DNS_ONLY]
    assert "when it expires can't be told: Cloudflare refuses" in done.err and "1000 Invalid API Token" in done.err


@both_doors
def test_without_a_token_and_without_a_terminal_it_is_bad_usage(
    door: Callable[..., Run], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    done = run(door, "dns.status")
    assert done.code == 2 and "CLOUDFLARE_API_TOKEN is not set, and there is no terminal" in done.err
    assert world.cloudflare.asked == []


def test_on_a_terminal_the_token_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[str] = []
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: prompts.append(prompt) or f"{TOKEN}\n")
    assert run(inv, "dns.status").code == 0
    assert prompts == ["Cloudflare API token (not shown): "]


@pytest.mark.parametrize("given", ["", "two words", "tökén", "line\nbreak"])
def test_a_token_that_can_be_none_is_refused_unquoted(
    world: World, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: given)
    done = run(inv, "dns.status")
    assert done.code == 2 and "the API token" in done.err and (not given or given not in done.err)
    assert world.cloudflare.asked == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("x" * 37, "6003 Invalid request headers (6111 Invalid format for Authorization header)"),
        ("x" * 40, "9109 Invalid access token"),
    ],
)
def test_a_token_that_does_not_work_is_told_in_cloudflares_words(
    world: World, monkeypatch: pytest.MonkeyPatch, given: str, words: str
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", given)
    done = run(inv, "dns.status")
    assert done.code == 1 and f"Cloudflare refuses GET /zones: {words}" in done.err and "dns.verify-token" in done.err


@pytest.mark.parametrize("words", [["dns.status"], ["dns.posture", "--to", "dns-only"], ["dns.verify-token"]])
@pytest.mark.parametrize("json_lines", [[], ["--json"]])
def test_an_error_that_quotes_the_request_shows_no_token(world: World, words: list[str], json_lines: list[str]) -> None:
    world.cloudflare.quotes = True
    world.cloudflare.tokens.clear()
    done = run(inv, *words, *json_lines)
    assert done.code == 1 and "'Authorization': 'Bearer ***'" in done.err


def test_a_change_that_is_refused_with_the_request_quoted_shows_no_token(world: World) -> None:
    world.cloudflare.quotes = True
    world.cloudflare.tokens[TOKEN].edit = False
    assert "'Bearer ***'" in run(inv, "dns.posture", "--to", "dns-only").err


@pytest.mark.parametrize("fault", [Fault(), Fault(status=403, body="not json"), Fault(status=302, body="")])
def test_no_traceback_shows_the_token(world: World, fault: Fault) -> None:
    """Not even with every variable of every frame in it."""
    world.cloudflare.faults = [fault] * client.TRIES
    secret = Secret(TOKEN)
    with pytest.raises(CutoverError) as caught:
        Api(world.address, secret, print).one(Zone, "GET", "/zones/x")
    beyond_this_test = caught.value.with_traceback(caught.value.__traceback__ and caught.value.__traceback__.tb_next)
    shown = "".join(traceback.TracebackException.from_exception(beyond_this_test, capture_locals=True).format())
    assert "path = '/zones/x'" in shown
    assert TOKEN not in shown and TOKEN not in f"{secret}{secret!r}"


def test_the_token_goes_to_no_other_place(world: World) -> None:
    world.cloudflare.faults = [Fault(status=307, headers={"Location": f"{world.address}/zones"}, body="")]
    done = run(inv, "dns.verify-token")
    assert done.code == 6 and "HTTP 307" in done.err and len(world.cloudflare.asked) == 1


def test_no_netrc_takes_the_tokens_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = world.folder / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert run(inv, "dns.verify-token").code == 0


# ── Waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@both_doors
def test_a_limit_is_waited_for_as_long_as_it_says(door: Callable[..., Run], world: World) -> None:
    world.cloudflare.faults = [Fault(status=429, headers={"Retry-After": "37"})]
    done = run(door, "dns.status")
    assert done.code == 0 and world.clock.slept == [37]
    assert "limit of requests is reached for another 37 s; asking again in 37 s" in done.err


def test_a_limit_in_the_middle_of_a_change_is_waited_for(world: World) -> None:
    world.cloudflare.faults = [Fault("PATCH", 429, {"Retry-After": "2"}), Fault("PATCH", 429, {"Retry-After": "3"})]
    assert run(inv, "dns.posture", "--to", "dns-only").code == 0
    assert world.clock.slept == [2, 3]


def test_a_limit_may_name_the_moment_instead(world: World) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=4)
    world.cloudflare.faults = [Fault(status=429, headers={"Retry-After": f"{moment:%a, %d %b %Y %H:%M:%S} GMT"})]
    assert run(inv, "dns.status").code == 0
    [slept] = world.clock.slept
    assert 60 < slept <= 240


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}])
def test_a_limit_that_does_not_say_how_long_is_tried_at_growing_distances(
    world: World, headers: dict[str, str]
) -> None:
    world.cloudflare.faults = [Fault(status=429, headers=headers)] * 3
    assert run(inv, "dns.status").code == 0
    assert world.clock.slept == [1, 2, 4]


def test_a_limit_is_not_waited_for_longer_than_it_can_last(world: World) -> None:
    world.cloudflare.faults = [Fault(status=429, headers={"Retry-After": "3600"})]
    done = run(inv, "dns.status")
    assert done.code == 1 and world.clock.slept == []
    assert "limit of requests is reached for another 3600 s" in done.err


def test_all_waiting_together_is_bounded(world: World) -> None:
    world.cloudflare.faults = [Fault(status=429, headers={"Retry-After": "150"})] * 9
    assert run(inv, "dns.status").code == 1
    assert world.clock.slept == [150, 150]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_a_server_error_is_tried_again(world: World, status: int) -> None:
    world.cloudflare.faults = [Fault(status=status, body="<html>")] * 2
    assert run(inv, "dns.status").code == 0
    assert world.clock.slept == [1, 2]


def test_a_server_error_that_stays_is_told_in_its_own_words(world: World) -> None:
    world.cloudflare.faults = [Fault(status=503)] * 9
    done = run(inv, "dns.status")
    assert done.code == 1 and world.clock.slept == [1, 2, 4, 8] and len(world.cloudflare.asked) == client.TRIES
    assert "10013 Unknown error" in done.err and "Nothing was changed in DNS" in done.err


def test_a_server_error_without_words_is_told_by_its_number(world: World) -> None:
    world.cloudflare.faults = [Fault(status=502, body="<html>")] * 9
    assert "refuses GET /zones: HTTP 502 without a word" in run(inv, "dns.status").err


@both_doors
def test_nobody_listening_ends_with_6(door: Callable[..., Run], world: World) -> None:
    with socket.create_server((VPS, 0)) as taken:
        port = taken.getsockname()[1]
    world.inventory(dns__api=f"http://{VPS}:{port}")
    done = run(door, "dns.status")
    assert done.code == 6 and f"http://{VPS}:{port} can't be reached: [Errno 111] Connection refused" in done.err
    assert "Nothing was changed in DNS" in done.err and len(world.clock.slept) == client.TRIES - 1


def test_a_connection_that_breaks_is_tried_again(world: World) -> None:
    world.cloudflare.faults = [Fault(), Fault()]
    assert run(inv, "dns.status").code == 0


def test_a_certificate_that_nobody_trusts_is_not_tried_again(world: World) -> None:
    world.inventory(dns__api=f"https://localhost:{world.public['https_port']}/client/v4")
    done = run(inv, "dns.status")
    assert done.code == 6 and "certificate" in done.err and world.clock.slept == []


@pytest.mark.parametrize(
    "body",
    ["<html>Sign in to the hotel's network</html>", "{}", '{"success": true, "result": [{"id": 5}]}', "[]", ""],
)
def test_what_is_not_cloudflare_is_told(world: World, body: str) -> None:
    world.cloudflare.faults = [Fault(status=200, body=body)]
    done = run(inv, "dns.status")
    assert done.code == 6 and f"{world.address} does not answer GET /zones as Cloudflare's API does" in done.err


# ── The server itself ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("PATCH", "/zones/{zone}/dns_records/{app}", {"content": "not an address"}, 9005),
        ("PATCH", "/zones/{zone}/dns_records/{app}", {"content": "2001:db8::1"}, 9005),
        ("PATCH", "/zones/{zone}/dns_records/{app}", {"proxied": True, "ttl": 300}, 9021),
        ("PATCH", "/zones/{zone}/dns_records/{app}", {"proxied": False, "ttl": 5}, 9021),
        ("PATCH", "/zones/{zone}/dns_records/{app}", {"proxied": "yes"}, 9041),
        ("PATCH", "/zones/{zone}/dns_records/{app}", {"posture": "proxied"}, 9207),
        ("PATCH", "/zones/{zone}/dns_records/{app}", None, 9207),
        ("PATCH", f"/zones/{{zone}}/dns_records/{'f' * 32}", DNS_ONLY, 81044),
        ("PATCH", "/zones/{zone}/dns_records/5", DNS_ONLY, 7003),
        ("PATCH", f"/zones/{'f' * 32}/dns_records/{{app}}", DNS_ONLY, 1001),
        ("DELETE", "/zones/{zone}/dns_records/{app}", None, 10000),
        ("POST", "/zones", None, 10000),
        ("GET", "/zones?nome=x", None, 6003),
        ("GET", "/zones?per_page=1000", None, 6003),
        ("GET", "/elsewhere", None, 7003),
    ],
)
def test_the_server_refuses_what_cloudflare_would_not_do(
    world: World, method: str, path: str, body: Any, code: int
) -> None:
    given = f"{world.address}{path.format(zone=ZONE_ID, app=world.app['id'])}"
    answer = requests.request(method, given, json=body, auth=Secret(TOKEN), timeout=5).json()
    assert answer["success"] is False and answer["result"] is None and answer["errors"][0]["code"] == code
    assert world.postures == [PROXIED, PROXIED]


def test_the_server_answers_nobody_without_a_token(world: World) -> None:
    assert requests.get(f"{world.address}/zones", timeout=5).json()["errors"][0]["code"] == 9106


def test_the_server_makes_a_proxied_records_ttl_automatic(world: World) -> None:
    world.app.update(DNS_ONLY)
    Api(world.address, Secret(TOKEN), print).one(
        Record, "PATCH", f"/zones/{ZONE_ID}/dns_records/{world.app['id']}", json={"proxied": True}
    )
    assert world.postures[0] == PROXIED


def test_a_wrong_id_is_told_in_cloudflares_words(world: World) -> None:
    with pytest.raises(DnsFailed, match="81044 Record does not exist"):
        Api(world.address, Secret(TOKEN), print).one(Record, "GET", f"/zones/{ZONE_ID}/dns_records/{'f' * 32}")

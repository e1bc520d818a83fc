"""A runtime's JetStream over NATS' own protocol, by its monitoring where it must be, and from the runtime that owns."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.facts.nats import fetching
from fabfile.runner.facts.nats.client import Denied, Unanswered
from fabfile.runner.facts.nats.follow import readings
from fabfile.runner.facts.nats.jetstream import durables_of, jetstream, parse_monitoring, read_streams
from fabfile.runner.facts.nats.login import login
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.app import Consumer, Environment, JetStream
from tests.runner.support.nats_server import JSON, Nats, consumer, ephemeral, monitoring, nats_ref, running, streams_ref
from tests.runner.support.recorder import Recorder
from tests.runner.support.servers import page, says, serving


@pytest.fixture
def machine(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


@pytest.fixture(autouse=True)
def no_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy: what answers at all is waited for."""
    monkeypatch.setattr("fabfile.runner.facts.nats.jetstream.ANSWER_SECONDS", 60.0)


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    (tmp_path / "owner").write_text("native\n")
    return tmp_path / "owner"


def read(server: Nats, *awaited: str) -> dict[str, Consumer]:
    """The durables that a look finds."""
    with running(server) as ref:
        return durables_of(read_streams("127.0.0.1", ref, awaited))


def message(body: bytes) -> bytes:
    """The stand-in's answer to a request, whatever it was."""
    return b"MSG REPLY 1 %d\r\n%s\r\n" % (len(body), body)


def refusal(server: Nats) -> str:
    with running(server) as ref, pytest.raises((StepFailed, ValueError)) as caught:
        read_streams("127.0.0.1", ref)
    return str(caught.value)


# ── What it holds ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_limits_and_positions_of_streams_are_read() -> None:
    with running(Nats({"ALERTS": [consumer(push_bound=True)]})) as ref:
        (found,) = read_streams("127.0.0.1", ref).values()
    assert (found.max_age, found.max_bytes, found.messages, found.last) == (43_200_000_000_000, 2**28, 25, 26)
    assert found.consumers == {"api-alerts": Consumer(True, 3, 4, 1, 23, 24, 19, "2026-01-01T00:00:00Z")}
    said = json.dumps(monitoring(consumer(push_bound=True))).encode()
    assert found == parse_monitoring(said)["ALERTS"], "the monitoring says the same"


def test_no_streams_are_none() -> None:
    assert read(Nats({})) == {}


@pytest.mark.parametrize("page", [7, 100, 256])
def test_what_comes_in_pages_is_read_to_the_end(page: int) -> None:
    many = {f"S{n}": [consumer(f"s{n}-{i}") for i in range(count)] for n, count in enumerate((300, 0, 1, 257, 256))}
    server = Nats(many, page=page)
    assert set(read(server)) == {durable["name"] for consumers in many.values() for durable in consumers}
    if page == 256:
        lists = [subject for subject in server.asked if ".CONSUMER.LIST." in subject]
        assert len(lists) == len(many) + 2, "only two have a second page"
    assert server.connected == 1


def test_a_stream_that_goes_between_two_questions_has_no_durables() -> None:
    gone = json.dumps({"error": {"code": 404, "description": "stream not found"}, "total": 0}).encode()
    server = Nats({"GONE": [consumer("old")], "S": [consumer("new")]})
    server.answer = lambda subject: message(gone) if "GONE" in subject else None
    assert set(read(server)) == {"new"}


def test_ephemeral_consumers_are_left_alone() -> None:
    assert set(read(Nats({"S": [ephemeral(), consumer("mine")]}))) == {"mine"}
    assert set(durables_of(parse_monitoring(json.dumps(monitoring(ephemeral(), consumer("mine"))).encode()))) == {
        "mine"
    }


# ── Whether somebody receives ───────────────────────────────────────────────────────────────────────────────────────


def test_a_durable_that_pushes_is_bound_when_somebody_is_subscribed() -> None:
    found = read(Nats({"S": [consumer("a", push_bound=True), consumer("b"), consumer("c", num_waiting=3)]}))
    assert {name: durable.bound for name, durable in found.items()} == {"a": True, "b": False, "c": False}


def test_a_durable_made_for_fetching_is_bound_when_somebody_waits_at_it() -> None:
    found = read(Nats({"S": [consumer("a", pull=True, num_waiting=1), consumer("b", pull=True)]}))
    assert {name: (durable.pull, durable.bound) for name, durable in found.items()} == {
        "a": (True, True),
        "b": (True, False),
    }


@pytest.mark.parametrize("denied", [(), ("$JS.API.CONSUMER.MSG.NEXT.",)], ids=["is heard", "may not be heard"])
def test_a_pull_consumer_between_two_fetches_is_read_again(
    monkeypatch: pytest.MonkeyPatch, denied: tuple[str, ...]
) -> None:
    monkeypatch.setattr(fetching, "_LEAST_SECONDS", 60.0)
    monkeypatch.setattr(fetching, "_MOST_SECONDS", 60.0)
    server = Nats({"S": [consumer("polled", pull=True), consumer("pushed", push_bound=True)]}, denied=denied)
    server.fetched = ("S.polled",)
    if denied:  # then the second look shows it
        server.streams["S"] = Moving([consumer("polled", pull=True)])
    started = time.monotonic()
    assert read(server, "polled")["polled"].bound
    assert time.monotonic() - started < 30, "it ends when all are seen"


class Moving(list[JSON]):
    """Consumers that have delivered one more at every look."""

    def __getitem__(self, key: Any) -> Any:
        for one in self:
            one["delivered"]["consumer_seq"] += 1
        return super().__getitem__(key)


def test_who_waits_only_at_the_second_look_is_seen_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_LEAST_SECONDS", 0.1)
    server = Nats({"S": [consumer("a", pull=True)], "T": [consumer("b", pull=True)]})
    lists = {"S": 0, "T": 0}

    def count(subject: str) -> None:
        name = subject.rpartition(".")[2]
        if name in lists:
            lists[name] += 1
            server.streams["S"][0]["num_waiting"] = int(lists["S"] > 1)

    server.answer = count
    found = read(server, "a", "b")
    assert found["a"].bound and not found["b"].bound


def test_a_client_that_comes_every_few_seconds_is_seen_each_time() -> None:
    """Within two seconds it was seen at random."""
    server = Nats({"S": [consumer("polled", pull=True)]}, fetched=("S.polled",), fetches=lambda: 3.0)
    assert read(server, "polled")["polled"].bound


class Acknowledging(list[JSON]):
    """Consumers of which a client acknowledges a message between two readings, and fetches none."""

    def __getitem__(self, key: Any) -> Any:
        for number, one in enumerate(self):
            one["ack_floor"]["last_active"] = f"2026-01-01T00:00:0{number + self.readings}Z"
        self.readings += 1
        return super().__getitem__(key)

    readings = 0


def test_a_client_that_works_through_what_it_has_fetched_is_there() -> None:
    assert read(Nats({"S": Acknowledging([consumer("busy", pull=True)])}), "busy")["busy"].bound


@pytest.mark.parametrize(("ack_wait", "seconds"), [(0.0, 10.0), (1.0, 10.0), (15.0, 15.0), (3600.0, 20.0)])
def test_a_consumer_is_watched_for_as_long_as_suits_it(ack_wait: float, seconds: float) -> None:
    quick = Consumer(False, 0, 0, 0, 0, 0, 0, "", ack_wait=1.0)
    assert fetching.suitable_seconds([quick, replace(quick, ack_wait=ack_wait)]) == seconds


def test_nobody_waits_for_a_durable_that_is_none_of_the_app_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_LEAST_SECONDS", 60.0)
    started = time.monotonic()
    assert not read(Nats({"S": [consumer("left over", pull=True)]}), "api-alerts")["left over"].bound
    assert time.monotonic() - started < 30


# ── Where it can't be asked ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Nats(silent=True), "has no JetStream for the app (status 503)"),
        (Nats(error={"code": 503, "description": "JetStream not enabled for account"}), "not enabled for account"),
        (Nats(error={"code": 503, "description": "JetStream system temporarily unavailable"}), "temporarily"),
        (Nats(error={"code": 400}), "(400 None)"),
        (Nats(answer=lambda subject: message(b"{")), "is no answer of JetStream's"),
        (Nats(answer=lambda subject: message(b"[]")), "is no answer of JetStream's"),
        (Nats(answer=lambda subject: message(b"{}")), "is no answer of JetStream's"),
        (Nats(answer=lambda subject: message(b'{"total":1,"streams":[{}]}')), "is no answer of JetStream's"),
        (Nats({"A B": []}), "no subject may hold"),
    ],
)
def test_what_stands_against_it_is_said_with_what_to_do(server: Nats, words: str) -> None:
    found = refusal(server)
    assert words in found and "native's NATS at 127.0.0.1:" in found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["account_details", "stream_detail", "consumer_detail", "name", "config", "state"]),
                inner,
            )
        ),
    )
)
def test_whatever_answers_is_read_or_refused_in_words(answer: Any) -> None:
    with contextlib.suppress(ValueError):
        parse_monitoring(json.dumps(answer).encode())


def test_the_monitoring_is_read_only_where_nats_denies_the_login() -> None:
    told = says(page(body=json.dumps(monitoring(consumer("by-monitoring", push_bound=True))).encode()))
    for server in (Nats(login={"user": "ana"}), Nats(denied=("$JS.",)), Nats(info={"tls_required": True})):
        with serving(server.talk) as port, serving(told) as monitor:
            assert set(durables_of(read_streams("127.0.0.1", nats_ref(port, monitor=monitor)))) == {"by-monitoring"}
            with pytest.raises(Denied):
                read_streams("127.0.0.1", nats_ref(port))
    with running(Nats({"S": [consumer("by-nats")]})) as ref, serving(told) as monitor:
        assert set(durables_of(read_streams("127.0.0.1", nats_ref(ref.port, monitor=monitor)))) == {"by-nats"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n",
        page(503),
        page(body=b"{"),
        page(body=b"[]"),
        page(body=b'{"account_details": 1}'),
        page(body=b'{"account_details": [{"stream_detail": [{"consumer_detail": [{}]}]}]}'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{}",
        None,
    ],
)
def test_a_monitoring_that_does_not_answer_is_said_after_why_nats_could_not_be_asked(answer: bytes | None) -> None:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(serving(Nats(login={"user": "ana"}).talk))
        monitor = stack.enter_context(serving(says(answer))) if answer is not None else 1
        with pytest.raises(Denied, match=r"wants a login.*its monitoring on port .* is no help: .") as caught:
            read_streams("127.0.0.1", nats_ref(port, monitor=monitor))
    assert "Errno" not in str(caught.value)


def test_no_request_goes_to_the_monitoring_of_a_server_that_is_down() -> None:
    told = says(page(body=json.dumps(monitoring()).encode()))
    with serving(told) as monitor, pytest.raises(Unanswered, match="connection refused"):
        read_streams("127.0.0.1", nats_ref(1, monitor=monitor))


# ── With which login ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("env", "overrides", "user", "password", "token"),
    [
        ("NATS_URL=nats://ana:p%40ss@nats:4222", None, "ana", "p@ss", ""),
        ("NATS_URL='nats://t0ken@nats:4222'", None, "", "", "t0ken"),
        ("NATS_URL=nats://a:4222, nats://ana:x@b:4222", None, "ana", "x", ""),
        ("NATS_URL=nats://nats:4222", None, "", "", ""),
        ("NATS_URL=nats://[::bad:4222", None, "", "", ""),
        ("OTHER=1", None, "", "", ""),
        ("NATS_URL=nats://ana:x@nats", "NATS_URL=nats://127.0.0.1:4222", "ana", "x", ""),
        ("NATS_URL=nats://ana:x@nats", "NATS_URL=nats://eve:y@127.0.0.1:4222", "eve", "y", ""),
        ("OTHER=1", "NATS_URL=nats://eve:y@127.0.0.1:4222", "eve", "y", ""),
    ],
)
def test_the_login_is_that_of_the_app_s_own_environment(
    tmp_path: Path, env: str, overrides: str | None, user: str, password: str, token: str
) -> None:
    (tmp_path / "env").write_text(env + "\n")
    if overrides:
        (tmp_path / "overrides").write_text(overrides + "\n")
    found = login(Environment("native", str(tmp_path / "env"), str(tmp_path / "overrides")))
    assert (found.user, found.password, found.token) == (user, password, token)
    assert str(tmp_path) in found.origin


def test_an_environment_that_can_t_be_read_is_said_where_a_login_is_wanted(tmp_path: Path) -> None:
    with serving(Nats().talk) as port:
        assert read_streams("127.0.0.1", nats_ref(port, env=tmp_path / "none")), "nobody wants one"
    with serving(Nats(login={"auth_token": "t0ken"}).talk) as port:
        with pytest.raises(Denied, match=r"none can't be read .no such file"):
            read_streams("127.0.0.1", nats_ref(port, env=tmp_path / "none"))
        (tmp_path / "env").write_text("NATS_URL=nats://t0ken@nats:4222\n")
        assert read_streams("127.0.0.1", nats_ref(port, env=tmp_path / "env"))
        (tmp_path / "env").write_text("NATS_URL=nats://s3cret@nats:4222\n")
        with pytest.raises(Denied) as caught:
            read_streams("127.0.0.1", nats_ref(port, env=tmp_path / "env"))
        assert "s3cret" not in str(caught.value.evidence), "nor in the journal"


# ── The owner's ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_growth_is_the_difference_of_two_readings(machine: Recorder, owner: Path) -> None:
    server = Nats({"ALERTS": [consumer(pending=3)]})

    def later(subject: str) -> None:
        if server.connected > 1:
            server.streams["ALERTS"] = [consumer(pending=23), consumer("api-new", pending=9)]

    server.answer = later
    with running(server) as ref:
        found = jetstream(machine, streams_ref(owner, ref.port, apart=0.01))
    durables = durables_of(found.streams)
    assert (found.runtime, found.problem) == ("native", "")
    assert (durables["api-alerts"].grew, durables["api-alerts"].pending) == (20, 23)
    assert durables["api-new"].grew == 0, "it was not there before"
    assert machine.calls == [], "where native owns Docker is not asked"


def test_streams_are_read_once_where_growth_is_not_requested(machine: Recorder, owner: Path) -> None:
    server = Nats()
    with running(server) as ref:
        assert set(jetstream(machine, streams_ref(owner, ref.port)).streams) == {"ALERTS"}
    assert server.connected == 1


def test_a_docker_owner_without_nats_is_a_problem(machine: Recorder, owner: Path) -> None:
    owner.write_text("docker")
    found = jetstream(machine, streams_ref(owner))
    assert found.problem == "the project p has no container nats: docker compose -p p up -d nats"


@pytest.mark.parametrize(
    ("state", "address", "words"),
    [("exited", "", "nats is exited: docker compose -p p up -d nats"), ("running", "", "is on no network")],
)
def test_a_container_without_an_address_is_not_taken_for_this_host(
    machine: Recorder, owner: Path, state: str, address: str, words: str
) -> None:
    item = {
        "Id": "1",
        "Name": "/x",
        "Config": {"Labels": {"com.docker.compose.service": "nats"}},
        "State": {"Status": state},
        "NetworkSettings": {"Networks": {"default": {"IPAddress": address}}},
    }
    machine.answers = {"docker ps": "1\n", "docker inspect": json.dumps([item])}
    owner.write_text("docker")
    with running(Nats()) as ref:
        assert words in jetstream(machine, streams_ref(owner, ref.port)).problem


def test_a_strange_owner_is_told(machine: Recorder, owner: Path) -> None:
    owner.write_text("both")
    assert "holds 'both'" in jetstream(machine, streams_ref(owner)).problem


def test_a_server_that_does_not_answer_fails_the_check(machine: Recorder, owner: Path) -> None:
    found = jetstream(machine, streams_ref(owner))
    assert found == JetStream("native", problem=found.problem)
    assert found.problem.startswith("native's NATS at 127.0.0.1:1 can't be reached") and "Errno" not in found.problem


def test_readings_go_on_while_nats_does_not_answer_and_follow_the_owner(machine: Recorder, owner: Path) -> None:
    owner.write_text("docker")
    with running(Nats()) as ref:
        seen = readings(machine, streams_ref(owner, ref.port), 60)
        at, away = next(seen)
        assert at < 30 and (away.runtime, away.streams) == ("docker", {}) and "has no container" in away.problem
        owner.write_text("native")
        at, there = next(seen)
        assert (there.runtime, there.problem, set(there.streams)) == ("native", "", {"ALERTS"})


def test_watching_ends_when_its_time_is_over(machine: Recorder, owner: Path) -> None:
    assert len(list(readings(machine, streams_ref(owner), 0.0001))) == 2


def test_where_nats_lets_anybody_in_the_app_s_account_is_read_only_where_it_is_asked_for(tmp_path: Path) -> None:
    """It gives who has no login another account, without streams."""
    (tmp_path / "env").write_text("NATS_URL=nats://app:pw@nats\n")
    server = Nats(login={"user": "app", "pass": "pw"}, info={"auth_required": False})
    with serving(server.talk) as port:
        assert set(read_streams("127.0.0.1", nats_ref(port, env=tmp_path / "env"), as_app=True)) == {"ALERTS"}
        assert server.refused == 0
        (tmp_path / "env").write_text("NATS_URL=nats://app:wr0ng@nats\n")
        with pytest.raises(Denied, match=f"refuses the login .* of NATS_URL in {tmp_path / 'env'}") as caught:
            read_streams("127.0.0.1", nats_ref(port, env=tmp_path / "env"), as_app=True)
        assert "wr0ng" not in str(caught.value)

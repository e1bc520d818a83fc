"""The proof that a hand-over lost nothing: counting, comparing, and the data that is kept aside until then."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.actions import proof
from fabfile.runner.actions.compose import Up
from fabfile.runner.actions.keep_aside import left_by_others, proven
from fabfile.runner.actions.proof import CompareData, CountData
from fabfile.runner.actions.units import Start
from fabfile.runner.system import systemd
from fabfile.runner.system.machine import Evidence, Machine, StepFailed
from fabfile.runner.wire.app import Compose, Environment
from fabfile.runner.wire.data import Count, DataRef, Holding, losses
from tests.runner.support.recorder import Recorder
from tests.runner.support.redis_server import Redis
from tests.runner.support.servers import serving


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "backups").mkdir()
    return Machine(tmp_path, tmp_path / "backups")


def plain(evidence: Evidence) -> Any:
    """What the journal keeps of it."""
    return json.loads(json.dumps(evidence))


def ref(port: int, folder: str = "/srv/redis") -> DataRef:
    environment = Environment("native", "/nowhere/env", "/nowhere/overrides")
    return DataRef("redis", "native", port, "infra.redis.port", folder, environment)


def handed_over(machine: Machine, before: Redis, after: Redis, timeout: float = 0.0) -> dict[str, object]:
    """Count one server, then compare with another; the comparison's evidence."""
    with serving(before.talk) as port:
        CountData((ref(port),), must=True).apply(machine, {})
    with serving(after.talk) as port:
        return CompareData((ref(port),), timeout).apply(machine, {})


# ── What counts as less ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (Count(5, 5), Count(5, 5), False),
        (Count(5, 5), Count(6, 6), False),
        (Count(5, 5), Count(4, 4), True),
        (Count(5, 5), None, True),
        (Count(5, 2), Count(2, 0), False),
        (Count(5, 2), Count(1, 1), True),
        (Count(5, 0), None, True),
        (Count(0, 0), None, True),
        (Count(5, 0, may_vanish=True), None, False),
        (Count(5, 1, may_vanish=True), None, True),
    ],
)
def test_less_than_must_stay_is_a_loss(before: Count, after: Count | None, lost: bool) -> None:
    now = Holding({"x": after} if after else {})
    assert bool(losses(Holding({"x": before}), now)) is lost


def test_a_server_that_cannot_be_counted_counts_as_having_lost_its_data() -> None:
    assert losses(Holding({"x": Count(1, 1)}), Holding(problem="no answer")) == ["no answer"]


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9)), st.dictionaries(st.text(max_size=3), st.integers(0, 9)))
def test_nothing_is_lost_exactly_where_nothing_is_less(before: dict[str, int], after: dict[str, int]) -> None:
    def holding(amounts: dict[str, int]) -> Holding:
        return Holding({name: Count(amount, amount) for name, amount in amounts.items()})

    less = any(name not in after or after[name] < amount for name, amount in before.items())
    assert bool(losses(holding(before), holding(after))) is less


# ── Counting and comparing ──────────────────────────────────────────────────────────────────────────────────────────


def test_all_there_is_proven_and_both_figures_are_evidence(machine: Machine) -> None:
    assert not proven(machine)
    assert handed_over(machine, Redis({0: (500, 20)}), Redis({0: (490, 10)})) == {
        "handed_over": [["redis", "db0", 500, 490]]
    }
    assert proven(machine)


def test_less_is_refused_with_both_figures_and_stays_unproven(machine: Machine) -> None:
    with pytest.raises(StepFailed, match="redis: db0: 500 before, nothing now"):
        handed_over(machine, Redis({0: (500, 0)}), Redis(), timeout=1)
    assert not proven(machine)


def test_a_server_that_is_still_reading_is_given_time(machine: Machine) -> None:
    after = Redis({0: (3, 0)})
    loading = iter([b"-LOADING Redis is loading the dataset in memory\r\n"])
    after.raw = lambda words: next(loading, None)
    handed_over(machine, Redis({0: (3, 0)}), after, timeout=20)
    assert proven(machine)


def test_a_server_that_answers_while_it_is_reading_has_not_lost_what_it_has_not_read(machine: Machine) -> None:
    """Redis answers INFO all the time that it loads, with the keys that it has by then."""
    after = Redis({0: (1, 0)}, persistence={"loading": "1"})

    def read(words: list[str]) -> bytes | None:
        if words == ["INFO", "persistence"] and after.asked.count(words) == 2:
            after.databases, after.persistence = {0: (3, 0)}, {"loading": "0"}
        return None

    after.raw = read
    handed_over(machine, Redis({0: (3, 0)}), after, timeout=20)
    assert proven(machine)


def test_a_server_that_cannot_be_counted_stops_the_plan_only_where_it_must(machine: Machine) -> None:
    with serving(Redis(login=("x",)).talk) as port:
        with pytest.raises(StepFailed, match="wants a login"):
            CountData((ref(port),), must=True).apply(machine, {})
        evidence = plain(CountData((ref(port),), must=False).apply(machine, {}))
    assert evidence["held"] == {} and "wants a login" in evidence["not_counted"]["redis"]
    CompareData((ref(1),), 0.0).apply(machine, {})
    assert proven(machine), "what was never counted can't be compared"


def test_a_server_that_does_not_run_is_not_counted(machine: Machine) -> None:
    with serving(Redis().talk) as port:
        pass
    with pytest.raises(StepFailed, match="nothing listens"):
        CountData((ref(port),), must=True).apply(machine, {})
    assert "not_counted" in CountData((ref(port),), must=False).apply(machine, {})


def test_without_the_figures_of_before_nothing_is_proven(machine: Machine) -> None:
    with pytest.raises(StepFailed, match="what the servers held before can't be read"):
        CompareData((ref(1),)).apply(machine, {})


# ── The way back ────────────────────────────────────────────────────────────────────────────────────────────────────


def taken_back(machine: Machine, folder: Path, before: Redis, after: Redis) -> Any:
    """Count one server, then have the undo compare with another; its evidence."""
    with serving(before.talk) as port:
        CountData((ref(port, str(folder)),), must=True).apply(machine, {})
    with serving(after.talk) as port:
        return plain(CountData((ref(port, str(folder)),), must=True, timeout=0.0).undo(machine, {}))


@pytest.fixture
def left(machine: Machine, tmp_path: Path) -> Path:
    """What the other server left in the data's place, and the plan put aside."""
    folder = left_by_others(machine, str(tmp_path / "redis"))
    folder.mkdir()
    return folder


def test_when_all_is_there_again_what_the_others_left_is_deleted(machine: Machine, left: Path, tmp_path: Path) -> None:
    assert taken_back(machine, tmp_path / "redis", Redis({0: (5, 0)}), Redis({0: (5, 0)})) == {}
    assert not left.exists()


def test_data_that_does_not_come_back_is_named_and_nothing_is_deleted(
    machine: Machine, left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "_READ_SECONDS", 0.0)
    evidence = taken_back(machine, tmp_path / "redis", Redis({0: (5, 0)}), Redis({0: (4, 0)}))
    assert evidence == {"missing": ["redis: db0: 5 before, 4 now"], "left_by_the_others": [str(left)]}
    assert left.exists()


def test_an_undo_without_counts_compares_nothing(machine: Machine) -> None:
    assert CountData((ref(1),), must=True).undo(machine, {}) == {}


def test_figures_that_can_no_longer_be_read_stop_no_way_back(machine: Machine) -> None:
    (machine.backups / "holdings.json").write_text("{")
    evidence = plain(CountData((ref(1),), must=True).undo(machine, {}))
    assert "can't be read" in evidence["missing"][0]


# ── What an undo does to servers that have not proven themselves ────────────────────────────────────────────────────


@pytest.mark.parametrize("shown", [False, True])
def test_an_undo_kills_units_only_until_they_have_proven_themselves(
    shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "RUNTIME", str(tmp_path / "run"))
    show = "Id=a\nActiveState=inactive\nSubState=dead\nMainPID=0\n"
    machine = Recorder(tmp_path, {"systemctl show": (0, show, "")})
    if shown:
        (machine.backups / "data-proven").parent.mkdir(parents=True, exist_ok=True)
        (machine.backups / "data-proven").touch()
    Start(("a.service",), unproven=True).undo(machine, {"down": ["a.service"]})
    killed = any(argv[:2] == ("systemctl", "kill") for argv in machine.calls)
    assert killed is not shown
    assert not (tmp_path / "run" / "a.service.d").exists(), "what keeps systemd from starting it again is gone"


@pytest.mark.parametrize(("shown", "verb"), [(False, "kill"), (True, "stop")])
def test_an_undo_kills_containers_only_until_they_have_proven_themselves(
    shown: bool, verb: str, tmp_path: Path
) -> None:
    machine = Recorder(tmp_path, {"docker ps": (0, "redis\tp-redis-1\trunning\nnats\tp-nats-1\tdead\n", "")})
    machine.backups.mkdir(parents=True, exist_ok=True)
    if shown:
        (machine.backups / "data-proven").touch()
    up = Up(Compose("p", "/c.yml", "/", ""), ("redis", "nats"), unproven=True)
    up.undo(machine, {"down": ["redis", "nats"]})
    assert [argv[:2] for argv in machine.calls if argv[1] in ("kill", "stop")] == [("docker", verb)]


def test_the_app_s_logins_are_read_before_requests_wait(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Docker, Compose reads them, which takes as long as it starts."""
    calls: list[str] = []

    def own(*_: object) -> dict[str, object]:
        calls.append("compose")
        return {"services": {}}

    monkeypatch.setattr("fabfile.runner.facts.compose.own", own)
    compose = Compose("p", str(machine.ops / "compose.yml"), str(machine.ops))
    of_docker = Environment("docker", str(machine.ops / "env"), "/none", compose=compose, services=("api",))
    action = CountData((dataclasses.replace(ref(1), name="nats", runtime="docker", environment=of_docker),), must=False)
    action.prepare()
    assert calls == ["compose"]
    action.apply(machine, {})
    assert calls == ["compose"]

"""The proof that a hand-over lost nothing: counting, comparing, and the data that is kept aside until then."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.actions import proof
from fabfile.runner.actions.compose import Up
from fabfile.runner.actions.proof import CompareData, CountData, DiscardKept, KeepAside, Kept
from fabfile.runner.actions.units import Start
from fabfile.runner.system import systemd
from fabfile.runner.system.machine import Evidence, Machine, StepFailed
from fabfile.runner.wire.app import Environment
from fabfile.runner.wire.compose import Compose
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


def ref(port: int) -> DataRef:
    environment = Environment("native", "/nowhere/env", "/nowhere/overrides")
    return DataRef("redis", "native", port, "infra.redis.port", "/srv/redis", environment)


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
        (Count(5, 0), None, False),
        (Count(0, 0), None, False),
    ],
)
def test_less_than_must_stay_is_a_loss(before: Count, after: Count | None, lost: bool) -> None:
    now = Holding({"x": after} if after else {})
    assert bool(losses(Holding({"x": before}), now)) is lost


def test_a_server_that_cannot_be_asked_has_lost_what_it_held() -> None:
    assert losses(Holding({"x": Count(1, 1)}), Holding(problem="no answer")) == ["no answer"]


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9)), st.dictionaries(st.text(max_size=3), st.integers(0, 9)))
def test_nothing_is_lost_exactly_where_nothing_is_less(before: dict[str, int], after: dict[str, int]) -> None:
    def holding(amounts: dict[str, int]) -> Holding:
        return Holding({name: Count(amount, amount) for name, amount in amounts.items()})

    less = any(after.get(name, 0) < amount for name, amount in before.items())
    assert bool(losses(holding(before), holding(after))) is less


# ── Counting and comparing ──────────────────────────────────────────────────────────────────────────────────────────


def test_all_there_is_proven_and_both_figures_are_evidence(machine: Machine) -> None:
    assert not proof.proven(machine)
    assert handed_over(machine, Redis({0: (500, 20)}), Redis({0: (490, 10)})) == {
        "handed_over": [["redis", "db0", 500, 490]]
    }
    assert proof.proven(machine)


def test_less_is_refused_with_both_figures_and_stays_unproven(machine: Machine) -> None:
    with pytest.raises(StepFailed, match="redis: db0: 500 before, nothing now"):
        handed_over(machine, Redis({0: (500, 0)}), Redis())
    assert not proof.proven(machine)


def test_a_server_that_is_still_reading_is_given_time(machine: Machine) -> None:
    after = Redis({0: (3, 0)})
    loading = iter([b"-LOADING Redis is loading the dataset in memory\r\n"])
    after.raw = lambda words: next(loading, None)
    handed_over(machine, Redis({0: (3, 0)}), after, timeout=20)
    assert proof.proven(machine)


def test_a_server_that_cannot_be_counted_stops_the_plan_only_where_it_must(machine: Machine) -> None:
    with serving(Redis(login=("x",)).talk) as port:
        with pytest.raises(StepFailed, match="wants a login"):
            CountData((ref(port),), must=True).apply(machine, {})
        evidence = plain(CountData((ref(port),), must=False).apply(machine, {}))
    assert evidence["held"] == {} and "wants a login" in evidence["not_counted"]["redis"]
    CompareData((ref(1),), 0.0).apply(machine, {})
    assert proof.proven(machine), "what was never counted can't be compared"


def test_a_server_that_does_not_run_is_not_counted(machine: Machine) -> None:
    with serving(Redis().talk) as port:
        pass
    with pytest.raises(StepFailed, match="nothing listens"):
        CountData((ref(port),), must=True).apply(machine, {})
    assert "not_counted" in CountData((ref(port),), must=False).apply(machine, {})


def test_without_the_figures_of_before_nothing_is_proven(machine: Machine) -> None:
    with pytest.raises(StepFailed, match="what the servers held before can't be read"):
        CompareData((ref(1),)).apply(machine, {})


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
    machine = Recorder(tmp_path, {"docker ps": (0, "redis\tp-redis-1\trunning\nnats\tp-nats-1\texited\n", "")})
    machine.backups.mkdir(parents=True, exist_ok=True)
    if shown:
        (machine.backups / "data-proven").touch()
    up = Up(Compose("p", "/c.yml", "/", ""), ("redis", "nats"), unproven=True)
    up.undo(machine, {"down": ["redis", "nats"]})
    assert [argv[:2] for argv in machine.calls if argv[1] in ("kill", "stop")] == [("docker", verb)]


# ── Kept aside ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A server's folder: a snapshot, a log that is appended to, a link, a folder."""
    folder = tmp_path / "redis"
    (folder / "deep").mkdir(parents=True, mode=0o750)
    (folder / "dump.rdb").write_bytes(b"snapshot")
    (folder / "deep" / "log.aof").write_bytes(b"entries")
    (folder / "link").symlink_to("dump.rdb")
    return folder


def contents(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


def spoil(folder: Path) -> None:
    """What a server that started with less may do: replace, append, delete, add."""
    (folder / "new").write_bytes(b"empty")
    (folder / "new").rename(folder / "dump.rdb")
    with (folder / "deep" / "log.aof").open("ab") as file:
        file.write(b" and more")
    (folder / "link").unlink()
    (folder / "more").write_bytes(b"x")


def test_what_a_server_did_to_its_data_is_put_back(machine: Machine, data: Path) -> None:
    before, mode = contents(data), (data / "deep").stat().st_mode
    aside = KeepAside((Kept(str(data), ("*.rdb",)),))
    link = 8  # bytes: where it leads
    assert plain(aside.apply(machine, {}))["kept"][str(data)] == {"linked": 1, "copied_bytes": 7 + link}
    spoil(data)
    assert aside.undo(machine, {}) == {"restored": [str(data)]}
    assert contents(data) == before and (data / "deep").stat().st_mode == mode
    aside.undo(machine, {})
    assert contents(data) == before, "twice is the same"

    assert not [path for path in data.parent.iterdir() if "by-islandflow" in path.name]


def test_once_it_is_proven_the_data_stays_as_the_new_server_has_it(machine: Machine, data: Path) -> None:
    aside = KeepAside((Kept(str(data), ("*.rdb",)),))
    aside.apply(machine, {})
    spoil(data)
    after = contents(data)
    (machine.backups / "data-proven").touch()
    aside.undo(machine, {})
    assert contents(data) == after
    assert not [path for path in data.parent.iterdir() if "by-islandflow" in path.name]


@pytest.mark.parametrize("cut", ["kept", "moved away", "put back"])
def test_a_restore_that_was_cut_off_goes_on(cut: str, machine: Machine, data: Path) -> None:
    before = contents(data)
    aside = KeepAside((Kept(str(data), ("*.rdb",)),))
    aside.apply(machine, {})
    spoil(data)
    kept, lost = data.with_name(".redis.kept-by-islandflow"), data.with_name(".redis.lost-by-islandflow")
    if cut != "kept":
        data.rename(lost)
    if cut == "put back":
        kept.rename(data)
    aside.undo(machine, {})
    assert contents(data) == before and not lost.exists() and not kept.exists()


@pytest.mark.parametrize("left", ["half a copy", "an earlier plan's copy"])
def test_what_is_not_a_whole_copy_of_this_plan_is_never_put_back(left: str, machine: Machine, data: Path) -> None:
    before = contents(data)
    name = ".redis.kept-by-islandflow" + (".part" if left == "half a copy" else "")
    data.with_name(name).mkdir()
    (data.with_name(name) / "dump.rdb").write_bytes(b"last month's")
    aside = KeepAside((Kept(str(data), ()),))
    assert aside.undo(machine, {}) == {"restored": []}
    assert contents(data) == before
    aside.apply(machine, {})
    spoil(data)
    aside.undo(machine, {})
    assert contents(data) == before, "the next copy takes its place"


def test_a_folder_that_is_not_there_is_nothing_to_keep(machine: Machine, tmp_path: Path) -> None:
    aside = KeepAside((Kept(str(tmp_path / "none"), ()),))
    assert plain(aside.apply(machine, {}))["kept"] == {str(tmp_path / "none"): {"linked": 0, "copied_bytes": 0}}
    assert aside.undo(machine, {}) == {"restored": []}


def test_a_folder_that_cannot_be_kept_is_said_and_stops_nobody(
    machine: Machine, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    evidence = plain(KeepAside((Kept(str(data), ("*.rdb",)),)).apply(machine, {}))
    assert evidence["kept"][str(data)] == "not kept: invalid cross-device link"
    assert not [path for path in data.parent.iterdir() if "by-islandflow" in path.name]


def test_a_volume_of_its_own_cannot_be_kept(machine: Machine, data: Path) -> None:
    """Nothing can be renamed to its place, so that putting back would fail where it is needed most."""
    subprocess.run(["mount", "--bind", data, data], check=True)
    try:
        aside = KeepAside((Kept(str(data), ()),))
        assert "mount point" in plain(aside.apply(machine, {}))["kept"][str(data)]
        assert aside.undo(machine, {}) == {"restored": []}
    finally:
        subprocess.run(["umount", data], check=True)


def test_where_the_folder_is_a_link_it_stays_one(machine: Machine, data: Path) -> None:
    before, real = contents(data), data.with_name("elsewhere")
    data.rename(real)
    data.symlink_to(real)
    aside = KeepAside((Kept(str(data), ("*.rdb",)),))
    aside.apply(machine, {})
    spoil(real)
    assert aside.undo(machine, {}) == {"restored": [str(data)]}
    assert data.is_symlink() and contents(real) == before


def test_large_logs_are_linked_instead_of_keeping_requests_waiting(
    machine: Machine, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "_COPIED", 3)
    assert plain(KeepAside((Kept(str(data), ()),)).apply(machine, {}))["kept"][str(data)]["copied_bytes"] <= 3


def test_the_kept_copy_is_deleted_at_the_end(machine: Machine, data: Path) -> None:
    aside = KeepAside((Kept(str(data), ()),))
    aside.apply(machine, {})
    DiscardKept(aside).apply(machine, {})
    assert not data.with_name(".redis.kept-by-islandflow").exists() and data.exists()

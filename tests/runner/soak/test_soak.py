"""A soak only looks, and goes on where it was cut off; by real processes from the real zipapp."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabfile.remote import bootstrap
from fabfile.runner import main, recovery, store
from fabfile.runner.soak import sampler, verbs
from fabfile.runner.system.machine import CommandFailed
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.facts import Workload
from fabfile.runner.wire.plan import Watch
from fabfile.runner.wire.soak import ConsumerLag, Sample, Served, Soak, WorkloadSample
from fabfile.runner.wire.store import LockHolder
from tests.runner.edge.test_access_log import log_line
from tests.runner.support.fake_edge import FakeEdge
from tests.runner.support.nats_server import Nats, consumer, running, streams_ref
from tests.runner.support.npm_shape import DOMAIN
from tests.runner.support.recorder import Recorder
from tests.runner.support.servers import certificate, page, says, serving
from tests.runner.support.worlds import World

ID = "20260101T120000-soak-abcdef"
WORKLOADS = (
    Workload("api", "native", unit="api.service", durables=("api-alerts",)),
    Workload("api", "docker", project="p", durables=("api-alerts",)),
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    (tmp_path / "runner.pyz").write_bytes(bootstrap.zipapp())
    (tmp_path / "owner").write_text("native\n")
    return made


@pytest.fixture
def edge(tmp_path: Path) -> FakeEdge:
    return FakeEdge(tmp_path)


@pytest.fixture
def wanted(world: World, edge: FakeEdge, tmp_path: Path) -> Iterator[Soak]:
    """A short soak of a JetStream, an edge and its log; of no workloads, as this machine has no systemd."""
    jetstream = Nats({"ALERTS": [consumer(pending=3), consumer("stranger", pending=900)]})
    with (
        running(jetstream) as nats,
        serving(says(page()), context=certificate(tmp_path, DOMAIN)) as port,
    ):
        yield Soak(
            id=ID,
            who="ana@laptop",
            seconds=1.0,
            every=0.2,
            workloads=(Workload("api", "docker", durables=("api-alerts",)),),
            streams=streams_ref(tmp_path / "owner", nats.port),
            edge=edge.ref,
            watch=(Watch(DOMAIN, "127.0.0.1", port, DOMAIN, "/"),),
        )


_VERB = "import sys; from pathlib import Path; zipapp, root, *argv = sys.argv[1:]; sys.path.insert(0, zipapp); \
from runner.main import main; sys.exit(main(argv, sys.stdin.buffer, Path(root)))"


def verb(world: World, *argv: str) -> subprocess.Popen[str]:
    """Start a verb from the zipapp."""
    words = [sys.executable, "-I", "-c", _VERB, str(world.root / "runner.pyz"), str(world.ops), *argv]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


@contextmanager
def carried_out(world: World, wanted: Soak) -> Iterator[subprocess.Popen[str]]:
    """A soak in a process of its own, which has taken a sample already."""
    sampler.begin(world.ops, wanted)
    process = verb(world, "soak_run", wanted.id)
    try:
        while "sample" not in kinds(world):
            assert process.poll() is None
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def lines(world: World) -> list[dict[str, Any]]:
    return sampler.reader(world.ops, ID).new_events()


def kinds(world: World) -> list[str]:
    return [event["kind"] for event in lines(world)]


def samples(world: World) -> list[Sample]:
    return [decode(event["evidence"]["sample"]) for event in lines(world) if event["kind"] == "sample"]


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# ── What it sees ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_soak_samples_until_its_time_is_over_and_changes_only_its_own_file(
    world: World, wanted: Soak, edge: FakeEdge, root: None
) -> None:
    log = edge.root / "data/logs/proxy-host-1_access.log"
    log.parent.mkdir(parents=True)
    log.touch()
    with (
        store.lock(world.ops, LockHolder("a plan's runner")),
        carried_out(world, replace(wanted, seconds=15.0)) as process,
    ):
        log.write_bytes(log_line(502) + b"\n")
        holder = sampler.running(world.ops)
        assert holder and (holder.who, holder.soak) == ("ana@laptop", ID)
        process.communicate(timeout=60)
        assert process.returncode == 0, "a plan's lock is none of its business"
    assert lines(world)[-1]["evidence"] == {"why": "time"}
    found = samples(world)
    assert len(found) > 1 and found[-1].at >= 15.0
    assert {sample.owner for sample in found} == {"native"} and len({sample.boot for sample in found}) == 1
    assert {name for sample in found for name in sample.durables} == {"api-alerts"}, "others' lag is none of the app's"
    assert found[0].durables["api-alerts"] == ConsumerLag(3, 4, 1)
    asked = [sample.edge[DOMAIN] for sample in found]
    assert sum(one.requests for one in asked) >= 1 and sum(one.failures for one in asked) == 0
    assert [sample.served[DOMAIN] for sample in found if sample.served[DOMAIN].answers] == [Served(1, 1)]
    assert world.state() == {} and sampler.running(world.ops) is None
    assert sorted(path.name for path in sampler.folder(world.ops).iterdir()) == [f"{ID}.jsonl", "lock"]


def test_a_workload_is_seen_with_its_process_its_counter_and_its_memory(world: World, wanted: Soak, root: None) -> None:
    shown = f"ActiveState=active\nSubState=running\nMainPID={os.getpid()}\n"
    machine = Recorder(world.root, {"systemctl": f"{shown}NRestarts=2\nLoadState=loaded\nResult=success\n"})
    watched = replace(WORKLOADS[0], durables=())
    sampler.begin(world.ops, replace(wanted, seconds=0.1, workloads=(watched, WORKLOADS[1])))
    sampler.run(world.ops, ID, machine)
    pulse = samples(world)[0].workloads["api"]
    assert pulse.memory and pulse.memory.held > 1 << 20
    assert replace(pulse, memory=None) == WorkloadSample(True, "healthy", os.getpid(), 2)


def test_a_sample_has_a_problem_for_what_cannot_be_read_and_all_the_rest(
    world: World, wanted: Soak, root: None
) -> None:
    machine = Recorder(world.root, {"systemctl": (1, "", "Failed to connect to bus")})
    nowhere = streams_ref(world.root / "owner")
    sampler.begin(world.ops, replace(wanted, seconds=0.1, workloads=WORKLOADS, streams=nowhere))
    sampler.run(world.ops, ID, machine)
    found = samples(world)[0]
    assert found.problems[0] == "health: Failed to connect to bus" and found.problems[1].startswith("JetStream: ")
    assert found.workloads == {} and found.durables == {} and DOMAIN in found.edge


def test_an_outage_at_the_edge_is_journaled_as_it_ends(world: World, wanted: Soak, root: None) -> None:
    nobody = replace(wanted.watch[0], port=1)
    sampler.begin(world.ops, replace(wanted, seconds=6.0, watch=(nobody,)))
    sampler.run(world.ops, ID, Recorder(world.root))
    assert kinds(world)[-2:] == ["outage", "finished"]
    assert sum(sample.edge[DOMAIN].failures for sample in samples(world)) >= 1


# ── How it ends ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_soak_ends_when_another_runtime_owns(world: World, wanted: Soak, root: None) -> None:
    with carried_out(world, replace(wanted, seconds=60)) as process:
        (world.root / "owner").write_text("docker\n")
        process.communicate(timeout=60)
    assert lines(world)[-1]["evidence"] == {"why": "owner"}
    assert samples(world)[-1].owner == "docker"


def test_the_operators_word_ends_it(world: World, wanted: Soak, root: None, capsys: pytest.CaptureFixture[str]) -> None:
    with carried_out(world, replace(wanted, seconds=60)) as process:
        assert main.main(["soak_stop"], io.BytesIO(), world.ops) == 0
        process.communicate(timeout=60)
    assert said(capsys) == lines(world) and lines(world)[-1]["evidence"] == {"why": "stopped"}
    assert not list(sampler.folder(world.ops).glob("*.stop"))
    assert main.main(["soak_stop"], io.BytesIO(), world.ops) == 0
    assert said(capsys) == [], "there is nothing to stop any more"


def test_a_killed_soak_goes_on_in_its_own_file(world: World, wanted: Soak, root: None) -> None:
    with carried_out(world, replace(wanted, seconds=20)) as process:
        process.kill()
        process.wait()
    before = len(samples(world))
    assert sampler.running(world.ops) is None and sampler.resumable(world.ops) == ID
    again = verb(world, "soak_run", ID)
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert kinds(world).count("start") == kinds(world).count("finished") == 1
    assert len(samples(world)) > before and samples(world)[-1].at >= 20.0
    assert sampler.resumable(world.ops) == ""
    done = verb(world, "soak_run", ID)
    assert "has ended" in done.communicate(timeout=60)[0] and done.returncode == 1


def test_after_a_boot_the_soak_that_was_cut_off_goes_on(
    world: World, wanted: Soak, root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[Path, str]] = []
    monkeypatch.setattr(verbs, "detach", lambda root, runner, soak_id: started.append((runner, soak_id)))
    monkeypatch.setattr(recovery, "await_boot", lambda machine: None)
    link = world.root / "link.pyz"
    link.symlink_to("runner.pyz")
    monkeypatch.setattr(sys, "path", [str(link), *sys.path])
    assert main.main(["recover"], io.BytesIO(), world.ops) == 0
    assert started == [], "there is none"
    sampler.begin(world.ops, replace(wanted, seconds=60))
    assert main.main(["recover"], io.BytesIO(), world.ops) == 0
    assert started == [(world.root / "runner.pyz", ID)], "the link may lead elsewhere soon"


def test_a_soak_whose_time_is_over_does_not_go_on(world: World, wanted: Soak, root: None) -> None:
    sampler.begin(world.ops, replace(wanted, seconds=0.01))
    time.sleep(0.05)
    assert sampler.resumable(world.ops) == ""


# ── Starting and following ──────────────────────────────────────────────────────────────────────────────────────────


def request(wanted: Soak) -> io.BytesIO:
    name = bootstrap.runner_name()
    return io.BytesIO(json.dumps({"soak": encode(wanted), "runner": name}).encode() + b"\n")


@pytest.fixture
def detached(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[str]]]:
    """In place of systemd, which this machine has not: a process of our own."""
    started: list[subprocess.Popen[str]] = []
    monkeypatch.setattr(verbs, "detach", lambda root, runner, soak_id: started.append(run(soak_id)))
    monkeypatch.setattr(sys, "path", [str(world.root / "runner.pyz"), *sys.path])

    def run(soak_id: str) -> subprocess.Popen[str]:
        return verb(world, "soak_run", soak_id)

    yield started
    for process in started:
        process.communicate(timeout=60)


def test_a_soak_is_started_and_followed_to_its_end(
    world: World,
    wanted: Soak,
    root: None,
    detached: list[subprocess.Popen[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["soak_start"], request(wanted), world.ops) == 0
    assert said(capsys) == lines(world) and kinds(world)[-1] == "finished"
    assert (world.ops / bootstrap.runner_name()).read_bytes() == bootstrap.zipapp()
    assert main.main(["soak_follow", ID, "2"], io.BytesIO(), world.ops) == 0
    assert said(capsys) == lines(world)[2:]
    assert main.main(["soak_show"], io.BytesIO(), world.ops) == 0
    assert said(capsys) == [{"holder": {}}, *lines(world)]


def test_only_one_soak_runs_at_a_time(
    world: World, wanted: Soak, root: None, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(wanted, id="20260101T120001-soak-abcdef")
    with carried_out(world, replace(wanted, seconds=60)):
        assert main.main(["soak_start"], request(other), world.ops) == 0
        (line,) = said(capsys)
        assert (line["holder"]["who"], line["holder"]["soak"]) == ("ana@laptop", ID)
        sampler.begin(world.ops, other)  # as if both had been started in the same instant
        assert main.main(["soak_run", other.id], io.BytesIO(), world.ops) == 1
        assert "ana@laptop runs a soak" in said(capsys)[0]["error"]
        assert main.main(["soak_follow", other.id], io.BytesIO(), world.ops) == 0
        assert [list(line) for line in said(capsys)] == [["holder"]]
    assert [path.stem for path in sampler.folder(world.ops).glob("*.jsonl")] == [ID]


def test_a_soak_that_could_not_be_started_leaves_nothing(
    world: World, wanted: Soak, root: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise CommandFailed("systemd-run ended with 1")

    monkeypatch.setattr(verbs, "detach", fails)
    monkeypatch.setattr(sys, "path", [str(world.root / "runner.pyz"), *sys.path])
    assert main.main(["soak_start"], request(wanted), world.ops) == 1
    assert "systemd-run" in said(capsys)[0]["error"] and sampler.last(world.ops) == ""


def test_following_a_soak_ends_when_no_process_runs_it(
    world: World, wanted: Soak, root: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verbs, "MAX_START_SECONDS", 0.1)
    sampler.begin(world.ops, wanted)
    assert main.main(["soak_follow", ID], io.BytesIO(), world.ops) == 0
    assert [line["kind"] for line in said(capsys)] == ["start"]


@pytest.mark.parametrize("name", ["", "../x", ".x"])
def test_a_strange_identifier_is_refused(world: World, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["soak_follow", name], io.BytesIO(), world.ops) == 1
    assert "identifier" in said(capsys)[0]["error"]

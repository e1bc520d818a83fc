"""Whatever is typed, whatever stands in the inventory: an exit code that is true, and never a traceback."""

from __future__ import annotations

import socket
import webbrowser
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fabfile import bug
from fabfile.inventory import RUNTIMES, Site
from fabfile.runner.wire.app import JetStream, Provided, Settings
from fabfile.runner.wire.edge import EdgeFacts
from fabfile.runner.wire.facts import Facts
from tests.adoption.vps import jetstream, vps
from tests.checks import test_soak
from tests.record.journals import DONE, REVERTED
from tests.support import facts, fuzz, inventories
from tests.support.entry_points import TASKS, Run, fab, inv, islandflow
from tests.support.fake_host import FakeHost

_DOORS: dict[str, Callable[..., Run]] = {"inv": inv, "fab": fab, "islandflow": islandflow}
_ENDS = {0, 1, 2, 3, 4, 5, 6, 130}
# Labs boot machines, and what is at Cloudflare has a server of its own in tests/cloudflare.
_NAMES = [name for name in TASKS if not name.startswith(("lab", "dns"))]
_FLAGS = sorted({f"--{argument.name}" for name in _NAMES for argument in TASKS[name].get_arguments()})
_VALUES = (
    *("native", "docker", "full", "web", "vps", "nowhere", "1", "0.5", "inf", "nan", "-1", "open", "closed", "auto"),
    *(DONE[0].plan, "HEAD", "all", "3000"),
)
_CORE = ("--help", "-h", "--list", "--dry", "-e", "--echo", "--no-dedupe", "-H", "--complete", "--", "-p", "--version")


@pytest.fixture(autouse=True)
def host(site: Site, docker_serves: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A VPS that answers everything, and an operator's machine that reaches nothing else."""

    def refuse(self: socket.socket, address: Any) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    def report(error: Exception) -> None:
        raise error  # so that it is seen where it happened; else it would end with 70

    known = {"native": Provided("synthetic"), "docker": Provided()}
    plain = {runtime: Settings() for runtime in RUNTIMES}
    edge = EdgeFacts(problem="it is not what this is about")
    light = facts.changed(docker_serves, edge=edge, providers=known, jetstream=jetstream(site), settings=plain)
    fake = FakeHost(light)
    fake.events = defaultdict(lambda: [event for event in DONE if event.kind != "waiting"])
    fake.past, fake.soak, fake.looks = list(REVERTED), test_soak.lines(), [JetStream("docker")]
    fake.adoption = vps(site)
    fake.stand_in(monkeypatch)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    monkeypatch.setattr(bug, "report", report)
    monkeypatch.setattr(bug, "_plans", {})  # what it follows is no other test's
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.mark.parametrize("door", _DOORS)
def test_any_words_end_with_a_true_code(door: str, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(chance: Random) -> None:
        words = [word for _ in range(chance.choice((1, 1, 2))) for word in _typed(chance)]
        if door == "fab" and "--" in words:
            return  # what follows is a command that Fabric itself runs on hosts, and no task
        _ends_well(_DOORS[door](*words))

    fuzz.search(act, share=0.25)


@pytest.mark.parametrize("door", _DOORS)
def test_any_inventory_ends_with_a_true_code(door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "inventory.toml"
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(file))
    tables = [inventories.toml({key: value}).encode() for key, value in inventories.WRITTEN.items()]

    def act(chance: Random) -> None:
        at = chance.randrange(len(tables))
        file.write_bytes(b"".join(fuzz.damaged(chance, t) if n == at else t for n, t in enumerate(tables)))
        task = chance.choice(("status", "doctor", "history", "check.static", "streams.check", "npm.status", "followup"))
        _ends_well(_DOORS[door](task, *(["--json"] if chance.random() < 0.3 else [])))

    fuzz.search(act, share=0.25)


def _typed(chance: Random) -> list[str]:
    """A task with some of its options, or of anybody's, and values that fit or do not."""
    name = chance.choice(_NAMES)
    own = [f"--{argument.name}" for argument in TASKS[name].get_arguments()]
    words = [name] if chance.random() < 0.95 else [chance.choice([*_CORE, *fuzz.TEXTS[:40]])]
    for _ in range(chance.randint(0, 4)):
        kind = chance.random()
        flag = chance.choice(own if kind < 0.7 and own else _FLAGS)
        words.append(flag if kind < 0.9 else chance.choice(_CORE))
        if chance.random() < 0.5:
            words.append(chance.choice(_VALUES if chance.random() < 0.6 else fuzz.TEXTS[:40]))
    return words


def _ends_well(run: Run) -> None:
    assert run.code in _ENDS, run.said
    assert "Traceback" not in run.said
    assert run.code == 0 or run.said.strip(), "an error says what happened"

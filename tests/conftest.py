"""What all tests share: none talks to anybody but this machine, none leaves a record among the operator's own."""

from __future__ import annotations

import ipaddress
import json
import pickle
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from fabfile import bug, output
from fabfile.inventory import Site, load
from fabfile.runner.wire.edge import EdgeFacts
from fabfile.runner.wire.facts import Facts
from tests.support import facts, json_lines
from tests.support.inventories import INVENTORY

HERE = Path(__file__).parent
COVERING = ("runner", "plans")


def pytest_configure() -> None:
    """Have Ctrl-C heard: a shell that runs the tests in the background has it ignored, which all processes inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure coverage only where the rooms whose coverage is printed have their own tests.

    Tracing doubles the time that a test takes. Random input is left out too: it takes the longest, and whether a line
    has a test of its own must not depend on it.
    """
    for item in items:
        room, *_ = item.path.relative_to(HERE).parts
        if room not in COVERING or item.path.name == "test_fuzz.py":
            item.add_marker("no_cover")


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which this test's records are kept."""
    folder = tmp_path / "records"
    monkeypatch.setenv("ISLANDFLOW_RECORDS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a workflow's step has in its environment, where the tests themselves run in one, is none of theirs."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own inventory is the one that tasks read, unless a test chooses another."""
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(INVENTORY))


@pytest.fixture(autouse=True)
def a_command_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is one process, which a report of a fault speaks of; tests share theirs."""
    monkeypatch.setattr(bug, "_plans", {})
    monkeypatch.setattr(bug, "_typed", set())


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example inventory names a VPS that is not ours: nobody connects to it, and no resolver is asked for it."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            assert ipaddress.ip_address(address[0]).is_loopback, f"a test connects to {address}"
        connect(self, address)

    def looked_up(host: Any, *rest: Any, **named: Any) -> Any:
        if not _is_here(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *rest, **named)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)


def _is_here(host: Any) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in (None, "", "localhost")


@pytest.fixture(autouse=True)
def every_line_is_as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test has printed with --json is what docs/events.md says."""
    emit = output.emit

    def held(line: dict[str, Any]) -> None:
        assert json_lines.problems(json.loads(json.dumps(line))) == []
        emit(line)

    monkeypatch.setattr(output, "emit", held)


# ── The tests' inventory, and surveys of its VPS ──────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def site() -> Site:
    return load(INVENTORY, {})


@pytest.fixture(scope="session")
def edges(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, EdgeFacts]:
    """Facts of an edge that leads to each runtime."""
    return {runtime: facts.edge_to(site, runtime, tmp_path_factory.mktemp(runtime)) for runtime in ("native", "docker")}


@pytest.fixture(scope="session")
def surveys(site: Site, edges: dict[str, EdgeFacts]) -> dict[str, bytes]:
    """The surveys, pickled: thousands of tests have one each, and to make one takes longer than most of them."""
    made = {
        "fresh": facts.fresh(site, edges["docker"]),
        "docker_serves": facts.serving(site, "docker", edges["docker"]),
        "native_serves": facts.serving(site, "native", edges["native"]),
    }
    return {name: pickle.dumps(survey) for name, survey in made.items()}


@pytest.fixture
def fresh(surveys: dict[str, bytes]) -> Facts:
    return _unpickled(surveys["fresh"])


@pytest.fixture
def docker_serves(surveys: dict[str, bytes]) -> Facts:
    return _unpickled(surveys["docker_serves"])


@pytest.fixture
def native_serves(surveys: dict[str, bytes]) -> Facts:
    return _unpickled(surveys["native_serves"])


def _unpickled(survey: bytes) -> Facts:
    """A survey of the test's own: its dictionaries can be changed."""
    found = pickle.loads(survey)
    assert isinstance(found, Facts)
    return found

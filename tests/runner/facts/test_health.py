"""One verdict with evidence: each of its parts was once the only one that told."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.actions.probes import Healthy, PortsFree, Runs
from fabfile.runner.facts import health, servers
from fabfile.runner.facts.health import healthy, healthy_now, observation_of, wait_until_healthy, wait_until_settled
from fabfile.runner.facts.nats import fetching
from fabfile.runner.facts.servers import probe
from fabfile.runner.system import polling
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.system.polling import Poller
from fabfile.runner.system.sockets import cgroup_of
from fabfile.runner.wire.facts import Health, Workload
from tests.runner.support.nats_server import Nats, consumer, nats_ref, running
from tests.runner.support.recorder import Recorder
from tests.runner.support.servers import page, says, serving, trickle

OURS = cgroup_of(os.getpid())
GONE = 1 << 23  # no process has such an identifier: the kernel's limit is 1 << 22


@pytest.fixture
def machine(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def shows(machine: Recorder, active: str = "active", sub: str = "running", restarts: int = 0, **more: Any) -> None:
    """Let systemd say this of the unit."""
    fields = {"ActiveState": active, "SubState": sub, "NRestarts": restarts, "MainPID": 7, "LoadState": "loaded"}
    fields |= {"Result": "success", "ControlGroup": OURS, **more}
    machine.answers["systemctl"] = "".join(f"{name}={value}\n" for name, value in fields.items())


def verdict(machine: Recorder, workload: Workload, settle: float = 0.0) -> Health:
    (found,) = healthy(machine, (workload,), settle).values()
    return found


def native(port: int = 0, **more: Any) -> Workload:
    return Workload("api", "native", unit="api.service", port=port, protocol="http" if port else "", **more)


# ── Native ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_that_runs_is_healthy(machine: Recorder) -> None:
    shows(machine)
    found = verdict(machine, native())
    assert (found.ok, found.text) == (True, "healthy")
    assert (found.state, found.pid, found.restarts, found.answered) == ("active/running", 7, 0, None)


@pytest.mark.parametrize(
    ("active", "sub", "restarts", "permanent"),
    [
        ("inactive", "dead", 0, True),
        ("failed", "failed", 3, True),
        ("activating", "auto-restart", 1, False),
        ("activating", "auto-restart", 5, True),
        ("active", "exited", 0, False),
        ("deactivating", "stop-sigterm", 0, False),
    ],
)
def test_what_does_not_run(machine: Recorder, active: str, sub: str, restarts: int, permanent: bool) -> None:
    shows(machine, active, sub, restarts, Result="exit-code")
    found = verdict(machine, native())
    assert not found.ok and found.permanent == permanent
    assert f"is {active}/{sub} (exit-code, {restarts} restarts)" in found.text


def test_a_unit_that_is_not_installed_is_said_to_be(machine: Recorder) -> None:
    shows(machine, "inactive", "dead", LoadState="not-found")
    assert "(not installed)" in verdict(machine, native()).text


def test_its_own_process_must_hold_the_port_and_answer(machine: Recorder) -> None:
    shows(machine)
    with serving(says(page(headers={"x-islandflow-runtime": "native"}))) as port:
        found = verdict(machine, native(port, path="/health"))
        assert found.ok and found.answer == f"GET :{port}/health answers 200"
        parent = OURS.rsplit("/", 1)[0]
        if parent:
            shows(machine, ControlGroup=parent)
            assert verdict(machine, native(port)).ok, "a group below the unit's is the unit's"
        for foreign in ("/system.slice/other.service", OURS + "x", ""):
            shows(machine, ControlGroup=foreign)
            found = verdict(machine, native(port))
            assert not found.ok and f"(pid {os.getpid()}), not by the unit" in found.text, foreign
    found = verdict(machine, native(port))
    assert found.text == f"nothing listens on port {port}"


def test_an_error_page_is_no_health(machine: Recorder) -> None:
    shows(machine)
    with serving(says(page(500))) as port:
        found = verdict(machine, native(port, path="/health"))
    assert not found.ok and "answers 500" in found.text


def test_one_check_cannot_distinguish_a_crash_loop_from_a_start(machine: Recorder) -> None:
    shows(machine, MainPID=GONE)
    assert verdict(machine, native(), settle=0.01).ok
    looks: Iterator[int] = iter((GONE, GONE + 1))
    run = machine.run

    def restarting(*args: Any, **more: Any) -> Any:
        shows(machine, MainPID=next(looks))
        return run(*args, **more)

    machine.run = restarting  # type: ignore[method-assign]  # a unit that restarts between the two looks
    found = verdict(machine, native(), settle=0.01)
    assert not found.ok and f"process {GONE} became {GONE + 1}" in found.text


@pytest.mark.parametrize(("restarts", "pid", "well"), [(3, GONE, False), (0, GONE, True), (3, 1, True)])
def test_a_single_look_between_two_crashes_finds_no_health(
    machine: Recorder, monkeypatch: pytest.MonkeyPatch, restarts: int, pid: int, well: bool
) -> None:
    """The first process of this machine has run for long enough."""
    monkeypatch.setattr(health, "STEADY_SECONDS", 0.001)
    shows(machine, MainPID=pid, restarts=restarts)
    for verdicts in (healthy_now(machine, (native(),), {}), wait_until_healthy(machine, (native(),), 0.0)):
        (found,) = verdicts.values()
        assert found.ok is well and ("(3 restarts)" in found.text) is not well


@pytest.mark.parametrize(("settle", "looks"), [(0.001, 1), (3600, 2)], ids=["old enough", "too young"])
def test_who_has_run_for_long_enough_is_not_looked_at_again(
    machine: Recorder, monkeypatch: pytest.MonkeyPatch, settle: float, looks: int
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    shows(machine, MainPID=os.getpid())
    assert verdict(machine, native(), settle).ok
    assert len(naps) == looks - 1 and all(0 < nap < settle for nap in naps)


# ── Durables ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_durable_must_be_bound(machine: Recorder) -> None:
    shows(machine)
    server = Nats({"S": [consumer("api-alerts", push_bound=True), consumer("api-prints"), consumer("other")]})
    with running(server) as nats:
        bound = native(durables=("api-alerts",), nats=nats)
        assert verdict(machine, bound).ok
        loose = native(durables=("api-alerts", "api-prints", "api-none"), nats=nats)
        assert verdict(machine, loose).text == "there is no durable: api-none; durables not bound: api-prints"
    text = verdict(machine, bound).text
    assert text.startswith("can't check whether its durables are bound: native's NATS at ") and "Errno" not in text


def test_a_durable_made_for_fetching_must_be_fetched_from(machine: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_LEAST_SECONDS", 3.0)
    shows(machine)
    pulls = {name: consumer(name, pull=True, num_waiting=int(name == "waits")) for name in ("waits", "polled", "left")}
    server = Nats({"S": list(pulls.values())}, fetched=("S.polled",))
    with running(server) as nats:
        assert verdict(machine, native(durables=("waits",), nats=nats)).ok
        assert server.connected == 1, "one look told"
        assert verdict(machine, native(durables=("waits", "polled"), nats=nats)).ok
        assert verdict(machine, native(durables=("polled", "left"), nats=nats)).text == "nobody fetches from: left"


def test_what_a_process_has_shown_to_be_fetched_from_counts_in_the_next_of_many_checks(
    machine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clients that come at times of their own need not both come within one look."""
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.3)
    shows(machine)
    server = Nats({"S": [consumer("a", pull=True), consumer("b", pull=True)]}, fetched=("S.a",))
    poller = Poller(60)
    with running(server) as nats:
        worker = native(durables=("a", "b"), nats=nats)

        def sick() -> str:
            (found,) = healthy(machine, (worker,), poller=poller).values()
            return found.text

        assert sick() == "nobody fetches from: b"
        server.fetched = ("S.b",)
        assert sick() == "healthy"
        shows(machine, MainPID=8)
        assert sick() == "nobody fetches from: a", "another process must show it for itself"


def test_one_reading_of_jetstream_serves_all_workloads_of_a_runtime(machine: Recorder) -> None:
    shows(machine)
    machine.answers["systemctl"] = "\n".join([str(machine.answers["systemctl"])] * 3)
    server = Nats({"S": [consumer(name, push_bound=True) for name in ("a", "b", "c")]})
    with running(server) as nats:
        many = [replace(native(durables=(name,), nats=nats), name=name) for name in ("a", "b", "c")]
        assert all(found.ok for found in healthy(machine, many).values())
    assert server.connected == 1


@pytest.mark.parametrize("answer", [b"", b"\r\n", b"SSH-2.0-x\r\n", page(503)])
def test_who_is_no_nats_is_told_and_never_raises(machine: Recorder, answer: bytes) -> None:
    shows(machine)
    with serving(says(answer, ask=False)) as port:
        found = verdict(machine, native(durables=("x",), nats=nats_ref(port)))
    assert not found.ok and "can't check" in found.text and f"127.0.0.1:{port}" in found.text


# ── Docker ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def contains(machine: Recorder, **services: dict[str, Any]) -> None:
    """Let Docker say this of the project's containers."""
    items = []
    for name, given in services.items():
        state = {"Status": "running", "Pid": os.getpid(), **given}
        address = state.pop("address", "127.0.0.1")
        labels = {"com.docker.compose.service": name}
        networks = {"default": {"IPAddress": address}}
        items.append(
            {
                "Config": {"Labels": labels},
                "NetworkSettings": {"Networks": networks},
                "Name": f"/{name}",
                "Id": name,
                "RestartCount": state.pop("restarts", 0),
                "State": state,
            }
        )
    machine.answers |= {"docker ps": "\n".join(services), "docker inspect": json.dumps(items)}


def docker(port: int = 0, **more: Any) -> Workload:
    return Workload("api", "docker", project="p", port=port, protocol="http" if port else "", **more)


def test_a_container_runs_listens_inside_and_answers(machine: Recorder) -> None:
    with serving(says(page())) as port:
        contains(machine, api={})
        assert verdict(machine, docker(port)).ok
        contains(machine, api={"address": ""})
        assert verdict(machine, docker(port)).text == "the container is on no network", "not: this host answers"
        contains(machine, api={"Health": {"Status": "unhealthy"}})
        assert "says unhealthy" in verdict(machine, docker(port)).text
        contains(machine, api={"Health": {"Status": "starting"}})
        assert verdict(machine, docker(port)).ok, "our own look is the stricter one"
    assert "nothing in the container listens" in verdict(machine, docker(port)).text


@pytest.mark.parametrize(
    ("state", "restarts", "permanent"),
    [("exited", 0, True), ("created", 0, True), ("restarting", 1, False), ("restarting", 5, True), ("paused", 0, True)],
)
def test_a_container_that_does_not_run(machine: Recorder, state: str, restarts: int, permanent: bool) -> None:
    contains(machine, api={"Status": state, "restarts": restarts})
    found = verdict(machine, docker())
    assert (found.ok, found.text, found.permanent) == (False, f"container is {state}", permanent)


def test_a_container_may_be_up_and_ill(machine: Recorder) -> None:
    """What was so before must be so again, and no more."""
    with serving(lambda line: time.sleep(30)) as port:
        contains(machine, api={"Health": {"Status": "unhealthy"}})
        assert not verdict(machine, docker(port)).ok
        assert Runs((docker(port),)).check(machine).ok
    assert not Runs((docker(port),)).check(machine).ok, "it does not hold its port"


def test_no_container_at_all(machine: Recorder) -> None:
    found = verdict(machine, docker())
    assert (found.text, found.permanent) == ("there is no container", True)


def test_docker_durables_are_read_from_dockers_own_nats(machine: Recorder) -> None:
    with running(Nats({"S": [consumer("a", push_bound=True)]})) as nats:
        workload = docker(durables=("a",), nats=nats)
        contains(machine, api={}, nats={})
        assert verdict(machine, workload).ok
        contains(machine, api={}, nats={"address": "", "Status": "exited"})
        assert "nats is exited" in verdict(machine, workload).text, "the native one's answer is not its"
        contains(machine, api={}, nats={"address": ""})
        assert "nats is on no network" in verdict(machine, workload).text
        contains(machine, api={})
        assert "has no container nats" in verdict(machine, workload).text


# ── Protocols ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("protocol", "words", "ok"),
    [
        ("redis", b"+PONG\r\n", True),
        ("redis", b"-NOAUTH Authentication required.\r\n", False),
        ("redis", b"-NOPERM this user has no permissions to run the ping command\r\n", True),
        ("redis", b"-LOADING Redis is loading the dataset in memory\r\n", False),
        ("redis", b"", False),
        ("nats", b'INFO {"server_id":"x"}\r\n', True),
        ("nats", b"+PONG\r\n", False),
        ("clickhouse", page(body=b"Ok.\n"), True),
        ("clickhouse", page(body=b"Code: 516. Authentication failed"), False),
        ("clickhouse", page(500, b"Ok."), False),
        ("http", page(304, b""), True),
        ("http", page(404), False),
        ("http", b"\xff\xff\xff\r\n", False),
        ("smtp", b"", False),
    ],
)
def test_each_protocol_answers_in_its_own_way(protocol: str, words: bytes, ok: bool) -> None:
    with serving(says(words, ask=protocol != "nats")) as port:
        seen = probe(protocol, "127.0.0.1", port)
    assert seen.ok == ok and seen.text
    assert not probe(protocol, "127.0.0.1", port).ok, "nobody is there any more"


def test_who_never_answers_or_never_ends_is_left_in_time() -> None:
    with serving(lambda line: time.sleep(30)) as mute, serving(trickle) as endless:
        for protocol in ("http", "redis", "nats", "clickhouse"):
            for port in (mute, endless):
                started = time.monotonic()
                seen = servers.probe(protocol, "127.0.0.1", port, timeout=0.3)
                assert not seen.ok and (seen.data.get("slow") or port == endless)
                assert time.monotonic() - started < 15, "else it is half a minute"


def a_slow_start(seconds: float) -> Callable[[socket.socket], None]:
    """Everybody is answered, all only once that much time has passed: as by a web server that is warming up."""
    ready = time.monotonic() + seconds

    def talk(line: socket.socket) -> None:
        line.recv(4096)
        time.sleep(max(0.0, ready - time.monotonic()))
        line.sendall(page())

    return talk


def test_a_server_that_answers_late_is_healthy_once_it_has_answered(
    machine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer than one look waits, and each look would begin anew."""
    monkeypatch.setattr(health, "GLANCE_SECONDS", 0.05)
    monkeypatch.setattr(polling, "SLOW_SECONDS", 60.0)
    shows(machine)
    asked: list[float] = []
    slow = a_slow_start(1.5)

    def counted(line: socket.socket) -> None:
        asked.append(time.monotonic())
        slow(line)

    with serving(counted) as port:
        seen = Healthy((native(port, path="/"),), settle=0.0).until(machine, 60)
    assert seen.ok and len(asked) == 1, "the first question was not given up, and none came after it"


def test_a_single_poll_waits_for_a_late_answer_as_well(machine: Recorder) -> None:
    shows(machine)
    with serving(a_slow_start(2.5)) as port:
        assert verdict(machine, native(port, path="/")).ok


def test_a_server_that_never_answers_fails_at_the_deadline(machine: Recorder) -> None:
    shows(machine)
    started = time.monotonic()
    with serving(lambda line: time.sleep(30)) as port, pytest.raises(StepFailed, match="no answer yet after"):
        Healthy((native(port, path="/"),)).until(machine, 1.5)
    assert time.monotonic() - started < 15, "else it is half a minute"


def test_a_server_that_answers_with_errors_is_probed_until_it_does_not(machine: Recorder) -> None:
    answers_ = iter([page(503)] * 3)
    shows(machine)

    def warming(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(next(answers_, page()))

    with serving(warming) as port:
        assert Healthy((native(port, path="/"),), settle=0.0).until(machine, 60).ok


def test_a_process_that_has_answered_is_not_probed_again_but_its_successor_is(machine: Recorder) -> None:
    asked: list[int] = []

    def counted(line: socket.socket) -> None:
        asked.append(1)
        line.recv(4096)
        line.sendall(page())

    with serving(counted) as port:
        poller = Poller(60)
        for pid, times in ((GONE, 1), (GONE, 1), (GONE + 1, 2)):
            shows(machine, MainPID=pid)
            assert health.healthy(machine, (native(port, path="/"),), poller=poller)["native/api"].ok
            assert len(asked) == times


def test_ports_are_free_or_have_their_holder(machine: Recorder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"{port} by" in PortsFree((port,)).check(machine).text
        assert f"pid {os.getpid()}" in PortsFree((port,)).check(machine).text
    assert PortsFree((port,)).check(machine).ok


# ── Waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_ends_early_when_one_is_beyond_hope(machine: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SETTLE_SECONDS", 0.01)
    shows(machine, "failed", "failed")
    started = time.monotonic()
    assert not wait_until_healthy(machine, (native(),), 60)["native/api"].ok
    assert time.monotonic() - started < 30
    shows(machine)
    assert wait_until_healthy(machine, (native(),), 30)["native/api"].ok


@pytest.mark.parametrize(
    ("later", "looks"),
    [({}, 3), ({"active": "inactive", "sub": "dead"}, 3)],
    ids=["comes up", "is over"],
)
def test_what_is_on_its_way_is_waited_for_and_what_is_over_is_not(
    machine: Recorder, monkeypatch: pytest.MonkeyPatch, later: dict[str, Any], looks: int
) -> None:
    shows(machine, active="activating", sub="start")
    seen: list[float] = []

    def nap(seconds: float) -> None:
        seen.append(seconds)
        if len(seen) == looks - 1:
            shows(machine, **later)

    monkeypatch.setattr(time, "sleep", nap)
    (found,) = wait_until_settled(machine, (native(),), 60).values()
    assert found.ok is not bool(later) and len(seen) == looks - 1


def test_all_verdicts_make_one_observation(machine: Recorder) -> None:
    good, bad = Health("a", "native", True, "healthy"), Health("b", "native", False, "down", permanent=True)
    assert observation_of({"native/a": good}).text == "1 healthy"
    seen = observation_of({"native/a": good, "native/b": bad})
    assert (seen.ok, seen.permanent, seen.text) == (False, True, "b: down")
    assert seen.data == {"native/a": "healthy", "native/b": "down"}


def test_the_probe_says_no_where_systemd_does_not_answer(machine: Recorder) -> None:
    machine.answers["systemctl"] = (1, "", "Failed to connect to bus")
    seen = Healthy((native(),)).check(machine)
    assert not seen.ok and not seen.permanent

"""systemd's, Compose's and UFW's verbs: what they conclude from facts, and the very words they run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import pytest

from fabfile.runner.actions.compose import Down, Make, Up
from fabfile.runner.actions.firewall import AllowRule
from fabfile.runner.actions.probes import ContainersDown, UnitsDown, UnitsValid
from fabfile.runner.actions.units import Disable, Enable, Restart, Start, Stop
from fabfile.runner.system.machine import CommandFailed, Machine, Result, StepFailed
from fabfile.runner.wire.app import Compose
from fabfile.runner.wire.facts import Container, Facts, Unit
from tests.runner.support.recorder import Recorder
from tests.runner.support.run_options import RunOptions

A, B = "a.service", "b.service"


def unit(name: str = A, active: str = "active", sub: str = "running", enabled: str = "enabled") -> Unit:
    return Unit(name, "loaded", active, sub, enabled, 0, 1, "success", f"/system.slice/{name}", False)


def units(*found: Unit) -> Facts:
    return Facts(units={item.name: item for item in found})


def users(*found: Unit) -> Facts:
    return Facts(user_units={item.name: item for item in found})


UP, DOWN = unit(A), unit(B, "inactive", "dead", "disabled")


@pytest.mark.parametrize("kind", [Start, Stop, Enable, Disable, Restart])
def test_nothing_is_concluded_while_the_user_manager_does_not_answer(kind: Callable[..., Any]) -> None:
    facts = Facts(user_manager="lingering is off for delta")
    assert kind((A,), "delta").unreadable_reason(facts) == "lingering is off for delta"
    assert not kind((A,)).unreadable_reason(facts), "the system's units can be asked"


def test_inspecting_units_fails_while_systemd_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="lingering is off for nobody"):
        Stop((A,), "nobody").inspect(Recorder(tmp_path))


def test_start_acts_on_those_that_do_not_run(tmp_path: Path) -> None:
    action = Start((A, B))
    assert action.noop_reason(units(UP, unit(B)))
    assert not action.noop_reason(units(UP, DOWN))
    assert not action.noop_reason(units(UP, unit(B, "activating", "auto-restart"))), "a crash loop is no running"
    before = action.snapshot(units(UP, DOWN))
    assert before == {"down": [B]}
    machine = Recorder(tmp_path, {"systemctl reset-failed": (1, "", "not loaded")})
    action.apply(machine, before)
    action.undo(machine, before)
    assert changing(machine) == [
        ("systemctl", "reset-failed", "--", B),
        ("systemctl", "start", "--", B),
        ("systemctl", "stop", "--", B),
    ]


@pytest.mark.parametrize("active", ["active", "activating", "reloading"])
def test_stop_acts_on_whatever_may_run(tmp_path: Path, active: str) -> None:
    action = Stop((A, B), "delta")
    facts = users(unit(A, active, "auto-restart"), DOWN)
    assert not action.noop_reason(facts)
    assert action.noop_reason(users(unit(A, "failed", "failed"), DOWN))
    before = action.snapshot(facts)
    machine = Recorder(tmp_path)
    action.apply(machine, before)
    action.undo(machine, before)
    assert changing(machine) == [("systemctl", "--user", "stop", "--", A), ("systemctl", "--user", "start", "--", A)]
    assert set(machine.users) == {"delta"}


class Failing(Recorder):
    """A systemd whose unit is left failed by every stop, until somebody resets it."""

    fixes = True

    def run(self, argv: Sequence[str], **more: Unpack[RunOptions]) -> Result:
        if "stop" in argv:
            self.answers["systemctl show"] = "ActiveState=failed\nSubState=failed\nResult=exit-code\n"
        elif "reset-failed" in argv and self.fixes:
            self.answers["systemctl show"] = "ActiveState=inactive\nSubState=dead\n"
        return super().run(argv, **more)


@pytest.mark.parametrize(
    "put_down",
    [
        lambda machine: Stop((A,)).apply(machine, {"up": [A]}),
        lambda machine: Start((A,)).undo(machine, {"down": [A]}),
        lambda machine: Restart((A,)).undo(machine, {"down": [A]}),
    ],
    ids=["stop", "undo of a start", "undo of a restart"],
)
def test_a_unit_that_ends_badly_on_its_stop_signal_is_not_left_failed(
    tmp_path: Path, put_down: Callable[[Recorder], dict[str, Any]]
) -> None:
    """An app may well end with 1 then: what was asked for is no failure, but it is told."""
    machine = Failing(tmp_path)
    assert put_down(machine) == {"stopped": [A], "ended_badly": {A: "exit-code"}}
    assert changing(machine) == [("systemctl", "stop", "--", A), ("systemctl", "reset-failed", "--", A)]


def test_a_unit_that_stays_failed_is_reported(tmp_path: Path) -> None:
    machine = Failing(tmp_path)
    machine.fixes = False
    ended = Stop((A,)).apply(machine, {"up": [A]})["ended_badly"]
    assert ended == {A: "exit-code, and systemd still calls it failed"}


def changing(machine: Recorder) -> list[tuple[str, ...]]:
    """The calls that are not only questions."""
    return [call for call in machine.calls if "show" not in call]


def test_enable_and_disable_change_only_what_differs(tmp_path: Path) -> None:
    facts, machine = units(UP, DOWN), Recorder(tmp_path)
    enable, disable = Enable((A, B)), Disable((A, B))
    assert (enable.snapshot(facts), disable.snapshot(facts)) == ({"off": [B]}, {"on": [A]})
    for action in (enable, disable):
        assert not action.noop_reason(facts)
        action.apply(machine, action.snapshot(facts))
        action.undo(machine, action.snapshot(facts))
    assert [call[1:] for call in machine.calls] == [
        ("enable", "--", B),
        ("disable", "--", B),
        ("disable", "--", A),
        ("enable", "--", A),
    ]
    assert enable.noop_reason(units(UP, unit(B)))
    assert disable.noop_reason(units(DOWN, unit(A, enabled="")))
    assert disable.noop_reason(units(DOWN, unit(A, enabled="masked")))


def test_restart_always_acts_and_stops_again_what_was_down(tmp_path: Path) -> None:
    action, facts, machine = Restart((A, B)), units(UP, DOWN), Recorder(tmp_path)
    assert not action.noop_reason(facts)
    action.apply(machine, action.snapshot(facts))
    action.undo(machine, action.snapshot(facts))
    assert [call[1:] for call in changing(machine)] == [("restart", "--", A, B), ("stop", "--", B)]


@pytest.mark.parametrize("key", ["down", "up", "off", "on"])
def test_nothing_to_put_back_runs_nothing(tmp_path: Path, key: str) -> None:
    machine, kinds = Recorder(tmp_path), {"down": Start, "up": Stop, "off": Enable, "on": Disable}
    kinds[key]((A,)).undo(machine, {key: []})
    assert machine.calls == []


def test_down_means_neither_running_nor_about_to(tmp_path: Path) -> None:
    shown = "ActiveState={}\nSubState={}\n\nActiveState=inactive\nSubState=dead\n"
    machine = Recorder(tmp_path)
    for active, sub, down in (
        ("failed", "failed", True),
        ("activating", "auto-restart", False),
        ("deactivating", "", False),
    ):
        machine.answers["systemctl show"] = shown.format(active, sub)
        assert UnitsDown((A, B)).check(machine).ok == down
    machine.answers["systemctl show"] = (1, "", "Failed to connect to bus")
    seen = UnitsDown((A, B)).check(machine)
    assert not seen.ok, "who cannot be asked is not down"
    machine.answers["systemctl show"] = "ActiveState=inactive\n"
    assert not UnitsDown((A, B)).check(machine).ok, "one answer for two units"


# ── Compose ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PROJECT = Compose("islandflow-vps", "/c/docker-compose.yml", "/c")
COMPOSE = (
    *("docker", "compose", "--project-name", "islandflow-vps"),
    *("--project-directory", "/c", "--file", "/c/docker-compose.yml"),
)
CREATE = ("up", "--no-start", "--no-build", "--pull", "never")


def container(service: str, state: str = "running") -> Container:
    return Container(service, f"x-{service}-1", "id", state, "", 0, 1, "", "image", "10.0.0.2", {})


def docker(*found: Container, **more: Any) -> Facts:
    return Facts(containers={item.service: item for item in found}, **more)


def made(*services: str) -> dict[str, Any]:
    """Answers of a Docker that has a container for each of these services."""
    return {"docker ps": "".join(f"{service}\tx-{service}-1\tcreated\n" for service in services)}


def changes(machine: Recorder) -> list[tuple[str, ...]]:
    """The calls that are not only questions."""
    return [call for call in machine.calls if call[1] not in ("ps", "inspect")]


def test_up_starts_exactly_these_that_are_down(tmp_path: Path) -> None:
    action = Up(PROJECT, ("web", "api"))
    assert action.noop_reason(docker(container("web"), container("api")))
    assert not action.noop_reason(docker(container("web")))
    facts = docker(container("web"), container("api", "exited"))
    machine, before = Recorder(tmp_path, made("web", "api")), action.snapshot(facts)
    action.apply(machine, before)
    action.undo(machine, before)
    assert changes(machine) == [("docker", "start", "x-api-1"), ("docker", "stop", "x-api-1")]


def test_a_container_that_somebody_removed_is_made_again_and_where_that_fails_it_is_named(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, made("web"))
    with pytest.raises(StepFailed, match="no container for api"):
        Up(PROJECT, ("web", "api")).apply(machine, {"down": ["web", "api"]})
    assert changes(machine) == [(*COMPOSE, *CREATE, "--no-recreate", "api")]


def test_containers_are_made_as_the_file_says_and_those_that_run_are_left_alone(tmp_path: Path) -> None:
    action = Make(PROJECT, ("web", "api"))
    assert action.noop_reason(docker(container("web"), container("api")))
    facts = docker(container("web"), container("api", "exited"))
    assert not action.noop_reason(facts)
    machine, before = Recorder(tmp_path, made("web", "api")), action.snapshot(facts)
    action.apply(machine, before)
    action.undo(machine, before)
    # `up` would stop and remake what runs, where it is out of date and `api` depends on it.
    assert changes(machine) == [("docker", "rm", "x-api-1"), (*COMPOSE, *CREATE, "--no-recreate", "api")]
    down = docker(container("web", "exited"), container("api", "exited"))
    machine, before = Recorder(tmp_path, made("web", "api")), action.snapshot(down)
    action.apply(machine, before)
    assert changes(machine) == [(*COMPOSE, *CREATE, "web", "api")]


def test_containers_besides_the_chosen_services_are_left_alone_too(tmp_path: Path) -> None:
    facts = docker(container("web", "exited"), container("nats"))
    machine, action = Recorder(tmp_path, made("web")), Make(PROJECT, ("web",))
    action.apply(machine, action.snapshot(facts))
    assert changes(machine) == [("docker", "rm", "x-web-1"), (*COMPOSE, *CREATE, "--no-recreate", "web")]


def test_all_containers_of_a_service_are_the_service(tmp_path: Path) -> None:
    scaled = {"docker ps": "web\tx-web-1\trunning\nweb\tx-web-2\trunning\n"}
    machine = Recorder(tmp_path, scaled)
    Down(PROJECT, ("web",)).apply(machine, {"up": ["web"]})
    assert changes(machine) == [("docker", "stop", "x-web-1", "x-web-2")]


@pytest.mark.parametrize("overlay", [True, False])
def test_the_overlay_lies_over_the_own_file_once_it_is_written(tmp_path: Path, overlay: bool) -> None:
    path = tmp_path / "overlay.yml"
    if overlay:
        path.write_text("services: {}\n")
    project = Compose("islandflow-vps", "/c/docker-compose.yml", "/c", str(path))
    machine = Recorder(tmp_path, made("web"))
    Make(project, ("web",)).apply(machine, {"down": ["web"], "beside": []})
    laid = ("--file", str(path)) if overlay else ()
    assert changes(machine) == [(*COMPOSE, *laid, *CREATE, "web")]


@pytest.mark.parametrize("state", ["running", "restarting", "paused"])
def test_down_stops_by_hand_and_brings_back_the_same_containers(tmp_path: Path, state: str) -> None:
    action = Down(PROJECT, ("web", "api", "new"))
    facts = docker(container("web", state), container("api", "exited"))
    assert not action.noop_reason(facts)
    assert action.noop_reason(docker(container("web", "exited"), container("api", "created")))
    machine, before = Recorder(tmp_path, made("web")), action.snapshot(facts)
    action.apply(machine, before)
    action.undo(machine, before)
    assert changes(machine) == [("docker", "stop", "x-web-1"), ("docker", "start", "x-web-1")]


@pytest.mark.parametrize(("since", "anew"), [("2026-01-01T00:00:01Z", True), ("2026-01-01T00:00:09Z", False)])
def test_what_somebody_started_since_the_plan_stopped_it_is_started_anew(
    tmp_path: Path, since: str, anew: bool
) -> None:
    """It may run on files that changed their owner beneath it, and `docker start` does nothing to what runs."""
    state = inspected(Status="running", StartedAt="2026-01-01T00:00:09Z")
    listed = {"docker ps": "web\tx-web-1\trunning\n", "docker inspect": state}
    # The list of ids comes from `docker ps` as well, and the recorder gives it the same text.
    machine = Recorder(tmp_path, listed)
    evidence = Down(PROJECT, ("web",)).undo(machine, {"up": ["web"], "started": {"x-web-1": since}})
    assert evidence.get("restarted", []) == (["x-web-1"] if anew else [])
    stop = [("docker", "stop", "x-web-1")] if anew else []
    assert changes(machine) == [*stop, ("docker", "start", "x-web-1")]


def test_what_never_ran_or_was_stopped_on_purpose_is_not_started_beside_what_ran(tmp_path: Path) -> None:
    """An interrupted `up` leaves such a container; two servers on one data directory write over each other."""
    former = replace(container("web"), started="2026-01-01T00:00:01Z", siblings=(container("web", "exited"),))
    before = Down(PROJECT, ("web",)).snapshot(docker(former))
    listed = {"docker ps": "web\t1f_x-web-1\tcreated\nweb\tx-web-1\texited\nweb\tx-web-2\texited\n"}
    machine = Recorder(tmp_path, listed)
    Down(PROJECT, ("web",)).undo(machine, before)
    assert changes(machine) == [("docker", "start", "x-web-1")]

    machine = Recorder(tmp_path, listed)
    Up(PROJECT, ("web",)).apply(machine, {"down": ["web"]})
    assert sorted(changes(machine)) == [("docker", "start", "x-web-1"), ("docker", "start", "x-web-2")]


def test_one_of_several_that_runs_is_seen_whatever_the_order(tmp_path: Path) -> None:
    facts = docker(replace(container("web", "exited"), siblings=(container("web", "restarting"),)))
    assert not Down(PROJECT, ("web",)).noop_reason(facts)


@pytest.mark.parametrize("kind", [Make, Up, Down])
def test_nothing_is_concluded_while_docker_does_not_answer(tmp_path: Path, kind: Callable[..., Any]) -> None:
    machine = Recorder(tmp_path, {"docker": (1, "", "Cannot connect to the Docker daemon")})
    with pytest.raises(StepFailed, match="Cannot connect to the Docker daemon"):
        kind(PROJECT, ("web",)).inspect(machine)


@pytest.mark.parametrize("answer", [(1, "", "Cannot connect to the Docker daemon"), (0, "no JSON", "")])
def test_a_daemon_that_vanishes_between_two_questions_has_not_stopped_anything(tmp_path: Path, answer: Any) -> None:
    machine = Recorder(tmp_path, {"docker ps": "abc\n", "docker inspect": answer})
    with pytest.raises(StepFailed, match="Docker does not answer"):
        Down(PROJECT, ("web",)).inspect(machine)


@pytest.mark.parametrize("answer", [(1, "", "Cannot connect to the Docker daemon"), "half an ans"])
def test_containers_are_not_down_while_docker_does_not_answer(tmp_path: Path, answer: Any) -> None:
    machine = Recorder(tmp_path, {"docker ps": answer})
    assert not ContainersDown("islandflow-vps", ("web",)).check(machine).ok


@pytest.mark.parametrize("state", ["running", "restarting", "paused", "removing"])
def test_containers_are_down_when_none_is_left_in_any_other_state(tmp_path: Path, state: str) -> None:
    probe = ContainersDown("islandflow-vps", ("web",))
    down = "web\tx-web-1\texited\nweb\tx-web-2\tcreated\napi\tx-api-1\trunning\n"
    assert probe.check(Recorder(tmp_path, {"docker ps": down})).ok
    seen = probe.check(Recorder(tmp_path, {"docker ps": f"web\tx-web-2\t{state}\n{down}"}))
    assert (seen.ok, seen.text) == (False, f"web is {state}")


def inspected(**state: Any) -> str:
    labels = {"com.docker.compose.service": "web"}
    item = {"Config": {"Labels": labels}, "NetworkSettings": {}, "Name": "/x-web-1", "Id": "1", "State": state}
    return json.dumps([item])


def test_a_container_that_vanishes_meanwhile_is_no_error(tmp_path: Path) -> None:
    inspect = (1, inspected(Status="exited"), "Error response from daemon: No such container: def")
    machine = Recorder(tmp_path, {"docker ps": "abc\ndef\n", "docker inspect": inspect})
    assert Down(PROJECT, ("web",)).inspect(machine).noop_reason


# ── UFW ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

ALLOW = AllowRule("172.18.0.0/16", 4000, "npm bridge to native api")
RULE = "ufw allow from 172.18.0.0/16 to any port 4000 proto tcp comment 'npm bridge to native api'"
WORDS = ("allow", "proto", "tcp", "from", "172.18.0.0/16", "to", "any", "port", "4000")


def filtering(tmp_path: Path, *rules: str) -> Recorder:
    listed = "\n".join(["Added user rules (see 'ufw status' for running firewall):", *rules])
    status = "Status: active\nDefault: deny (incoming), allow (outgoing), deny (routed)\n"
    return Recorder(tmp_path, {"ufw status verbose": status, "ufw show added": listed})


def test_a_rule_is_added_and_deleted_again(tmp_path: Path) -> None:
    machine = filtering(tmp_path, "ufw allow 22/tcp")
    look = ALLOW.inspect(machine)
    assert not look.noop_reason
    machine.answers["ufw show added"] = RULE
    ALLOW.apply(machine, look.before)
    ALLOW.undo(machine, look.before)
    acts = [call for call in machine.calls if call[1] not in ("status", "show")]
    assert acts == [("ufw", *WORDS, "comment", "npm bridge to native api"), ("ufw", "--force", "delete", *WORDS)]


def test_a_rule_that_is_there_already_is_enough(tmp_path: Path) -> None:
    assert RULE in ALLOW.inspect(filtering(tmp_path, RULE)).noop_reason
    off = Recorder(tmp_path, {"ufw status": "Status: inactive\n"})
    assert "not active" in ALLOW.inspect(off).noop_reason
    assert "not installed" in ALLOW.noop_reason(Facts())
    with pytest.raises(StepFailed, match="problem running iptables"):
        ALLOW.inspect(Recorder(tmp_path, {"ufw": (1, "", "ERROR: problem running iptables")}))


def test_a_rule_above_that_denies_is_a_failure_and_our_own_former_rule_is_kept(tmp_path: Path) -> None:
    machine = filtering(tmp_path, "ufw deny 4000", RULE)
    look = ALLOW.inspect(machine)
    assert not look.noop_reason
    with pytest.raises(StepFailed, match="an earlier rule still blocks"):
        ALLOW.apply(machine, look.before)
    ALLOW.undo(machine, look.before)
    assert machine.said("ufw", "--force") == [], "somebody else made it"


# ── What systemd says against units ────────────────────────────────────────────────────────────────────────────────


def test_a_wait_that_fails_names_its_length(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"systemctl show": "ActiveState=active\nSubState=running\n"})
    down = UnitsDown((A,))
    with pytest.raises(StepFailed, match=r"a\.service is active/running \(waited [\d.]+ s\)"):
        down.until(machine, 0.1)
    machine.answers["systemctl show"] = "ActiveState=inactive\n"
    assert down.until(machine, 0.1).text == "all down"


def test_a_final_failure_does_not_wait_until_the_deadline(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"systemd-analyze": "a.service: bad"})
    with pytest.raises(StepFailed) as caught:
        UnitsValid(("/etc/systemd/system/a.service",)).until(machine, 600.0)
    said = re.search(r"\(waited ([\d.]+) s\)", str(caught.value))
    assert said and float(said[1]) < 300


OURS, THEIRS = "/etc/systemd/system/a.service", "/etc/systemd/system/other.service"


@pytest.mark.parametrize(
    ("said", "against"),
    [
        ("", ""),
        (f"{OURS}:3: Unknown key name 'ExceStart' in section 'Service', ignoring.", "ExceStart"),
        ("a.service: Command /usr/sbin/gone is not executable: No such file or directory", "/usr/sbin/gone"),
        (f"{OURS}.d/mine.conf:2: Assignment outside of section, ignoring.", "outside of section"),
        ("Failed to prepare: something nameless", "nameless"),
        (f"{THEIRS}:7: Unit uses KillMode=none.", ""),
        (f"{THEIRS}.d/x.conf:1: Unknown key name 'Y'.\nother.socket: ListenStream= is below /var/run", ""),
        ("other.service: wants a.service, which is odd", "which is odd"),
    ],
)
def test_any_word_of_systemds_against_our_units_is_a_failure_whatever_its_exit_code(
    tmp_path: Path, said: str, against: str
) -> None:
    for code in (0, 1) if said else (0,):
        seen = UnitsValid((OURS,)).check(Recorder(tmp_path, {"systemd-analyze": (code, "", said)}))
        assert seen.ok is not bool(against) and against in seen.text
        assert seen.permanent, "it will not change by waiting"


def test_a_failure_without_a_word_is_a_failure(tmp_path: Path) -> None:
    seen = UnitsValid((OURS,)).check(Recorder(tmp_path, {"systemd-analyze": (1, "", "")}))
    assert not seen.ok and seen.text == "systemd-analyze ended with 1"


def test_a_users_units_are_judged_by_that_users_manager(tmp_path: Path) -> None:
    machine = Recorder(tmp_path)
    assert UnitsValid((OURS,), "delta").check(machine).ok
    assert machine.calls == [("systemd-analyze", "--user", "--man=no", "verify", OURS)] and machine.users == ["delta"]


def test_units_are_not_valid_while_systemd_does_not_answer(tmp_path: Path) -> None:
    class Mute(Recorder):
        def run(self, argv: Sequence[str], **more: Unpack[RunOptions]) -> Result:
            raise CommandFailed("systemd-analyze could not be started")

    assert not UnitsValid((OURS,)).check(Mute(tmp_path)).ok


def test_systemds_own_verdict_on_a_good_and_a_bad_unit(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.service", tmp_path / "bad.service"
    good.write_text("[Service]\nExecStart=/bin/true\n")
    bad.write_text("[Service]\nExecStart=/bin/true\nExceStart=/bin/true\n")
    machine = Machine(tmp_path)
    assert UnitsValid((str(good),)).check(machine).ok
    seen = UnitsValid((str(good), str(bad))).check(machine)
    assert not seen.ok and "ExceStart" in seen.text

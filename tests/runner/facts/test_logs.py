"""The last lines of what failed: its own, few, and without a secret."""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import pytest

from fabfile.runner import engine
from fabfile.runner.actions.probes import Healthy
from fabfile.runner.actions.units import Start
from fabfile.runner.facts import health, logs
from fabfile.runner.facts.logs import MAX_LINES, last_lines, masked
from fabfile.runner.system.machine import Result
from fabfile.runner.wire.facts import Health, Workload
from fabfile.runner.wire.plan import NothingToUndo, Plan, Step, Undo
from tests.runner.support.recorder import Recorder
from tests.runner.support.run_options import RunOptions
from tests.runner.support.worlds import World

ME = getpass.getuser()
API = Workload("api", "native", unit="flow-api.service", user=ME)
NATS = Workload("nats", "native", unit="flow-nats.service")
BOXED = Workload("api", "docker", project="flow")
SECRET = "s3cret-value"


@pytest.fixture
def machine(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def last(machine: Recorder, workload: Workload) -> list[str]:
    """Its last lines."""
    return last_lines(machine, [workload], 1700000000.4).get(f"{workload.runtime}/{workload.name}", [])


def test_a_users_unit_is_found_by_that_user_since_the_plan_began(machine: Recorder) -> None:
    machine.answers["journalctl"] = "\n".join(f"line {number}" for number in range(9))
    assert last(machine, API) == [f"line {number}" for number in range(9 - MAX_LINES, 9)]
    (call,) = machine.said("journalctl")
    assert "--since=@1700000000" in call and f"--lines={MAX_LINES}" in call
    assert call[-2] == "_SYSTEMD_USER_UNIT=flow-api.service" and call[-1].startswith("_UID=")


def test_one_line_again_and_again_is_shown_once(machine: Recorder) -> None:
    machine.answers["journalctl"] = "a\nno\nno\nno\nb\n"
    assert last(machine, API) == ["a", "no (× 3)", "b"]


def test_where_the_app_said_nothing_systemd_is_heard(tmp_path: Path) -> None:
    class Silent(Recorder):
        def run(self, argv: Sequence[str], **more: Unpack[RunOptions]) -> Result:
            self.answers["journalctl"] = "Failed to load environment files" if "UNIT=flow-nats.service" in argv else ""
            return super().run(argv, **more)

    machine = Silent(tmp_path)
    assert last(machine, NATS) == ["Failed to load environment files"]
    assert [call[-1] for call in machine.said("journalctl")] == [
        "_SYSTEMD_UNIT=flow-nats.service",
        "UNIT=flow-nats.service",
    ]


def test_both_streams_of_a_container_are_one_in_the_order_of_time(machine: Recorder) -> None:
    machine.answers |= {
        "docker ps": "api\tflow-api-1\texited\n",
        "docker logs": (0, "2026-01-01T00:00:02Z then this\n", "2026-01-01T00:00:01Z first that\n"),
        "docker inspect": json.dumps([]),
    }
    assert last(machine, BOXED) == ["first that", "then this"]
    assert "flow-api-1" in machine.said("docker", "logs")[0]


def test_what_the_env_files_of_a_unit_hold_is_masked(machine: Recorder, tmp_path: Path) -> None:
    env = tmp_path / "app.env"
    env.write_text(f"PROVIDER_KEY={SECRET}\nNAME=market\nAPI_AUTH=true\nDB_PASSWORD=abc\n")
    machine.answers["systemctl"] = (
        f"EnvironmentFiles={env} (ignore_errors=no)\nEnvironmentFiles=/nowhere/x (ignore_errors=no)\n"
    )
    machine.answers["journalctl"] = f"asked {SECRET} of market, true abc\n"
    assert last(machine, API) == ["asked ••• of market, true abc"]


def test_what_a_container_has_in_its_environment_is_masked(machine: Recorder) -> None:
    machine.answers |= {
        "docker ps": "api\tflow-api-1\trunning\n",
        "docker logs": f"2026-01-01T00:00:02Z with {SECRET}\n",
        "docker inspect": json.dumps([f"TOKEN={SECRET}", "HOME=/root"]),
    }
    assert last(machine, BOXED) == ["with •••"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Error: connect ECONNREFUSED 127.0.0.1:4222", "Error: connect ECONNREFUSED 127.0.0.1:4222"),
        ("SyntaxError: Unexpected token } in JSON", "SyntaxError: Unexpected token } in JSON"),
        ("nats://user:pass@10.0.0.1:4222 refused", "nats://•••@10.0.0.1:4222 refused"),
        ("authorization: Bearer abc.def", "authorization: Bearer •••"),
        ('{"apiKey":"abc","level":30}', '{"apiKey":"•••","level":30}'),
        ("GET /v1?api_key=abc&limit=1", "GET /v1?api_key=•••&limit=1"),
        ("PASSWORD = abc", "PASSWORD = •••"),
        ("\x1b[31mred\x1b[0m\x07", "red"),
        ("x" * 999, "x" * 299 + "…"),
    ],
)
def test_a_line_is_shown_without_what_its_own_words_say_is_secret(line: str, shown: str) -> None:
    assert masked(line, ()) == shown


@pytest.mark.parametrize("answer", [(1, "", "no journal"), ""])
def test_what_cannot_be_had_is_left_out(machine: Recorder, answer: Any) -> None:
    machine.answers |= {"journalctl": answer, "docker": (1, "", "no daemon")}
    nobody = Workload("api", "native", unit="x.service", user="islandflow-nobody")
    assert last_lines(machine, [API, NATS, BOXED, nobody], 0.0) == {}


# ── In a plan ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def said(lines: dict[str, list[str]], asked: list[list[str]]) -> Any:
    """A stand-in for the journal, which notes who was asked for."""

    def answer(machine: Any, workloads: Any, since: float) -> dict[str, list[str]]:
        asked.append([f"{w.runtime}/{w.name}" for w in workloads])
        return {key: lines[key] for key in asked[-1] if key in lines}

    return answer


def test_a_failed_step_quotes_those_that_failed_in_message_and_evidence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = {
        "native/api": Health("api", "native", False, "unit is failed", permanent=True),
        "native/nats": Health("nats", "native", True, "healthy"),
    }
    asked: list[list[str]] = []
    monkeypatch.setattr("fabfile.runner.actions.probes.healthy", lambda *_: verdicts)
    monkeypatch.setattr(health, "healthy", lambda *_: verdicts)
    monkeypatch.setattr(engine, "wait_until_settled", lambda *_: {})
    monkeypatch.setattr(logs, "last_lines", said({"native/api": ["boom", "at index.ts:3"]}, asked))
    step = Step("start", world.step("a").action, NothingToUndo("a test"), verify=(Healthy((API, NATS)),), deadline=0.0)
    plan = Plan("test", (step,), id="p1")
    assert world.execute(plan)[0] == "reverted"
    assert asked == [["native/api"]]
    failed = next(event["evidence"] for event in world.events(plan) if event["kind"] == "failed")
    assert failed["logs"] == {"native/api": ["boom", "at index.ts:3"]}
    why = world.events(plan)[-1]["evidence"]["why"]
    assert why == failed["error"] and why.endswith("native/api logged last:\n  boom\n  at index.ts:3")


def test_the_same_words_are_not_quoted_again_on_the_way_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = {"native/api": Health("api", "native", False, "unit is failed", permanent=True)}
    monkeypatch.setattr("fabfile.runner.actions.probes.healthy", lambda *_: verdicts)
    monkeypatch.setattr(engine, "wait_until_settled", lambda *_: {})
    monkeypatch.setattr(logs, "last_lines", said({"native/api": ["boom"]}, []))
    probe = (Healthy((API,)),)
    step = Step("start", world.step("a").action, Undo(verify=probe, deadline=0.0), verify=probe, deadline=0.0)
    plan = Plan("test", (step,), id="p1")
    assert world.execute(plan)[0] == "stuck"
    last = world.events(plan)[-1]["evidence"]
    assert "boom" in last["why"] and "boom" not in last["error"]


def test_a_unit_that_does_not_even_start_is_quoted_and_those_that_do_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = Start(("bad.service", "good.service")).about()
    shown = "ActiveState=failed\nSubState=failed\n\nActiveState=active\nSubState=running\n"
    machine = Recorder(tmp_path, {"systemctl show": shown})
    assert [w.unit for w in logs.failed(machine, about)] == ["bad.service"]
    machine.answers["systemctl show"] = shown.replace("failed\nSub", "activating\nSub").replace(
        "=failed", "=auto-restart"
    )
    assert [w.unit for w in logs.failed(machine, about)] == ["bad.service"]
    machine.answers["systemctl show"] = (1, "", "no bus")
    assert logs.failed(machine, about) == []

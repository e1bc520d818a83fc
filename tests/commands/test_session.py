"""What every task does around its plan: nothing that is not asked for, and an exit code that fits the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fabfile import output, public
from fabfile.checks import preflight
from fabfile.checks.result import Finding
from fabfile.commands import follow, session, status, streams
from fabfile.commands.apply import Operation
from fabfile.console import Console
from fabfile.errors import CutoverError, Failed, Interrupted, LockHeld, PreflightRefused, Unreachable, UsageError
from fabfile.inventory import Site
from fabfile.plans import decisive
from fabfile.plans.plan import Plan, Step, Undo
from fabfile.public import Check
from fabfile.runner.actions.files import File, Files
from fabfile.runner.wire import formats
from fabfile.runner.wire.app import JetStream, Stream
from fabfile.runner.wire.events import Event, PastPlan
from fabfile.runner.wire.facts import Facts, FactsRequest, FileFact, Health, Workload
from fabfile.runner.wire.store import LockHolder, StoreState
from fabfile.terms import Runtime
from tests.support.entry_points import islandflow
from tests.support.events import PLAN, begun, event, finished, tally
from tests.support.fake_host import GOOD_HOST, FakeHost

CONTENT = b"wanted\n"
FILE = File("/etc/x", hashlib.sha256(CONTENT).hexdigest(), content=CONTENT)
THERE = FileFact("/etc/x", "file", 0o644, "root", "root", FILE.sha256, CONTENT.decode())
DONE = [begun(), event("start", "files", 0, what="write", before={}), event("done", "files"), finished("done")]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost.shipping(DONE, monkeypatch)


def build(site: Site, facts: Facts, confirm_within: float = 0.0) -> Plan:
    return Plan("cutover", (Step("files", Files((FILE,)), Undo()),), confirm_within)


def unsure(site: Site, facts: Facts) -> Plan:
    """A plan that waits for a confirmation."""
    return build(site, facts, 2.0)


def operation(*, dry: bool = False, wait: bool = False, json: bool = False) -> Operation:
    return Operation(object(), dry=dry, wait=wait, json=json)


# ── A plan ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_is_surveyed_for_shipped_and_followed(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    operation().apply(build)
    assert host.calls == [("survey",), ("ship",)]
    [plan] = host.shipped
    assert plan.name == "cutover" and "-cutover-" in plan.id and "@" in plan.who
    assert "✓ files 1.5 s" in capsys.readouterr().err


def test_every_plan_tells_in_its_end_what_runs_and_what_did_before(host: FakeHost) -> None:
    health = {"native/api": Health("api", "native", True, "healthy"), "native/web": Health("web", "native", False, "x")}
    host.facts = Facts(host=GOOD_HOST, health=health)
    operation().apply(build)
    [plan] = host.shipped
    assert {"native/api", "docker/redis"} <= {f"{w.runtime}/{w.name}" for w in plan.workloads}
    assert plan.well == ("native/api",)


def test_a_plan_whose_results_are_there_ships_nothing(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.facts = Facts(host=GOOD_HOST, files={"/etc/x": THERE})
    operation().apply(build)
    assert host.verbs == []
    out = capsys.readouterr().out
    assert "nothing to do" in out and "1 files are up to date" in out


@pytest.mark.parametrize("facts", [Facts(host=GOOD_HOST), Facts(host=GOOD_HOST, files={"/etc/x": THERE})])
@pytest.mark.parametrize("dry", [False, True])
def test_each_step_is_judged_once(host: FakeHost, facts: Facts, dry: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    host.facts = facts
    judged: list[Files] = []
    noop_reason = Files.noop_reason

    def counted(action: Files, facts: Facts) -> str:
        judged.append(action)
        return noop_reason(action, facts)

    monkeypatch.setattr(Files, "noop_reason", counted)
    operation(dry=dry).apply(build)
    assert len(judged) == 1


@pytest.mark.parametrize("json_lines", [False, True])
def test_dry_ships_nothing(host: FakeHost, json_lines: bool, capsys: pytest.CaptureFixture[str]) -> None:
    operation(dry=True, json=json_lines).apply(unsure)
    assert host.verbs == []
    out = capsys.readouterr().out
    if json_lines:
        [line] = [json.loads(line) for line in out.splitlines()]
        assert line["kind"] == "plan" and line["plan"]["name"] == "cutover" and line["no_ops"] == {}
    else:
        assert "1 of 1 steps would change something" in out and "+wanted" in out


def test_secrets_are_got_only_for_what_is_shipped_and_go_beside_it(host: FakeHost) -> None:
    asked: list[object] = []

    def secrets(door: object) -> dict[str, str]:
        asked.append(door)
        return {"npm": "a token"}

    operation(dry=True).apply(build, secrets=secrets)
    assert asked == []
    operation().apply(build, secrets=secrets)
    assert asked == [host] and host.secrets == {"npm": "a token"}
    assert "a token" not in repr(host.shipped)


def test_each_plan_has_a_name_of_its_own(host: FakeHost) -> None:
    operation().apply(build)
    operation().apply(build)
    assert host.shipped[0].id != host.shipped[1].id


@pytest.mark.parametrize("dry", [False, True])
def test_preflight_refuses_with_all_findings_before_anything_is_shipped(host: FakeHost, dry: bool) -> None:
    findings = [Finding("port 3000 is held", "stop it"), Finding("no lingering", "enable it")]
    with pytest.raises(PreflightRefused) as caught:
        operation(dry=dry).apply(build, judge=lambda site, facts: findings)
    assert caught.value.exit_code == 3 and len(caught.value.findings) == 2
    assert "port 3000 is held" in caught.value.message and "→ enable it" in caught.value.message
    assert host.verbs == []


def test_a_warning_is_told_and_refuses_nothing(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    operation().apply(build, judge=lambda site, facts: [Finding("foreign project", "look", warning=True)])
    assert host.verbs == ["ship"]
    assert "warning: foreign project" in capsys.readouterr().err


@pytest.mark.parametrize(
    "facts",
    [
        Facts(host=GOOD_HOST, disks={"/var/lib/islandflow/ops": 1 << 20}),
        Facts(host=GOOD_HOST, owner_error="the owner file holds 'both'"),
        Facts(host=GOOD_HOST, ops=StoreState(unfinished=(PLAN,))),
    ],
    ids=["full disk", "owner", "unfinished plan"],
)
def test_no_plan_runs_on_a_vps_that_is_in_no_state_for_one(host: FakeHost, facts: Facts) -> None:
    host.facts = facts
    with pytest.raises(PreflightRefused):
        operation().apply(build)
    assert host.verbs == []


def test_a_reason_that_the_hand_overs_own_judge_finds_too_stands_once(host: FakeHost) -> None:
    host.facts = Facts(host=GOOD_HOST, owner_error="the owner file holds 'both'")
    with pytest.raises(PreflightRefused) as caught:
        operation().apply(build, judge=lambda site, facts: preflight.runner(facts))
    assert str(caught.value).count("the owner file holds 'both'") == 1


def test_a_reverted_plan_ends_with_1(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.events["ship"] = [begun(), finished("reverted", why="no", impact={"flow.deltaisland.io": tally(failures=7)})]
    with pytest.raises(Failed):
        operation().apply(build)
    assert "flow.deltaisland.io" in capsys.readouterr().out


def test_a_held_lock_ends_with_4(host: FakeHost) -> None:
    host.events["ship"] = [begun(), finished("locked", holder={"who": "bo", "what": "rollback", "since": "noon"})]
    with pytest.raises(LockHeld):
        operation().apply(build)


def test_events_that_end_before_the_plan_did_are_no_success(host: FakeHost) -> None:
    host.events["ship"] = DONE[:-1]
    with pytest.raises(Unreachable) as caught:
        operation().apply(build)
    assert "inv attach --plan" in caught.value.next_step


def test_json_lines_are_json_only(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    operation(json=True).apply(build)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[:-1] == [event.line() for event in DONE] and told[-1]["kind"] == "record"


# ── The lock ────────────────────────────────────────────────────────────────────────────────────────────────────────

BO = LockHolder("bo@desk", "rollback", "noon", plan="p")
FREE = Facts(host=GOOD_HOST, ops=StoreState())
HELD = replace(FREE, ops=StoreState(lock=BO, unfinished=("p",)))


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, none of which took any time."""
    made: list[float] = []
    monkeypatch.setattr("fabfile.commands.apply.time.sleep", made.append)
    return made


def test_while_a_plan_runs_nothing_is_judged_and_nothing_shipped(host: FakeHost) -> None:
    host.facts = HELD
    with pytest.raises(LockHeld) as caught:
        operation().apply(build, judge=lambda site, facts: [Finding("half of it is down", "wait")])
    assert (caught.value.who, caught.value.what, caught.value.since) == ("bo@desk", "rollback", "noon")
    assert caught.value.exit_code == 4 and "--wait" in caught.value.next_step
    assert host.verbs == []


def test_waiting_for_a_plan_ends_with_a_new_survey(
    host: FakeHost, naps: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    host.facts, host.later = HELD, [HELD, HELD, FREE, FREE]
    seen: list[Facts] = []
    operation(wait=True).apply(build, judge=lambda site, facts: seen.append(facts) or [])
    assert seen == [FREE] and host.verbs == ["ship"]
    assert len(naps) == 2
    out = capsys.readouterr().err
    assert "waiting: bo@desk holds the lock: rollback, since noon" in out and "Ctrl-C leaves" in out


def test_a_lock_that_somebody_took_at_the_last_moment_is_waited_for_too(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.facts, host.later = FREE, [HELD, FREE, FREE]
    host.events["ship"] = [begun(), finished("locked", holder=BO.as_json())]
    monkeypatch.setattr("fabfile.commands.apply.time.sleep", lambda seconds: host.events.update(ship=DONE))
    operation(wait=True).apply(build)
    assert host.verbs == ["ship", "ship"]


def test_who_waits_may_leave(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fabfile.commands.apply.time.sleep", press)
    host.facts = HELD
    with pytest.raises(KeyboardInterrupt):
        operation(wait=True).apply(build)
    assert host.verbs == []


def test_a_lock_whose_holder_cannot_be_read_is_waited_for(host: FakeHost, naps: list[float]) -> None:
    nameless = replace(FREE, ops=StoreState(lock=LockHolder()))
    host.facts, host.later = nameless, [nameless, FREE, FREE]
    operation(wait=True).apply(build)
    assert host.verbs == ["ship"] and len(naps) == 1


def test_what_is_only_shown_is_shown_under_a_running_plan_with_a_warning(
    host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    host.facts = HELD
    operation(dry=True, wait=True).apply(build)
    printed = capsys.readouterr()
    assert "warning: bo@desk holds the lock" in printed.err and "1 of 1 steps would change something" in printed.out


def test_taking_back_waits_as_well(host: FakeHost, naps: list[float]) -> None:
    host.facts = HELD
    with pytest.raises(LockHeld):
        operation().revert("another")
    host.calls, host.later = [], [FREE, FREE]
    operation(wait=True).revert("", last=True)
    assert host.verbs == [], "the other plan came to its end"


# ── The confirmation ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Which runtime the public checks were asked about, and for how long; all of them pass."""
    asked: list[tuple[str, float]] = []

    def until_good(site: Site, runtime: Runtime, seconds: float, **options: object) -> list[Check]:
        asked.append((runtime, seconds))
        return [Check("page", True, "answers 200", 5), Check("websocket", len(asked) < 9, "HTTP 502", 5)]

    monkeypatch.setattr(public, "until_good", until_good)
    return asked


WAITS = [begun(to="native"), event("waiting", seconds=60.0), finished("done")]


def test_good_checks_confirm(
    host: FakeHost, outside: list[tuple[str, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    host.events["ship"] = WAITS
    operation().apply(unsure)
    assert host.verbs == ["ship", "say"] and host.calls[-1] == ("say", "confirm")
    assert outside == [("native", 40.0)]  # not all of the time: the word must get there too
    assert "2 of 2 good, confirmed" in capsys.readouterr().err


@pytest.mark.parametrize("verbose", [False, True])
def test_verbose_shows_the_good_checks_too(
    host: FakeHost, outside: list[tuple[str, float]], verbose: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    host.events["ship"] = WAITS
    with output.using(verbose=verbose):
        operation().apply(unsure)
    assert ("  ✓ page: answers 200 (5 ms)" in capsys.readouterr().err.splitlines()) is verbose


@pytest.mark.parametrize(
    ("settings", "refusing"),
    [({}, {}), ({"access_lists": "a.test=401,444 b.test=302"}, {"a.test": (401, 444), "b.test": (302,)})],
)
def test_the_checks_know_which_hosts_have_an_access_list(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], refusing: dict[str, tuple[int, ...]]
) -> None:
    known: list[object] = []
    monkeypatch.setattr(public, "until_good", lambda *asked, refusing, excuse: known.append(refusing) or [])
    host.events["ship"] = [begun(to="native", **settings), *WAITS[1:]]
    operation().apply(unsure)
    assert known == [refusing]


def test_a_warning_is_told_and_confirms(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soon = Check("TLS", True, "valid for 20 days", 5, warning=True)
    monkeypatch.setattr(public, "until_good", lambda *asked, **options: [soon])
    host.events["ship"] = WAITS
    operation().apply(unsure)
    assert host.calls[-1] == ("say", "confirm")
    lines = capsys.readouterr().err.splitlines()
    assert "  ! TLS: valid for 20 days" in lines
    assert "public checks: 0 of 1 good, 1 with a warning, confirmed" in lines


def restarting(served: bool) -> Callable[[Site, Facts], Plan]:
    """A plan that restarts services which answer the public, or others."""

    def build(site: Site, facts: Facts) -> Plan:
        return replace(unsure(site, facts), settings=decisive.of_restarts(site.scope("full" if served else "workers")))

    return build


@pytest.mark.parametrize("served", [True, False])
def test_what_was_not_good_before_a_restart_does_not_decide_on_it(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], served: bool
) -> None:
    monkeypatch.setattr(public, "not_good", lambda *asked: [Check("page", False, "HTTP 502", 5)])
    excuses: list[decisive.Excuse] = []
    monkeypatch.setattr(public, "until_good", lambda *asked, refusing, excuse: excuses.append(excuse) or [])
    shipped = host.ship

    def ship(plan: Plan, facts: Facts, secrets: Mapping[str, str]) -> Iterator[Event]:
        host.events["ship"] = [begun(**plan.settings), *WAITS[1:]]
        return shipped(plan, facts, secrets)

    monkeypatch.setattr(host, "ship", ship)
    operation().apply(restarting(served))
    assert "page is not good before the plan, so it does not decide on it: HTTP 502" in capsys.readouterr().err
    [excuse] = excuses
    assert excuse("page") == "it was not good before the plan either"
    assert excuse("health") == (
        "" if served else "it was good before the plan, which restarts nothing that answers the public"
    )


def test_nothing_excuses_a_check_after_a_hand_over(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "not_good", lambda *asked: pytest.fail("it decides nothing"))
    excuses: list[decisive.Excuse] = []
    monkeypatch.setattr(public, "until_good", lambda *asked, refusing, excuse: excuses.append(excuse) or [])
    host.events["ship"] = WAITS
    operation().apply(unsure)
    assert excuses[0]("page") == ""


def test_a_plan_that_waits_for_nobody_is_not_compared(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "not_good", lambda *asked: pytest.fail("it decides nothing"))
    operation().apply(restarting(True), confirm=False)
    operation(dry=True).apply(restarting(True))


def test_one_bad_check_reverts(
    host: FakeHost, outside: list[tuple[str, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    outside += [("", 0.0)] * 8
    host.events["ship"] = [*WAITS[:-1], finished("reverted", why="the operator asked to revert")]
    with pytest.raises(Failed):
        operation().apply(unsure)
    assert host.calls[-1] == ("say", "revert")
    out = capsys.readouterr().err
    assert "1 of 2 good, reverting" in out and "✗ websocket: HTTP 502" in out


def test_whoever_attaches_late_decides_within_what_is_left(
    host: FakeHost, outside: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = event("waiting", seconds=600.0, left=60.0)
    host.events["ship"] = [begun(to="native"), waits, finished("done")]
    operation().apply(unsure)
    ((_, seconds),) = outside
    assert seconds == 40.0, "so that the decision arrives in time"


def test_a_word_that_cannot_be_given_is_told_and_the_end_is_awaited(
    host: FakeHost, outside: list[tuple[str, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    host.deaf = True
    waits = event("waiting", seconds=1.5)
    host.events["ship"] = [begun(to="native"), waits, finished("reverted", why="nobody confirmed within 1.5 s")]
    with pytest.raises(Failed):
        operation().apply(unsure)
    out = capsys.readouterr().err
    assert "will revert by itself" in out and "confirmed" not in out


def test_a_word_that_does_not_get_through_at_once_is_given_again(
    host: FakeHost, outside: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A VPS that is busy may not answer SSH in time."""
    monkeypatch.setattr(follow, "_RETRY_SECONDS", 0.01)
    host.hears_at, host.events["ship"] = 3, WAITS
    operation().apply(unsure)
    assert host.verbs == ["ship", "say", "say", "say"]


def test_a_plan_can_be_told_to_wait_for_nobody(
    host: FakeHost, outside: list[tuple[str, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    operation().apply(unsure, confirm=False)
    assert host.shipped[0].confirm_within == 0 and outside == []
    assert "nothing reverts" in capsys.readouterr().err


def test_attaching_to_a_plan_that_waits_confirms_it(host: FakeHost, outside: list[tuple[str, float]]) -> None:
    host.events["follow"] = WAITS
    follow.attach(session.begin(object()), PLAN)
    assert host.calls == [("follow", PLAN), ("say", "confirm")]


def test_attaching_to_a_plan_whose_decision_is_made_decides_nothing(
    host: FakeHost, outside: list[tuple[str, float]]
) -> None:
    host.events["follow"] = [begun(to="native"), event("waiting", seconds=60.0, decided=True), finished("done")]
    follow.attach(session.begin(object()), PLAN)
    assert host.calls == [("follow", PLAN)] and outside == []


# ── Ctrl-C ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let somebody sit at the terminal and answer."""

    def answer(text: str) -> None:
        monkeypatch.setattr(follow, "_operator_reverts", lambda plan_id: text == "r")

    return answer


def test_ctrl_c_leaves_the_plan_running(host: FakeHost, answering: Callable[[str], None]) -> None:
    answering("")
    host.interrupted_at = 1
    with pytest.raises(Interrupted) as caught:
        operation().apply(build)
    assert host.verbs == ["ship"]
    assert "runs on the VPS to its end" in caught.value.state and "inv attach --plan" in caught.value.next_step


def test_ctrl_c_can_revert_and_then_the_end_is_awaited(host: FakeHost, answering: Callable[[str], None]) -> None:
    answering("r")
    host.interrupted_at = 1
    host.events["follow"] = [begun(), finished("reverted", why="the operator asked to revert")]
    with pytest.raises(Failed):
        operation().apply(build)
    assert host.verbs == ["ship", "say", "follow"] and ("say", "revert") in host.calls


@pytest.mark.parametrize(
    ("answer", "reverts"), [("r", True), ("R", True), (" revert ", True), ("", False), ("no", False)]
)
def test_only_a_clear_yes_reverts(answer: str, reverts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert follow._operator_reverts(PLAN, lambda question: answer) is reverts


@pytest.mark.parametrize("press", [EOFError, KeyboardInterrupt])
def test_a_second_ctrl_c_leaves_it_running(press: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(question: str) -> str:
        raise press

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert follow._operator_reverts(PLAN, ask) is False


def test_where_nobody_can_answer_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(question: str) -> str:
        raise AssertionError("there is no terminal")

    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert follow._operator_reverts(PLAN, ask) is False


# ── Past plans ──────────────────────────────────────────────────────────────────────────────────────────────────────

PAST = PastPlan(PLAN, "cutover", "ana@laptop", "2026-01-01T12:00:00.000", "done", 12300, {})


def test_history_lists_plans(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.plans = [replace(PAST, impact={"a": tally(outage_ms=1230)}), replace(PAST, id="x", outcome="")]
    status.past(Console(), host.plans)
    out = capsys.readouterr().out
    assert "1.23 s" in out and "12.3 s" in out and "unfinished" in out


def test_history_of_one_plan_tells_its_events(host: FakeHost) -> None:
    host.past = DONE
    assert islandflow("history", "--plan", PLAN, "--json").out.splitlines() == [json.dumps(e.line()) for e in DONE]
    assert host.calls == [("journal", PLAN)]
    run = islandflow("history", "--plan", PLAN)
    assert "✓ files 1.5 s" in run.out and run.err == "", "it was asked for: that is no progress"


def test_attach_takes_the_last_plan(host: FakeHost) -> None:
    host.plans = [replace(PAST, id="first"), replace(PAST, id="second")]
    host.events["follow"] = DONE
    follow.attach(session.begin(object()), "")
    assert ("follow", "second") in host.calls


def test_attach_without_any_plan_says_so(host: FakeHost) -> None:
    with pytest.raises(UsageError):
        follow.attach(session.begin(object()), "")


def test_revert_without_an_unfinished_plan_does_nothing(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.facts = replace(host.facts, ops=StoreState())
    operation().revert("", last=True)
    assert host.verbs == [] and "nothing to do" in capsys.readouterr().out


def test_revert_takes_the_last_unfinished_plan(host: FakeHost) -> None:
    host.facts = replace(host.facts, ops=StoreState(unfinished=("first", "second")))
    host.events["revert"] = [begun(), finished("reverted", why="the plan was interrupted")]
    with pytest.raises(CutoverError):
        operation().revert("", last=True)
    assert ("revert", "second") in host.calls


def test_revert_cuts_off_the_plan_that_runs_whoever_began_it(host: FakeHost) -> None:
    host.facts = replace(host.facts, ops=StoreState(lock=LockHolder("bob@desk", "cutover", "now", plan=PLAN)))
    waiting = event("waiting", None, seconds=120.0)  # its follower's checks are none of ours
    host.events["follow"] = [begun(), waiting, finished("reverted", why="the operator asked to revert")]
    with pytest.raises(Failed):
        operation().revert("")
    assert host.verbs == ["say", "follow"] and ("say", "confirm") not in host.calls


def test_revert_leaves_another_plan_than_the_named_one_alone(host: FakeHost) -> None:
    host.facts = replace(host.facts, ops=StoreState(lock=LockHolder("bob@desk", "cutover", "now", plan=PLAN)))
    with pytest.raises(LockHeld):
        operation().revert("other")
    assert host.verbs == []


def test_revert_needs_a_name_where_no_plan_runs(host: FakeHost) -> None:
    host.facts = replace(host.facts, ops=StoreState(unfinished=("first",)))
    with pytest.raises(UsageError, match="no plan runs"):
        operation().revert("")


def test_revert_shows_what_it_would_undo(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.facts = replace(host.facts, ops=StoreState(unfinished=(PLAN,)))
    host.past = [
        begun(),
        event("noop", "there", why="there"),
        *(event("start", name, what="", before={}) for name in ("one", "two", "three")),
        event("failed", "three", error="no"),
        event("undo", "three"),
        event("undone", "three"),
    ]
    operation(dry=True).revert("", last=True)
    assert host.verbs == ["journal"]
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{PLAN}: 2 steps would be undone", "  ↶ two", "  ↶ one"]


# ── Checks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def wanted(*names: str) -> FactsRequest:
    return FactsRequest(workloads=tuple(Workload(name, "native") for name in names))


def test_healthy_workloads_pass(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.facts = Facts(health={"native/api": Health("api", "native", True, "healthy")})
    session.begin(object()).check_health("app", wanted("api"))
    assert "native/api" in capsys.readouterr().out


def test_every_unhealthy_workload_is_named(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.facts = Facts(health={"native/api": Health("api", "native", False, "not bound")})
    with pytest.raises(Failed) as caught:
        session.begin(object(), json=True).check_health("app", wanted("api", "web"))
    assert "2 of 2 checks failed: native/api, native/web" in caught.value.message
    lines: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["what"], line["ok"]) for line in lines] == [("native/api", False), ("native/web", False)]
    assert lines[0]["text"] == "not bound" and "could not be asked" in lines[1]["text"]


def test_what_cannot_be_told_is_neither_good_nor_a_failure(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    session.begin(object()).show_checks("provider", [("adapter", True, "ibkr"), ("provider", None, "can't be checked")])
    out = capsys.readouterr().out
    assert "✓ adapter" in " ".join(out.split()) and "! provider can't be checked" in " ".join(out.split())


# ── Watching the streams ────────────────────────────────────────────────────────────────────────────────────────────


def positions(*lasts: int) -> list[JetStream]:
    """Looks at a stream whose last message has these numbers, one after the other."""
    return [JetStream("docker", {"PRINTS": Stream(1, 1, last, last)}) for last in lasts]


def test_watching_sums_up_at_its_end(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.looks = positions(1, 5, 9)
    streams.watch(session.begin(object()), 3)
    assert host.calls == [("positions", 3)]
    out = capsys.readouterr().out
    assert "0.0 s  docker's JetStream answers" in out and "1 → 9 (+8)" in out


def test_ctrl_c_ends_watching_with_what_was_seen(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.looks, host.interrupted_at = positions(1, 5, 9), 2
    streams.watch(session.begin(object()), 0)
    assert "1 → 5 (+4)" in capsys.readouterr().out


def test_a_position_that_moved_back_fails(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.looks = positions(5, 3)
    with pytest.raises(Failed) as failed:
        streams.watch(session.begin(object(), json=True), 1)
    assert failed.value.exit_code == 1 and "PRINTS" in failed.value.message
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {
        "version": formats.JOURNAL,
        "kind": "moment",
        "at": 1.0,
        "text": "✗ PRINTS: last message moved back from 5 to 3",
    } in lines
    assert [line["what"] for line in lines if line["kind"] == "check" and not line["ok"]] == ["PRINTS"]

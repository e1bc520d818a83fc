"""A release from its first step to its last, and every way back: real repositories, real builds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fabfile.runner.actions.base import Action
from fabfile.runner.actions.releases.build import BuildRelease, BuildService, Command, FetchCommit
from fabfile.runner.actions.releases.register import BeginRelease, FinishRelease, PruneReleases
from fabfile.runner.actions.releases.switch import AdoptCheckout, SwitchService
from fabfile.runner.releases import register
from fabfile.runner.system.machine import CommandFailed, StepFailed
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.release import BAD, BUILDING, GOOD, Release
from tests.runner.support.app_repository import SERVICES, AppRepository, WithoutSystemd

INSTALL = "mkdir -p node_modules; nice >node_modules/priority"
BUILD = """echo "$NEXT_PUBLIC_URL|${SECRET-none}" >out"""


@pytest.fixture
def flow(tmp_path: Path) -> AppRepository:
    return AppRepository(tmp_path)


@pytest.fixture
def machine(tmp_path: Path) -> WithoutSystemd:
    return WithoutSystemd(tmp_path)


def shell(script: str, folder: str = ".", timeout: float = 30.0) -> Command:
    return Command(folder, ("/bin/sh", "-c", script), timeout)


def begin(flow: AppRepository, commit: str) -> BeginRelease:
    return BeginRelease(flow.ref, "native", commit, "main", "ann@desk", SERVICES)


def make(flow: AppRepository, commit: str, script: str = INSTALL, timeout: float = 30.0) -> BuildRelease:
    return BuildRelease(flow.ref, commit, shell(script, timeout=timeout), "node_modules")


def build_web(flow: AppRepository, commit: str, script: str = BUILD) -> BuildService:
    command = replace(shell(script, "apps/web"), env_file=str(flow.env), env=("NEXT_PUBLIC_*",))
    return BuildService(flow.ref, commit, "web", command, "apps/web/out")


def finish(flow: AppRepository, commit: str, *left: str) -> FinishRelease:
    return FinishRelease(flow.ref, "native", commit, SERVICES, left, "ann@desk")


def switch(flow: AppRepository, commit: str, service: str) -> SwitchService:
    return SwitchService(flow.ref, commit, service, f"{service}.service", 50.0)


def carry_out(flow: AppRepository, machine: WithoutSystemd, *actions: Action) -> list[tuple[Action, dict[str, object]]]:
    """Apply actions, each judged by how things stand then; returns those that had something to do."""
    begun = []
    for action in actions:
        facts = flow.facts(machine)
        if not action.noop_reason(facts):
            before = json.loads(json.dumps(action.snapshot(facts)))  # as the journal keeps it
            begun.append((action, before))
            action.apply(machine, before)
    return begun


def deploy(flow: AppRepository, machine: WithoutSystemd, commit: str) -> list[tuple[Action, dict[str, object]]]:
    """All steps of a deploy of both services."""
    adopt = AdoptCheckout(flow.ref, SERVICES, commit)
    switches = [switch(flow, commit, service) for service in SERVICES]
    steps = (begin(flow, commit), make(flow, commit), build_web(flow, commit), adopt, *switches, finish(flow, commit))
    return carry_out(flow, machine, *steps)


def journal(machine: WithoutSystemd, *events: dict[str, object]) -> None:
    """What the plan's journal says."""
    lines = [json.dumps({"version": 2, "step": None, "evidence": {}, **event}) for event in events]
    (machine.backups.parent / "journal.jsonl").write_text("".join(f"{line}\n" for line in lines))


# ── Building ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_commit_is_fetched_and_the_checkout_stays_where_it_is(flow: AppRepository, machine: WithoutSystemd) -> None:
    action = FetchCommit(flow.ref, flow.second)
    look = action.inspect(machine)
    assert not look.noop_reason
    action.apply(machine, look.before)
    assert flow.git("rev-parse", "HEAD", f"{flow.second}^{{commit}}").split() == [flow.first, flow.second]
    assert "the checkout has" in action.inspect(machine).noop_reason


def test_a_commit_that_the_remote_does_not_have_is_not_fetched(flow: AppRepository, machine: WithoutSystemd) -> None:
    with pytest.raises(CommandFailed, match="fetch"):
        FetchCommit(flow.ref, "ab" * 20).apply(machine, {})


def test_a_release_is_built_beside_the_checkout(flow: AppRepository, machine: WithoutSystemd) -> None:
    flow.git("fetch", "--quiet")
    carry_out(flow, machine, begin(flow, flow.second), make(flow, flow.second), build_web(flow, flow.second))
    directory = Path(flow.ref.directory(flow.second))
    assert (directory / "code").read_text() == "two" and (flow.path / "code").read_text() == "one"
    assert not (flow.path / "node_modules").exists() and flow.git("status", "--porcelain") == ""
    [known] = flow.releases(machine).known
    assert (known.state, known.built, known.builds, known.subject) == (BUILDING, True, ("web",), "Write two")
    assert (known.who, known.ref, known.plan) == ("ann@desk", "main", "the-plan") and known.size > 0


def test_a_build_leaves_the_processors_to_the_app(flow: AppRepository, machine: WithoutSystemd) -> None:
    carry_out(flow, machine, make(flow, flow.first))
    assert Path(flow.ref.directory(flow.first), "node_modules/priority").read_text() == "19\n"
    assert any(argv[:2] == ("systemd-run", "--user") and argv[-1] == "true" for argv in machine.started), "first choice"


def test_a_build_gets_the_variables_that_it_names_and_none_travels(
    flow: AppRepository, machine: WithoutSystemd
) -> None:
    action = build_web(flow, flow.first)
    carry_out(flow, machine, make(flow, flow.first))
    flow.env.write_text("NEXT_PUBLIC_URL=later\nSECRET=hidden\n")
    evidence = action.apply(machine, {})
    assert Path(flow.ref.directory(flow.first), "apps/web/out").read_text() == "later|none\n"
    assert "later" not in repr(encode(action)) + repr(evidence) + repr(machine.started)


def test_a_build_without_its_env_file_says_so(flow: AppRepository, machine: WithoutSystemd) -> None:
    carry_out(flow, machine, make(flow, flow.first))
    flow.env.unlink()
    with pytest.raises(StepFailed, match=r"flow\.env, with the build's variables, can't be read: .*No such file"):
        build_web(flow, flow.first).apply(machine, {})


def test_a_build_that_fails_says_its_last_words_and_takes_nothing_live_with_it(
    flow: AppRepository, machine: WithoutSystemd
) -> None:
    steps = carry_out(flow, machine, begin(flow, flow.first), make(flow, flow.first))
    broken = build_web(flow, flow.first, "echo no such module; exit 3")
    with pytest.raises(CommandFailed, match=r"^/bin/sh -c .* ended with 3 in .*/apps/web$") as error:
        broken.apply(machine, {})
    assert error.value.evidence["said"] == "no such module"
    journal(machine, {"kind": "failed", "step": "app: web built", "evidence": {"error": "it ended with 3\nno module"}})
    for action, before in reversed(steps):
        for _ in range(2):
            action.undo(machine, before)
    found = flow.releases(machine)
    assert found.directories == () and flow.git("worktree", "list").count("\n") == 0
    [known] = found.known
    assert (known.state, known.built, known.reason) == (BAD, False, "app: web built: it ended with 3")


def test_each_command_has_its_own_deadline_and_is_named_by_itself(flow: AppRepository, machine: WithoutSystemd) -> None:
    with pytest.raises(CommandFailed, match=r"^/bin/sh -c sleep 60 took longer than 0\.2 s$"):
        make(flow, flow.first, "sleep 60", 0.2).apply(machine, {})


def test_a_build_that_leaves_nothing_has_failed(flow: AppRepository, machine: WithoutSystemd) -> None:
    with pytest.raises(StepFailed, match="left no node_modules"):
        make(flow, flow.first, "true").apply(machine, {})


def test_what_a_cut_off_build_left_is_cleared_by_the_next_one(flow: AppRepository, machine: WithoutSystemd) -> None:
    carry_out(flow, machine, begin(flow, flow.first))
    with pytest.raises(CommandFailed):
        make(flow, flow.first, "touch half; exit 1").apply(machine, {})
    assert Path(flow.ref.directory(flow.first), "half").exists()
    assert len(carry_out(flow, machine, make(flow, flow.first))) == 1
    assert not Path(flow.ref.directory(flow.first), "half").exists()


def test_a_release_that_is_built_is_not_built_again_unless_it_was_bad(
    flow: AppRepository, machine: WithoutSystemd
) -> None:
    deploy(flow, machine, flow.first)
    for service in SERVICES:  # nothing runs from it any more
        Path(flow.ref.link(service)).unlink()
    assert carry_out(flow, machine, make(flow, flow.first), build_web(flow, flow.first)) == []
    [known] = flow.releases(machine).known
    register.write(machine.ops, replace(known, state=BAD))
    facts = flow.facts(machine)
    assert not make(flow, flow.first).noop_reason(facts) and not build_web(flow, flow.first).noop_reason(facts)


def test_a_directory_that_a_service_runs_from_is_never_built_anew(flow: AppRepository, machine: WithoutSystemd) -> None:
    deploy(flow, machine, flow.first)
    register.restore(machine.ops, "native", flow.first, None)
    assert "in use" in make(flow, flow.first).noop_reason(flow.facts(machine))


# ── Switching ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_deploy_adopts_the_checkout_as_a_release(flow: AppRepository, machine: WithoutSystemd) -> None:
    adopt = AdoptCheckout(flow.ref, SERVICES, flow.second)
    [(_, before)] = carry_out(flow, machine, adopt)
    assert [flow.serves(service) for service in SERVICES] == ["one", "one"] and machine.restarted == []
    [known] = flow.releases(machine).known
    assert (known.commit, known.state, known.built, known.services) == (flow.first, GOOD, False, SERVICES)
    assert "have links" in adopt.noop_reason(flow.facts(machine))
    for _ in range(2):
        adopt.undo(machine, before)
        assert flow.releases(machine).live == {} and flow.releases(machine).known == ()


def test_the_commit_that_is_being_deployed_is_not_adopted_as_well(flow: AppRepository, machine: WithoutSystemd) -> None:
    steps = carry_out(
        flow, machine, begin(flow, flow.first), make(flow, flow.first), AdoptCheckout(flow.ref, SERVICES, flow.first)
    )
    [known] = flow.releases(machine).known
    assert known.built and known.state == BUILDING
    steps[-1][0].undo(machine, steps[-1][1])
    assert flow.releases(machine).known == (known,)


def test_a_service_is_switched_by_its_link_and_restarted_and_back(flow: AppRepository, machine: WithoutSystemd) -> None:
    deploy(flow, machine, flow.first)
    flow.git("fetch", "--quiet")
    carry_out(flow, machine, make(flow, flow.second))
    machine.started.clear()
    [(action, before)] = carry_out(flow, machine, switch(flow, flow.second, "api"))
    assert (flow.serves("api"), flow.serves("web")) == ("two", "one"), "each has a link of its own"
    assert machine.restarted == ["api.service"] and machine.timeouts["systemctl"] == 50.0
    assert "runs from" in action.noop_reason(flow.facts(machine))
    for _ in range(2):
        action.undo(machine, before)
        assert flow.serves("api") == "one"
    assert machine.restarted == ["api.service"] * 3


def test_on_the_way_back_a_unit_that_was_down_is_stopped(flow: AppRepository, machine: WithoutSystemd) -> None:
    deploy(flow, machine, flow.first)
    before = switch(flow, flow.second, "api").snapshot(flow.facts(machine, running=False))
    machine.started.clear()
    switch(flow, flow.second, "api").undo(machine, before)
    assert machine.restarted == [] and ("systemctl", "--user", "stop", "--", "api.service") in machine.started


def test_a_first_switch_goes_back_to_the_checkout(flow: AppRepository, machine: WithoutSystemd) -> None:
    steps = deploy(flow, machine, flow.first)
    assert flow.serves("api") == "one" and Path(flow.ref.link("api")).resolve() != flow.path
    for action, before in reversed(steps):
        action.undo(machine, before)
        if isinstance(action, SwitchService):
            assert Path(flow.ref.link(action.service)).resolve() == flow.path
    assert flow.releases(machine).live == {} and flow.releases(machine).known == ()


# ── Good and bad ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_release_is_good_once_it_serves_and_then_there_is_nothing_to_do(
    flow: AppRepository, machine: WithoutSystemd
) -> None:
    deploy(flow, machine, flow.first)
    [known] = flow.releases(machine).known
    assert (known.state, known.services) == (GOOD, SERVICES) and known.since > 0
    assert deploy(flow, machine, flow.first) == []


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], None),
        ([{"kind": "failed", "step": "edge: point to native", "evidence": {"error": "nginx"}}], None),
        ([{"kind": "waiting"}], BAD),
        ([{"kind": "failed", "step": "app: api to abc", "evidence": {"error": "not healthy"}}], BAD),
    ],
    ids=["interrupted", "by the edge", "not confirmed", "not healthy"],
)
def test_only_what_failed_by_itself_is_bad(
    flow: AppRepository, machine: WithoutSystemd, events: list[dict[str, object]], state: str | None
) -> None:
    journal(machine, {"kind": "start"}, *events)
    [(action, before)] = carry_out(flow, machine, begin(flow, flow.first))
    action.undo(machine, before)
    assert [known.state for known in flow.releases(machine).known] == ([state] if state else [])


def test_a_good_release_that_was_interrupted_is_still_good(flow: AppRepository, machine: WithoutSystemd) -> None:
    deploy(flow, machine, flow.first)
    Path(flow.ref.link("api")).unlink()
    [(action, before)] = carry_out(flow, machine, begin(flow, flow.first))
    assert [known.state for known in flow.releases(machine).known] == [BUILDING]
    action.undo(machine, before)
    assert [known.state for known in flow.releases(machine).known] == [GOOD]


def test_what_somebody_went_back_from_is_bad_until_that_is_undone(flow: AppRepository, machine: WithoutSystemd) -> None:
    deploy(flow, machine, flow.first)
    flow.git("fetch", "--quiet")
    deploy(flow, machine, flow.second)
    [(action, before)] = carry_out(flow, machine, finish(flow, flow.first, flow.second))
    states = {known.commit: known.state for known in flow.releases(machine).known}
    assert states == {flow.first: GOOD, flow.second: BAD}
    action.undo(machine, before)
    assert {known.state for known in flow.releases(machine).known} == {GOOD}


# ── Removing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_old_bad_and_half_built_releases_are_removed_but_never_what_runs(
    flow: AppRepository, machine: WithoutSystemd
) -> None:
    commits = [flow.first, *(flow.commit(content) for content in ("three", "four", "five", "six"))]
    for number, commit in enumerate(commits):
        carry_out(flow, machine, begin(flow, commit), make(flow, commit))
        state = {4: BUILDING, 1: BAD}.get(number, GOOD)
        known = register.read(machine.ops, "native", commit)
        assert known
        register.write(machine.ops, replace(known, state=state, since=float(number)))
    register.write(machine.ops, Release("docker", commits[0], GOOD, since=9.0, built=True))  # counts in Docker alone
    adopt = AdoptCheckout(flow.ref, ("api",), commits[4])
    carry_out(flow, machine, adopt, switch(flow, commits[1], "api"))  # bad, and it runs
    prune = PruneReleases(flow.ref, 1)
    assert len(carry_out(flow, machine, prune)) == 1
    assert set(flow.releases(machine).directories) == {commits[1], commits[3]}
    states = {known.commit: known.built for known in flow.releases(machine).known if known.runtime == "native"}
    assert states == {commits[0]: False, commits[1]: True, commits[2]: False, commits[3]: True}, "half-built: forgotten"
    assert "nothing to remove" in prune.noop_reason(flow.facts(machine))


def test_what_the_plan_may_have_to_go_back_to_is_kept(flow: AppRepository, machine: WithoutSystemd) -> None:
    for commit, state in ((flow.first, GOOD), (flow.commit("three"), BAD)):
        carry_out(flow, machine, begin(flow, commit), make(flow, commit))
        register.write(machine.ops, Release("native", commit, state, built=True, since=1.0))
    bad = flow.git("rev-parse", "HEAD")
    facts = flow.facts(machine)
    assert PruneReleases(flow.ref, 2, (bad,)).noop_reason(facts)
    assert PruneReleases(flow.ref, 2).snapshot(facts) == {"remove": [bad]}


def test_releases_that_are_not_built_are_forgotten_in_the_end(flow: AppRepository, machine: WithoutSystemd) -> None:
    machine.ops.mkdir(exist_ok=True)
    for number in range(25):
        register.write(machine.ops, Release("native", f"{number:040x}", BAD, since=float(number)))
    carry_out(flow, machine, make(flow, flow.first), PruneReleases(flow.ref, 2))
    known = flow.releases(machine).known
    assert len(known) == 20 and min(release.since for release in known) == 5.0


def test_a_register_of_a_newer_version_is_no_empty_one(flow: AppRepository, machine: WithoutSystemd) -> None:
    register.write(machine.ops, Release("native", flow.first, GOOD))
    [path] = (machine.ops / "releases").iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    assert "format 99" in flow.releases(machine).problem
    assert begin(flow, flow.first).unreadable_reason(flow.facts(machine))

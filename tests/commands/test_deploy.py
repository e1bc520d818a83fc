"""Which release a command goes to, what it pushes, and what it lists."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from fabfile.commands import deploy
from fabfile.commands.apply import Operation
from fabfile.errors import Interrupted, PreflightRefused, UsageError
from fabfile.inventory import Site
from fabfile.runner.actions.releases.switch import SwitchService
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.release import BAD, GOOD, Checkout
from fabfile.terms import RUNTIMES
from tests.runner.support.app_repository import AppRepository
from tests.support.events import begun, finished
from tests.support.facts import COMMIT, released
from tests.support.fake_host import FakeHost
from tests.support.terminal import typed

DONE = [begun(), finished("done")]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, native_serves: Facts) -> FakeHost:
    made = FakeHost(native_serves)
    made.events["ship"] = DONE
    made.stand_in(monkeypatch)
    return made


def switched(host: FakeHost) -> dict[str, str]:
    """Service → commit, by the plan that was shipped."""
    (plan,) = host.shipped
    return {s.action.service: s.action.commit for s in plan.steps if isinstance(s.action, SwitchService)}


def operation(**options: Any) -> Operation:
    return Operation(object(), **options)


# ── Deploying ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deploy_ships_the_commit_that_the_survey_found(host: FakeHost, site: Site) -> None:
    deploy.deploy(operation(), "main", deploy.Choice(pieces="api, candles"))
    assert switched(host) == {"api": COMMIT, "candles": COMMIT}
    (plan,) = host.shipped
    assert plan.name == "deploy" and plan.settings["ref"] == "main" and plan.confirm_within == site.timeouts.confirm


def test_without_confirmation_nobody_waits(host: FakeHost) -> None:
    deploy.deploy(operation(), "main", deploy.Choice("workers"), confirm=False)
    assert host.shipped[0].confirm_within == 0.0 and set(switched(host)) >= {"compute"} and "api" not in switched(host)


def test_what_is_refused_ships_nothing(host: FakeHost) -> None:
    host.facts = dataclasses.replace(host.facts, checkout=Checkout("a" * 40, "main", ("api.ts",)))
    with pytest.raises(PreflightRefused, match=r"api\.ts"):
        deploy.deploy(operation(), "main", deploy.Choice())
    assert host.shipped == []


def test_the_owner_s_runtime_is_deployed_unless_one_is_named(host: FakeHost, docker_serves: Facts) -> None:
    with pytest.raises(PreflightRefused, match="native owns the app, so nothing of docker is deployed"):
        deploy.deploy(operation(), "main", deploy.Choice(runtime="docker"))
    with pytest.raises(PreflightRefused, match="native has none"):
        deploy.deploy(operation(), "main", deploy.Choice(), anew=True)
    host.facts = docker_serves
    deploy.deploy(operation(), "main", deploy.Choice("workers"))
    assert host.shipped[0].settings["runtime"] == "docker"


def test_fast_is_the_workers_and_in_docker_the_api_too(site: Site) -> None:
    fast = deploy.Choice(fast=True)
    kinds = {runtime: {service.kind for service in fast.services(site, runtime)} for runtime in RUNTIMES}
    assert kinds == {"native": {"worker"}, "docker": {"worker", "api"}}
    assert deploy.Choice("web", fast=True).services(site) == (site.web,)
    assert deploy.Choice(pieces="web", fast=True).services(site) == (site.web,)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (deploy.Choice("full", "nobody"), 'unknown service "nobody"'),
        (deploy.Choice("full", " , "), "unknown service"),
        (deploy.Choice("web", "api"), "exclude each other"),
    ],
)
def test_pieces_are_services_of_the_inventory(host: FakeHost, choice: deploy.Choice, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        deploy.deploy(operation(), "main", choice)
    assert host.calls == []


# ── Going back ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_going_back_without_a_ref_goes_to_the_last_good_release(host: FakeHost, site: Site) -> None:
    names = dict.fromkeys(site.services, "b")
    facts = released(site, host.facts, names, b=GOOD, x=BAD, a=GOOD)
    found = dataclasses.replace(facts.releases, commit="a" * 40)  # which the second survey looks up
    host.facts = dataclasses.replace(facts, releases=found)
    deploy.go_back(operation(), "", deploy.Choice())
    assert set(switched(host).values()) == {"a" * 40} and set(switched(host)) == set(site.services)
    assert host.shipped[0].name == "rollback" and host.shipped[0].settings["ref"] == "a" * 40


def test_with_nothing_to_go_back_to_it_is_refused(host: FakeHost) -> None:
    with pytest.raises(PreflightRefused, match="no earlier good release") as refused:
        deploy.go_back(operation(), "", deploy.Choice())
    assert refused.value.exit_code == 3 and "inv rollback --full" in str(refused.value) and host.shipped == []


def test_releases_that_cannot_be_read_are_no_empty_list(host: FakeHost) -> None:
    broken = dataclasses.replace(host.facts.releases, problem="the releases can't be read")
    host.facts = dataclasses.replace(host.facts, releases=broken)
    with pytest.raises(PreflightRefused, match="can't be read"):
        deploy.go_back(operation(), "", deploy.Choice())


# ── The branch here ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: FakeHost) -> AppRepository:
    made = AppRepository(tmp_path)
    host.facts = dataclasses.replace(host.facts, checkout=Checkout(made.first, "main", ()))
    monkeypatch.chdir(made.desk)
    return made


def pushed(flow: AppRepository, branch: str) -> str:
    return flow.git("rev-parse", "--verify", "--quiet", branch, at=flow.origin)


def test_current_pushes_the_branch_and_deploys_its_commit(flow: AppRepository) -> None:
    flow.git("switch", "--quiet", "--create", "feature", at=flow.desk)
    third = flow.commit("three", at=flow.desk)
    assert deploy.push_current(operation()) == third == pushed(flow, "feature")


def test_current_with_dry_pushes_nothing(flow: AppRepository, capsys: pytest.CaptureFixture[str]) -> None:
    third = flow.commit("three", at=flow.desk)
    assert deploy.push_current(operation(dry=True)) == third
    assert pushed(flow, "main") == flow.second and "main would be pushed to origin" in capsys.readouterr().out


def test_current_is_refused_with_changes_and_in_another_repository(flow: AppRepository, host: FakeHost) -> None:
    (flow.desk / "code").write_text("mine")
    host.facts = dataclasses.replace(host.facts, checkout=Checkout("ab" * 20, "main", ()))
    with pytest.raises(PreflightRefused) as refused:
        deploy.push_current(operation())
    assert "changes that no commit has: code" in str(refused.value) and "does not have abababababab" in str(
        refused.value
    )
    assert pushed(flow, "main") == flow.second


def test_current_needs_a_branch_and_a_remote(
    flow: AppRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.git("remote", "remove", "origin", at=flow.desk)
    with pytest.raises(PreflightRefused, match="no remote is known for the branch main"):
        deploy.push_current(operation())
    flow.git("switch", "--quiet", "--detach", at=flow.desk)
    with pytest.raises(UsageError, match="no branch is checked out here"):
        deploy.push_current(operation())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="failed here"):
        deploy.push_current(operation())


def test_the_branch_is_pushed_after_a_yes_and_not_before(
    flow: AppRepository, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = flow.commit("three", at=flow.desk)
    typed("n\n", monkeypatch)
    with pytest.raises(Interrupted, match="it has not begun"):
        deploy.deploy(operation(ask=True), "current", deploy.Choice())
    assert pushed(flow, "main") == flow.second and host.shipped == []
    shown = typed("y\nn\n", monkeypatch)
    with pytest.raises(Interrupted, match="it has not begun"):
        deploy.deploy(operation(ask=True), "current", deploy.Choice())
    assert pushed(flow, "main") == third and host.shipped == []
    assert f"main will be pushed to origin, at {third[:12]}" in " ".join(shown.getvalue().split())


# ── Listing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_releases_are_listed_with_what_runs_from_each(
    site: Site, host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = released(site, host.facts, {"api": "b", "web": "a"}, x=BAD, b=GOOD, a=GOOD)
    deploy.show(operation().session.console, site, facts)
    out = capsys.readouterr().out
    for text in ("bbbbbbbbbbbb  live (api)", "xxxxxxxxxxxx  bad", "aaaaaaaaaaaa  live (web)", "2 MB"):
        assert text in out
    assert "compute, candles" in out and "from the checkout, /home/delta/islandflow" in out


def test_as_json_each_release_is_a_line(site: Site, host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    facts = released(site, host.facts, {"api": "b"}, b=GOOD)
    deploy.show(operation(json=True).session.console, site, facts)
    line = json.loads(capsys.readouterr().out)
    assert (line["kind"], line["commit"], line["live"], line["state"]) == ("release", "b" * 40, ["api"], "good")


def test_before_the_first_deploy_there_are_none(site: Site, host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    deploy.show(operation().session.console, site, host.facts)
    assert "no releases yet" in capsys.readouterr().out

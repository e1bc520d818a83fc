"""A deploy as a plan: what is built, who is restarted in which order, who waits, and what is gone back to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fabfile.inventory import Site
from fabfile.plans import decisive, deploy
from fabfile.plans.plan import Plan, Step, Undo, judge
from fabfile.runner.actions.compose import SwitchImage
from fabfile.runner.actions.files import Files
from fabfile.runner.actions.parking import OpenLot
from fabfile.runner.actions.probes import Healthy
from fabfile.runner.actions.releases.build import BuildRelease, BuildService
from fabfile.runner.actions.releases.images import BuildImages
from fabfile.runner.actions.releases.register import FinishRelease, PruneReleases
from fabfile.runner.actions.releases.switch import SwitchService
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.release import BAD, GOOD
from fabfile.terms import Scope
from tests.plans.test_parking import held
from tests.support import inventories
from tests.support.facts import COMMIT, released

SHORT = COMMIT[:12]
ALL = ("compute", "candles", "ingest-options", "ingest-equities", "api", "web")


def plan(site: Site, facts: Facts, *names: str, name: str = "deploy") -> Plan:
    services = [site.services[name] for name in names] or site.scope("full")
    return deploy.deploy(site, facts, "main", services, "ann@desk", name=name)


def step_of(plan: Plan, name: str) -> Step:
    (found,) = (step for step in plan.steps if step.name == name)
    return found


def test_a_deploy_builds_first_then_workers_then_api_and_web_behind_the_hold(site: Site, native_serves: Facts) -> None:
    whole = plan(site, native_serves)
    assert [step.name for step in whole.steps] == [
        "app: commit fetched",
        "app: release begun",
        "app: release made",
        "app: web built",
        "app: links",
        "app: units run from links",
        *(f"app: {name} to {SHORT}" for name in ALL[:4]),
        "firewall: 172.18.0.0/16 to api's parking lot",
        "firewall: 172.18.0.0/16 to web's parking lot",
        "edge: parking lot opened",
        "edge: point to the parking lot",
        "edge: native drained",
        f"app: api to {SHORT}",
        f"app: web to {SHORT}",
        "edge: parked requests to native",
        "edge: point to native",
        "edge: parking lot closed",
        "app: release good",
        "app: old releases removed",
    ]
    assert held(whole.steps) == [step.name for step in whole.steps[13:18]]
    assert whole.confirm_within == site.timeouts.confirm and whole.hold_limit == site.edge.hold_limit and whole.watch


def test_each_piece_is_awaited_and_put_back_as_healthy_as_it_was(site: Site, native_serves: Facts) -> None:
    whole = plan(site, native_serves)
    for name in ALL:
        step = step_of(whole, f"app: {name} to {SHORT}")
        (probe,) = step.verify
        assert isinstance(probe, Healthy) and [w.name for w in probe.workloads] == [name]
        assert isinstance(step.undo, Undo) and step.undo.verify == step.verify


def test_the_public_checks_decide_only_where_something_public_is_restarted(site: Site, native_serves: Facts) -> None:
    workers = plan(site, native_serves, "compute", "candles")
    assert decisive.excuse(workers.settings)("page") and decisive.compares(workers)
    assert "only warn" in decisive.words(workers)
    for names in (("web",), ("api", "compute"), ALL):
        part = plan(site, native_serves, *names)
        assert not decisive.excuse(part.settings)("page") and decisive.compares(part)
        assert "unless those that are good now pass" in decisive.words(part)
    runs_web_already = released(site, native_serves, {"web": COMMIT[0]})
    assert "only warn" in decisive.words(plan(site, runs_web_already, "web", "compute"))


@pytest.mark.parametrize("names", [("api",), ("web",), ("compute",), ("web", "candles")])
def test_only_what_is_restarted_is_held(site: Site, native_serves: Facts, names: tuple[str, ...]) -> None:
    part = plan(site, native_serves, *names)
    lots = [step.action for step in part.steps if isinstance(step.action, OpenLot)]
    ports = [site.services[name].parking_port for name in names if site.services[name].port]
    assert [list(lot.lot.ports) for lot in lots] == ([ports] if ports else [])
    switched = {step.action.service for step in part.steps if isinstance(step.action, SwitchService)}
    assert switched == set(names)
    built = [step.action.service for step in part.steps if isinstance(step.action, BuildService)]
    assert built == ["web"] * ("web" in names)


def test_what_runs_the_commit_already_is_neither_held_nor_restarted(site: Site, native_serves: Facts) -> None:
    facts = released(site, native_serves, {**dict.fromkeys(ALL, "a"), "api": "c"})
    part = plan(site, facts)
    (lot,) = [step.action for step in part.steps if isinstance(step.action, OpenLot)]
    assert lot.lot.ports == (site.web.parking_port,)
    assert f"app: api to {SHORT}" in judge(part, facts).no_ops


def test_a_commit_that_runs_everywhere_leaves_nothing_to_do(site: Site, native_serves: Facts) -> None:
    facts = released(site, native_serves, dict.fromkeys(ALL, "c"))
    files = [step.action for step in plan(site, facts).steps if isinstance(step.action, Files)]
    there = {
        f.path: dataclasses.replace(facts.files[f.path], sha256=f.sha256, owner=f.owner, group=f.group)
        for action in files
        for f in action.files
    }
    judged = judge(
        plan(site, dataclasses.replace(facts, files={**facts.files, **there})),
        dataclasses.replace(facts, files={**facts.files, **there}),
    )
    assert judged.changes == 0, [step.name for step in judged.plan.steps if step.name not in judged.no_ops]


def test_what_is_installed_and_built_is_what_the_inventory_says(site: Site, native_serves: Facts) -> None:
    whole = plan(site, native_serves)
    made, built = step_of(whole, "app: release made").action, step_of(whole, "app: web built").action
    assert isinstance(made, BuildRelease) and isinstance(built, BuildService)
    assert (made.install.folder, made.install.argv) == (".", (site.app.bun, *site.app.install_argv))
    assert (made.install.timeout, made.install.env_file, made.leaves) == (500, "", "node_modules")
    assert (built.build.folder, built.build.argv) == ("apps/web", (site.app.bun, "run", "build"))
    assert (built.build.timeout, built.build.env_file) == (800, site.app.env_file)
    assert built.build.env == ("NEXT_PUBLIC_*", "NODE_ENV") and built.leaves == "apps/web/.next/BUILD_ID"


def test_units_run_from_a_link_of_their_own(site: Site, native_serves: Facts) -> None:
    action = step_of(plan(site, native_serves, "web"), "app: units run from links").action
    assert isinstance(action, Files) and action.reload and action.user == site.app.user
    (file,) = action.files
    assert file.path == f"{site.app.unit_directory}/islandflow-web.service.d/release.conf"
    assert b"\nWorkingDirectory=/home/delta/islandflow.releases/live/web/apps/web\n" in file.content
    assert file.owner == site.app.user


def test_the_folder_of_releases_is_the_inventory_s(tmp_path: Path, native_serves: Facts) -> None:
    own = inventories.site(tmp_path, {"releases": {"folder": "/srv/releases", "keep": 5}})
    whole = plan(own, native_serves)
    prune = step_of(whole, "app: old releases removed").action
    assert isinstance(prune, PruneReleases) and prune.keep == 5
    assert prune.releases.directory(COMMIT) == f"/srv/releases/{COMMIT}"


def test_nothing_that_runs_is_removed_before_the_plan_is_confirmed(site: Site, native_serves: Facts) -> None:
    facts = released(site, native_serves, {**dict.fromkeys(ALL, "a"), "api": "b"}, a=BAD)
    prune = step_of(plan(site, facts), "app: old releases removed").action
    assert isinstance(prune, PruneReleases) and prune.former == ("a" * 40, "b" * 40)


# ── In Docker ───────────────────────────────────────────────────────────────────────────────────────────────────────


def in_docker(site: Site, facts: Facts, *names: str, anew: bool = False) -> Plan:
    services = [site.services[name] for name in names] or site.scope("full")
    return deploy.deploy(site, facts, "main", services, "ann@desk", runtime="docker", anew=anew)


def test_in_docker_images_are_built_and_containers_made_anew_behind_the_same_hold(
    site: Site, docker_serves: Facts
) -> None:
    whole = in_docker(site, docker_serves)
    names = [step.name for step in whole.steps]
    assert names[:4] == ["app: commit fetched", "app: release begun", "app: images adopted", "app: images built"]
    assert names[4:8] == [f"app: {name} to {SHORT}" for name in ALL[:4]]
    assert held(whole.steps) == [
        "edge: point to the parking lot",
        "edge: docker drained",
        f"app: api to {SHORT}",
        f"app: web to {SHORT}",
        "edge: parked requests to docker",
    ]
    built, switched = (step_of(whole, name).action for name in ("app: images built", f"app: api to {SHORT}"))
    assert isinstance(built, BuildImages) and built.services == ALL and built.install
    assert isinstance(switched, SwitchImage) and switched.image == f"{site.runtimes.docker.project}-api"
    (probe,) = step_of(whole, f"app: api to {SHORT}").verify
    assert isinstance(probe, Healthy) and [w.runtime for w in probe.workloads] == ["docker"]
    assert {w.runtime for w in whole.workloads} == {"docker"} and whole.settings["runtime"] == "docker"


def test_an_image_gets_no_dependencies_that_the_checkout_does_not_have(site: Site, docker_serves: Facts) -> None:
    for path in (site.app.installed or "", site.app.bun):
        facts = dataclasses.replace(docker_serves, lacking={path: "there is none"})
        built = step_of(in_docker(site, facts), "app: images built").action
        assert isinstance(built, BuildImages) and built.install is None


def test_a_container_of_the_same_image_is_made_anew_only_on_demand(site: Site, docker_serves: Facts) -> None:
    found = dataclasses.replace(docker_serves.releases, containers=dict.fromkeys(ALL, COMMIT))
    facts = dataclasses.replace(docker_serves, releases=found)
    assert not [step for step in in_docker(site, facts).steps if isinstance(step.action, OpenLot)]
    forced = in_docker(site, facts, "api", anew=True)
    assert [step for step in forced.steps if isinstance(step.action, OpenLot)]
    assert f"app: api to {SHORT}" not in judge(forced, facts).no_ops


# ── Going back ──────────────────────────────────────────────────────────────────────────────────────────────────────


def left(plan: Plan) -> tuple[str, ...]:
    action = step_of(plan, "app: release good").action
    assert isinstance(action, FinishRelease)
    return action.left


def test_going_back_notes_as_bad_what_nothing_runs_any_more(site: Site, native_serves: Facts) -> None:
    facts = released(site, native_serves, dict.fromkeys(ALL, "b"), b=GOOD, a=GOOD)
    assert left(plan(site, facts, name="rollback")) == ("b" * 40,)
    assert left(plan(site, facts, "web", name="rollback")) == (), "the others run it still"
    assert left(plan(site, facts)) == ()


@pytest.mark.parametrize(
    ("live", "known", "scope", "expected"),
    [
        ({}, {}, "full", ("", ())),  # from the checkout
        (dict.fromkeys(ALL, "a"), {}, "full", ("", ALL)),  # nothing before
        (dict.fromkeys(ALL, "b"), {"b": GOOD, "a": GOOD}, "full", ("a", ALL)),
        (dict.fromkeys(ALL, "b"), {"b": GOOD, "x": BAD, "a": GOOD}, "full", ("a", ALL)),
        (dict.fromkeys(ALL, "b"), {"b": GOOD, "a": GOOD}, "api", ("a", ("api",))),
        ({**dict.fromkeys(ALL, "a"), "api": "b"}, {"b": GOOD, "a": GOOD}, "full", ("a", ("api",))),
        (dict.fromkeys(ALL, "b"), {"b": BAD, "a": GOOD}, "full", ("a", ALL)),
    ],
)
def test_the_last_good_release_is_the_latest_before_the_one_that_came_last(
    site: Site,
    native_serves: Facts,
    live: dict[str, str],
    known: dict[str, str],
    scope: Scope,
    expected: tuple[str, tuple[str, ...]],
) -> None:
    facts = released(site, native_serves, live, **known)
    release, moving = deploy.last_good(site, facts, site.scope(scope))
    assert ((release.commit[0] if release else ""), {service.name for service in moving}) == (
        expected[0],
        set(expected[1]),
    )


def test_a_release_that_never_ran_a_service_is_none_to_go_back_to(site: Site, native_serves: Facts) -> None:
    facts = released(site, native_serves, dict.fromkeys(ALL, "b"), b=GOOD, a=GOOD, z=GOOD)
    known = [dataclasses.replace(r, services=("api",)) if r.commit[0] == "a" else r for r in facts.releases.known]
    facts = dataclasses.replace(facts, releases=dataclasses.replace(facts.releases, known=tuple(known)))
    release, _ = deploy.last_good(site, facts, site.scope("full"))
    assert release and release.commit[0] == "z"

"""What stands against the app's own Compose file, and what `docker.check` says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fabfile.checks import compose, docker, parts, preflight
from fabfile.inventory import Site
from fabfile.runner.facts.compose import NO_PLUGIN
from fabfile.runner.wire.app import ComposeDifference, ComposeView
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime
from tests.support.facts import changed

FILE = "/home/delta/islandflow/deployment/docker/docker-compose.yml"


def composed(facts: Facts, name: str, **values: Any) -> Facts:
    return changed(facts, compose={name: replace(facts.compose[name], **values)})


def boxed(facts: Facts, name: str, **values: Any) -> Facts:
    return changed(facts, containers={name: replace(facts.containers[name], **values)})


def scaled(facts: Facts, name: str, **values: Any) -> Facts:
    """The same with one more container of the service, which differs."""
    first = facts.containers[name]
    return boxed(facts, name, siblings=(replace(first, name=f"x-{name}-2", id="second", **values),))


# ── Before a hand-over ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_image_that_is_not_there_is_named_with_the_command_that_brings_it(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    sides: dict[Runtime, Facts] = {"native": docker_serves, "docker": native_serves}
    for to, serves in sides.items():
        facts = composed(serves, "web", there=False, lacking=("/home/delta/islandflow/apps",))
        (finding,) = preflight.findings(site, facts, to)
        assert finding.text.startswith("image islandflow-vps-web of web is not on the VPS")
        assert f"docker compose -p islandflow-vps -f {FILE} build web" in finding.fix
        assert "also needs what is not there: /home/delta/islandflow/apps" in finding.fix
        assert finding.warning == (to == "native"), "the containers that run came from it; only the way back needs it"
    (finding,) = preflight.findings(site, composed(native_serves, "redis", there=False), "docker")
    assert "pull redis" in finding.fix


def test_the_services_of_one_image_share_one_finding(site: Site, native_serves: Facts) -> None:
    facts = composed(native_serves, "api", there=False, image="app")
    facts = composed(facts, "compute", there=False, image="app")
    (finding,) = preflight.findings(site, facts, "docker")
    assert finding.text == "image app of api, compute is not on the VPS"


def test_a_second_container_counts_whatever_the_first_one_does(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    always = scaled(docker_serves, "compute", policy="always")
    (finding,) = preflight.findings(site, always, "native")
    assert "restart: always" in finding.text and "compute" in finding.text

    beside = scaled(native_serves, "compute", state="running")
    assert ["x-compute-2" in finding.text for finding in compose.beside_native(site, beside)] == [True]

    (finding,) = preflight.findings(site, scaled(docker_serves, "redis"), "native")
    assert "redis has 2 containers that run, x-redis-1 and x-redis-2" in finding.text
    assert preflight.findings(site, scaled(docker_serves, "redis", state="created"), "native") == []


def test_a_service_that_the_file_lacks_is_named(site: Site, docker_serves: Facts) -> None:
    rest = {name: service for name, service in docker_serves.compose.items() if name != "candles"}
    (finding,) = preflight.findings(site, replace(docker_serves, compose=rest), "native")
    assert f"{FILE} has no service candles (services.candles), only: api, clickhouse" in finding.text


@pytest.mark.parametrize("to", ["native", "docker"])
def test_data_somewhere_else_is_never_left_behind(
    site: Site, to: Runtime, docker_serves: Facts, native_serves: Facts
) -> None:
    serves = docker_serves if to == "native" else native_serves
    (finding,) = preflight.findings(site, composed(serves, "redis", mounts={"/data": "/srv/redis"}), to)
    assert not finding.warning
    assert (
        "redis's data in Docker is not /var/lib/islandflow/redis: its service mounts /srv/redis at /data"
        in finding.text
    )
    assert preflight.findings(site, composed(serves, "redis", mounts={"/data": "/var/lib/islandflow/redis/"}), to) == []


def test_what_the_running_container_holds_counts_as_well(site: Site, docker_serves: Facts) -> None:
    (finding,) = preflight.findings(site, boxed(docker_serves, "nats", mounts={"/data": "/srv/nats"}), "native")
    assert not finding.warning and "nats's container does not hold its data in /var/lib/islandflow/nats" in finding.text
    assert "but in /srv/nats" in finding.text


def test_the_image_whose_version_is_compared_is_the_one_that_runs(site: Site, native_serves: Facts) -> None:
    (finding,) = preflight.findings(site, composed(native_serves, "redis", image="redis:8"), "docker")
    assert "redis in Docker is the image redis:8, and the inventory says redis:7.2" in finding.text
    assert finding.fix == 'infra.redis.image = "redis:8"'


def test_a_container_that_the_inventory_does_not_name_would_stay(site: Site, docker_serves: Facts) -> None:
    stray = replace(docker_serves.containers["api"], service="replay", name="x-replay-1")
    (finding,) = preflight.findings(site, changed(docker_serves, containers={"replay": stray}), "native")
    assert "container x-replay-1 runs in the project, and the inventory has no service replay" in finding.text
    assert "docker stop x-replay-1" in finding.fix
    stopped = changed(docker_serves, containers={"replay": replace(stray, state="exited")})
    assert preflight.findings(site, stopped, "native") == []


def test_containers_made_from_other_files_too_are_warned_about(site: Site, docker_serves: Facts) -> None:
    other = "/home/delta/islandflow/deployment/docker/docker-compose.override.yml"
    (finding,) = preflight.findings(site, boxed(docker_serves, "web", files=(FILE, other)), "native")
    assert finding.warning and other in finding.text
    ours = (FILE, site.runtimes.docker.overlay_file)
    assert preflight.findings(site, boxed(docker_serves, "web", files=ours), "native") == []


@pytest.mark.parametrize("to", ["native", "docker"])
def test_a_file_that_compose_does_not_take_refuses_both_ways(
    site: Site, to: Runtime, docker_serves: Facts, native_serves: Facts
) -> None:
    serves = docker_serves if to == "native" else native_serves
    broken = replace(serves, compose={}, compose_error="services.web: unknown key")
    (finding,) = preflight.findings(site, broken, to)
    assert finding.text == "Compose: services.web: unknown key" and not finding.warning


def test_a_docker_without_compose_is_told_what_to_install(site: Site, docker_serves: Facts) -> None:
    (finding,) = preflight.findings(site, replace(docker_serves, compose={}, compose_error=NO_PLUGIN), "native")
    assert finding.text == NO_PLUGIN and "apt-get install" in finding.fix


def test_docker_up_is_refused_for_the_same_reasons(site: Site, docker_serves: Facts) -> None:
    assert parts.docker_may_run(site, docker_serves) == []
    (finding,) = parts.docker_may_run(site, composed(docker_serves, "api", there=False))
    assert "image islandflow-vps-api" in finding.text and not finding.warning


# ── docker.check ────────────────────────────────────────────────────────────────────────────────────────────────────


def variable(service: str, name: str, change: str = "added", planned: bool = True) -> ComposeDifference:
    return ComposeDifference(("services", service, "environment", name), change, planned)


def rows(site: Site, facts: Facts, *differences: ComposeDifference, **view: Any) -> dict[str, tuple[bool, str]]:
    seen = replace(facts, compose_view=ComposeView(differences, **view))
    return {what: (ok, text) for what, ok, text in docker.checks(site, seen)}


def test_nothing_else_than_the_own_file_is_said(site: Site, docker_serves: Facts) -> None:
    found = rows(site, docker_serves)
    assert all(ok for ok, _ in found.values())
    assert found["what Compose would run"] == (True, "the app's own file, and nothing else")
    assert found["containers"] == (True, "as the files say")


def test_a_difference_that_the_inventory_means_names_its_key(site: Site, docker_serves: Facts) -> None:
    name = "OPTIONS_INGEST_ADAPTER"
    found = rows(site, docker_serves, variable("web", name, "changed"), variable("api", name, "changed"))
    assert found[f"environment.{name} is changed"] == (True, f"intended in web, api: runtimes.docker.overrides.{name}")
    assert "what Compose would run" not in found


@pytest.mark.parametrize(
    "difference",
    [
        variable("web", "OPTIONS_INGEST_ADAPTER", planned=False),  # another value than the inventory's
        variable("web", "OTHER"),
        ComposeDifference(("services", "web", "ports", "1", "published"), "added", False),
        ComposeDifference(("services", "other", "image"), "added", False),
        ComposeDifference(("networks", "x", "name"), "removed", False),
    ],
    ids=lambda difference: ".".join(difference.path),
)
def test_any_other_difference_is_not_intended(site: Site, docker_serves: Facts, difference: ComposeDifference) -> None:
    bad = {what: text for what, (ok, text) in rows(site, docker_serves, difference).items() if not ok}
    ((what, text),) = bad.items()
    assert what.endswith(f"is {difference.change}") and text.startswith("not intended")


def test_an_overlay_that_is_not_written_yet_lacks_what_the_inventory_wants(site: Site, docker_serves: Facts) -> None:
    found = rows(site, docker_serves, variable("web", "OPTIONS_INGEST_ADAPTER", "lacking"))
    ok, text = found["environment.OPTIONS_INGEST_ADAPTER is lacking"]
    assert not ok and text.endswith("does not: inv docker.render")


def test_containers_that_are_not_as_the_files_say_matter_while_docker_owns(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    ok, text = rows(site, docker_serves, renewed=("x-web-1",))["containers"]
    assert not ok and "x-web-1" in text and "inv docker.stop and inv docker.up" in text
    ok, text = rows(site, native_serves, renewed=("x-web-1",))["containers"]
    assert ok and "next rollback" in text


def test_what_cannot_be_compared_and_what_is_missing_is_said(site: Site, docker_serves: Facts) -> None:
    assert rows(site, docker_serves, problem="yaml: line 3")["what Compose would run"] == (False, "yaml: line 3")
    found = rows(site, composed(docker_serves, "web", there=False, lacking=("/gone",)))
    assert "islandflow-vps-web (web)" in found["images"][1] and not found["images"][0]
    assert found["what images are built from"] == (False, "not on the VPS: /gone")
    broken = rows(site, replace(docker_serves, compose_error="bad", compose={}))
    assert set(broken) == {f"{FILE} is valid", "overlay is as rendered", *(n for n in broken if "snapshot" in n)}

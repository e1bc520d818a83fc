"""What a reboot would bring up, and what is wrong with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from fabfile import survey
from fabfile.checks import boot, preflight
from fabfile.inventory import Site
from fabfile.plans import app
from fabfile.rendering import files
from fabfile.runner.actions.units import Disable, Enable
from fabfile.runner.wire.facts import Container, Facts, FileFact, Unit
from fabfile.terms import Runtime
from tests.support.facts import changed

SERVERS = ("nats", "redis", "clickhouse")


def unit(name: str, enabled: str = "disabled", active: str = "active") -> Unit:
    return Unit(name, "loaded", active, "running", enabled, 0, 1, "success", f"/x/{name}", False)


def container(facts: Facts, service: str, **values: Any) -> dict[str, Container]:
    return {service: dataclasses.replace(facts.containers[service], **values)}


def told(site: Site, facts: Facts) -> list[str]:
    found = boot.findings(site, facts)
    assert all(finding.warning and finding.fix for finding in found)
    return [str(finding).replace("\n", " ") for finding in found]


def test_where_all_is_well_the_owner_comes_up_whole_and_nobody_else(
    site: Site, native_serves: Facts, docker_serves: Facts, fresh: Facts
) -> None:
    everybody = {*SERVERS, *site.services}
    cases: tuple[tuple[Facts, Runtime], ...] = (
        (native_serves, "native"),
        (docker_serves, "docker"),
        (fresh, "docker"),
    )
    for facts, runtime in cases:
        coming = boot.after_reboot(site, facts)
        assert set(coming.pop(runtime)) == everybody and not any(coming.values())
        assert told(site, facts) == []


def test_installing_leaves_what_starts_at_boot_as_it_is(site: Site, native_serves: Facts) -> None:
    assert not [s for s in app.install(site, native_serves) if isinstance(s.action, (Enable, Disable))]
    *_, on = app.install(site, native_serves, "web")
    assert isinstance(on.action, Enable) and on.action.units == (site.web.unit,), "the others stay as they are"


def test_native_units_that_are_not_enabled_are_missed(site: Site, native_serves: Facts) -> None:
    services = {s.unit: unit(s.unit) for s in site.scope("full")}
    facts = changed(native_serves, user_units=services)
    assert boot.after_reboot(site, facts)["native"] == SERVERS
    (text,) = told(site, facts)
    assert "a reboot would not bring up web, api" in text and text.endswith("→ inv app.start")
    facts = changed(native_serves, units={s.unit: unit(s.unit) for s in site.servers})
    (text,) = told(site, facts)
    assert "nats, redis, clickhouse: not enabled at boot" in text and text.endswith("→ inv infra.start")


def test_without_a_user_manager_nothing_is_claimed_of_its_units(site: Site, native_serves: Facts) -> None:
    facts = dataclasses.replace(native_serves, user_units={}, user_manager="lingering is off for delta")
    assert told(site, facts) == []


@pytest.mark.parametrize(
    ("values", "comes_back"),
    [
        ({"policy": "unless-stopped"}, True),
        ({"policy": "unless-stopped", "state": "restarting"}, True),
        ({"policy": "unless-stopped", "state": "exited"}, False),
        ({"policy": "always", "state": "exited"}, True),
        ({"policy": "always", "state": "created"}, False),
        ({"policy": "on-failure"}, True),
        ({"policy": "no"}, False),
        ({"policy": ""}, False),
    ],
)
def test_a_container_comes_back_as_docker_has_it(
    site: Site, docker_serves: Facts, values: dict[str, Any], comes_back: bool
) -> None:
    facts = changed(docker_serves, containers=container(docker_serves, "api", **values))
    assert ("api" in boot.after_reboot(site, facts)["docker"]) == comes_back
    assert len(told(site, facts)) == (not comes_back)


def test_the_fix_fits_the_reason(site: Site, docker_serves: Facts) -> None:
    (text,) = told(site, changed(docker_serves, containers=container(docker_serves, "api", policy="no")))
    assert "would not bring up api: their restart policy" in text and "restart: unless-stopped" in text
    (text,) = told(site, changed(docker_serves, containers=container(docker_serves, "api", state="exited")))
    assert "api: stopped" in text and text.endswith("→ inv docker.up")
    facts = changed(docker_serves, units={survey.DAEMON: unit(survey.DAEMON)})
    (text,) = told(site, facts)
    assert "no container: docker.service is not enabled" in text and "systemctl enable docker.service" in text
    assert boot.after_reboot(site, facts)["docker"] == ()


def test_containers_that_would_run_beside_a_native_owner(site: Site, native_serves: Facts) -> None:
    facts = changed(native_serves, containers=container(native_serves, "nats", policy="always"))
    (text,) = told(site, facts)
    assert "native owns, and a reboot would bring up docker's nats beside it" in text and "unless-stopped" in text
    facts = changed(native_serves, containers=container(native_serves, "nats", state="running"))
    (text,) = told(site, facts)
    assert "docker's nats beside it" in text and text.endswith("→ inv docker.stop")


def test_units_without_our_condition_come_up_whoever_owns(site: Site, docker_serves: Facts) -> None:
    path = f"{site.app.unit_directory}/{site.api.unit}"
    theirs = FileFact(path, "file", 0o644, "delta", "delta", "x", "[Service]\nExecStart=/bin/true\n")
    facts = changed(docker_serves, user_units={site.api.unit: unit(site.api.unit, "enabled", "inactive")})
    assert told(site, facts) == [], "ours start for the owner only"
    (text,) = told(site, changed(facts, files={path: theirs}))
    assert "docker owns, and a reboot would bring up native's api beside it" in text and "inv app.install" in text
    server = site.infra.redis
    path = str(files.SYSTEM_UNITS / server.unit)
    facts = changed(docker_serves, units={server.unit: unit(server.unit, "enabled", "inactive")})
    (text,) = told(site, changed(facts, files={path: dataclasses.replace(theirs, path=path)}))
    assert "native's redis beside it" in text


def test_a_cutover_is_refused_while_docker_would_come_back_whatever_was_stopped(
    site: Site, docker_serves: Facts
) -> None:
    facts = changed(docker_serves, containers=container(docker_serves, "redis", policy="always"))
    (finding,) = preflight.findings(site, facts, "native")
    assert not finding.warning and "(restart: always): redis" in finding.text
    assert preflight.findings(site, changed(facts, owner="native"), "docker") == []


def test_what_cannot_be_known_is_not_told(site: Site, docker_serves: Facts) -> None:
    facts = dataclasses.replace(docker_serves, containers={}, docker_error="Docker does not answer")
    assert "docker" not in boot.after_reboot(site, facts) and told(site, facts) == []
    assert told(site, dataclasses.replace(docker_serves, owner_error="the owner file holds 'both'")) == []
    assert boot.after_reboot(site, Facts(docker_error="no")) == {}

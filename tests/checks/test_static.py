"""What can be checked without starting anything, from facts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fabfile import survey
from fabfile.checks import static
from fabfile.inventory import Site
from fabfile.runner.wire.facts import Facts
from tests.support import inventories
from tests.support.facts import changed


@pytest.fixture
def good(docker_serves: Facts) -> Facts:
    return dataclasses.replace(docker_serves, unit_errors={"": "", "delta": ""})


def bad(site: Site, facts: Facts) -> dict[str, str]:
    return {what: text for what, ok, text in static.checks(site, facts) if not ok}


def test_all_is_well_and_what_there_is_none_of_is_said(site: Site, good: Facts) -> None:
    rows = {what: text for what, _, text in static.checks(site, good)}
    assert bad(site, good) == {}
    assert {"system units", "units of delta", "nginx -t", "overlay is as rendered"} <= set(rows)
    assert rows["shell scripts"] == "the inventory names none (app.shell_scripts)"


def test_each_fault_has_a_row_of_its_own(site: Site, good: Facts) -> None:
    facts = changed(
        good,
        unit_errors={"delta": "islandflow-api.service:9: Unknown key name"},
        compose_error="services.web: unknown key",
        edge={"config_problem": "[emerg] unknown directive"},
    )
    found = bad(site, facts)
    assert set(found) == {f"{site.runtimes.docker.file} is valid", "units of delta", "nginx -t"}
    assert "Unknown key" in found["units of delta"] and "[emerg]" in found["nginx -t"]
    gone = changed(good, edge={"problem": "container nginx-proxy-manager is exited"})
    assert bad(site, gone) == {"nginx -t": "container nginx-proxy-manager is exited"}


def test_each_unit_has_its_exposure_and_an_old_systemd_says_why_not(site: Site, good: Facts) -> None:
    known = changed(good, exposures={"islandflow-redis.service": 1.3, "islandflow-api.service": 6.4})
    rows = {what: text for what, _, text in static.checks(site, known)}
    assert rows["exposure of islandflow-redis.service"].startswith("1.3 of 10")
    assert rows["exposure of islandflow-api.service"].startswith("6.4 of 10")
    old = changed(good, exposure_error="unrecognized option '--offline=yes'")
    assert ("exposure of units", True, "not known: unrecognized option '--offline=yes'") in list(
        static.checks(site, old)
    )


def test_scripts_are_those_that_the_inventory_names(tmp_path: Path, good: Facts) -> None:
    site = inventories.site(tmp_path, {"app.shell_scripts": ["deploy.sh", "scripts/build.sh"]})
    wanted = survey.static(site)
    assert wanted.scripts == ("/home/delta/islandflow/deploy.sh", "/home/delta/islandflow/scripts/build.sh")
    found = changed(good, script_errors={wanted.scripts[0]: "", wanted.scripts[1]: "line 3: syntax error"})
    assert bad(site, found) == {"scripts/build.sh": "line 3: syntax error"}
    assert "shell scripts" not in {what for what, _, _ in static.checks(site, found)}


def test_every_rendered_unit_is_verified_by_the_manager_that_will_run_it(site: Site) -> None:
    files = survey.static(site).unit_files
    assert {file.name for file in files if not file.user} == {site.seal_unit, *(server.unit for server in site.servers)}
    assert {file.name for file in files if file.user == "delta"} == {service.unit for service in site.scope("full")}

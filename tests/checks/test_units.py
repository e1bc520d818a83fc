"""What native units cannot start without is found before anything is stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from fabfile import survey, workloads
from fabfile.checks import parts, preflight, units
from fabfile.checks.result import Finding
from fabfile.inventory import Site
from fabfile.runner.wire.facts import Facts
from tests.support.facts import changed

ENV = "[Errno 2] No such file or directory: '/home/delta/islandflow/.env'"


def texts(found: list[Finding]) -> list[str]:
    assert all(finding.fix and not finding.warning for finding in found)
    return [finding.text for finding in found]


def unloaded(facts: Facts, name: str, load: str) -> Facts:
    kind = "user_units" if name in facts.user_units else "units"
    return changed(facts, **{kind: {name: dataclasses.replace(getattr(facts, kind)[name], load=load)}})


def test_where_all_is_there_nothing_is_found(site: Site, native_serves: Facts) -> None:
    assert parts.app_may_run(site, native_serves, "full") == []
    assert parts.servers_may_run(site, native_serves) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda site, facts: changed(facts, settings_file={"problem": ENV}), "env file: [Errno 2]"),
        (
            lambda site, facts: changed(facts, settings_file={"denied": "delta cannot read it"}),
            "env file: delta cannot read it",
        ),
        (lambda site, facts: unloaded(facts, site.api.unit, "not-found"), "not installed: islandflow-api.service"),
        (lambda site, facts: unloaded(facts, site.api.unit, "masked"), "masked, so that nobody can start them: isl"),
        (
            lambda site, facts: changed(facts, lacking={site.runtimes.native.overrides_file: "there is no native.env"}),
            "there is no native.env: no service would start",
        ),
        (
            lambda site, facts: changed(facts, lacking={site.app.bun: f"there is no {site.app.bun}"}),
            "bun: no service would start",
        ),
        (
            lambda site, facts: changed(facts, lacking={site.api.directory: "x is no directory"}),
            "is no directory: api would not start",
        ),
        (
            lambda site, facts: changed(facts, lacking={workloads.sources(site.api)[0]: "there is no x"}),
            "there is no x: api would not start",
        ),
    ],
)
def test_whatever_a_service_lacks_is_found_for_its_scope(
    site: Site, native_serves: Facts, change: Callable[[Site, Facts], Any], text: str
) -> None:
    (found,) = texts(parts.app_may_run(site, change(site, native_serves), "api"))
    assert text in found
    elsewhere = "api" in text and not parts.app_may_run(site, change(site, native_serves), "web")
    assert elsewhere or "api" not in text, "the other services start without"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda site, facts: unloaded(facts, site.infra.redis.unit, "not-found"), "not installed: islandflow-redis"),
        (lambda site, facts: changed(facts, lacking={site.infra.nats.binary: "there is no x"}), "nats would not start"),
        (lambda site, facts: changed(facts, lacking={site.infra.redis.config: "there is no x"}), "redis would not"),
    ],
)
def test_whatever_a_server_lacks_is_found(
    site: Site, native_serves: Facts, change: Callable[[Site, Facts], Any], text: str
) -> None:
    (found,) = texts(parts.servers_may_run(site, change(site, native_serves)))
    assert text in found


def test_what_installing_writes_need_not_be_there_before_a_cutover(site: Site, docker_serves: Facts) -> None:
    facts = changed(docker_serves, lacking={site.runtimes.native.overrides_file: "there is no native.env"})
    facts = unloaded(facts, site.api.unit, "not-found")
    assert units.before_installing(site, facts, site.scope("full")) == []
    assert preflight.findings(site, facts, "native") == []


def test_natives_own_files_keep_nobody_from_going_back_to_docker(site: Site, native_serves: Facts) -> None:
    facts = changed(
        native_serves, settings_file={"problem": ENV}, lacking={site.app.bun: f"there is no {site.app.bun}"}
    )
    assert preflight.findings(site, facts, "docker") == []


def test_all_that_a_unit_needs_is_asked_for(site: Site) -> None:
    asked = {(need.path, need.how, need.user) for need in survey.request(site).needs}
    assert (site.app.bun, "run", "delta") in asked and (site.api.directory, "enter", "delta") in asked
    assert (site.runtimes.native.overrides_file, "read", "delta") in asked
    assert (site.runtimes.native.settings_file, "read", "delta") in asked
    assert (workloads.sources(site.api)[0], "read", "delta") in asked
    assert (site.infra.nats.binary, "run", "") in asked

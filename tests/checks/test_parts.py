"""What stands against a deploy, each with its reason, and nothing where all is well."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from fabfile.checks import parts, units
from fabfile.inventory import Site
from fabfile.rendering import files
from fabfile.runner.wire.edge import EdgeFacts
from fabfile.runner.wire.facts import Facts, Unit
from fabfile.runner.wire.release import Checkout
from fabfile.terms import Runtime
from tests.support.facts import changed, released

SERVED, WORKERS = ("api", "web"), ("compute",)


def found(site: Site, facts: Facts, *names: str, runtime: Runtime = "native", build: bool = True) -> list[str]:
    """The findings, in words."""
    services = [site.services[name] for name in names]
    return [str(finding) for finding in parts.may_be_deployed(site, facts, services, runtime, build=build)]


def test_nothing_stands_against_a_deploy_where_native_serves(site: Site, native_serves: Facts) -> None:
    assert found(site, native_serves, *site.services) == []


def test_a_runtime_that_does_not_own_is_not_deployed(site: Site, docker_serves: Facts) -> None:
    (text,) = found(site, docker_serves, *WORKERS)
    assert "docker owns the app, so nothing of native is deployed" in text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"user_manager": "lingering is off"}, "lingering is off"),
        ({"checkout": Checkout("a" * 40, "main", ("src/api.ts",))}, "changes of its own: src/api.ts"),
        ({"checkout": Checkout("a" * 40, "main", (), ("new.ts",))}, "git does not know: new.ts"),
        ({"checkout": None, "checkout_error": "no repository"}, "no repository"),
        ({"releases": {"problem": "main is no branch", "commit": ""}}, "main is no branch"),
        ({"releases": {"free": 600 << 20}}, "only 600 MiB are free where /home/delta/islandflow.releases is"),
    ],
)
def test_a_deploy_is_refused_with_the_reason(
    site: Site, native_serves: Facts, changes: dict[str, Any], text: str
) -> None:
    refused = found(site, changed(native_serves, **changes), *WORKERS)
    assert len(refused) == 1 and text in refused[0]


def test_units_must_be_installed_but_the_checkout_need_not_be_built(site: Site, native_serves: Facts) -> None:
    missing = Unit(site.api.unit, "not-found", "inactive", "dead", "", 0, 0, "", "", False)
    refused = found(site, changed(native_serves, user_units={site.api.unit: missing}), "api")
    assert len(refused) == 1 and "not installed" in refused[0]
    unbuilt = changed(native_serves, lacking={site.web.built: "there is no build", site.app.installed: "there is none"})
    assert found(site, unbuilt, "web") == []


def test_web_and_api_are_refused_while_the_edge_leads_elsewhere(
    site: Site, native_serves: Facts, docker_serves: Facts
) -> None:
    elsewhere = dataclasses.replace(native_serves, edge=docker_serves.edge)
    for name in SERVED:
        (text,) = found(site, elsewhere, name)
        assert f"the edge leads to docker, so {name} can't be deployed" in text and "npm.switch --to native" in text
    assert found(site, elsewhere, *WORKERS) == []
    (text,) = found(site, dataclasses.replace(native_serves, edge=EdgeFacts()), *SERVED)
    assert "neither runtime as a whole, so api and web" in text


def test_docker_is_deployed_where_it_owns_and_serves(site: Site, native_serves: Facts, docker_serves: Facts) -> None:
    assert found(site, docker_serves, *site.services, runtime="docker") == []
    (text,) = found(site, native_serves, *WORKERS, runtime="docker")
    assert "native owns the app, so nothing of docker is deployed" in text and "--runtime native" in text
    elsewhere = dataclasses.replace(docker_serves, edge=native_serves.edge)
    assert "the edge leads to native, so api" in found(site, elsewhere, "api", runtime="docker")[0]
    assert "no docker" in found(site, changed(docker_serves, docker_error="no docker"), "api", runtime="docker")[0]
    assert "is not built" in found(site, docker_serves, *WORKERS, runtime="docker", build=False)[0]


@pytest.mark.parametrize("changes", [{"built": False}, {"image": "registry.example.org/api@sha256:" + "a" * 64}])
def test_an_image_that_the_compose_file_does_not_build_is_not_deployed(
    site: Site, docker_serves: Facts, changes: dict[str, Any]
) -> None:
    service = dataclasses.replace(docker_serves.compose["compute"], **changes)
    facts = changed(docker_serves, compose={"compute": service})
    (text,) = found(site, facts, "compute", "candles", runtime="docker")
    assert "does not say how the image of compute is built" in text and "--pieces" in text


@pytest.mark.parametrize(
    ("live", "names", "text"),
    [
        ({}, WORKERS, "is not built\n"),
        ({"candles": "c"}, WORKERS, ""),
        ({"web": "c"}, ("web",), ""),
    ],
)
def test_without_a_build_only_a_release_that_is_built(
    site: Site, native_serves: Facts, live: dict[str, str], names: tuple[str, ...], text: str
) -> None:
    facts = released(site, native_serves, live)
    refused = found(site, facts, *names, build=False)
    assert bool(refused) == bool(text) and all(text in finding for finding in refused)


def test_without_a_build_web_must_have_been_built(site: Site, native_serves: Facts) -> None:
    facts = released(site, native_serves, {"candles": "c"})
    known = tuple(dataclasses.replace(release, builds=()) for release in facts.releases.known)
    facts = changed(facts, releases={"known": known})
    assert "is not built for web" in found(site, facts, "web", build=False)[0]
    assert found(site, facts, *WORKERS, build=False) == []


Lacking = Callable[[Site], str | None]


@pytest.mark.parametrize("path", [lambda s: s.app.installed, lambda s: s.web.directory, lambda s: s.web.built])
def test_a_service_that_runs_from_a_release_needs_nothing_of_the_checkout(
    site: Site, native_serves: Facts, path: Lacking
) -> None:
    facts = released(site, native_serves, {"web": "a"})
    lacking = path(site) or ""
    assert units.before_installing(site, changed(facts, lacking={lacking: "there is none"}), [site.web]) == []
    assert units.before_installing(site, changed(native_serves, lacking={lacking: "there is none"}), [site.web])
    missing = changed(facts, lacking={files.released(site, site.web, lacking): "there is no such release"})
    (finding,) = units.before_installing(site, missing, [site.web])
    assert "web would not start from its release" in finding.text and "inv deploy" in finding.fix

"""Variables that differ between the runtimes: named with a reason, or refused before a cutover."""

from __future__ import annotations

import pytest

from fabfile.checks import environment, parts, preflight
from fabfile.inventory import Site
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.settings import ContainerValue, Difference, Differences, RefusedLogin
from tests.support.facts import changed

ENV, DOCKER_ENV = "/home/delta/islandflow/.env", "/home/delta/islandflow/deployment/docker/.env"
OVERRIDES = "/etc/islandflow/native.env"
EVERYBODY = ("web", "api", "compute", "candles", "ingest-options", "ingest-equities")


def with_differences(facts: Facts, *found: Difference) -> Facts:
    return changed(facts, differences=Differences(found))


def meant(site: Site, **reasons: str) -> Site:
    """The site whose inventory gives these reasons."""
    native = site.runtimes.native.model_copy(update={"differences": reasons})
    return site.model_copy(update={"runtimes": site.runtimes.model_copy(update={"native": native})})


def overriding(site: Site, **variables: str) -> Site:
    """The site whose inventory overrides these natively, and no others."""
    native = site.runtimes.native.model_copy(update={"overrides": variables})
    return site.model_copy(update={"runtimes": site.runtimes.model_copy(update={"native": native})})


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (Difference("KEY", ("web",), ENV, DOCKER_ENV), f"web get another value natively ({ENV}) than in Docker"),
        (Difference("KEY", EVERYBODY, "", DOCKER_ENV), "all services in Docker, and native services do not get it"),
        (Difference("KEY", ("web", "api"), ENV, ""), f"{ENV} gives it to web, api natively, and services in Docker"),
        (Difference("KEY", ("web",), "", DOCKER_ENV, unfit=True), "systemd passes on neither such a name"),
    ],
)
def test_a_difference_without_a_reason_refuses_a_cutover_and_not_the_way_back(
    site: Site, docker_serves: Facts, difference: Difference, text: str
) -> None:
    facts = with_differences(docker_serves, difference)
    (finding,) = preflight.findings(site, facts, "native")
    assert finding.text.startswith("KEY: ") and text in finding.text and not finding.warning
    assert 'runtimes.native.differences.KEY = "…"' in finding.fix
    (warning,) = preflight.findings(site, facts, "docker")
    assert warning.warning and warning.text == finding.text
    assert preflight.findings(meant(site, KEY="another account"), facts, "native") == []


def test_what_differs_in_the_same_way_is_one_finding(site: Site, docker_serves: Facts) -> None:
    pair = (Difference(name, ("web",), "", DOCKER_ENV) for name in ("ONE", "TWO"))
    (finding,) = environment.findings(site, with_differences(docker_serves, *pair), "native")
    assert finding.text.startswith("ONE, TWO: ")


def test_an_override_is_the_reason(site: Site, docker_serves: Facts) -> None:
    facts = with_differences(
        docker_serves, Difference("REDIS_URL", EVERYBODY, "/etc/islandflow/native.env", DOCKER_ENV)
    )
    assert preflight.findings(site, facts, "native") == []
    rows = {name: (ok, text) for name, ok, text in environment.checks(site, facts)}
    assert rows["REDIS_URL"][0] and rows["REDIS_URL"][1].endswith("runtimes.native.overrides sets it")


def test_an_override_that_a_unit_of_its_own_undoes_is_no_reason(site: Site, docker_serves: Facts) -> None:
    for native in ("", "/home/delta/extra.env"):
        facts = with_differences(docker_serves, Difference("REDIS_URL", ("web",), native, DOCKER_ENV))
        (finding,) = environment.findings(site, facts, "native")
        assert finding.text.startswith("REDIS_URL: ") and not finding.warning


def test_an_override_is_no_reason_for_more_than_another_host_and_port(site: Site, docker_serves: Facts) -> None:
    """Another path is another database: what is written there natively would be lost with the way back."""
    placed = Difference("REDIS_URL", EVERYBODY, ENV, DOCKER_ENV)
    assert preflight.findings(site, with_differences(docker_serves, placed), "native") == []
    for native, fix in ((ENV, f"write REDIS_URL into {ENV} as Docker has it"), (OVERRIDES, "what Docker's has")):
        of = site if native == ENV else overriding(site, REDIS_URL="redis://127.0.0.1:6379")
        lost = Difference("REDIS_URL", EVERYBODY, native, DOCKER_ENV, parts=("path", "query"))
        (finding,) = preflight.findings(of, with_differences(docker_serves, lost), "native")
        assert finding.text.startswith(f"REDIS_URL: all services get another path and query natively ({native}) than")
        assert fix in finding.fix and 'runtimes.native.differences.REDIS_URL = "…"' in finding.fix
        assert not finding.warning
        facts = with_differences(docker_serves, lost)
        assert preflight.findings(meant(of, REDIS_URL="a database of its own"), facts, "native") == []


def test_a_variable_of_the_user_manager_has_a_fix_of_its_own(site: Site, docker_serves: Facts) -> None:
    facts = with_differences(docker_serves, Difference("TZ", EVERYBODY, f"the user manager of {site.app.user}"))
    (finding,) = preflight.findings(site, facts, "native")
    assert finding.text == f"TZ: the user manager of {site.app.user} gives it to all services natively, " + (
        "and services in Docker do not get it"
    )
    assert "/etc/environment" in finding.fix and DOCKER_ENV in finding.fix and not finding.warning


def test_what_only_containers_know_refuses_a_cutover_unless_it_may_mean_something_else(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    sure = ContainerValue("PGHOST", ENV, "the Compose service postgres", EVERYBODY)
    maybe = ContainerValue("CACHE", ENV, "the Compose service redis", ("api",), certain=False)
    there = Differences(container_values=(sure, maybe))
    refused, warned = preflight.findings(site, changed(docker_serves, differences=there), "native")
    assert refused.text == f"PGHOST: natively all services get it from {ENV}, and it names the Compose service " + (
        "postgres, which only containers know"
    )
    assert "runtimes.native.overrides.PGHOST" in refused.fix and not refused.warning
    assert warned.text.startswith("CACHE: natively api get") and "may name" in warned.text and warned.warning
    assert preflight.findings(site, changed(native_serves, differences=there), "docker") == []
    said = meant(site, PGHOST="the VPS's DNS knows it", CACHE="it is a kind")
    assert preflight.findings(said, changed(docker_serves, differences=there), "native") == []
    said = meant(site, CACHE="a kind")
    rows = {name: ok for name, ok, _ in environment.checks(said, changed(docker_serves, differences=there))}
    assert (rows["PGHOST"], rows["CACHE"]) == (False, True)


def test_the_check_has_a_row_for_each_difference(site: Site, docker_serves: Facts) -> None:
    site = meant(site, MEANT="events of both runtimes are told apart")
    facts = with_differences(
        docker_serves, *(Difference(name, ("web",), ENV, DOCKER_ENV) for name in ("MEANT", "STRAY"))
    )
    rows = {name: (ok, text) for name, ok, text in environment.checks(site, facts)}
    assert rows["MEANT"][0] and rows["MEANT"][1].endswith("events of both runtimes are told apart")
    assert not rows["STRAY"][0] and rows["STRAY"][1].endswith("no reason is given")
    (_, same) = environment.checks(site, with_differences(docker_serves))
    assert same == ("settings of both runtimes", True, "no variable differs")


def test_what_cannot_be_compared_is_told(site: Site, docker_serves: Facts) -> None:
    facts = changed(docker_serves, differences=Differences(problem="/x/.env: line 1: A: a quote that is not closed"))
    (finding,) = environment.findings(site, facts, "native")
    assert "can't be compared: /x/.env: line 1" in finding.text and not finding.warning
    nothing = changed(docker_serves, differences=None, compose_error="yaml: line 3")
    assert ("settings of both runtimes", False, "yaml: line 3") in list(environment.checks(site, nothing))


def test_a_later_change_of_the_env_file_is_warned_of_until_it_is_installed(site: Site, native_serves: Facts) -> None:
    assert environment.out_of_date(site, native_serves) == []
    facts = changed(native_serves, settings_file={"differs": "it says something else in KEY"})
    (warning,) = parts.app_may_run(site, facts, "full")
    assert warning.warning and "something else in KEY" in warning.text and "inv app.install" in warning.fix
    (row, *_) = environment.checks(site, facts)
    assert row[0] == "/etc/islandflow/settings.env" and not row[1] and "inv app.install" in row[2]


def test_a_login_that_native_redis_would_refuse_refuses_a_cutover_with_its_fix(
    site: Site, docker_serves: Facts
) -> None:
    login = RefusedLogin("native", ENV, "has no password", "a password", EVERYBODY)
    facts = changed(docker_serves, differences=Differences((), (login,)))
    (finding,) = preflight.findings(site, facts, "native")
    assert finding.text == (
        f"native's redis has no password, and REDIS_URL gives all services a password ({ENV}): it would refuse them"
    )
    assert 'runtimes.native.overrides.REDIS_URL = "{redis_url}"' in finding.fix and not finding.warning
    assert ("REDIS_URL", False, finding.text) in list(environment.checks(site, facts))
    assert preflight.findings(site, facts, "docker") == []


def test_a_login_that_dockers_redis_would_refuse_is_a_warning_on_the_way_back(site: Site, native_serves: Facts) -> None:
    login = RefusedLogin("docker", DOCKER_ENV, "requires a password", "no password", ("api",))
    facts = changed(native_serves, differences=Differences((), (login,)))
    (finding,) = preflight.findings(site, facts, "docker")
    assert "docker's redis requires a password" in finding.text and "api no password" in finding.text
    assert finding.warning and site.runtimes.docker.file in finding.fix
    assert preflight.findings(site, facts, "native") == []


def test_what_only_an_image_gives_is_a_warning_and_a_row_until_there_is_a_reason(
    site: Site, docker_serves: Facts
) -> None:
    facts = with_differences(docker_serves, Difference("NODE_ENV", EVERYBODY, "", "the image flow-api", of_image=True))
    (finding,) = preflight.findings(site, facts, "native")
    assert finding.warning and finding.text.startswith(
        "NODE_ENV: the image flow-api gives it to all services in Docker"
    )
    (_, row) = environment.checks(site, facts)
    assert row[:2] == ("NODE_ENV", False)
    (_, row) = environment.checks(meant(site, NODE_ENV="only the build reads it"), facts)
    assert row[:2] == ("NODE_ENV", True)

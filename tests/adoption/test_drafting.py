"""Facts about a VPS → the text of its inventory: what was found, what is shipped, what is asked."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest

from fabfile import resources
from fabfile.adoption import drafting
from fabfile.adoption.draft import ASKED, FOUND, SHIPPED
from fabfile.adoption.drafting import Login
from fabfile.adoption.scene import Choice
from fabfile.errors import InventoryError, UsageError
from fabfile.inventory import Site, load
from fabfile.runner.wire.adoption import Adoption, ContainerFound, Mount, NpmFound, ProxyFound, StartFound, Work
from fabfile.runner.wire.app import JetStream
from tests.adoption import vps
from tests.support import inventories
from tests.support.json_schema import misfits

LOGIN = Login("192.0.2.7", "delta", 2222, "~/.ssh/key")
ANY = Choice()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return inventories.site(tmp_path)


@pytest.fixture
def facts(site: Site) -> Adoption:
    return vps.vps(site)


def written(facts: Adoption, choice: Choice = ANY) -> str:
    draft, scene = drafting.drafted(facts, copy.deepcopy(inventories.WRITTEN), LOGIN, choice)
    return drafting.text(drafting.settled(draft), scene, LOGIN)


def loaded(text: str, tmp_path: Path) -> Site:
    file = tmp_path / "written.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, {})


def asked(text: str, tmp_path: Path) -> list[str]:
    """The keys that the file asks for; nothing else may be wrong with it."""
    with pytest.raises(InventoryError) as caught:
        loaded(text, tmp_path)
    assert all("not answered yet" in problem for problem in caught.value.problems)
    return [problem.partition(":")[0] for problem in caught.value.problems]


def said_at(text: str, key: str) -> str:
    """The line of a value, with its comment, and the comment before it."""
    lines = text.splitlines()
    index = next(i for i, line in enumerate(lines) if line.startswith(f"{key} ="))
    before = [line for line in lines[max(0, index - 1) : index] if line.startswith("#")]
    return " ".join([*before, lines[index]])


# ── The app that the tool knows ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_there_loads_without_a_question(site: Site, facts: Adoption, tmp_path: Path) -> None:
    found = loaded(written(facts), tmp_path)
    assert found.host().address == "192.0.2.7" and found.host().port == 2222
    assert found.services == {name: vps.in_order(service) for name, service in site.services.items()}
    assert found.infra == site.infra
    assert found.streams == site.streams
    assert found.edge == site.edge
    assert found.app == site.app


def test_its_first_line_names_the_schema_which_the_file_fits(facts: Adoption) -> None:
    text = written(facts)
    assert text.splitlines()[0] == f"#:schema {resources.SCHEMA.as_uri()}"
    assert list(misfits(tomllib.loads(text), json.loads(resources.SCHEMA.read_text()))) == []


def test_every_value_says_where_it_comes_from(facts: Adoption) -> None:
    draft, scene = drafting.drafted(facts, inventories.WRITTEN, LOGIN, Choice())
    text = drafting.text(drafting.settled(draft), scene, LOGIN)
    assert all(entry.why for entry in draft.entries.values())
    assert "published as 127.0.0.1:3000" in said_at(text, "port") or "as `init` was told" in said_at(text, "port")
    assert "NPM's host 1" in said_at(text, "app_domain")
    assert "JetStream" in said_at(text, "durables")


def test_an_installations_own_choice_is_not_taken_over(facts: Adoption, tmp_path: Path) -> None:
    """The shipped inventory overrides the adapter for its own VPS: another one goes on with what Docker has."""
    found = loaded(written(facts), tmp_path)
    assert "OPTIONS_INGEST_ADAPTER" not in found.runtimes.native.overrides


def test_the_adapter_that_runs_goes_on_natively(site: Site, facts: Adoption, tmp_path: Path) -> None:
    project = facts.projects[site.runtimes.docker.project]
    docker, own = project.env_files
    other = vps.with_project(
        facts, site, env_files=(docker, dataclasses.replace(own, shown={"OPTIONS_INGEST_ADAPTER": "alpaca"}))
    )
    other = vps.with_container(other, site, "ingest-options", shown={"OPTIONS_INGEST_ADAPTER": "synthetic"})
    found = loaded(written(other), tmp_path)
    assert found.runtimes.native.overrides["OPTIONS_INGEST_ADAPTER"] == "synthetic"


def test_what_differs_between_the_env_files_is_named_and_never_told(facts: Adoption) -> None:
    text = written(facts)
    told = text.partition("[runtimes.native.overrides]")[0].rpartition("get these variables otherwise")[2]
    assert "LOG_LEVEL" in told and "NATS_URL" not in told  # which an override settles
    assert "SECRET_KEY" not in text


def test_what_the_compose_file_itself_gives_becomes_an_override(site: Site, facts: Adoption, tmp_path: Path) -> None:
    more = vps.with_project(facts, site, in_file={"LOG_LEVEL": "warn", "RUNS_IN": "docker", "NATS_URL": "x"})
    overrides = loaded(written(more), tmp_path).runtimes.native.overrides
    assert (overrides["LOG_LEVEL"], overrides["RUNS_IN"]) == ("warn", "{runtime}")
    assert overrides["NATS_URL"] == "{nats_url}"


def test_a_service_without_a_container_is_left_out(site: Site, facts: Adoption, tmp_path: Path) -> None:
    containers = dict(facts.projects[site.runtimes.docker.project].containers)
    del containers["ingest-equities"]
    text = written(vps.with_project(facts, site, containers=containers))
    assert "ingest-equities" not in loaded(text, tmp_path).services
    assert "ingest-equities is left out" in text


def test_a_service_behind_a_profile_is_left_out(site: Site, facts: Adoption, tmp_path: Path) -> None:
    text = written(vps.with_container(facts, site, "ingest-equities", by_profile=True))
    assert "ingest-equities" not in loaded(text, tmp_path).services


def test_a_service_that_nobody_knows_is_taken_with_its_containers_command(
    site: Site, facts: Adoption, tmp_path: Path
) -> None:
    containers = facts.projects[site.runtimes.docker.project].containers
    new = ContainerFound("extra", "x-extra-1", state="running", start=StartFound("services/extra", ("src/index.ts",)))
    found = loaded(written(vps.with_project(facts, site, containers={**containers, "extra": new})), tmp_path)
    assert found.services["extra"].kind == "worker" and found.services["extra"].argv == ("src/index.ts",)


def test_what_is_noteworthy_stands_before_its_table(site: Site, facts: Adoption) -> None:
    app, *others = facts.edges[0].hosts
    work = facts.projects[site.runtimes.docker.project].work
    there = vps.with_container(facts, site, "compute", count=2)
    there = vps.with_project(there, site, work=dataclasses.replace(work, units=(vps.unit("islandflow-api.service"),)))
    there = vps.with_hosts(there, dataclasses.replace(app, problem="its file has 2 server blocks"), *others)
    text = written(there)
    assert "In Docker it runs 2 times, natively once." in text
    assert "Units of ours that are there already: islandflow-api.service (inactive, disabled)." in text
    assert "NPM's host 1: its file has 2 server blocks" in text


def test_natives_parking_port_gives_way_to_whoever_is_there(facts: Adoption, site: Site, tmp_path: Path) -> None:
    assert site.web.parking_port
    busy = dataclasses.replace(facts, listening=(site.web.parking_port,))
    assert loaded(written(busy), tmp_path).web.parking_port == site.web.parking_port + 1


def test_an_edge_that_leads_to_native_is_recognised(site: Site, facts: Adoption, tmp_path: Path) -> None:
    assert site.web.port and site.api.port
    native = vps.with_hosts(
        facts,
        ProxyFound(1, (site.edge.app_domain,), True, vps.GATEWAY, site.web.port, ("ws",), vps.GATEWAY, site.api.port),
        ProxyFound(2, (site.edge.api_domain,), True, vps.GATEWAY, site.api.port),
    )
    found = loaded(written(native), tmp_path)
    assert found.edge == site.edge
    assert (found.runtimes.docker.web_host, found.runtimes.docker.api_host) == ("web", "api")


def test_an_edge_that_leads_to_published_ports_is_recognised(site: Site, facts: Adoption, tmp_path: Path) -> None:
    moved = vps.with_container(facts, site, "web", published={f"{site.web.port}/tcp": "0.0.0.0:8080"})
    moved = vps.with_hosts(
        moved,
        ProxyFound(1, (site.edge.app_domain,), True, "host.docker.internal", 8080, ("ws",), "api", site.api.port or 0),
        *facts.edges[0].hosts[1:],
    )
    assert loaded(written(moved), tmp_path).edge.app_domain == site.edge.app_domain


def test_an_api_whose_hostname_is_closed_is_found_by_its_name(site: Site, facts: Adoption, tmp_path: Path) -> None:
    app, api, other = facts.edges[0].hosts
    closed = dataclasses.replace(api, enabled=False, host="127.0.0.1", port=9)
    found = loaded(written(vps.with_hosts(facts, app, closed, other)), tmp_path)
    assert found.edge.api_domain == site.edge.api_domain and found.public.raw_api == "closed"


def test_without_jetstream_the_known_apps_streams_are_as_shipped(site: Site, facts: Adoption, tmp_path: Path) -> None:
    down = vps.with_project(facts, site, jetstream=JetStream("docker", problem="[Errno 111] Connection refused"))
    text = written(down)
    found = loaded(text, tmp_path)
    assert found.streams == site.streams and found.api.durables == site.api.durables
    assert "Connection refused" in text


def test_a_limit_that_a_variable_sets_is_not_the_apps_own(site: Site, facts: Adoption, tmp_path: Path) -> None:
    streams = facts.projects[site.runtimes.docker.project].jetstream.streams
    more = {name: dataclasses.replace(stream, max_bytes=5) for name, stream in streams.items()}
    there = vps.with_project(facts, site, jetstream=JetStream("docker", more))
    assert {stream.max_bytes for stream in loaded(written(there), tmp_path).streams.values()} == {5}
    variables = tuple(str(stream.max_bytes_env) for stream in site.streams.values())
    there = vps.with_container(there, site, "api", variables=variables)
    found = loaded(written(there), tmp_path).streams
    assert {name for name, stream in found.items() if stream.max_bytes == 5} == {
        name for name, stream in site.streams.items() if not stream.max_bytes_env
    }


def test_durables_of_nobody_are_named(site: Site, facts: Adoption) -> None:
    project = facts.projects[site.runtimes.docker.project]
    first, *_ = project.jetstream.streams
    stream = project.jetstream.streams[first]
    streams = {
        **project.jetstream.streams,
        first: dataclasses.replace(stream, consumers={**stream.consumers, "desktop-alerts": vps.CONSUMER}),
    }
    assert "desktop-alerts" in written(vps.with_project(facts, site, jetstream=JetStream("docker", streams)))


# ── What can't be found ─────────────────────────────────────────────────────────────────────────────────────────────


def test_without_an_edge_its_values_are_asked_for(facts: Adoption, tmp_path: Path) -> None:
    text = written(dataclasses.replace(facts, edges=()))
    keys = asked(text, tmp_path)
    assert {"edge.container", "edge.root", "edge.network", "edge.app_domain", "edge.api_domain"} <= set(keys)
    assert "no container on the VPS is Nginx Proxy Manager" in text


def test_of_two_edges_the_one_that_leads_to_the_app_is_taken(site: Site, facts: Adoption, tmp_path: Path) -> None:
    [npm] = facts.edges
    other = dataclasses.replace(
        npm, container=dataclasses.replace(npm.container, name="other-npm"), hosts=npm.hosts[2:]
    )
    found = loaded(written(dataclasses.replace(facts, edges=(other, npm))), tmp_path)
    assert found.edge.container == site.edge.container


def test_two_edges_that_lead_to_the_app_are_asked_about(facts: Adoption, tmp_path: Path) -> None:
    [npm] = facts.edges
    twin = dataclasses.replace(npm, container=dataclasses.replace(npm.container, name="twin"))
    text = written(dataclasses.replace(facts, edges=(npm, twin)))
    assert "edge.container" in asked(text, tmp_path) and "twin" in said_at(text, "container")


def test_upper_case_names_are_written_as_dns_has_them(site: Site, facts: Adoption, tmp_path: Path) -> None:
    app, api, _ = facts.edges[0].hosts
    shouted = dataclasses.replace(app, names=(site.edge.app_domain.upper(),))
    choice = Choice(app_domain=site.edge.app_domain, api_domain=site.edge.api_domain.title())
    assert (
        loaded(written(vps.with_hosts(facts, shouted, api), choice), tmp_path).edge.app_domain == site.edge.app_domain
    )


def test_two_names_that_lead_to_the_pages_are_asked_about(facts: Adoption, tmp_path: Path) -> None:
    app, api, _ = facts.edges[0].hosts
    staging = dataclasses.replace(app, id=4, names=("staging.example.test",))
    text = written(vps.with_hosts(facts, app, api, staging))
    assert "edge.app_domain" in asked(text, tmp_path)
    assert "staging.example.test" in said_at(text, "app_domain")


def test_what_is_no_git_checkout_is_asked_for(site: Site, facts: Adoption, tmp_path: Path) -> None:
    work = facts.projects[site.runtimes.docker.project].work
    bare = dataclasses.replace(work, problem=f"{work.root} has a package.json but no .git, there or above")
    assert asked(written(vps.with_project(facts, site, work=bare)), tmp_path) == ["app.checkout"]


def test_without_any_checkout_its_owner_is_asked_for_too(site: Site, facts: Adoption, tmp_path: Path) -> None:
    nowhere = vps.with_project(facts, site, work=Work(problem="there is no .git in /srv or above"))
    assert {"app.checkout", "app.user", "app.group", "app.bun", "app.unit_directory"} <= set(
        asked(written(nowhere), tmp_path)
    )


def test_a_server_whose_data_lies_in_a_volume_is_asked_about(site: Site, facts: Adoption, tmp_path: Path) -> None:
    volume = Mount("/var/lib/docker/volumes/redis/_data", "/data", "volume", "999:999")
    text = written(vps.with_container(facts, site, "redis", mounts=(volume,)))
    assert {"app.data_root", "infra.redis.data"} <= set(asked(text, tmp_path))


def test_another_database_than_sqlite_is_refused_with_the_reason(facts: Adoption, tmp_path: Path) -> None:
    [npm] = facts.edges
    text = written(dataclasses.replace(facts, edges=(dataclasses.replace(npm, other_database="DB_MYSQL_HOST"),)))
    assert asked(text, tmp_path) == ["edge.database"]
    assert "DB_MYSQL_HOST" in said_at(text, "database")


def test_npms_data_in_a_volume_is_asked_about(facts: Adoption, tmp_path: Path) -> None:
    [npm] = facts.edges
    volume = "/var/lib/docker/volumes/npm/_data"
    text = written(dataclasses.replace(facts, edges=(dataclasses.replace(npm, data=volume),)))
    assert asked(text, tmp_path) == ["edge.root"] and volume in said_at(text, "root")


def test_two_projects_that_could_be_the_app_are_refused(site: Site, facts: Adoption) -> None:
    project = facts.projects[site.runtimes.docker.project]
    twins = dataclasses.replace(facts, projects={**facts.projects, "twin": dataclasses.replace(project, name="twin")})
    with pytest.raises(UsageError, match="twin") as caught:
        written(twins)
    assert "--project" in caught.value.next_step
    assert 'project = "twin"' in written(twins, choice=Choice(project="twin"))


def test_a_vps_without_the_app_is_refused(facts: Adoption) -> None:
    with pytest.raises(UsageError, match="looks like the app"):
        written(dataclasses.replace(facts, projects={}))


# ── Another app ─────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = {"web": "pages", "api": "backend", "compute": "worker-a", "candles": "worker-b", "ingest-options": "feed"}


@pytest.fixture
def stranger(site: Site, facts: Adoption) -> Adoption:
    """The same containers under names that nobody knows."""
    containers = facts.projects[site.runtimes.docker.project].containers
    return vps.with_project(facts, site, containers=vps.renamed(containers, NAMES))


def test_of_another_app_only_what_was_found_is_written(stranger: Adoption, tmp_path: Path) -> None:
    text = written(stranger)
    keys = asked(text, tmp_path)
    tables = tomllib.loads(text)
    assert {"provider.adapter_env", "public.websocket"} <= set(keys)
    assert tables["services"]["pages"]["kind"] == "web" and tables["services"]["backend"]["kind"] == "api"
    assert tables["services"]["pages"]["health"] == "/"
    assert "market-command" not in text


def test_addresses_in_a_containers_command_become_placeholders(site: Site, stranger: Adoption) -> None:
    start = StartFound("apps/web", ("x", "serve", "-H", "0.0.0.0", "-p", str(site.web.port)), scripts=("build",))
    text = written(vps.with_container(stranger, site, "pages", start=start))
    web = tomllib.loads(text)["services"]["pages"]
    assert web["argv"] == ["x", "serve", "-H", "{bind}", "-p", "{port}"] and web["build_argv"] == ["run", "build"]


def test_a_service_is_stopped_as_its_container_is(site: Site, stranger: Adoption) -> None:
    text = written(vps.with_container(stranger, site, "feed", stop_signal="SIGINT", stop_timeout=25))
    feed = tomllib.loads(text)["services"]["feed"]
    assert (feed["stop_signal"], feed["stop_timeout"]) == ("SIGINT", 25)


def test_a_command_that_is_not_buns_is_asked_for(site: Site, stranger: Adoption, tmp_path: Path) -> None:
    start = StartFound(problem="its container starts sh, which is not bun")
    text = written(vps.with_container(stranger, site, "feed", start=start))
    assert {"services.feed.argv", "services.feed.directory"} <= set(asked(text, tmp_path))


def test_a_stream_that_nobody_knows_gets_the_variable_with_its_age(site: Site, stranger: Adoption) -> None:
    streams = tomllib.loads(written(stranger))["streams"]
    assert {stream["max_age_env"] for stream in streams.values()} == {"STREAM_RAW_MAX_AGE_MS"}


# ── Whatever the facts hold ─────────────────────────────────────────────────────────────────────────────────────────


def test_origins_are_told_apart(facts: Adoption) -> None:
    draft, _ = drafting.drafted(facts, inventories.WRITTEN, LOGIN, Choice())
    origins = {path: entry.origin for path, entry in draft.entries.items()}
    assert origins["edge", "root"] == FOUND and origins["timeouts", "health"] == SHIPPED
    assert ASKED not in origins.values()


def test_no_comment_is_wider_than_a_screen(facts: Adoption) -> None:
    assert [line for line in written(facts).splitlines()[1:] if line.startswith("#") and len(line) > 120] == []


def test_a_variable_that_nobody_may_see_is_nowhere(facts: Adoption) -> None:
    assert not re.search("SECRET|password", written(facts))


def test_a_vps_with_another_edge_by_name_only_is_asked_about(facts: Adoption, tmp_path: Path) -> None:
    looks = NpmFound(ContainerFound("npm", "npm", "jc21/nginx-proxy-manager"), "its image is jc21/nginx-proxy-manager")
    keys = asked(written(dataclasses.replace(facts, edges=(looks,))), tmp_path)
    assert {"edge.container", "edge.root", "edge.database"} <= set(keys)

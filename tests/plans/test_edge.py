"""The edge's plans: what is expected of a closed name, and how the three sides differ, by host and key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabfile import survey
from fabfile.checks import preflight
from fabfile.checks.edge import beside, differences, state
from fabfile.checks.preflight import edge_problems
from fabfile.inventory import Site
from fabfile.plans import app, cutover, edge
from fabfile.plans.plan import Plan
from fabfile.plans.steps import watches
from fabfile.runner.actions.probes import ContainersDown, UnitsDown
from fabfile.runner.edge.facts import edge_facts
from fabfile.runner.edge.routing.locations import HTTP
from fabfile.runner.wire.edge import Upstream
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime
from tests.runner.support.fake_edge import FakeEdge, stand_in
from tests.runner.support.npm_shape import HostShape
from tests.support.facts import changed

APP, API = "flow.deltaisland.io", "api.flow.deltaisland.io"


def diff(site: Site, facts: Facts, to: Runtime) -> dict[str, str]:
    """What does not agree."""
    return {what: text for what, agree, text in differences(site, facts, to) if not agree}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEdge]:
    """An edge as the old scripts left it."""
    made = FakeEdge(tmp_path)
    stand_in(made, monkeypatch)
    yield made


def facts_of(fake: FakeEdge) -> Facts:
    return Facts(edge=edge_facts(fake, fake.ref))


# ── Who serves ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("header", "expected"), [(None, {""}), ("x-by", {"x-by: native"})])
def test_a_header_is_expected_only_where_the_app_sends_one(
    site: Site, docker_serves: Facts, header: str | None, expected: set[str]
) -> None:
    site = site.model_copy(update={"edge": site.edge.model_copy(update={"served_by_header": header})})
    assert {host.expect_header for host in edge.hosts(site, docker_serves, "native")} == expected


@pytest.mark.parametrize(("to", "probe"), [("native", ContainersDown), ("docker", UnitsDown)])
def test_the_edge_leads_to_a_runtime_only_while_the_other_is_down(
    site: Site, docker_serves: Facts, to: Runtime, probe: type
) -> None:
    """Without a header no answer says who gave it."""
    ((step,), services) = edge.point(site, docker_serves, to), site.scope("full")
    (found,) = step.verify
    assert isinstance(found, probe) and isinstance(found, (ContainersDown, UnitsDown))
    down = found.services if isinstance(found, ContainersDown) else found.units
    assert down == tuple(service.name if to == "native" else service.unit for service in services)


def test_no_unit_is_looked_for_where_nobody_can_have_started_one(site: Site, docker_serves: Facts) -> None:
    facts = changed(docker_serves, user_manager="no lingering")
    (step,) = edge.point(site, facts, "docker")
    assert step.verify == ()


# ── A closed name ───────────────────────────────────────────────────────────────────────────────────────────────────


def closed(facts: Facts) -> Facts:
    """The same with the API's own name closed, as in NPM's page."""
    hosts: dict[str, Any] = dict(facts.edge.hosts)
    row = replace(hosts[API].row, enabled=False)
    hosts[API] = replace(hosts[API], row=row, text="", upstream=row.upstream, tls=True)
    return changed(facts, edge={"hosts": hosts})


def leading_nowhere(facts: Facts) -> Facts:
    """The same with the API's own name closed as the app's script does it: its row leads nowhere."""
    shut = closed(facts)
    fact = shut.edge.hosts[API]
    assert fact.row is not None
    row = replace(fact.row, host="127.0.0.1", port=9, websocket=False)
    return changed(shut, edge={"hosts": {**shut.edge.hosts, API: replace(fact, row=row, upstream=row.upstream)}})


@pytest.mark.parametrize("shut", [closed, leading_nowhere])
def test_a_closed_name_keeps_nobody_from_holding_requests(
    site: Site, docker_serves: Facts, native_serves: Facts, shut: Callable[[Facts], Facts]
) -> None:
    facts = shut(native_serves)
    assert survey.edge_runtime(site, facts) == "native"
    assert len(app.restart(site, facts, "full")) > 1, "requests wait meanwhile"
    facts = shut(docker_serves)
    assert edge_problems(cutover.cutover(site, facts, "full").steps, facts) == []


def test_a_name_that_leads_nowhere_on_purpose_differs_from_nothing(site: Site, native_serves: Facts) -> None:
    decided = site.model_copy(update={"public": site.public.model_copy(update={"raw_api": "closed"})})
    assert diff(decided, leading_nowhere(native_serves), "native") == {}
    assert list(diff(site, leading_nowhere(native_serves), "native")) == [f"{API}: raw API"]


def test_where_nothing_is_closed_a_plan_stays_as_it_is(site: Site, docker_serves: Facts) -> None:
    plan = cutover.cutover(site, docker_serves, "full")
    assert edge.without_closed_api(site, docker_serves, plan) == plan


def test_a_cutover_with_a_closed_name_expects_no_answer_of_it(site: Site, docker_serves: Facts) -> None:
    facts = closed(docker_serves)
    plan = edge.without_closed_api(site, facts, cutover.cutover(site, facts, "full"))
    assert [watch.domain for watch in plan.watch] == [APP]
    assert plan.settings == {"scope": "full", "to": "native", "raw_api": "closed"}


@pytest.mark.parametrize("word", ["open", "closed"])
def test_a_name_that_opens_or_closes_is_not_watched_and_checked_as_it_will_be(
    site: Site, docker_serves: Facts, word: str
) -> None:
    facts = closed(docker_serves) if word == "open" else docker_serves
    steps = edge.point(site, facts, "docker", raw_api=word)
    plan = edge.without_closed_api(site, facts, Plan("npm.switch", steps, watch=watches(site, facts)))
    assert [watch.domain for watch in plan.watch] == [APP]
    assert plan.settings == {"raw_api": word}


def test_status_says_that_it_is_closed_and_where_it_would_lead(site: Site, docker_serves: Facts) -> None:
    told = {what: (good, text) for what, good, text in state(site, closed(docker_serves))}
    assert told[API] == (True, "closed; its row leads to api:4000")
    assert told[f"{API} in the running nginx"] == (True, "not there")


# ── Differences ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_all_agree_there_is_none(site: Site, docker_serves: Facts, native_serves: Facts) -> None:
    assert diff(site, docker_serves, "docker") == {}
    assert diff(site, native_serves, "native") == {}
    decided = site.model_copy(update={"public": site.public.model_copy(update={"raw_api": "closed"})})
    assert diff(decided, closed(docker_serves), "docker") == {}


@pytest.mark.parametrize(("now", "decided"), [("open", "closed"), ("closed", "open")])
def test_the_raw_api_is_as_was_decided_or_the_command_is_named(
    site: Site, docker_serves: Facts, now: str, decided: str
) -> None:
    facts = docker_serves if now == "open" else closed(docker_serves)
    site = site.model_copy(update={"public": site.public.model_copy(update={"raw_api": decided})})
    told = f"{now}, public.raw_api says {decided}: inv npm.switch --to docker --raw-api {decided}"
    assert diff(site, facts, "docker") == {f"{API}: raw API": told}


def test_the_other_runtime_differs_by_host_and_by_our_block(site: Site, docker_serves: Facts) -> None:
    found = diff(site, docker_serves, "native")
    assert found[f"{APP}: host"] == "database says web, file says web, wanted says 172.18.0.1"
    assert found[f"{APP}: advanced_config"] == (
        "database says 15 prefixes to api:4000, wanted says 15 prefixes to 172.18.0.1:4000"
    )
    assert sorted(found) == [f"{API}: host", f"{APP}: advanced_config", f"{APP}: host"]


def test_what_the_old_scripts_left_is_named(site: Site, fake: FakeEdge) -> None:
    [(what, text)] = diff(site, facts_of(fake), "docker").items()
    assert what == f"{APP}: advanced_config"
    assert text.startswith("database says 4 prefixes to api:4000, without our markers, wanted says 15")


@pytest.mark.parametrize(
    ("column", "value", "what", "words"),
    [
        ("forward_port", 3001, "port", "database says 3001, file says 3000, wanted says 3000"),
        ("forward_scheme", "https", "scheme", "database says https, file says http, wanted says http"),
        ("forward_host", "old", "host", "database says old, file says web, wanted says web"),
        ("advanced_config", "a b;", "advanced_config", "line 1 is 'a b;' in the database"),
        ("enabled", 0, "file", "there, disabled in the database"),
    ],
)
def test_a_row_that_its_file_does_not_follow_is_named_by_key(
    site: Site, fake: FakeEdge, column: str, value: Any, what: str, words: str
) -> None:
    with fake.database() as connection:
        connection.execute(f"UPDATE proxy_host SET {column} = ? WHERE id = 1", (value,))
    assert words in diff(site, facts_of(fake), "docker")[f"{APP}: {what}"]


def test_a_missing_file_a_stale_nginx_and_a_missing_row_are_named(site: Site, fake: FakeEdge) -> None:
    (fake.conf / "2.conf").unlink()
    fake.workers = {100: 1.0}
    found = diff(site, facts_of(fake), "docker")
    assert found[f"{API}: file"] == "not there, enabled in the database"
    assert found[f"{APP}: nginx"] == "older than the file: a reload is needed"
    with fake.database() as connection:
        connection.execute("UPDATE proxy_host SET is_deleted = 1 WHERE id = 1")
    assert "no live proxy host has the name" in diff(site, facts_of(fake), "docker")[APP]


def test_an_edge_that_cannot_be_read_is_no_agreement(site: Site, fake: FakeEdge) -> None:
    fake.docker = False
    Path(fake.ref.database).unlink()
    found = diff(site, facts_of(fake), "docker")
    assert found[APP] == found[API] == "could not be read"
    assert "unable to open database file" in found["nginx-proxy-manager"]


def test_a_block_that_cannot_be_told_is_named(site: Site, fake: FakeEdge) -> None:
    with fake.database() as connection:
        connection.execute("UPDATE proxy_host SET advanced_config = 'location {' WHERE id = 1")
    assert "unexpected end" in diff(site, facts_of(fake), "docker")[f"{APP}: advanced_config"]


# ── Locations that the row does not lead ────────────────────────────────────────────────────────────────────────────


def pasted(fake: FakeEdge, advanced: str) -> Facts:
    """The facts with an advanced_config as NPM's page would save it."""
    with fake.database() as connection:
        connection.execute("UPDATE proxy_host SET advanced_config = ? WHERE id = 1", (advanced,))
    (fake.conf / "1.conf").write_text(HostShape(advanced=advanced).render())
    fake.load()
    return facts_of(fake)


def test_a_location_that_wins_is_shown_by_status_and_diff_and_refused(site: Site, fake: FakeEdge) -> None:
    facts = pasted(fake, "location = / { proxy_pass http://web:3000; }")
    words = "`location = /` (" + str(fake.conf / "1.conf")
    shown = {what: text for what, good, text in state(site, facts) if not good}
    assert words in shown[f"{APP}: locations"] and words in diff(site, facts, "docker")[f"{APP}: locations"]
    (finding, *_) = edge_problems(edge.point(site, facts, "native"), facts)
    assert words in finding.text


def test_where_the_row_leads_no_location_is_shown(site: Site, fake: FakeEdge) -> None:
    """Even while some prefixes are not in our block yet: the switch puts them there."""
    facts = facts_of(fake)
    assert not [what for what, good, _ in state(site, facts) if not good]
    assert f"{APP}: locations" not in diff(site, facts, "docker")


@pytest.mark.parametrize(
    ("advanced", "name"),
    [
        ("location /docs { proxy_pass http://web:3000; }", "web"),
        ("location ~ \\.js$ { set $server islandflow-api-1; include conf.d/include/proxy.conf; }", "islandflow-api-1"),
        ("location /x { proxy_pass http://the-alias:4000; }", "the-alias"),
        ("location /x { proxy_pass http://172.31.0.7:8222; }", "172.31.0.7"),
        ("set $there http://compute:9000;\nlocation /x { proxy_pass $there; }", "compute"),
    ],
)
def test_what_goes_on_leading_to_docker_is_refused_on_the_way_to_native(
    site: Site, docker_serves: Facts, fake: FakeEdge, advanced: str, name: str
) -> None:
    container = replace(docker_serves.containers["api"], name="islandflow-api-1", reached=("the-alias", "172.31.0.7"))
    facts = changed(docker_serves, edge={"hosts": pasted(fake, advanced).edge.hosts}, containers={"api": container})
    (finding,) = beside(site, facts, "native")
    location = advanced[advanced.index("location") : advanced.index(" {")]
    assert f"`{location}` ({fake.conf}/1.conf, line " in finding.text and f" leads to {name}, " in finding.text
    assert finding in preflight.findings(site, facts, "native") and not finding.warning
    assert beside(site, facts, "docker") == []
    assert {what: good for what, good, _ in state(site, facts)}[f"{APP}: {name}"] is True
    assert f"{APP}: {name}" in diff(site, facts, "native") and f"{APP}: {name}" not in diff(site, facts, "docker")
    assert (f"{APP}: {name}", False) in [row[:2] for row in state(site, changed(facts, owner="native"))]


@pytest.mark.parametrize("host", ["web.npm-shared", "web.", "WEB.NPM-shared.", "x.other-net"])
def test_a_name_with_its_network_or_a_dot_behind_it_is_dockers(
    site: Site, docker_serves: Facts, fake: FakeEdge, host: str
) -> None:
    fake.networks["other-net"] = {"IPAddress": "172.19.0.9"}
    container = replace(docker_serves.containers["web"], reached=("x",))
    facts = pasted(fake, f"location /docs {{ proxy_pass http://{host}:3000; }}")
    edge_facts = {"hosts": facts.edge.hosts, "container": facts.edge.container}
    (finding,) = beside(site, changed(docker_serves, edge=edge_facts, containers={"web": container}), "native")
    assert f"leads to {host.lower()}, which is Docker's" in finding.text


@pytest.mark.parametrize("where", ["custom/http.conf", "custom/http_top.conf", "proxy_host/3.conf"])
def test_what_is_defined_in_another_file_is_followed(
    site: Site, docker_serves: Facts, fake: FakeEdge, where: str
) -> None:
    other = fake.root / "data/nginx" / where
    other.parent.mkdir(exist_ok=True)
    maps = "map $uri $docs { include /data/nginx/custom/docs[.]map; }\nupstream backend {\n  server web:3000;\n}\n"
    other.write_text(maps + (other.read_text() if other.exists() else ""))
    (fake.root / "data/nginx/custom").mkdir(exist_ok=True)
    (fake.root / "data/nginx/custom/docs.map").write_text("default backend;\n")
    facts = pasted(fake, "location /docs { proxy_pass http://$docs; }")
    assert "server_name" not in str(facts.edge.hosts[APP].includes[HTTP]), "the others' own stays on the VPS"
    (finding,) = beside(site, changed(docker_serves, edge={"hosts": facts.edge.hosts}), "native")
    assert "leads to web, which is Docker's" in finding.text and not finding.warning


def test_a_place_that_can_not_be_told_is_a_warning(site: Site, docker_serves: Facts, fake: FakeEdge) -> None:
    facts = changed(docker_serves, edge={"hosts": pasted(fake, "location /x { proxy_pass http://$arg_x; }").edge.hosts})
    (finding,) = beside(site, facts, "native")
    assert finding.warning and finding in preflight.findings(site, facts, "native")
    assert "`location /x` (" in finding.text and "can't be told: `http://$arg_x`" in finding.text
    assert f"{APP}: locations" not in diff(site, facts, "docker")
    assert [text for what, good, text in state(site, facts) if "$arg_x" in text and good]


def test_what_leads_to_somebody_else_is_none_of_our_business(site: Site, docker_serves: Facts, fake: FakeEdge) -> None:
    advanced = (
        "location /grafana { proxy_pass http://grafana:3000; }\nlocation /x { include conf.d/include/proxy.conf; }"
    )
    facts = changed(docker_serves, edge={"hosts": pasted(fake, advanced).edge.hosts})
    assert beside(site, facts, "native") == []


def test_a_file_that_lost_its_tls_differs_from_its_row(site: Site, fake: FakeEdge) -> None:
    with fake.database() as connection:
        connection.execute("UPDATE proxy_host SET certificate_id = 3 WHERE id = 1")
    assert f"{APP}: certificate" not in diff(site, facts_of(fake), "docker")
    path = fake.conf / "1.conf"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "443" not in line))
    assert "does not listen on port 443" in diff(site, facts_of(fake), "docker")[f"{APP}: certificate"]


# ── An access list ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_access_list_is_a_warning_and_what_it_refuses_counts_as_served(site: Site, docker_serves: Facts) -> None:
    hosts: dict[str, Any] = dict(docker_serves.edge.hosts)
    hosts[APP] = replace(hosts[APP], access=("`auth_basic x` (1.conf, line 60)",), refusals=(401, 444))
    facts = changed(docker_serves, edge={"hosts": hosts})
    (finding,) = preflight.findings(site, facts, "native")
    assert (
        finding.warning
        and f"{APP} may refuse our requests, by `auth_basic x` (1.conf, line 60): where it does (401, 444)"
        in finding.text
    )
    plan = edge.with_access_lists(facts, cutover.cutover(site, facts, "full"))
    assert {watch.domain: watch.refusals for watch in plan.watch} == {APP: (401, 444), API: ()}
    assert edge.access_lists(plan.settings) == {APP: (401, 444)}


def test_without_an_access_list_a_plan_stays_as_it_is(site: Site, docker_serves: Facts) -> None:
    plan = cutover.cutover(site, docker_serves, "full")
    assert edge.with_access_lists(docker_serves, plan) == plan


def test_a_redirect_of_nginx_own_is_a_warning_and_what_it_leads_to_is_asked(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    directions: list[tuple[Facts, Runtime]] = [(docker_serves, "native"), (native_serves, "docker")]
    for facts, to in directions:
        host = facts.edge.hosts[APP]
        root = "\n  location = / { return 301 /app; }\n  location / {"
        redirected = replace(host, text=host.text.replace("\n  location / {", root, 1))
        assert redirected.text != host.text
        facts = changed(facts, edge={"hosts": {**facts.edge.hosts, APP: redirected}})
        assert {watch.domain: watch.path for watch in watches(site, facts)} == {APP: "/app", API: "/health"}
        assert edge.hosts(site, facts, to)[0].probe_path == "/app"
        (finding,) = preflight.edge_findings(site, facts, to)
        assert finding.warning and "`location = /`" in finding.text and "is answered by nginx itself" in finding.text
        rows = {what: (good, text) for what, good, text in state(site, facts)}
        assert rows[f"{APP}: nginx itself"][0]


# ── Other hosts and streams that lead to Docker ─────────────────────────────────────────────────────────────────────

STREAMS = """
CREATE TABLE stream (id integer PRIMARY KEY, is_deleted integer NOT NULL DEFAULT 0, incoming_port integer NOT NULL,
  {host} varchar(255) NOT NULL, forwarding_port integer NOT NULL, enabled integer NOT NULL DEFAULT 1);
INSERT INTO stream VALUES (1, 0, 5000, 'Web', 3000, 1), (2, 1, 5001, 'web', 3000, 1), (3, 0, 5002, 'web', 3000, 0),
  (4, 0, 5003, 'postgres', 5432, 1);
"""


def leading(site: Site, docker_serves: Facts, fake: FakeEdge) -> Facts:
    """The facts of a VPS where Docker serves and the edge is the fake."""
    container = replace(docker_serves.containers["web"], name="x-web-1")
    return changed(docker_serves, edge={"forwards": facts_of(fake).edge.forwards}, containers={"web": container})


def test_another_host_that_leads_to_docker_is_refused_on_the_way_to_native(
    site: Site, docker_serves: Facts, fake: FakeEdge
) -> None:
    fake.add(("www2.example.test", "old.example.test"), Upstream("X-web-1", 3000))
    fake.add(("gone.example.test",), Upstream("x-web-1", 3000), deleted=True)
    facts = leading(site, docker_serves, fake)
    (finding,) = beside(site, facts, "native")
    source = "proxy host 4 (www2.example.test, old.example.test)"
    assert f"{source}: its row leads to x-web-1, which is Docker's" in finding.text and not finding.warning
    assert finding in preflight.findings(site, facts, "native") and beside(site, facts, "docker") == []
    assert {what: good for what, good, _ in state(site, facts)}[f"{source}: x-web-1"] is True
    assert f"{source}: x-web-1" in diff(site, facts, "native") and f"{source}: x-web-1" not in diff(
        site, facts, "docker"
    )
    fake.close(4)
    assert beside(site, leading(site, docker_serves, fake), "native") == []


def test_a_location_of_another_host_is_found_with_its_line(site: Site, docker_serves: Facts, fake: FakeEdge) -> None:
    fake.add(("www2.example.test",), Upstream("blog", 80), "location /app { proxy_pass http://web:3000; }")
    (finding,) = beside(site, leading(site, docker_serves, fake), "native")
    assert "proxy host 4 (www2.example.test): `location /app` (/data/nginx/proxy_host/4.conf, line " in finding.text


def test_a_file_that_differs_from_its_row_counts_as_well(site: Site, docker_serves: Facts, fake: FakeEdge) -> None:
    (fake.conf / "3.conf").write_text(HostShape(Upstream("api", 4000), names=("other.example.test",)).render())
    (finding,) = beside(site, leading(site, docker_serves, fake), "native")
    assert "`server` (/data/nginx/proxy_host/3.conf, line " in finding.text and "leads to api," in finding.text


@pytest.mark.parametrize("host", ["forwarding_host", "forward_ip"])
def test_a_stream_that_leads_to_docker_is_refused(site: Site, docker_serves: Facts, fake: FakeEdge, host: str) -> None:
    with fake.database() as connection:
        connection.executescript(STREAMS.format(host=host))
    (finding,) = beside(site, leading(site, docker_serves, fake), "native")
    assert "edge: stream 1 (port 5000): its row leads to web, which is Docker's" in finding.text


def test_streams_that_can_not_be_read_are_a_warning(site: Site, docker_serves: Facts, fake: FakeEdge) -> None:
    with fake.database() as connection:
        connection.execute("CREATE TABLE stream (id integer)")
    facts = leading(site, docker_serves, fake)
    (finding,) = beside(site, facts, "native")
    assert finding.warning and "no such column" in finding.text
    assert "can't be told" in {what: text for what, _, text in differences(site, facts, "docker")}["streams: elsewhere"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "http",
            "server { server_name a.test; location / { proxy_pass http://web:3000; } }",
            "server a.test: `location /`",
        ),
        ("stream", "server { listen 99; proxy_pass web:3000; }", "stream server on port 99: `server`"),
        ("stream", "upstream x { server web:3000; }\nserver { listen 99; proxy_pass x; }", "on port 99: `server`"),
        (
            "http",
            "upstream x { server web:3000; }\nserver { location / { proxy_pass http://x; } }",
            "server _: `location /`",
        ),
        ("http", "server { location / { proxy_pass http://$arg_x; } }", "`location /`"),
        ("http", "include /snippets/upstreams.conf;", "can't read `include /snippets/upstreams.conf`"),
        ("http", "server {", "what it defines leads to a container of Docker's can't be told: it can't be read"),
    ],
)
def test_what_an_operator_has_in_npms_custom_files_is_read(
    site: Site, docker_serves: Facts, fake: FakeEdge, name: str, text: str, words: str
) -> None:
    folder = fake.root / "data/nginx/custom"
    folder.mkdir()
    (folder / f"{name}.conf").write_text(text)
    (finding,) = beside(site, leading(site, docker_serves, fake), "native")
    assert words in finding.text and f"/data/nginx/custom/{name}.conf" in finding.text


def test_hosts_of_somebody_elses_that_lead_elsewhere_are_left_alone(
    site: Site, docker_serves: Facts, fake: FakeEdge
) -> None:
    facts = leading(site, docker_serves, fake)
    assert "other" in [host for forward in facts.edge.forwards for host in forward.hosts]
    assert beside(site, facts, "native") == []

"""Preflight: each reason to refuse by itself, all of them at once, and none where all is well."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fabfile.checks import data, preflight
from fabfile.checks.preflight import changed_checkout
from fabfile.checks.result import Finding
from fabfile.inventory import Backup, Site
from fabfile.runner.system import ufw
from fabfile.runner.wire.app import JetStream, Setting, Settings
from fabfile.runner.wire.data import Holding, Unkept
from fabfile.runner.wire.edge import EdgeNetwork
from fabfile.runner.wire.facts import Facts, FileFact, Tree
from fabfile.runner.wire.release import Checkout
from fabfile.runner.wire.store import LockHolder
from fabfile.terms import Runtime
from tests.support.facts import changed, listener, released

Change = Callable[[Site, Facts], Facts]
REDIS = "/var/lib/islandflow/redis"


@dataclass(frozen=True)
class Case:
    """A fault, and what must be said about it."""

    change: Change
    text: str
    fix: str
    to: Runtime = "native"
    warning: bool = False


def _edge(**values: Any) -> Change:
    return lambda site, facts: changed(facts, edge=values)


def _host(**values: Any) -> Change:
    """Something about the app's hostname at the edge."""

    def change(site: Site, facts: Facts) -> Facts:
        hosts = facts.edge.hosts
        domain = site.edge.app_domain
        return changed(facts, edge={"hosts": {**hosts, domain: dataclasses.replace(hosts[domain], **values)}})

    return change


def _with(**values: Any) -> Change:
    return lambda site, facts: changed(facts, **values)


RESET = Settings({"API_CONSUMER_RESET": Setting("false", "/home/delta/islandflow/.env")})


def _holder(port: int, command: str = "node", container: str = "") -> Change:
    held = dataclasses.replace(listener(port, command), container=container)
    return lambda site, facts: changed(facts, listeners=(*facts.listeners, held))


CASES = {
    "a plan was interrupted": Case(
        lambda site, facts: changed(facts, ops={"unfinished": ("20260101T000000-cutover-abcd",)}),
        "20260101T000000-cutover-abcd was interrupted",
        "inv revert --plan 20260101T000000-cutover-abcd",
    ),
    "the disk is nearly full": Case(
        _with(disks={"/var/lib/islandflow/ops": 100 << 20}),
        "only 100 MiB are free where /var/lib/islandflow/ops",
        "512 MiB",
    ),
    "the data's disk is nearly full": Case(
        _with(disks={"/srv/data": 511 << 20}), "only 511 MiB are free where /srv/data is", "512 MiB"
    ),
    "the owner file says nothing known": Case(
        _with(owner_error="the owner file holds 'both', neither native nor docker"), "holds 'both'", "native or docker"
    ),
    "the dependencies are not installed": Case(
        lambda site, facts: changed(facts, lacking={site.app.installed: "there is no node_modules"}),
        "there is no node_modules: the app's dependencies are not installed",
        "as delta: cd /home/delta/islandflow && /home/delta/.bun/bin/bun install --frozen-lockfile --filter",
    ),
    "web is not built": Case(
        lambda site, facts: changed(facts, lacking={site.web.built: "there is no BUILD_ID"}),
        "there is no BUILD_ID: web is not built for native, and web would not start",
        "apps/web && /home/delta/.bun/bin/bun --env-file=/home/delta/islandflow/.env run build",
    ),
    "the env file cannot be read": Case(
        _with(settings_file={"problem": "/home/delta/islandflow/.env: Permission denied"}),
        "env file: .*Permission denied",
        "app.env_file",
    ),
    "a variable says false and means true": Case(
        _with(settings={"native": RESET, "docker": Settings()}),
        "API_CONSUMER_RESET is set for native.* takes any text",
        "remove the line from /home/delta/islandflow/.env",
        warning=True,
    ),
    "a variable of Docker's own says false and means true": Case(
        _with(settings={"native": Settings(), "docker": RESET}),
        "API_CONSUMER_RESET is set for docker.* takes any text",
        "remove the line",
        warning=True,
        to="docker",
    ),
    "lingering is off": Case(
        _with(user_manager="lingering is off for delta: run `loginctl enable-linger delta` on the VPS"),
        "lingering is off",
        "sudo loginctl enable-linger delta",
    ),
    "a server is not installed": Case(
        _with(versions={"native/redis": ""}), "not installed on the VPS: redis-server$", "install their packages"
    ),
    "Bun is not there": Case(
        lambda site, facts: changed(facts, lacking={site.app.bun: f"there is no {site.app.bun}"}),
        "there is no /home/delta/.bun/bin/bun: no service would start",
        "app.bun",
    ),
    "a service's directory is not there": Case(
        lambda site, facts: changed(facts, lacking={site.api.directory: "delta cannot enter x"}),
        "delta cannot enter x: api would not start",
        "correct services.api",
    ),
    "somebody holds the API's port": Case(_holder(4000), r"port 4000 is held by node \(pid 99", "stop that process"),
    "somebody holds the monitoring's port": Case(_holder(8222), "port 8222 is held by node", "stop that process"),
    "somebody nameless holds a port": Case(_holder(6379, ""), "port 6379 is held by another process", "stop"),
    "another project's Docker holds a port": Case(
        _holder(6379, "docker-proxy", "cache-1"),
        r"port 6379 is published by the container cache-1 \(0.0.0.0, held by docker-proxy\)",
        "docker stop cache-1",
    ),
    "another project's Docker without a proxy holds a port": Case(
        _holder(6379, "dockerd", "cache-1"),
        "published by the container cache-1 .*held by dockerd",
        "docker stop cache-1",
    ),
    "Docker does not tell for whom it holds a port": Case(
        _holder(6379, "dockerd"), "port 6379 is published by a container", "docker ps --filter publish=6379"
    ),
    "a container has the port of the parking lot": Case(
        _holder(13000, "dockerd", "grafana"),
        "port 13000, where requests for web shall wait, is published by the container grafana",
        "docker stop grafana",
    ),
    "Docker is podman's": Case(
        _with(docker_unsupported="podman's docker command: it has no daemon"),
        "the VPS has podman's docker command",
        "docker-ce, or docker.io",
    ),
    "somebody holds the port that Docker publishes": Case(
        _holder(4000), r"port 4000 is held by node \(pid 99", "stop that process", to="docker"
    ),
    "docker's JetStream can't be asked": Case(
        _with(jetstream=JetStream("docker", problem="docker's NATS at 172.19.0.3:4222 wants a login")),
        "whether docker's durables are bound can't be told: docker's NATS at 172.19.0.3:4222 wants a login",
        "inv streams.check",
    ),
    "native's JetStream can't be asked": Case(
        _with(jetstream=JetStream("native", problem="native's NATS at 127.0.0.1:4222 wants a login")),
        "whether native's durables are bound can't be told",
        "inv streams.check",
        to="docker",
        warning=True,
    ),
    "the app's user cannot read the env file": Case(
        _with(settings_file={"denied": "delta cannot read /home/delta/islandflow/.env"}),
        "env file: delta cannot read",
        "chown it to delta",
    ),
    "UFW does not answer": Case(
        _with(firewall={"problem": "iptables is broken"}), "UFW: iptables is broken", "sudo ufw status"
    ),
    "native's Redis is older": Case(
        _with(versions={"native/redis": "7.0.15"}, redis_formats={REDIS: 10}),
        "native's redis is 7.0.15, and docker's 7.2.4",
        "at least 7.2.4",
    ),
    "docker's Redis is older": Case(
        _with(versions={"native/redis": "8.0.2"}),
        "docker's redis is 7.2.4, and native's 8.0.2",
        "at least 8.0.2",
        to="docker",
    ),
    "the way back would be refused": Case(
        _with(versions={"native/redis": "8.0.2"}), "a rollback would be refused", "to 8.0.2", warning=True
    ),
    "the next cutover would be refused": Case(
        _with(versions={"native/redis": "7.0.15"}),
        "docker's redis 7.2.4 is newer than native's 7.0.15: the next cutover would be refused",
        "native redis to 7.2.4",
        to="docker",
        warning=True,
    ),
    "Redis' files are too new for native": Case(
        lambda site, facts: changed(facts, redis_formats={REDIS: 12}),
        "have RDB format 12, and native's redis 7.2.4 reads up to 11",
        "at least 7.4 in native",
    ),
    "Redis' files are too new for docker": Case(
        lambda site, facts: changed(facts, redis_formats={REDIS: 12}),
        "have RDB format 12, and docker's redis 7.2.4 reads up to 11",
        "at least 7.4 in docker",
        to="docker",
    ),
    "an image is not there": Case(
        _with(versions={"docker/nats": ""}, version_errors={"docker/nats": "No such image"}),
        "image nats:2.10: No such image",
        "load the image",
        to="docker",
    ),
    "the edge's container does not run": Case(
        _edge(problem="container nginx-proxy-manager is exited"), "edge: container .* exited", "inv npm.status"
    ),
    "nginx's own test fails": Case(
        _edge(config_problem="[emerg] unknown directive"),
        "edge: nginx -t already fails .*unknown directive",
        "inv npm.status",
    ),
    "there is no row for the app": Case(
        _host(problem="no live proxy host has flow.deltaisland.io", row=None), "no live proxy host", "fix it"
    ),
    "there are two rows for the app": Case(
        _host(problem="proxy hosts 1 and 4 both have flow.deltaisland.io"), "hosts 1 and 4 both", "fix it"
    ),
    "the gateway is unknown": Case(
        _edge(network=EdgeNetwork(), problem="network npm-shared has 2 IPv4 gateways, exactly one is needed"),
        "gateway of the Docker network npm-shared is unknown: .*2 IPv4 gateways",
        "runtimes.native.bind",
    ),
    "a second Compose project": Case(
        _with(projects={"islandflow": "running(3)"}),
        r"second Compose project named islandflow .*running\(3\)",
        "docker compose -p islandflow down",
        warning=True,
    ),
    "the Compose file is invalid": Case(
        _with(compose_error="services.web: unknown key"),
        "Compose: services.web",
        "this tool never writes /home/delta/islandflow/deployment/docker/docker-compose.yml: fix it",
    ),
    "Docker does not answer": Case(
        _with(docker_error="Docker does not answer: no"),
        "Docker does not answer: no",
        "fix Docker",
        to="docker",
    ),
}


def start(to: Runtime, docker_serves: Facts, native_serves: Facts) -> Facts:
    """Who serves before handing over to `to`."""
    return docker_serves if to == "native" else native_serves


@pytest.mark.parametrize("to", ["native", "docker"])
def test_where_all_is_well_nothing_is_found(
    site: Site, to: Runtime, docker_serves: Facts, native_serves: Facts
) -> None:
    assert preflight.findings(site, start(to, docker_serves, native_serves), to) == []


def test_on_the_original_vps_nothing_is_found_either(site: Site, fresh: Facts) -> None:
    assert preflight.findings(site, fresh, "native") == []


@pytest.mark.parametrize("name", CASES)
def test_each_reason_is_found_alone_with_its_fix(
    name: str, site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    case = CASES[name]
    facts = case.change(site, start(case.to, docker_serves, native_serves))
    found = preflight.findings(site, facts, case.to)
    assert_told(found, case)
    others = [finding for finding in found if not told(finding, case)]
    # The edge complains of its network as well, since both need it.
    assert [finding for finding in others if "gateway" not in finding.text] == []


APART = ("row", "container", "Redis is older", "too new", "a rollback", "says false", "way back")
"""What another fault hides: a file that cannot be read says nothing of its lines, a missing server is not old."""


def test_all_reasons_are_told_at_once(site: Site, docker_serves: Facts) -> None:
    chosen = [case for name, case in CASES.items() if case.to == "native" and not any(word in name for word in APART)]
    assert len(chosen) >= 14
    facts = docker_serves
    for case in chosen:
        facts = case.change(site, facts)
    found = preflight.findings(site, facts, "native")
    for case in chosen:
        assert_told(found, case)


@pytest.mark.parametrize("unit", ["islandflow-redis.service", "redis-server.service"])
def test_our_own_and_the_packages_units_may_hold_their_port(site: Site, unit: str, docker_serves: Facts) -> None:
    own = listener(6379, "redis-server", f"/system.slice/{unit}")
    assert preflight.findings(site, changed(docker_serves, listeners=(own,)), "native") == []
    wrong = listener(4222, "redis-server", f"/system.slice/{unit}")
    (finding,) = preflight.findings(site, changed(docker_serves, listeners=(wrong,)), "native")
    assert "port 4222" in finding.text


def test_a_user_unit_may_hold_its_port(site: Site, docker_serves: Facts) -> None:
    cgroup = "/user.slice/user-1000.slice/user@1000.service/app.slice/islandflow-api.service"
    facts = changed(docker_serves, listeners=(listener(4000, "bun", cgroup),))
    assert preflight.findings(site, facts, "native") == []


def test_patches_keep_their_data(site: Site, docker_serves: Facts) -> None:
    facts = changed(docker_serves, versions={"native/redis": "7.2.0", "native/nats": "2.10.99"})
    assert preflight.findings(site, facts, "native") == []


@pytest.mark.parametrize(
    ("version", "reads"), [("6.2.6", 9), ("7.0.15", 10), ("7.2.4", 11), ("7.4.1", 12), ("8.0.2", 12)]
)
def test_each_redis_reads_its_own_format_and_none_above(
    version: str, reads: int, site: Site, docker_serves: Facts
) -> None:
    same = {"native/redis": version, "docker/redis": version}
    for found in range(9, 13):
        facts = changed(docker_serves, versions=same, redis_formats={REDIS: found})
        told = [str(finding) for finding in preflight.findings(site, facts, "native")]
        assert len(told) == (found > reads), told
        assert not told or (f"RDB format {found}" in told[0] and f"reads up to {reads}" in told[0])


def test_a_format_that_is_not_known_yet_is_left_to_the_releases(site: Site, docker_serves: Facts) -> None:
    assert preflight.findings(site, changed(docker_serves, redis_formats={REDIS: 13}), "native") == []


@pytest.mark.parametrize("to", ["native", "docker"])
def test_a_downgrade_that_was_accepted_warns_of_what_is_given_up(
    site: Site, to: Runtime, docker_serves: Facts, native_serves: Facts
) -> None:
    older = {f"{to}/redis": "7.0.15"}
    facts = changed(start(to, docker_serves, native_serves), versions=older, redis_formats={REDIS: 11})
    refused = preflight.findings(site, facts, to)
    accepted = preflight.findings(site, facts, to, accept_downgrade=True)
    assert [finding.text for finding in refused] == [finding.text for finding in accepted] and len(accepted) == 2
    assert not any(finding.warning for finding in refused) and "--accept-downgrade" in refused[0].fix
    assert all(finding.warning and "no revert brings back" in finding.fix for finding in accepted)


def test_accepting_a_downgrade_accepts_nothing_else(site: Site, native_serves: Facts) -> None:
    gone = changed(native_serves, versions={"docker/nats": ""}, disks={"/srv/data": 1 << 20})
    found = preflight.findings(site, gone, "docker", accept_downgrade=True)
    assert len(found) == 2 and not any(finding.warning for finding in found)


def test_who_owns_already_is_not_compared_with_who_did_before(site: Site, native_serves: Facts) -> None:
    facts = changed(native_serves, versions={"native/redis": "7.0.15"})
    assert preflight.findings(site, facts, "native") == []


def test_what_native_needs_does_not_keep_docker_from_coming_back(site: Site, native_serves: Facts) -> None:
    for name in (
        "a server is not installed",
        "Bun is not there",
        "somebody holds the monitoring's port",
        "the app's user cannot read the env file",
        "UFW does not answer",
    ):
        assert preflight.findings(site, CASES[name].change(site, native_serves), "docker") == [], name


def test_who_listens_where_docker_does_not_publish_is_in_nobodys_way(site: Site, native_serves: Facts) -> None:
    elsewhere = dataclasses.replace(listener(4000, "node"), address="172.18.0.1")
    assert preflight.findings(site, changed(native_serves, listeners=(elsewhere,)), "docker") == []


@pytest.mark.parametrize(
    ("bind", "present", "active", "state"),
    [
        ("bridge", False, False, ""),
        ("bridge", True, False, ""),
        ("0.0.0.0", True, True, ""),
        ("0.0.0.0", True, False, "not active"),
        ("0.0.0.0", False, False, "not installed"),
    ],
)
def test_listening_everywhere_without_a_firewall_is_warned_about(
    bind: str, present: bool, active: bool, state: str, site: Site, docker_serves: Facts
) -> None:
    native = site.runtimes.native.model_copy(update={"bind": bind})
    other = site.model_copy(update={"runtimes": site.runtimes.model_copy(update={"native": native})})
    facts = changed(docker_serves, firewall={"installed": present, "active": active})
    found = preflight.findings(other, facts, "native")
    assert [f"UFW is {state}" in finding.text and finding.warning for finding in found] == [True] * bool(state)


@pytest.mark.parametrize(
    ("line", "words", "ports"),
    [
        ("ufw limit 4000/tcp", "slows the edge down to six connections within 30 s on native's port 4000", ["4000"]),
        ("ufw deny from 172.16.0.0/12", "keeps the edge from native's port 3000, 4000, ", ["3000", "4000"]),
    ],
)
def test_a_rule_that_comes_before_ours_is_named_beforehand(
    line: str, words: str, ports: list[str], site: Site, docker_serves: Facts
) -> None:
    first, allowed = ufw.parse(line), ufw.parse("ufw allow 4000/tcp")
    facts = changed(docker_serves, firewall={"rules": (first, allowed)})
    (finding,) = preflight.findings(site, facts, "native")
    assert finding.text.startswith(f"`{line}` {words}") and not finding.warning
    for port in ports:
        assert f"sudo ufw insert 1 allow proto tcp from 172.18.0.0/16 to any port {port}" in finding.fix


@pytest.mark.parametrize("to", ["native", "docker"])
def test_a_nats_that_is_down_is_health_s_to_tell(
    site: Site, docker_serves: Facts, native_serves: Facts, to: Runtime
) -> None:
    owner: Runtime = "docker" if to == "native" else "native"
    facts = start(to, docker_serves, native_serves)
    down = changed(
        facts,
        jetstream=JetStream(owner, problem="can't be reached"),
        containers={"nats": dataclasses.replace(facts.containers["nats"], state="exited")},
        units={(unit := site.infra.nats.unit): dataclasses.replace(facts.units[unit], active="failed")},
    )
    assert not [finding for finding in preflight.findings(site, down, to) if "durables" in finding.text]


def test_a_plan_under_way_is_no_interrupted_one(site: Site, docker_serves: Facts) -> None:
    facts = changed(docker_serves, ops={"unfinished": ("p1",), "lock": LockHolder("ann")})
    assert preflight.findings(site, facts, "native") == [], "the lock will say so"


def test_changes_in_the_checkout_are_never_lost(site: Site, native_serves: Facts) -> None:
    assert changed_checkout(site, changed(native_serves, checkout=Checkout("a" * 40, "main", ()))) == []
    files = ("deployment/docker/docker-compose.yml", "apps/web/x.ts")
    (finding,) = changed_checkout(site, changed(native_serves, checkout=Checkout("a" * 40, "main", files)))
    assert f": {', '.join(files)};" in finding.text and "commit or stash" in finding.fix
    (finding,) = changed_checkout(site, changed(native_serves, checkout=None, checkout_error="not a git repository"))
    assert "not a git repository" in finding.text


def test_another_commit_in_the_runtime_that_takes_over_is_warned_of(
    site: Site, native_serves: Facts, docker_serves: Facts
) -> None:
    names = tuple(site.services)
    assert preflight.findings(site, released(site, native_serves, dict.fromkeys(names, "b")), "docker") == [
        Finding(
            f"native runs bbbbbbbbbbbb of {', '.join(names)}, and docker would run images that no deploy has built: "
            "that is what users would get",
            "if that is not meant: inv deploy --ref bbbbbbbbbbbb right after the hand-over",
            warning=True,
        )
    ]
    same = changed(docker_serves, releases={"containers": dict.fromkeys(names, "a" * 40)})
    assert preflight.findings(site, same, "native") == [], "the checkout is at that commit"
    other = changed(docker_serves, releases={"containers": {"api": "b" * 40}})
    (finding,) = preflight.findings(site, other, "native")
    assert finding.warning and "docker runs bbbbbbbbbbbb of api, and native would run aaaaaaaaaaaa" in finding.text


HOOK = "/usr/local/sbin/islandflow-backup"


@pytest.mark.parametrize(
    ("fact", "problem"),
    [
        (FileFact(HOOK, "file", 0o755), ""),
        (FileFact(HOOK, "file", 0o644), "is not executable"),
        (FileFact(HOOK, "missing"), "is no file: missing"),
        (FileFact(HOOK, "directory", 0o755), "is no file: directory"),
    ],
)
def test_a_backup_that_could_not_run_is_found_before_anything_is_stopped(
    fact: FileFact, problem: str, site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    with_hook = site.model_copy(update={"backup": Backup(hook=HOOK)})
    sides: dict[Runtime, Facts] = {"native": docker_serves, "docker": native_serves}
    for to, facts in sides.items():
        found = preflight.findings(with_hook, changed(facts, files={HOOK: fact}), to)
        assert [problem in finding.text and HOOK in finding.text for finding in found] == [True] * bool(problem)
    assert preflight.findings(with_hook, changed(native_serves, files={HOOK: fact}), "native") == [], "no hand-over"


def told(finding: Finding, case: Case) -> bool:
    """Whether a finding is the one that the case asks for."""
    return bool(re.search(case.text, finding.text)) and case.fix in finding.fix and finding.warning == case.warning


def assert_told(found: list[Finding], case: Case) -> None:
    assert [finding for finding in found if told(finding, case)], "\n".join(map(str, found)) or "nothing was found"


@pytest.mark.parametrize("to", ["native", "docker"])
def test_a_parking_lot_that_cannot_be_opened_is_found_before_anything_is_parked(
    site: Site, docker_serves: Facts, native_serves: Facts, to: Runtime
) -> None:
    facts = docker_serves if to == "native" else native_serves
    held = changed(facts, listeners=(*facts.listeners, listener(13000, "nc")))
    (finding,) = preflight.findings(site, held, to)
    assert "port 13000, where requests for web shall wait, is held by nc" in finding.text
    lost = changed(facts, edge={"network": EdgeNetwork(), "problem": "no network npm-shared"})
    assert any("requests can't wait" in finding.text for finding in preflight.findings(site, lost, to))
    edge = site.edge.model_copy(update={"hold": False})
    unheld = site.model_copy(update={"edge": edge})
    assert not any("wait" in finding.text for finding in preflight.findings(unheld, held, to))


def test_ports_that_dockerd_itself_holds_for_the_app_are_the_app_s(site: Site, fresh: Facts) -> None:
    """`"userland-proxy": false` in daemon.json."""
    own = tuple(dataclasses.replace(one, command="dockerd", container=f"x-{one.port}") for one in fresh.listeners)
    assert own and not preflight.findings(site, changed(fresh, listeners=own), "native")


def test_data_that_a_native_server_would_not_see_is_refused_before_a_cutover(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    infra = site.infra.model_copy(update={"nats": site.infra.nats.model_copy(update={"data": "/var/tmp/nats"})})
    moved = site.model_copy(update={"infra": infra})
    (finding,) = data.findings(moved, docker_serves, "native")
    assert "infra.nats.data is /var/tmp/nats" in finding.text and "/var/tmp of its own" in finding.text
    assert not finding.warning and "move the data" in finding.fix
    assert data.findings(moved, native_serves, "docker") == []


def test_what_cannot_be_kept_aside_is_a_warning_with_what_it_means(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    facts = changed(
        docker_serves, unkept=(Unkept("/data/redis", "it is a mount point"), Unkept("/data/nats", shared=200 << 20))
    )
    mount, large = data.findings(site, facts, "native")
    assert "/data/redis can't be kept aside: it is a mount point" in mount.text and mount.warning
    assert "200 MiB in /data/nats" in large.text and "what that server changed there stays" in large.text
    assert large.warning and "backup.hook" in large.fix
    assert data.findings(site, dataclasses.replace(facts, owner="native"), "native") == []


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ("7.2.4", "Valkey 8.0.1", False),
        ("Valkey 7.2.5", "7.2.4", False),
        ("Valkey 8.1.0", "8.0.2", False),
        ("7.4.1", "Valkey 8.0.1", True),
        ("Valkey 8.0.1", "7.0.15", True),
        ("Valkey 9.0.0", "8.0.2", True),
        ("KeyDB 6.3.4", "7.2.4", True),
        ("Dragonfly 1.21.2", "8.0.2", True),
    ],
)
def test_a_fork_of_redis_is_refused_by_name_where_the_other_may_not_read_its_files(
    old: str, new: str, refused: bool, site: Site, docker_serves: Facts
) -> None:
    facts = changed(docker_serves, versions={"docker/redis": old, "native/redis": new}, redis_formats={REDIS: 0})
    found = data.findings(site, facts, "native")
    assert bool(found) == refused
    if refused:
        (finding,) = found
        assert not finding.warning and "infra.redis.binary, now /usr/bin/redis-server" in finding.fix
        assert all((version.split()[0] if " " in version else "Redis") in finding.text for version in (old, new))
        (accepted,) = data.findings(site, facts, "native", accept_downgrade=True)
        assert accepted.warning


def test_a_running_fork_is_known_by_its_own_word(site: Site, docker_serves: Facts) -> None:
    facts = changed(docker_serves, versions={"docker/redis": ""}, data={"docker/redis": Holding(product="Dragonfly")})
    (finding,) = data.findings(site, facts, "native")
    assert "docker's redis is Dragonfly, and native's is Redis" in finding.text


@pytest.mark.parametrize(
    ("limits", "effect"),
    [
        ({"maxmemory": "256mb"}, "it would refuse every write"),
        ({"maxmemory": "1g", "maxmemory-policy": "noeviction"}, ""),
        ({"maxmemory": "250M", "maxmemory-policy": "allkeys-lru"}, "it would drop keys at once (allkeys-lru)"),
        ({"maxmemory": "much"}, ""),
        ({}, ""),
    ],
)
def test_a_limit_of_docker_s_redis_below_what_native_s_holds_is_a_warning(
    limits: dict[str, str], effect: str, site: Site, native_serves: Facts
) -> None:
    redis = dataclasses.replace(native_serves.compose["redis"], limits=limits)
    facts = changed(native_serves, data={"native/redis": Holding(used=300 << 20)}, compose={"redis": redis})
    texts = [finding.text for finding in data.findings(site, facts, "docker") if finding.warning]
    assert [text.rpartition(": ")[2] for text in texts] == ([effect] if effect else [])


@pytest.mark.parametrize(
    ("owner", "others", "refused"),
    [
        ("999:1000", (), ""),
        ("999:999", (), ""),  # the server reads what is its user's
        ("0:0", ("999:1000",), ""),
        ("0:0", (), ""),
        ("100999:101000", (), "belongs to 100999:101000, and infra.redis.image_user is 999:1000"),
        ("0:0", ("1001:1001",), "belongs to 1001:1001"),
        ("", (), ""),
    ],
)
def test_data_of_another_user_than_docker_s_server_is_refused_before_a_rollback_could_give_it_away(
    owner: str, others: tuple[str, ...], refused: str, site: Site, docker_serves: Facts
) -> None:
    folder = site.infra.redis.data
    facts = changed(docker_serves, trees={folder: Tree(folder, owner, others)})
    found = data.findings(site, facts, "native")
    assert len(found) == bool(refused) and all(refused in one.text and not one.warning for one in found)


def test_data_that_native_s_server_could_not_read_is_refused_and_on_the_way_back_a_warning(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    held = Holding(unreadable=("its store is encrypted",))
    (finding,) = data.findings(site, changed(docker_serves, data={"docker/nats": held}), "native")
    assert finding.text == "native's nats could not read the data: its store is encrypted" and not finding.warning
    (finding,) = data.findings(site, changed(native_serves, data={"native/nats": held}), "docker")
    assert finding.warning

"""Surveys of a VPS as facts: one where Docker serves, one where native does, and parts to change in them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fabfile import survey, workloads
from fabfile.inventory import RUNTIMES, Site
from fabfile.plans import edge
from fabfile.rendering import files
from fabfile.runner.actions.edge_point import PointEdge
from fabfile.runner.edge.facts import edge_facts
from fabfile.runner.system.ufw import parse
from fabfile.runner.wire.app import ComposeService
from fabfile.runner.wire.edge import EdgeBackup, EdgeFacts, SavedHost, Upstream
from fabfile.runner.wire.facts import (
    Container,
    Facts,
    FileFact,
    Health,
    HostInfo,
    Listener,
    Tree,
    Unit,
    Workload,
)
from fabfile.runner.wire.firewall import Firewall, Rule
from fabfile.runner.wire.release import GOOD, Checkout, Release, Releases
from fabfile.runner.wire.settings import Differences, SettingsFileFact
from fabfile.runner.wire.store import StoreState
from fabfile.runner.wire.terms import Runtime
from tests.runner.support.fake_edge import FakeEdge, stand_in

GATEWAY, SUBNET = "172.18.0.1", "172.18.0.0/16"
NATIVE_USERS = {"nats": "101:102", "redis": "100:101", "clickhouse": "999:999"}
BACKUP = "20261124T150000-000001"  # of the edge, as it is
COMMIT = "c" * 40  # that a deploy would be of
VERSIONS = {"nats": "2.10.7", "redis": "7.2.4", "clickhouse": "23.8.16.16"}


def changed(facts: Facts, **values: Any) -> Facts:
    """The facts with some of them replaced; a dictionary is laid over the dictionary or the fields that were there."""
    for name, value in values.items():
        former = getattr(facts, name)
        if isinstance(value, dict):
            values[name] = {**former, **value} if isinstance(former, dict) else dataclasses.replace(former, **value)
    return dataclasses.replace(facts, **values)


def edge_to(site: Site, runtime: Runtime, folder: Path) -> EdgeFacts:
    """Facts of an edge that sends the app's names to a runtime, from real rows and files."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        fake = FakeEdge(folder)
        stand_in(fake, monkeypatch)
        bare = Facts(edge=edge_facts(fake, fake.ref))
        (step,) = edge.point(site, bare, runtime)
        assert isinstance(step.action, PointEdge)
        action = dataclasses.replace(step.action, edge=fake.ref, seconds=60.0)
        for host in action.hosts:
            fake.serve(upstream=host.upstream, header=runtime)
            if host.routes:
                fake.serve(upstream=Upstream(host.route_host, host.route_port), header=runtime)
        look = action.inspect(fake)
        if not look.noop_reason:
            action.apply(fake, look.before)
        return edge_facts(fake, fake.ref)


def serving(site: Site, runtime: Runtime, edge: EdgeFacts) -> Facts:
    """A VPS where everything is installed for both runtimes and one of them owns and serves, healthy."""
    native = runtime == "native"
    return Facts(
        host=HostInfo("vps", "3.9.2"),
        units={
            **{server.unit: unit(server.unit, native) for server in site.servers},
            **{server.distribution_unit: unit(server.distribution_unit, False) for server in site.servers},
        },
        user_units={service.unit: unit(service.unit, native) for service in site.scope("full")},
        files=_files(site),
        trees={
            server.data: Tree(server.data, pair)
            for server in site.servers
            for pair in [NATIVE_USERS[server.name] if native else server.image_user]
        },
        accounts=dict(NATIVE_USERS),
        listeners=() if native else _proxies(site),
        versions={f"{side}/{name}": version for side in RUNTIMES for name, version in VERSIONS.items()},
        containers={
            w.name: container(
                w,
                not native,
                site.services[w.name].port if w.name in site.services else None,
                {server.image_data: server.data for server in site.servers if server.name == w.name},
            )
            for w in workloads.everything(site, "docker")
        },
        compose=composed(site),
        projects={site.runtimes.docker.project: "running(9)"},
        owner=runtime,
        settings_file=SettingsFileFact("file", 0o600, site.app.user, site.app.group),
        differences=Differences(),
        firewall=Firewall(True, True, "deny", tuple(_rule(site, port) for port in (3000, 4000))),
        edge=edge,
        edge_backups=(backup(edge),),
        health={
            f"{side}/{w.name}": Health(w.name, side, side == runtime, "healthy" if side == runtime else "down")
            for side in RUNTIMES
            for w in workloads.everything(site, side)
        },
        checkout=Checkout("a" * 40, "main", ()),
        releases=Releases(commit=COMMIT, present=True, free=10 << 30, size=100 << 20),
        disks={"/var/lib/islandflow/ops": 10 << 30},
        redis_formats={site.infra.redis.data: 11},
        ops=StoreState(),
    )


def released(site: Site, facts: Facts, live: Mapping[str, str], **known: str) -> Facts:
    """The facts with these services running from releases, and releases that are known: commit → state, latest first.

    Commits are named by one letter. What runs is known as well, and all are built and have run every service.
    """
    names = tuple(service.name for service in site.scope("full"))
    states = {**dict.fromkeys(live.values(), GOOD), **known}
    order = [letter for letter in (*known, *live.values()) if letter in states]
    found = tuple(
        Release("native", letter * 40, states[letter], services=names, built=True, builds=("web",), size=2_000_000)
        for letter in dict.fromkeys(order)
    )
    folder = site.releases.folder
    led = {service: f"{folder}/{letter * 40}" for service, letter in live.items()}
    releases = dataclasses.replace(facts.releases, known=found, live=led, directories=tuple(r.commit for r in found))
    return dataclasses.replace(facts, releases=releases)


def composed(site: Site) -> dict[str, ComposeService]:
    """The app's own Compose file, as the inventory says it is: all images are there."""
    app = [
        ComposeService(name, f"{site.runtimes.docker.project}-{name}", True, True, restart="unless-stopped")
        for name in site.services
    ]
    servers = [
        ComposeService(s.name, s.image, True, False, mounts={s.image_data: s.data}, restart="unless-stopped")
        for s in site.servers
    ]
    return {service.name: service for service in (*app, *servers)}


def fresh(site: Site, edge: EdgeFacts) -> Facts:
    """A VPS as the original was: Docker serves, and nothing of ours is on it but the Compose project."""
    facts = serving(site, "docker", edge)
    ours = {file.path for file in (*files.infra(site), *files.app(site, bind=GATEWAY))}
    return dataclasses.replace(
        facts,
        owner="",
        units={name: Unit(name, "not-found", "inactive", "dead", "", 0, 0, "", "", False) for name in facts.units},
        user_units={
            name: Unit(name, "not-found", "inactive", "dead", "", 0, 0, "", "", False) for name in facts.user_units
        },
        files={path: FileFact(path, "missing") if path in ours else fact for path, fact in facts.files.items()},
        settings_file=SettingsFileFact("missing", differs="it is missing"),
        accounts=dict.fromkeys(facts.accounts, ""),
        firewall=Firewall(True, True, "deny", tuple(rule for rule in [parse("ufw allow 3000/tcp")] if rule)),
    )


def backup(edge: EdgeFacts, number: str = BACKUP) -> EdgeBackup:
    """A backup of the edge as these facts show it."""
    hosts = {
        domain: SavedHost(domain, fact.row, fact.path, 1, "", fact.row.enabled)
        for domain, fact in edge.hosts.items()
        if fact.row is not None
    }
    return EdgeBackup(number, "p1", 1.7e9, hosts, {domain: fact.text for domain, fact in edge.hosts.items()})


def unit(name: str, running: bool) -> Unit:
    """A unit that runs and starts at boot, or neither."""
    active, sub, enabled = ("active", "running", "enabled") if running else ("inactive", "dead", "disabled")
    return Unit(name, "loaded", active, sub, enabled, 0, 7 if running else 0, "success", f"/x/{name}", False)


def container(
    workload: Workload, running: bool, port: int | None = None, mounts: dict[str, str] | None = None
) -> Container:
    """A container of the project, up or stopped by hand; its port is published while it runs."""
    state = "running" if running else "exited"
    published = {f"{port}/tcp": f"127.0.0.1:{port}"} if running and port else {}
    name, policy = f"x-{workload.name}-1", "unless-stopped"
    return Container(
        workload.name, name, "id", state, "", 0, 7, "", "image", "172.20.0.5", published, policy, (), mounts or {}
    )


def listener(port: int, command: str, cgroup: str = "/system.slice/other.service") -> Listener:
    """Somebody who holds a port."""
    return Listener(port, "0.0.0.0", 99, command, cgroup)


def _proxies(site: Site) -> tuple[Listener, ...]:
    ports = [service.port for service in site.scope("full") if service.port]
    return tuple(Listener(port, "127.0.0.1", 50, "docker-proxy", "/system.slice/docker.service") for port in ports)


def _rule(site: Site, port: int) -> Rule:
    rule = parse(f"ufw allow from {SUBNET} to any port {port} proto tcp")
    assert rule
    return rule


def _files(site: Site) -> dict[str, FileFact]:
    facts = {path: FileFact(path, "file", 0o644, "root", "root", "same") for path in survey.request(site).files}
    for path in (site.app.data_root, *(server.data for server in site.servers)):
        facts[path] = FileFact(path, "directory", 0o750, "root", "root")
    facts[site.runtimes.docker.overlay_file] = FileFact(site.runtimes.docker.overlay_file, "missing")
    for file in (*files.infra(site), *files.app(site, bind=GATEWAY), *files.overlay(site)):
        digest = hashlib.sha256(file.content).hexdigest()
        facts[file.path] = FileFact(file.path, "file", file.mode, file.owner, file.group, digest, file.content.decode())
    return facts

"""Ports that a hand-over needs: who holds them, and how they become free."""

from __future__ import annotations

from fabfile import survey
from fabfile.checks.result import Finding
from fabfile.inventory import BRIDGE, Site
from fabfile.runner.system import docker
from fabfile.runner.wire.facts import Facts, Listener
from fabfile.terms import Runtime

# Addresses at which a listener keeps Docker from publishing on 127.0.0.1.
_LOCAL_ADDRESSES = ("127.0.0.1", "0.0.0.0", "::")


def parking_lot(site: Site, facts: Facts) -> list[Finding]:
    """Whether requests can wait where the inventory says, while no runtime is up."""
    if not site.edge.hold:
        return []
    result = []
    if not survey.address(facts, BRIDGE):
        problem = facts.edge.problem
        result.append(
            Finding(
                f"requests can't wait: the gateway of the Docker network {site.edge.network} is unknown: {problem}",
                "check edge.network in the inventory; edge.hold = false does without waiting, and with an outage",
            )
        )
    ports = {service.parking_port: service.name for service in site.scope("full") if service.parking_port}
    for listener in facts.listeners:
        if listener.port in ports:
            result.append(
                Finding(
                    f"port {listener.port}, where requests for {ports[listener.port]} shall wait, is {_held(listener)}",
                    f"{_stop(listener)}, or give services.{ports[listener.port]} another parking_port",
                )
            )
    return result


def of_runtime(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """Ports that `to` needs and that neither runtime of ours holds. Docker publishes web and API, on 127.0.0.1."""
    units: dict[int, tuple[str, ...]]
    units = {service.port: (service.unit,) for service in site.scope("full") if service.port}
    listeners = [listener for listener in facts.listeners if to == "native" or listener.address in _LOCAL_ADDRESSES]
    if to == "native":
        units |= {server.port: (server.unit, server.distribution_unit) for server in site.servers}
        if site.infra.nats.monitor_port:
            units[site.infra.nats.monitor_port] = units[site.infra.nats.port]
    return [
        Finding(
            f"port {listener.port} is {_held(listener)}",
            f"{_stop(listener)}, or give the service another port in the inventory",
        )
        for listener in listeners
        if listener.port in units and not _ours(listener, units[listener.port], facts)
    ]


def _ours(listener: Listener, units: tuple[str, ...], facts: Facts) -> bool:
    """Whether a port is held by a unit of ours, by a package's, or by Docker for a container of the project."""
    if listener.command in docker.PROXIES:
        published = [place for container in facts.all_containers for place in container.published.values()]
        return any(place.endswith(f":{listener.port}") for place in published)
    return any(f"/{unit}" in listener.cgroup for unit in units)


def _held(listener: Listener) -> str:
    """By whom; Docker's own process holds the port of a container, which is whom it belongs to."""
    if listener.command in docker.PROXIES:
        who = f"the container {listener.container}" if listener.container else "a container"
        return f"published by {who} ({listener.address}, held by {listener.command})"
    return f"held by {listener.command or 'another process'} (pid {listener.pid}, {listener.address})"


def _stop(listener: Listener) -> str:
    if listener.command not in docker.PROXIES:
        return "stop that process"
    if listener.container:
        return f"stop that container (docker stop {listener.container})"
    return f"stop the container that `docker ps --filter publish={listener.port}` names"

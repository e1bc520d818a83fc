"""Verifies that the edge can use an upstream, and that the edge then serves from it."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from ..system import docker
from ..system.machine import Machine, Observation, StepFailed
from ..system.polling import Attempt, failures, until_good
from ..wire.edge import NO_ANSWER, EdgeContainer
from . import server
from .change import EdgeHost, HostChange
from .probe import ProbeAnswer, ProbeRequest

PAGE_STATUS_LIMIT = 400  # a page's status must be below it
_MOST_AT_ONCE = 8  # requests


def check_upstreams(
    machine: Machine, container: EdgeContainer, network: str, hosts: Sequence[EdgeHost], seconds: float
) -> list[str]:
    """Probe the new upstreams from the edge's container until all answers are good; returns the answers' texts.

    Raises StepFailed after `seconds`, with every problem; at once where a connection is refused.
    """
    began = time.monotonic()
    probes: dict[str, Attempt] = {}
    for host in hosts:
        for status_limit, request in _upstream_requests(host):
            key = f"{request.host}:{request.port}{request.path}"
            probes[key] = functools.partial(_probe_upstream, container, request, host.expect_header, status_limit)
    observations = until_good(machine, probes, seconds)
    problems = failures(machine, observations, began)
    if problems:
        data = [observation.data for observation in observations.values()]
        silent = {port for item in data for port in cast("list[int]", item.get("silent", []))}
        hints = [_firewall_hint(machine, network, port) for port in sorted(silent)]
        text = "; ".join([f"the edge cannot use the new upstream: {problems}", *hints])
        raise StepFailed(text, probed=[item.get("answers", []) for item in data])
    return [f"{key} {observation.text}" for key, observation in observations.items()]


def refused_before(address: str, changes: Sequence[HostChange], seconds: float) -> dict[str, int]:
    """Return the statuses with which the edge refuses us, by name and path: those of hosts that let in only some."""
    probes = {
        key: (attempt, change.fact.refusals)
        for change in changes
        if change.fact.refusals and change.row.enabled
        for key, attempt in host_probes(address, change.fact.tls, change.host).items()
    }
    with ThreadPoolExecutor(max_workers=_MOST_AT_ONCE) as pool:  # one that is let in may wait for an upstream in vain
        answers = {key: pool.submit(attempt, seconds) for key, (attempt, _) in probes.items()}
    statuses = {key: cast("int", answer.result().data.get("status", 0)) for key, answer in answers.items()}
    return {key: status for key, status in statuses.items() if status in probes[key][1]}


def check_serving(
    machine: Machine,
    address: str,
    changes: Sequence[HostChange],
    seconds: float,
    refused: Mapping[str, int] | None = None,
) -> list[str]:
    """Request every name and every route through the edge until all answers are good; returns the answers' texts.

    What the edge itself `refused` before is good when it is refused in the same way, and a refusal that is new is not:
    a portal's redirect is none of the app's. The edge must refuse a disabled host. `address` is the edge's own. Raises
    StepFailed after `seconds`.
    """
    began = time.monotonic()
    probes: dict[str, Attempt] = {}
    for change in changes:
        host, tls = change.host, change.fact.tls
        if change.values.enabled:
            for key, attempt in host_probes(address, tls, host).items():
                before = (refused or {}).get(key)
                probes[key] = or_refused(
                    attempt, change.fact.refusals, (before,) if before else (), bool(host.expect_header)
                )
        else:
            probes[host.domain] = functools.partial(server.probe_closed_host, address, tls, host.domain)
    observations = until_good(machine, probes, seconds)
    problems = failures(machine, observations, began)
    if problems:
        raise StepFailed(f"through the edge: {problems} (waited {time.monotonic() - began:.1f} s)")
    return [f"{key} {observation.text}" for key, observation in observations.items()]


def host_probes(address: str, tls: bool, host: EdgeHost, routes: bool = True) -> dict[str, Attempt]:
    """Return the requests for a host through the edge, by name and path."""
    paths = _paths(host) if routes else _paths(host)[:1]
    return {
        f"{host.domain}{path}": functools.partial(_probe_host, address, tls, host, path, status_limit)
        for path, status_limit in paths
    }


def or_refused(attempt: Attempt, refusals: Sequence[int], accepted: Sequence[int], signed: bool = False) -> Attempt:
    """Return the attempt, good as well where the edge itself refuses us with a status that is `accepted`.

    With any other of its `refusals` it is bad, as where a portal redirects: that is not the app's answer, unless that
    is `signed` by a header which the attempt has verified.
    """

    def either(seconds: float) -> Observation:
        result = attempt(seconds)
        status = result.data.get("status")
        if status not in refusals or (signed and result.ok):
            return result
        words = "gets no answer" if status == NO_ANSWER else f"answers {status}"
        if status in accepted:
            return Observation(True, f"{words}: the edge itself refuses us, as before")
        return Observation(False, f"{words}, as the edge itself does for whom it refuses", result.data)

    return either


def _probe_host(address: str, tls: bool, host: EdgeHost, path: str, status_limit: int, seconds: float) -> Observation:
    return server.probe_host(address, tls, host.domain, path, host.expect_header, status_limit, seconds)


def _probe_upstream(
    container: EdgeContainer, request: ProbeRequest, header: str, status_limit: int, limit: float
) -> Observation:
    """Probe all addresses of an upstream once."""
    answers = server.probe(container, request, limit)
    judgements = [(answer, _problem(answer, header, status_limit)) for answer in answers]
    bad = {answer["kind"] for answer, problem in judgements if problem}
    text = ", ".join(f"({answer['address']}) {problem or answer['text']}" for answer, problem in judgements)
    silent = [request.port] if "silent" in bad else []
    data = {"answers": answers, "silent": silent, "slow": bad == {"slow"}}
    return Observation(not bad, text, data, permanent="refused" in bad)


def _upstream_requests(host: EdgeHost) -> Iterator[tuple[int, ProbeRequest]]:
    """Yield the requests to a host's upstreams, each with its status limit."""
    yield PAGE_STATUS_LIMIT, ProbeRequest(host.upstream_host, host.upstream_port, host.probe_path, host.domain)
    if host.routes:
        path = f"/{host.routes[0]}" if host.probe_path else ""
        yield _route_limit(host), ProbeRequest(host.route_host, host.route_port, path, host.domain)


def _route_limit(host: EdgeHost) -> int:
    """Return a route's status limit: it may refuse a bare GET, and with a header that names the runtime any will do."""
    return 600 if host.expect_header else 500


def _paths(host: EdgeHost) -> list[tuple[str, int]]:
    """Return the paths to request through the edge, each with its status limit."""
    if not host.probe_path:
        return []
    return [(host.probe_path, PAGE_STATUS_LIMIT), *((f"/{prefix}", _route_limit(host)) for prefix in host.routes)]


def _problem(answer: ProbeAnswer, header: str, status_limit: int) -> str:
    if answer["kind"] == "open":
        return ""
    if answer["kind"] != "answer":
        return str(answer["text"])
    if answer["status"] >= status_limit:
        return f"answers {answer['status']}"
    return server.header_problem(answer["headers"], header)


def _firewall_hint(machine: Machine, network: str, port: int) -> str:
    subnet = docker.network(machine, network).subnet
    rule = f"ufw allow proto tcp from {subnet} to any port {port} comment 'npm bridge to port {port}'"
    return f"probably the firewall; add: {rule}"

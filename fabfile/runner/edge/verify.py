"""Proof that an upstream can be used by the edge, and that the edge then serves from it."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from typing import cast

from ..system import docker
from ..system.machine import Machine, Observation, StepFailed
from ..system.questions import Ask, failures, until_good
from ..wire.edge import EdgeContainer
from . import server
from .change import EdgeHost, HostChange
from .probe import Answer, Question

OWN = 400  # a page must answer with a status below


def check_upstreams(
    machine: Machine, box: EdgeContainer, network: str, hosts: Sequence[EdgeHost], seconds: float
) -> list[str]:
    """Ask the new upstreams from the edge's container until all have answered as they should; what they answered.

    Raises StepFailed after `seconds`, with all that is wrong; at once where a connection is refused.
    """
    began = time.monotonic()
    questions: dict[str, Ask] = {}
    for host in hosts:
        for below, question in _questions(host):
            key = f"{question.host}:{question.port}{question.path}"
            questions[key] = functools.partial(_upstream, box, question, host.expect_header, below)
    seen = until_good(machine, questions, seconds)
    wrong = failures(machine, seen, began)
    if wrong:
        silent = {port for answer in seen.values() for port in cast("list[int]", answer.data.get("silent", []))}
        hints = [_firewall_hint(machine, network, port) for port in sorted(silent)]
        probed = [answer.data.get("answers", []) for answer in seen.values()]
        raise StepFailed("; ".join([f"the edge cannot use the new upstream: {wrong}", *hints]), probed=probed)
    return [f"{key} {found.text}" for key, found in seen.items()]


def check_serving(machine: Machine, address: str, changes: Sequence[HostChange], seconds: float) -> list[str]:
    """Ask through the edge until every name and every route has answered as it should; what they answered.

    A disabled host must be refused. `address` is the edge's own. Raises StepFailed after `seconds`.
    """
    began = time.monotonic()
    questions: dict[str, Ask] = {}
    for change in changes:
        host, tls = change.host, change.fact.tls
        if change.values.enabled:
            questions.update(through(address, tls, host))
        else:
            questions[host.domain] = functools.partial(server.refused, address, tls, host.domain)
    seen = until_good(machine, questions, seconds)
    wrong = failures(machine, seen, began)
    if wrong:
        raise StepFailed(f"through the edge: {wrong} (waited {time.monotonic() - began:.1f} s)")
    return [f"{key} {found.text}" for key, found in seen.items()]


def through(address: str, tls: bool, host: EdgeHost, routes: bool = True) -> dict[str, Ask]:
    """What to ask of a host through the edge, by name and path."""
    paths = _paths(host) if routes else _paths(host)[:1]
    return {
        f"{host.domain}{path}": functools.partial(_served, address, tls, host, path, below) for path, below in paths
    }


def _served(address: str, tls: bool, host: EdgeHost, path: str, below: int, limit: float) -> Observation:
    return server.served(address, tls, host.domain, path, host.expect_header, below, limit)


def _upstream(box: EdgeContainer, question: Question, header: str, below: int, limit: float) -> Observation:
    """One try at all addresses of an upstream."""
    answers = server.probe(box, question, limit)
    judged = [(answer, _problem(answer, header, below)) for answer in answers]
    bad = {answer["kind"] for answer, problem in judged if problem}
    text = ", ".join(f"({answer['address']}) {problem or answer['text']}" for answer, problem in judged)
    silent = [question.port] if "silent" in bad else []
    data = {"answers": answers, "silent": silent, "slow": bad == {"slow"}}
    return Observation(not bad, text, data, final="refused" in bad)


def _questions(host: EdgeHost) -> Iterator[tuple[int, Question]]:
    """What to ask of a host's upstreams: the limit of the status, and the question."""
    yield OWN, Question(host.upstream_host, host.upstream_port, host.probe_path, host.domain)
    if host.routes:
        path = f"/{host.routes[0]}" if host.probe_path else ""
        yield _route_limit(host), Question(host.route_host, host.route_port, path, host.domain)


def _route_limit(host: EdgeHost) -> int:
    """A route may well refuse a bare GET, and where its header shows who answered, any status will do."""
    return 600 if host.expect_header else 500


def _paths(host: EdgeHost) -> list[tuple[str, int]]:
    """What to ask through the edge: (path, status must be below)."""
    if not host.probe_path:
        return []
    return [(host.probe_path, OWN), *((f"/{prefix}", _route_limit(host)) for prefix in host.routes)]


def _problem(answer: Answer, header: str, below: int) -> str:
    if answer["kind"] == "open":
        return ""
    if answer["kind"] != "answer":
        return str(answer["text"])
    if answer["status"] >= below:
        return f"answers {answer['status']}"
    return server.header_problem(answer["headers"], header)


def _firewall_hint(machine: Machine, network: str, port: int) -> str:
    subnet = docker.network(machine, network).subnet
    rule = f"ufw allow proto tcp from {subnet} to any port {port} comment 'npm bridge to port {port}'"
    return f"probably the firewall; add: {rule}"

"""Proof that an upstream can be used by the edge, and that the edge then serves from it."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from . import docker, npmserver
from .edgeprobe import Answer
from .machine import Machine, Seen, StepFailed
from .npmchange import EdgeHost, HostChange
from .npmserver import EdgeContainer

OWN = 400  # a page must answer with a status below


def prove_upstreams(machine: Machine, box: EdgeContainer, network: str, hosts: Sequence[EdgeHost]) -> List[str]:
    """What the new upstreams answer to the edge's container. Raises StepFailed, with all that is wrong."""
    questions = [question for host in hosts for question in _questions(host)]
    asked = npmserver.probe_upstreams(machine, box, [question for _, _, question in questions])
    seen: List[str] = []
    wrong: List[str] = []
    for (host, below, question), answers in zip(questions, asked):
        for answer in answers:
            problem = _problem(answer, host.expect_header, below)
            place = f"{question['host']}:{question['port']} ({answer['address']})"
            (wrong if problem else seen).append(f"{place} {problem or answer['text']}")
            if answer["kind"] == "silent":
                wrong.append(_firewall_hint(machine, network, question["port"]))
    if wrong:
        told = "; ".join(dict.fromkeys(wrong))
        raise StepFailed(f"the edge cannot use the new upstream: {told}", probed=asked)
    return seen


def prove_served(machine: Machine, address: str, changes: Sequence[HostChange], seconds: float) -> List[str]:
    """Ask through the edge until every name and every route answers as it should; what they answered.

    A disabled host must be refused. `address` is the edge's own. Raises StepFailed after `seconds`.
    """
    served: List[str] = []

    def all_serve() -> Seen:
        served.clear()
        for change in changes:
            host = change.host
            if not change.values.enabled:
                seen = npmserver.refused(address, change.fact.tls, host.domain)
                if not seen.ok:
                    return seen
                served.append(seen.text)
                continue
            for path, below in _paths(host):
                seen = npmserver.served(address, change.fact.tls, host.domain, path, host.expect_header, below)
                if not seen.ok:
                    return seen
                served.append(seen.text)
        return Seen(True, "all answer")

    machine.until(all_serve, seconds)
    return served


def _questions(host: EdgeHost) -> List[Tuple[EdgeHost, int, Dict[str, Any]]]:
    """What to ask of a host's upstreams: (host, status must be below, question)."""
    own = {"host": host.upstream_host, "port": host.upstream_port, "path": host.probe_path}
    found = [(host, OWN, {**own, "domain": host.domain})]
    if host.routes:
        path = f"/{host.routes[0]}" if host.probe_path else ""
        routed = {"host": host.route_host, "port": host.route_port, "path": path}
        found.append((host, _route_limit(host), {**routed, "domain": host.domain}))
    return found


def _route_limit(host: EdgeHost) -> int:
    """A route may well refuse a bare GET, and where its header shows who answered, any status will do."""
    return 600 if host.expect_header else 500


def _paths(host: EdgeHost) -> List[Tuple[str, int]]:
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
    return npmserver.header_problem(answer["headers"], header)


def _firewall_hint(machine: Machine, network: str, port: int) -> str:
    subnet = docker.network(machine, network)["subnet"]
    rule = f"ufw allow proto tcp from {subnet} to any port {port} comment 'npm bridge to port {port}'"
    return f"probably the firewall; add: {rule}"

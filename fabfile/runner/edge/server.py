"""The running edge: NPM's container, the nginx in it, and what it answers."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from pathlib import Path

from ..system import http, procs
from ..system.inspected import Inspected
from ..system.machine import CommandFailed, Evidence, Machine, Observation, Result, StepFailed
from ..wire.edge import EdgeContainer
from .probe import AGENT, TIMEOUT, Answer, Question, enter_network, probe_upstream

_WORKER = "nginx: worker process"


def container(machine: Machine, name: str) -> EdgeContainer:
    """What Docker says of the container; a `problem` instead of an exception."""
    try:
        result = machine.run(["docker", "inspect", "--type", "container", name], timeout=30, ok=None)
    except CommandFailed as error:
        return EdgeContainer(name, False, 0, {}, f"container {name}: {error}", known=False)
    if result.code != 0:
        known = "no such container" in result.err.lower()
        return EdgeContainer(name, False, 0, {}, f"container {name}: {result.said}", known)
    item: Inspected = json.loads(result.out)[0]
    networks = item["NetworkSettings"].get("Networks") or {}
    addresses = {key: value["IPAddress"] for key, value in networks.items() if value.get("IPAddress")}
    running = bool(item["State"].get("Running"))
    problem = "" if running else f"container {name} is {item['State'].get('Status', 'not running')}"
    return EdgeContainer(name, running, int(item["State"].get("Pid") or 0), addresses, problem)


def config_test(machine: Machine, name: str) -> Result:
    """The result of `nginx -t` in the container; code 0 means that nginx would take its files."""
    return machine.run(["docker", "exec", name, "nginx", "-t"], timeout=30, ok=None)


def workers(pid: int) -> dict[int, float]:
    """nginx's accepting workers in the container whose first process is `pid`: pid → started at (epoch, s).

    Workers that are shutting down are left out: they serve what they have and accept nothing new.
    """
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    below = procs.descendants(pid)
    return {child: booted + found.started for child, found in below.items() if procs.title(child) == _WORKER}


def reload(machine: Machine, box: EdgeContainer, seconds: float) -> Evidence:
    """Tell nginx to read its files again and wait until only new workers accept connections.

    Raises StepFailed when that has not happened after `seconds`. Old workers may live on: a websocket
    keeps the worker, and so the upstream, that it was opened on.
    """
    old = set(workers(box.pid))
    if not old:
        raise StepFailed(f"no nginx worker runs in container {box.name}")
    began = time.monotonic()
    machine.run(["docker", "exec", box.name, "nginx", "-s", "reload"], timeout=30)
    reloaded = await_workers(machine, box, old, seconds)
    return {"reload_ms": round(1000 * (time.monotonic() - began)), "workers": reloaded}


def await_workers(machine: Machine, box: EdgeContainer, old: set[int], seconds: float) -> str:
    """Wait until none of the `old` workers accepts connections any more and new ones do; says how many.

    Raises StepFailed when that has not happened after `seconds`.
    """

    def replaced() -> Observation:
        now = set(workers(box.pid))
        found = f"{len(now - old)} new workers, {len(now & old)} old ones"
        taken = bool(now) and not now & old
        return Observation(taken, found if taken else f"nginx did not take the reload: {found}")

    return machine.until(replaced, seconds, every=0.02).text


def probe(box: EdgeContainer, question: Question, timeout: float) -> list[Answer]:
    """Ask an upstream from inside the container's network namespace, with its own DNS.

    For a thread of its own, which stays in that namespace. Raises OSError, StepFailed.
    """
    server = nameserver(Path(f"/proc/{box.pid}/root/etc/resolv.conf"))
    enter_network(box.pid)
    return probe_upstream(*question, server, timeout)


def nameserver(resolv_conf: Path) -> str:
    """The first IPv4 name server of a resolv.conf, which is the one that NPM gives to nginx.

    Docker's own, 127.0.0.11, when the file names none.
    """
    try:
        found = re.findall(r"^\s*nameserver\s+([0-9.]+)\s*$", resolv_conf.read_text(), re.MULTILINE)
    except OSError as error:
        raise StepFailed(f"the edge's name server cannot be read: {error}") from error
    return found[0] if found else "127.0.0.11"


def served(
    address: str, tls: bool, domain: str, path: str, header: str, below: int = 400, timeout: float = TIMEOUT
) -> Observation:
    """One request through the edge: a status below `below`, with `header` ("name: value") if given."""
    try:
        answer = _through(address, tls, domain, path, timeout)
    except OSError as error:
        return _unanswered(error)
    wrong = header_problem(answer.headers, header)
    return Observation(answer.status < below and not wrong, f"answers {answer.status}{wrong and ', ' + wrong}")


def refused(address: str, tls: bool, domain: str, timeout: float = TIMEOUT) -> Observation:
    """Whether the edge has no host of that name for the public: a TLS alert, or 404 without TLS."""
    try:
        status = _through(address, tls, domain, "/", timeout).status
    except socket.timeout as error:  # while TLS is greeted it is an SSLError, too, before Python 3.10
        return _unanswered(error)
    except ssl.SSLError as error:
        return Observation(True, f"is refused by the edge ({error.reason or error})")
    except OSError as error:
        return _unanswered(error)
    return Observation(not tls and status == 404, f"still answers {status}")


def _through(address: str, tls: bool, domain: str, path: str, timeout: float) -> http.Answer:
    """The edge's answer for a hostname, its body left out. Raises OSError."""
    context = http.unverified() if tls else None
    return http.request(
        address,
        443 if tls else 80,
        path,
        seconds=timeout,
        host=domain,
        headers=AGENT,
        tls=context,
        body=http.Body.SKIP,
    )


def _unanswered(error: Exception) -> Observation:
    slow = {"slow": True} if isinstance(error, socket.timeout) else {}
    return Observation(False, str(error) or type(error).__name__, slow)


def header_problem(headers: dict[str, str], expected: str) -> str:
    """How the headers fall short of `expected` ("name: value"); empty when they don't."""
    if not expected:
        return ""
    name, _, value = (part.strip() for part in expected.partition(":"))
    found = headers.get(name.lower())
    return "" if found == value else f"{name} is {found!r} instead of {value!r}"

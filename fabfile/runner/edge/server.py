"""The running edge: reads NPM's container, reloads the nginx in it, and sends requests through it."""

from __future__ import annotations

import re
import secrets
import socket
import ssl
import time
from pathlib import Path
from typing import NamedTuple

from ..system import http, procs
from ..system.inspected import Inspected, inspected
from ..system.machine import CommandFailed, Evidence, Machine, Observation, Result, StepFailed
from ..wire import shape
from ..wire.edge import NO_ANSWER, EdgeContainer
from .hostfile import to_text
from .probe import HEADERS, TIMEOUT_SECONDS, ProbeAnswer, ProbeRequest, enter_network, probe_upstream

_WORKER = "nginx: worker process"
_PORTS = {False: 80, True: 443}  # of the edge, in its container; by whether TLS is spoken


def container(machine: Machine, name: str) -> EdgeContainer:
    """Return the container as Docker has it; with a `problem` instead of an exception."""
    try:
        result = machine.run(["docker", "inspect", "--type", "container", name], timeout=30, ok=None)
    except CommandFailed as error:
        return EdgeContainer(name, False, 0, {}, f"container {name}: {error}", known=False)
    if result.code != 0:
        known = "no such container" in result.err.lower()
        return EdgeContainer(name, False, 0, {}, f"container {name}: {result.excerpt}", known)
    try:
        (item,) = inspected(result.out)
    except ValueError as error:
        problem = f"container {name}: docker inspect describes it as Docker does not: {error}"
        return EdgeContainer(name, False, 0, {}, problem, known=False)
    networks = item["NetworkSettings"].get("Networks") or {}
    addresses = {key: value["IPAddress"] for key, value in networks.items() if value and value.get("IPAddress")}
    running = bool(item["State"].get("Running"))
    problem = "" if running else f"container {name} is {item['State'].get('Status', 'not running')}"
    pid = int(item["State"].get("Pid") or 0)
    return EdgeContainer(name, running, pid, addresses, problem, database=_database(item, pid))


def _database(item: Inspected, pid: int) -> str:
    """Return the database that NPM's settings name, by its kind and host or by its file; empty for the default.

    As in NPM's lib/config.js: its configuration file goes first, then MariaDB, PostgreSQL and SQLite.
    """
    entries = (item.get("Config") or {}).get("Env") or ()
    variables = dict(entry.partition("=")[::2] for entry in entries)
    try:
        configured = shape.parse(Path(f"/proc/{pid}/root/app/config/production.json").read_text())["database"]
        if configured["engine"] in ("mysql", "mysql2", "pg"):
            return f"{configured['engine']} at {configured['host']} (/app/config/production.json)"
    except (OSError, ValueError, LookupError, TypeError):
        pass  # there is none in most containers
    for kind, prefix in (("MariaDB or MySQL", "DB_MYSQL_HOST"), ("PostgreSQL", "DB_POSTGRES_HOST")):
        for name in (prefix, f"{prefix}__FILE"):
            if variables.get(name):
                return f"{kind} at {variables[name]} ({name})"
    return variables.get("DB_SQLITE_FILE", "")


def config_test(machine: Machine, name: str) -> Result:
    """Return the result of `nginx -t` in the container; code 0 means that nginx accepts its files."""
    return machine.run(["docker", "exec", name, "nginx", "-t"], timeout=30, ok=None)


def workers(pid: int) -> dict[int, float]:
    """Return nginx's accepting workers in the container whose first process is `pid`: pid → start (epoch, s).

    Workers that are shutting down are left out: they serve what they have and accept nothing new.
    """
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    children = procs.descendants(pid)
    return {child: booted + process.started for child, process in children.items() if procs.title(child) == _WORKER}


def reload(machine: Machine, container: EdgeContainer, seconds: float) -> Evidence:
    """Reload nginx's configuration and wait until only new workers accept connections.

    Raises StepFailed when that has not happened after `seconds`. Old workers may live on: a websocket
    keeps the worker, and so the upstream, that it was opened on.
    """
    old = set(workers(container.pid))
    if not old:
        raise StepFailed(f"no nginx worker runs in container {container.name}")
    began = time.monotonic()
    machine.run(["docker", "exec", container.name, "nginx", "-s", "reload"], timeout=30)
    reloaded = await_workers(machine, container, old, seconds)
    return {"reload_ms": round(1000 * (time.monotonic() - began)), "workers": reloaded}


def await_workers(machine: Machine, container: EdgeContainer, old: set[int], seconds: float) -> str:
    """Wait until none of the `old` workers accepts connections and new ones do; returns a text with their numbers.

    Raises StepFailed when that has not happened after `seconds`.
    """

    def check() -> Observation:
        current = set(workers(container.pid))
        text = f"{len(current - old)} new workers, {len(current & old)} old ones"
        replaced = bool(current) and not current & old
        return Observation(replaced, text if replaced else f"nginx did not reload its configuration: {text}")

    return machine.until(check, seconds, every=0.02).text


def probe(container: EdgeContainer, request: ProbeRequest, timeout: float) -> list[ProbeAnswer]:
    """Probe an upstream from inside the container's network namespace, with its own DNS.

    Call it in a thread of its own, which stays in that namespace. Raises OSError, StepFailed.
    """
    server = nameserver(Path(f"/proc/{container.pid}/root/etc/resolv.conf"))
    enter_network(container.pid)
    return probe_upstream(*request, server, timeout)


def nameserver(resolv_conf: Path) -> str:
    """Return the first IPv4 name server of a resolv.conf, which is the one that NPM gives to nginx.

    If the file names none, it is Docker's own, 127.0.0.11.
    """
    try:
        servers = re.findall(r"^\s*nameserver\s+([0-9.]+)\s*$", resolv_conf.read_text(), re.MULTILINE)
    except OSError as error:
        raise StepFailed(f"the edge's name server cannot be read: {error}") from error
    return servers[0] if servers else "127.0.0.11"


def probe_host(
    address: str,
    tls: bool,
    domain: str,
    path: str,
    header: str,
    status_limit: int = 400,
    timeout: float = TIMEOUT_SECONDS,
) -> Observation:
    """Send one request through the edge; good: a status below `status_limit`, and `header` ("name: value") if given."""
    try:
        answer = _request(address, tls, domain, path, timeout)
    except OSError as error:
        unanswered = {"status": NO_ANSWER} if http.is_unanswered(error) else {}
        missing = _no_answer(error)
        return Observation(False, missing.text, {**missing.data, **unanswered})
    problem = header_problem(answer.headers, header)
    good = answer.status < status_limit and not problem
    return Observation(good, f"answers {answer.status}{problem and ', ' + problem}", {"status": answer.status})


def probe_closed_host(address: str, tls: bool, domain: str, timeout: float = TIMEOUT_SECONDS) -> Observation:
    """Request a closed host through the edge; good is what a name gets that no host has, with TLS and without.

    NPM's settings decide what that is: a TLS alert, a page of its own with 200 or 404, a redirect, no answer at all.
    """
    nobody = f"islandflow-{secrets.token_hex(8)}.invalid"
    texts = []
    for secure in (True, False) if tls else (False,):
        try:
            received, expected = (_reception(address, secure, name, timeout) for name in (domain, nobody))
        except OSError as error:
            return _no_answer(error)
        if received != expected:
            return Observation(False, f"still {received.text}; a name that no host has {expected.text}")
        texts.append(f"{'with' if secure else 'without'} TLS {received.text}")
    return Observation(True, f"gets what a name gets that no host has: {', '.join(texts)}")


class _Reception(NamedTuple):
    """What a name gets from the edge: for people, and all of it, with the name left out."""

    text: str
    content: tuple[str, ...] = ()


def _reception(address: str, tls: bool, name: str, timeout: float) -> _Reception:
    """Return how the edge receives a name. Raises OSError where it can't be reached, or not in time."""
    try:
        answer = _request(address, tls, name, "/", timeout, http.Body.KEEP)
    except socket.timeout:  # while TLS is greeted it is an SSLError, too, before Python 3.10
        raise
    except ssl.SSLError as error:
        return _Reception(f"is refused ({error.reason or error})")
    except (ConnectionResetError, http.BadAnswer):  # as after nginx's `return 444`
        return _Reception("gets no answer")
    content = (answer.headers.get("location", ""), answer.headers.get("content-type", ""), to_text(answer.body))
    anonymous = tuple(re.sub(re.escape(name), "", text, flags=re.IGNORECASE) for text in content)
    return _Reception(f"answers {answer.status}", anonymous)


def _request(
    address: str, tls: bool, domain: str, path: str, timeout: float, body: http.Body = http.Body.SKIP
) -> http.Answer:
    """Return the edge's answer for a hostname. Raises OSError."""
    context = http.unverified() if tls else None
    return http.request(
        address,
        _PORTS[tls],
        path,
        seconds=timeout,
        host=domain,
        headers=HEADERS,
        tls=context,
        body=body,
    )


def _no_answer(error: Exception) -> Observation:
    slow = {"slow": True} if isinstance(error, socket.timeout) else {}
    return Observation(False, str(error) or type(error).__name__, slow)


def header_problem(headers: dict[str, str], expected: str) -> str:
    """Return how the headers differ from `expected` ("name: value"); empty when they don't."""
    if not expected:
        return ""
    name, _, value = (part.strip() for part in expected.partition(":"))
    actual = headers.get(name.lower())
    return "" if actual == value else f"{name} is {actual!r} instead of {value!r}"

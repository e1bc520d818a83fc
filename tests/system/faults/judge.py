"""Whether a plan that met a fault ended well: one owner, who serves, with all data, and an account that is true."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from fabfile.inventory import Site
from tests.system.conftest import Vps
from tests.system.faults.beside import Event

NEW = {"cutover": "native", "rollback": "docker"}
FORMER = {"cutover": "docker", "rollback": "native"}
CODES = {"done": 0, "nothing": 0, "reverted": 1, "stuck": 5}
SERVED = 30.0  # seconds until the app must be served, for a busy machine: the plan has seen it before it ended
COUNTED = 120.0  # seconds until each message must have its row: what was in flight is delivered again after ten
Counts = dict[str, dict[str, int]]


def outcome(events: list[Event]) -> str:
    """How the plan says that it ended; empty when it does not say."""
    if not events or events[-1]["kind"] != "finished":
        return ""
    return str(events[-1]["evidence"]["outcome"])


def cause(events: list[Event]) -> str:
    """What the plan gives as the reason why it ended so, and each failure with its step."""
    why = [str(event["evidence"].get("why", "")) for event in events if event["kind"] == "finished"]
    failures = [f"{event['step']}: {event['evidence']['error']}" for event in events if event["kind"] == "failed"]
    return "; ".join(filter(None, [*why, *failures])) or "no reason is told"


def owner_after(direction: str, ended: str) -> str:
    """Who must own after a plan that ended so."""
    return NEW[direction] if ended == "done" else FORMER[direction]


def account(events: list[Event], direction: str, code: int | None, told: str) -> Iterator[str]:
    """What is not honest, or not complete, in what the plan and the tool say about its end.

    `code` is the tool's exit code, None where nobody was left to see it; `told` what it printed.
    """
    ended = outcome(events)
    if not ended:
        last = {key: events[-1][key] for key in ("kind", "step")} if events else "no event"
        yield f"the journal is not finished, it ends with {last}"
        return
    if code is not None and code != CODES.get(ended):
        yield f"the plan ended {ended}, but the tool with {code}: {told[-600:]}"
    evidence = events[-1]["evidence"]
    if ended == "stuck":
        yield from (f"the tool does not say {word}" for word in ("up:", "down:", "revert --plan") if word not in told)
        return
    owner = owner_after(direction, ended)
    up = {key.split("/")[0] for key, text in evidence["health"].items() if text == "healthy"}
    sick = {key: text for key, text in evidence["health"].items() if key.startswith(owner) and text != "healthy"}
    if up != {owner} or sick:
        yield f"{ended}, but the account says up: {sorted(up)}, and of {owner}: {sick}"


def served(vps: Vps, owner: str) -> Iterator[str]:
    """Where the public is not served by the owner."""
    wanted = (owner, owner, owner)
    deadline = time.monotonic() + SERVED
    while (by := vps.served_by()) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    if by != wanted:
        yield f"page, API and route are served by {by}, not by {owner}"


def running(vps: Vps, site: Site, owner: str) -> Iterator[str]:
    """Where the owner's units or containers do not run, or the other one's do."""
    units = [item.unit for item in site.scope("full")]
    system = [item.unit for item in site.servers]
    asked = f"systemctl is-active {' '.join(system)}; systemctl --user -M {site.app.user}@ is-active {' '.join(units)}"
    native = vps.lab.run(asked, check=False).stdout.split()
    label = f"label=com.docker.compose.project={site.runtimes.docker.project}"
    docker = vps.lab.run(["docker", "ps", "-q", "--filter", label], check=False).stdout.split()
    expected = len(units) + len(system)
    up = {"native": sum(state == "active" for state in native), "docker": len(docker)}
    other = "docker" if owner == "native" else "native"
    if up[owner] != expected or up[other]:
        yield f"{up['native']} units and {up['docker']} containers run; {owner} owns {expected}"


def missing(counts: Counts) -> dict[str, int]:
    """How many of the numbered messages have no row, by table."""
    return {table: found["max"] - found["distinct"] for table, found in counts.items()}


def data(vps: Vps, before: Counts) -> Iterator[str]:
    """Where more numbered messages are missing than before, or no new ones come."""
    deadline = time.monotonic() + COUNTED
    while True:
        counts = _counts(vps)
        lost = {table: n for table, n in missing(counts).items() if n > max(0, missing(before)[table])}
        still = [table for table in before if counts.get(table, {"max": 0})["max"] <= before[table]["max"]]
        if not (lost or still) or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    if lost:
        yield f"messages are missing: {lost} of {counts}, before {before}"
    if still:
        yield f"nothing new in {', '.join(still)} since {before}"


def counted(vps: Vps) -> Counts:
    """Rows by table, at a moment when the fewest messages are under way."""
    looks = [vps.counts() for _ in range(4)]
    return min(looks, key=lambda counts: sum(missing(counts).values()))


def _counts(vps: Vps) -> Counts:
    status, _, body = vps.get("api.flow.deltaisland.io", "/history/counts")
    found: Counts = json.loads(body) if status == 200 else {}
    return found

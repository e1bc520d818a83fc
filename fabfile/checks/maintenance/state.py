"""Maintenance: whether the edge answers 503 by itself, since when, until when, and where NPM has ended it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator

from fabfile.checks.result import Finding
from fabfile.runner.edge.maintenance import page
from fabfile.runner.wire.edge import HostFact, Maintenance
from fabfile.runner.wire.facts import Facts, HostInfo

Row = tuple[str, bool, str]  # what, whether it is as it should be, evidence

_MOMENT = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DAY = datetime.timedelta(days=1)


def is_time(text: str) -> bool:
    """Whether a text is a time of day, such as 04:00."""
    return bool(_MOMENT.fullmatch(text))


def until(text: str, host: HostInfo) -> float:
    """The next moment (epoch, seconds) at which the VPS's clock shows this time of day."""
    hour, minute = map(int, text.split(":"))
    now = datetime.datetime.fromtimestamp(host.time, _zone(host))
    moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (moment if moment > now else moment + _DAY).timestamp()


def refusals(message: str) -> list[Finding]:
    """What stands against a message."""
    problem = page.problem_of(message)
    return [Finding(f"edge: {problem}", "say --message with fewer words, in one line")] if problem else []


def words(facts: Facts) -> str:
    """Since when maintenance is on, until when, and what users read; empty where it is off."""
    on = facts.edge.maintenance
    serving = [host for host in _hosts(facts) if host.maintenance]
    if not (on or serving):
        return ""
    if on is None:
        return "on, by whom and since when is not noted"
    return f"on since {_shown(on.since, facts.host)}{_until(on, facts.host)}" + (
        f": {on.message}" if on.message else ""
    )


def warnings(facts: Facts) -> list[str]:
    """What the operator should know of it: a host that NPM sends users to again, or an end that has passed."""
    on, result = facts.edge.maintenance, []
    if on:
        result += [
            f"edge: maintenance is on, and {host.domain} serves: a save in Nginx Proxy Manager wrote its file anew; "
            "inv edge.maintenance --on says it again, --off ends it"
            for host in _hosts(facts)
            if _lost(host)
        ]
        if 0 < on.until < facts.host.time:
            when = _shown(on.until, facts.host)
            result.append(f"edge: maintenance was to end at {when}, and is on: inv edge.maintenance --off")
    return result


def maintained(facts: Facts) -> Iterator[Row]:
    """A row for each hostname that has maintenance, or has lost it."""
    for host in _hosts(facts):
        if host.maintenance:
            yield f"{host.domain}: maintenance", True, words(facts)
        elif facts.edge.maintenance and _lost(host):
            yield (
                f"{host.domain}: maintenance",
                False,
                "on, but a save in Nginx Proxy Manager wrote its file without it",
            )


def _hosts(facts: Facts) -> list[HostFact]:
    hosts: Iterable[HostFact] = facts.edge.hosts.values()
    return list(hosts)


def _lost(host: HostFact) -> bool:
    return not (host.maintenance or host.closed or host.problem)


def _until(maintenance: Maintenance, host: HostInfo) -> str:
    return f" until {_shown(maintenance.until, host)}" if maintenance.until else ""


def _shown(seconds: float, host: HostInfo) -> str:
    return datetime.datetime.fromtimestamp(seconds, _zone(host)).strftime("%Y-%m-%d %H:%M %z")


def _zone(host: HostInfo) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(seconds=host.utc_offset))

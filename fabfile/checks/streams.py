"""The app's streams and durables, as its own JetStream has them, against the environment and the inventory."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from fabfile.inventory import Service, Site
from fabfile.inventory import Stream as FactsRequest
from fabfile.runner.wire.app import Consumer, Stream
from fabfile.runner.wire.facts import Facts

Row = tuple[str, bool, str]

_NANO: Final = 1_000_000  # nanoseconds in a millisecond
_UNITS: Final = {"d": 86_400e9, "h": 3600e9, "min": 60e9, "s": 1e9, "ms": 1e6, "µs": 1e3, "ns": 1.0}

# What is wrong when max_age is this many times what it should be: either side may have taken the other unit.
_MISTAKES: Final = {
    Fraction(1, 10**6): "milliseconds taken for nanoseconds, or {} holds nanoseconds",
    Fraction(1, 10**3): "milliseconds taken for microseconds, or {} holds microseconds",
    Fraction(10**3): "milliseconds taken for seconds, or {} holds seconds",
    Fraction(10**6): "milliseconds turned into nanoseconds twice, or {} holds thousands of seconds",
}


def checks(site: Site, facts: Facts) -> Iterator[Row]:
    """Rows (what, good or not, evidence): every stream's limits, every durable of every service."""
    found = facts.jetstream
    if found.problem:
        whose = f"{found.runtime}'s JetStream" if found.runtime else "JetStream"
        yield whose, False, found.problem
        return
    yield f"{found.runtime}'s JetStream", True, f"answers, {len(found.streams)} streams"
    settings = facts.settings[found.runtime]
    if settings.problem:
        yield "environment", False, settings.problem
    for wanted in site.streams.values():
        yield (wanted.name, *_limits(wanted, found.streams.get(wanted.name), facts))
    durables = {name: consumer for stream in found.streams.values() for name, consumer in stream.consumers.items()}
    for service in site.scope("full"):
        for name in service.durables:
            yield (name, *_durable(site, facts, service, durables.get(name)))


def _limits(wanted: FactsRequest, stream: Stream | None, facts: Facts) -> tuple[bool, str]:
    if stream is None:
        return False, "there is no such stream"
    problems = [text for text in (_age_problem(wanted, stream, facts), _size_problem(wanted, stream, facts)) if text]
    good = f"max_age {age(stream.max_age)}, max_bytes {_size(stream.max_bytes)}, {stream.messages} messages"
    if wanted.max_age_env not in facts.settings[facts.jetstream.runtime].values:
        good += f"; {wanted.max_age_env} is not set, so that there is nothing to compare max_age with"
    return not problems, "; ".join(problems) or good


def _age_problem(wanted: FactsRequest, stream: Stream, facts: Facts) -> str:
    name = wanted.max_age_env
    setting = facts.settings[facts.jetstream.runtime].values.get(name)
    if setting is None:
        return ""
    if not (setting.value.isascii() and setting.value.isdigit() and int(setting.value)):
        return f"{name} is {setting.value[:20]!r} in {setting.origin}: no whole number of milliseconds"
    expected = int(setting.value) * _NANO
    if stream.max_age == expected:
        return ""
    problem = f"max_age is {age(stream.max_age)}, and {name} in {setting.origin} says {age(expected)}"
    factor = Fraction(stream.max_age, expected)
    if factor not in _MISTAKES:
        return problem
    times = f"{int(max(factor, 1 / factor)):,} times too {'long' if factor > 1 else 'short'}"
    return f"{problem}; {times}: {_MISTAKES[factor].format(name)}"


def _size_problem(wanted: FactsRequest, stream: Stream, facts: Facts) -> str:
    setting = facts.settings[facts.jetstream.runtime].values.get(wanted.max_bytes_env or "")
    expected, who = wanted.max_bytes, "the inventory"
    if setting and setting.value:
        who = f"{wanted.max_bytes_env} in {setting.origin}"
        if not (setting.value.isascii() and setting.value.isdigit()):
            return f"{wanted.max_bytes_env} is {setting.value[:20]!r} in {setting.origin}: no whole number of bytes"
        expected = int(setting.value)
    return (
        ""
        if stream.max_bytes == expected
        else f"max_bytes is {_size(stream.max_bytes)}, and {who} says {_size(expected)}"
    )


def _durable(site: Site, facts: Facts, service: Service, consumer: Consumer | None) -> tuple[bool, str]:
    health = facts.health.get(f"{facts.jetstream.runtime}/{service.name}")
    ill = f"{service.name}: {health.text if health else 'could not be asked'}"
    if consumer is None:
        why = f"{service.name} runs and has not made it" if health and health.ok else ill
        return False, f"there is no such durable; {why}"
    waiting = f"{consumer.pending} pending{f' (+{consumer.grew} in a second)' if consumer.grew > 0 else ''}"
    counts = f"{waiting}, {consumer.unacknowledged} unacknowledged, {consumer.redelivered} redelivered"
    if consumer.bound:
        return True, f"{'fetched from' if consumer.pull else 'bound'}, {counts}"
    state = f"{'nobody fetches from it' if consumer.pull else 'not bound'}, {counts}"
    if not (health and health.ok):
        return False, f"{state}; {ill}"
    if consumer.pull:
        return False, f"{state}, though {service.name} runs and looks well: {_cure(site, facts, service)}"
    return False, (
        f"{state}: stolen from {service.name}, which runs, looks well and receives nothing until it is "
        f"restarted: {_cure(site, facts, service)}"
    )


def _cure(site: Site, facts: Facts, service: Service) -> str:
    """How the service is restarted in the runtime that owns."""
    if facts.jetstream.runtime == "docker":
        return f"docker compose -p {site.runtimes.docker.project} restart {service.name}"
    return f"inv app.restart --scope {'workers' if service.kind == 'worker' else service.kind}"


def age(nanoseconds: int) -> str:
    """A max_age in the largest unit that is not above it; JetStream takes 0 for no limit."""
    if not nanoseconds:
        return "unlimited"
    unit = next(unit for unit, size in _UNITS.items() if nanoseconds >= size)
    return f"{nanoseconds / _UNITS[unit]:g} {unit}"


def _size(count: int) -> str:
    if count < 0:
        return "unlimited"
    return f"{count / 2**20:g} MiB" if count >= 2**20 else f"{count} bytes"

"""The app's streams and durables: their limits as they should be, and whether all move forward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from fabfile import inventory
from fabfile.inventory import Service, Site
from fabfile.runner.wire.app import Consumer, JetStream, Stream
from fabfile.runner.wire.facts import Facts

Row = tuple[str, bool, str]

_NS_PER_MS: Final = 1_000_000  # nanoseconds in a millisecond
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
    jetstream = facts.jetstream
    if jetstream.problem:
        whose = f"{jetstream.runtime}'s JetStream" if jetstream.runtime else "JetStream"
        yield whose, False, jetstream.problem
        return
    yield f"{jetstream.runtime}'s JetStream", True, f"answers, {len(jetstream.streams)} streams"
    settings = facts.settings[jetstream.runtime]
    if settings.problem:
        yield "environment", False, settings.problem
    for spec in site.streams.values():
        yield (spec.name, *_limits(spec, jetstream.streams.get(spec.name), facts))
    durables = {name: consumer for stream in jetstream.streams.values() for name, consumer in stream.consumers.items()}
    for service in site.scope("full"):
        for name in service.durables:
            yield (name, *_durable(site, facts, service, durables.get(name)))


def _limits(spec: inventory.Stream, stream: Stream | None, facts: Facts) -> tuple[bool, str]:
    if stream is None:
        return False, "there is no such stream"
    problems = [text for text in (_age_problem(spec, stream, facts), _size_problem(spec, stream, facts)) if text]
    good = f"max_age {age(stream.max_age)}, max_bytes {_size(stream.max_bytes)}, {stream.messages} messages"
    if spec.max_age_env not in facts.settings[facts.jetstream.runtime].values:
        good += f"; {spec.max_age_env} is not set, so that there is nothing to compare max_age with"
    return not problems, "; ".join(problems) or good


def _age_problem(spec: inventory.Stream, stream: Stream, facts: Facts) -> str:
    name = spec.max_age_env
    setting = facts.settings[facts.jetstream.runtime].values.get(name)
    if setting is None:
        return ""
    if not (setting.value.isascii() and setting.value.isdigit() and int(setting.value)):
        return f"{name} is {setting.value[:20]!r} in {setting.origin}: no whole number of milliseconds"
    expected = int(setting.value) * _NS_PER_MS
    if stream.max_age == expected:
        return ""
    problem = f"max_age is {age(stream.max_age)}, and {name} in {setting.origin} says {age(expected)}"
    factor = Fraction(stream.max_age, expected)
    if factor not in _MISTAKES:
        return problem
    times = f"{int(max(factor, 1 / factor)):,} times too {'long' if factor > 1 else 'short'}"
    return f"{problem}; {times}: {_MISTAKES[factor].format(name)}"


def _size_problem(spec: inventory.Stream, stream: Stream, facts: Facts) -> str:
    setting = facts.settings[facts.jetstream.runtime].values.get(spec.max_bytes_env or "")
    expected, who = spec.max_bytes, "the inventory"
    if setting and setting.value:
        who = f"{spec.max_bytes_env} in {setting.origin}"
        if not (setting.value.isascii() and setting.value.isdigit()):
            return f"{spec.max_bytes_env} is {setting.value[:20]!r} in {setting.origin}: no whole number of bytes"
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
        return False, f"{state}, though {service.name} runs and looks well: {_fix(site, facts, service)}"
    return False, (
        f"{state}: stolen from {service.name}, which runs, looks well and receives nothing until it is "
        f"restarted: {_fix(site, facts, service)}"
    )


def _fix(site: Site, facts: Facts, service: Service) -> str:
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


@dataclass
class _Track:
    """Where something was first and last, and what was wrong on the way."""

    first: int
    last: int
    faults: list[str] = field(default_factory=list)

    def move(self, to: int, what: str) -> list[str]:
        """Note a position. Returns what is wrong with it."""
        fault = [f"{what} moved back from {self.last} to {to}"] if to < self.last else []
        self.last = to
        self.faults += fault
        return fault


class Positions:
    """Takes looks at JetStream as they come. Streams have one subject each, so that durables skip no sequence."""

    def __init__(self) -> None:
        self._streams: dict[str, _Track] = {}
        self._durables: dict[str, _Track] = {}
        self._consumers: dict[str, Consumer] = {}  # as they were seen last
        self._last = JetStream(problem="nobody looked yet")
        self._down_since: float | None = None  # since when nobody answers
        self._longest_outage = 0.0

    def observe(self, at: float, observation: JetStream) -> list[str]:
        """Note one look, `at` seconds after the first. Returns what the operator should be told of it."""
        lines = self._changes(at, observation)
        self._last = observation
        for name, stream in observation.streams.items():
            track = self._streams.setdefault(name, _Track(stream.last, stream.last))
            lines += [f"✗ {name}: {fault}" for fault in track.move(stream.last, "last message")]
            for durable, consumer in stream.consumers.items():
                lines += [f"✗ {durable}: {fault}" for fault in self._advance(durable, consumer)]
        return lines

    def rows(self) -> Iterator[tuple[str, bool, str]]:
        """Rows (what, good or not, evidence) of all that was seen."""
        last = self._last
        yield "JetStream", not last.problem, last.problem or self._last_answer()
        streams = set(last.streams)
        durables = {name for stream in last.streams.values() for name in stream.consumers}
        for name, track in self._streams.items():
            yield name, *_verdict(track, name in streams or bool(last.problem))
        for name, track in self._durables.items():
            yield name, *_verdict(track, name in durables or bool(last.problem))

    def _last_answer(self) -> str:
        outage = f"; away for {self._longest_outage:.1f} s at most" if self._longest_outage else ""
        return f"{self._last.runtime}'s answers{outage}"

    def _changes(self, at: float, observation: JetStream) -> list[str]:
        """A line when JetStream went, came, or is another runtime's."""
        if observation.problem:
            fresh = self._down_since is None
            self._down_since = at if self._down_since is None else self._down_since
            return (
                [f"{observation.runtime or 'the owner'}'s JetStream does not answer: {observation.problem}"]
                if fresh
                else []
            )
        outage = 0.0 if self._down_since is None else at - self._down_since
        # What failed from the first look on was not seen to go.
        self._longest_outage, self._down_since = max(self._longest_outage, outage if self._streams else 0.0), None
        if observation.runtime == self._last.runtime and not outage:
            return []
        after = f" after {outage:.1f} s" if outage else ""
        return [f"{observation.runtime}'s JetStream answers{after}: {len(observation.streams)} streams"]

    def _advance(self, name: str, now: Consumer) -> list[str]:
        track = self._durables.setdefault(name, _Track(now.floor, now.floor))
        faults = track.move(now.floor, "acknowledged position")
        former = self._consumers.get(name)
        skipped = _skipped(former, now) if former else 0
        if skipped:
            faults.append(f"skipped {skipped} messages, somewhere up to {now.delivered}")
            track.faults.append(faults[-1])
        self._consumers[name] = now
        return faults


def _skipped(former: Consumer, now: Consumer) -> int:
    """How many messages were passed over between two looks.

    Each delivery takes the durable to the next message or repeats one, so that it may be ahead of its deliveries only
    by what it began with. One that was made anew must begin where the former had acknowledged everything up to.
    """
    ahead = now.delivered - now.deliveries
    was_ahead = former.delivered - former.deliveries if now.created == former.created else former.floor
    return max(0, ahead - was_ahead)


def _verdict(track: _Track, there: bool) -> tuple[bool, str]:
    faults = track.faults + ([] if there else ["is gone"])
    return not faults, "; ".join(faults) or f"{track.first} → {track.last} (+{track.last - track.first})"

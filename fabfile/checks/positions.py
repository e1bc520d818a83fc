"""Whether streams and durables only move forward and skip nothing, judged look by look. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fabfile.runner.wire.app import Consumer, JetStream


@dataclass
class _Trail:
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
        self._streams: dict[str, _Trail] = {}
        self._durables: dict[str, _Trail] = {}
        self._consumers: dict[str, Consumer] = {}  # as they were seen last
        self._last = JetStream(problem="nobody looked yet")
        self._away: float | None = None  # since when nobody answers
        self._longest = 0.0

    def take(self, at: float, look: JetStream) -> list[str]:
        """Note one look, `at` seconds after the first. Returns what the operator should be told of it."""
        told = self._told(at, look)
        self._last = look
        for name, stream in look.streams.items():
            trail = self._streams.setdefault(name, _Trail(stream.last, stream.last))
            told += [f"✗ {name}: {fault}" for fault in trail.move(stream.last, "last message")]
            for durable, consumer in stream.consumers.items():
                told += [f"✗ {durable}: {fault}" for fault in self._follow(durable, consumer)]
        return told

    def rows(self) -> Iterator[tuple[str, bool, str]]:
        """Rows (what, good or not, evidence) of all that was seen."""
        last = self._last
        yield "JetStream", not last.problem, last.problem or self._answered()
        streams = set(last.streams)
        durables = {name for stream in last.streams.values() for name in stream.consumers}
        for name, trail in self._streams.items():
            yield name, *_verdict(trail, name in streams or bool(last.problem))
        for name, trail in self._durables.items():
            yield name, *_verdict(trail, name in durables or bool(last.problem))

    def _answered(self) -> str:
        away = f"; away for {self._longest:.1f} s at most" if self._longest else ""
        return f"{self._last.runtime}'s answers{away}"

    def _told(self, at: float, look: JetStream) -> list[str]:
        """A line when JetStream went, came, or is another runtime's."""
        if look.problem:
            fresh = self._away is None
            self._away = at if self._away is None else self._away
            return [f"{look.runtime or 'the owner'}'s JetStream does not answer: {look.problem}"] if fresh else []
        gone = 0.0 if self._away is None else at - self._away
        # What failed from the first look on was not seen to go.
        self._longest, self._away = max(self._longest, gone if self._streams else 0.0), None
        if look.runtime == self._last.runtime and not gone:
            return []
        after = f" after {gone:.1f} s" if gone else ""
        return [f"{look.runtime}'s JetStream answers{after}: {len(look.streams)} streams"]

    def _follow(self, name: str, now: Consumer) -> list[str]:
        trail = self._durables.setdefault(name, _Trail(now.floor, now.floor))
        faults = trail.move(now.floor, "acknowledged position")
        former = self._consumers.get(name)
        skipped = _skipped(former, now) if former else 0
        if skipped:
            faults.append(f"skipped {skipped} messages, somewhere up to {now.delivered}")
            trail.faults.append(faults[-1])
        self._consumers[name] = now
        return faults


def _skipped(former: Consumer, now: Consumer) -> int:
    """How many messages were passed over between two looks.

    Each delivery takes the durable to the next message or repeats one, so that it may be ahead of its deliveries only
    by what it began with. One that was made anew must begin where the former had acknowledged everything up to.
    """
    lead = now.delivered - now.deliveries
    before = former.delivered - former.deliveries if now.created == former.created else former.floor
    return max(0, lead - before)


def _verdict(trail: _Trail, there: bool) -> tuple[bool, str]:
    faults = trail.faults + ([] if there else ["is gone"])
    return not faults, "; ".join(faults) or f"{trail.first} → {trail.last} (+{trail.last - trail.first})"

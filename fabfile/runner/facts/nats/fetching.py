"""Whether clients fetch from pull consumers: seen over a time, because between two fetches no client waits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Callable

from ...system.deadline import Deadline
from ...wire.app import Consumer
from .client import Client

LOOK_SECONDS = 2.0  # between two readings; as long as one of many checks watches
_LEAST_SECONDS, _MOST_SECONDS = 10.0, 20.0  # a survey has a minute for all that it reads

Key = tuple[str, str]  # a stream and a consumer of it


def suitable_seconds(idle: Iterable[Consumer]) -> float:
    """For how long to watch, so that each of them is seen: a client that works is back within its `ack_wait`."""
    return min(_MOST_SECONDS, max([_LEAST_SECONDS, *(consumer.ack_wait for consumer in idle)]))


def fetched_from(
    client: Client,
    idle: Mapping[Key, Consumer],
    read: Callable[[Collection[str]], Mapping[Key, Consumer]],
    seconds: float,
) -> set[Key]:
    """Those of the `idle` consumers that a client uses within `seconds`; returns early once all are. Raises Unanswered.

    That is seen by its requests, or, where the login may not subscribe to them, by what the consumer has delivered or
    got acknowledged since. `read` returns the consumers of some streams as they are now.
    """
    subjects = {f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}": (stream, name) for stream, name in idle}
    client.subscribe(subjects)
    deadline, unseen = Deadline(seconds), dict(idle)
    while True:
        awaited = [subject for subject, key in subjects.items() if key in unseen]
        for subject in client.published(awaited, min(LOOK_SECONDS, deadline.left)):
            del unseen[subjects[subject]]
        if unseen:
            later = read({stream for stream, _ in unseen})
            unseen = {key: one for key, one in unseen.items() if not _is_used(one, later.get(key))}
        if not unseen or deadline.passed:
            return set(idle) - set(unseen)


def _is_used(earlier: Consumer, later: Consumer | None) -> bool:
    return later is not None and (
        later.bound or later.deliveries > earlier.deliveries or later.acknowledged != earlier.acknowledged
    )

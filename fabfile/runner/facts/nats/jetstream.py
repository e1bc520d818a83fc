"""Reads a runtime's JetStream: the limits of its streams, the positions of its durables, and whether each is bound.

It does so over NATS' own protocol, so that no other port is needed; over NATS' monitoring only where that is
configured and NATS denies the app's own login. Ephemeral consumers come and go, and are left out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...system import docker, http
from ...system.machine import Machine, StepFailed, failure_detail, os_error_text
from ...system.owner import NOBODY, find_owner
from ...wire import shape
from ...wire.app import Consumer, JetStream, NatsRef, Stream, StreamsRef
from ...wire.facts import Container
from ...wire.terms import Owner, Runtime
from .client import Client, Denied, LoginRequired, Unanswered
from .fetching import Key, fetched_from, suitable_seconds
from .lines import Message
from .login import apps_own, login

ANSWER_SECONDS = 5.0  # for all requests of one reading
MONITORING_SECONDS = 10.0  # for the whole answer of NATS' monitoring
_LOCAL = "127.0.0.1"
_API = "$JS.API"
_GONE = 404  # what was listed a moment ago

_Info = dict[str, Any]  # an object in JetStream's answer


def jetstream(machine: Machine, ref: StreamsRef) -> JetStream:
    """The owner's streams, read twice where `ref.apart` is set; an error is the result's `problem`, never raised."""
    runtime: Owner = ""
    try:
        runtime, address = locate(machine, ref)
        nats = ref.nats[runtime]
        first = read_streams(address, nats)
        if not ref.apart:
            return JetStream(runtime, first)
        time.sleep(ref.apart)
        return JetStream(runtime, _with_growth(first, read_streams(address, nats, ref.durables)))
    except (OSError, ValueError, StepFailed) as error:
        return JetStream(runtime, problem=failure_detail(error))


def locate(machine: Machine, ref: StreamsRef) -> tuple[Runtime, str]:
    """The owner and the address of its NATS.

    Raises StepFailed when nobody owns the app, the owner file is invalid, Docker does not answer, or the container
    does not run.
    """
    runtime = find_owner(machine, Path(ref.owner_file), ref.project)
    if not runtime:
        raise StepFailed(NOBODY)
    if runtime == "native":
        return runtime, _LOCAL
    return runtime, address_of(docker.containers(machine, ref.project), ref.project)


def address_of(containers: dict[str, Container], project: str) -> str:
    """The address of the project's NATS. Raises StepFailed when it does not run, or on no network."""
    nats = containers.get("nats")
    if nats is None:
        raise StepFailed(f"the project {project} has no container nats: docker compose -p {project} up -d nats")
    if not nats.running:
        raise StepFailed(f"the project {project}'s nats is {nats.state}: docker compose -p {project} up -d nats")
    if not nats.address:  # an empty one would mean this host
        raise StepFailed(f"the project {project}'s nats is on no network: give it one in the Compose file")
    return nats.address


def read_streams(
    address: str, ref: NatsRef, awaited: Collection[str] = (), *, seconds: float = 0.0, as_app: bool = False
) -> dict[str, Stream]:
    """The streams by name; `as_app`, of the account that the app's login has, where NATS lets others in as well.

    A pull consumer in `awaited` is bound where a client fetches from it within `seconds`, or as long as suits it
    where that is 0: between two fetches no client waits. Raises Unanswered when JetStream can't be reached, or its
    answer is none of JetStream's.
    """
    try:
        with _client(address, ref, as_app) as client:
            return _Reader(client).streams(awaited, seconds)
    except Denied as denied:
        if not ref.monitor:
            raise
        try:
            return read_monitoring(address, ref.monitor)
        except (OSError, ValueError) as error:
            raise Denied(
                f"{denied}; its monitoring on port {ref.monitor} is no help: {os_error_text(error)}"
            ) from error


def durables_of(streams: dict[str, Stream]) -> dict[str, Consumer]:
    """The durables of all streams by name. The app's own have different names in different streams."""
    return {name: consumer for stream in streams.values() for name, consumer in stream.consumers.items()}


def read_monitoring(address: str, port: int) -> dict[str, Stream]:
    """The streams by NATS' monitoring. Raises OSError, ValueError."""
    try:
        answer = http.request(address, port, "/jsz?streams=1&consumers=1&config=1", seconds=MONITORING_SECONDS)
    except http.BadAnswer as error:
        raise ValueError(f"no answer of NATS: {error}") from error
    if answer.status != 200:
        raise OSError(f"JetStream's monitoring answered {answer.status}")
    return parse_monitoring(answer.body)


def parse_monitoring(body: bytes) -> dict[str, Stream]:
    """The streams in an answer of /jsz with streams, consumers and their configuration. Raises ValueError."""
    info = shape.parse(body)
    try:
        accounts = info.get("account_details") or []
        streams = [stream for account in accounts for stream in account.get("stream_detail") or []]
        return {stream["name"]: _stream(stream, stream.get("consumer_detail") or []) for stream in streams}
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"no answer of JetStream: {type(error).__name__} {error}") from error


def _client(address: str, ref: NatsRef, as_app: bool) -> Client:
    """A connection to a runtime's NATS. Without `as_app` its login is read only where NATS requires one."""
    runtime = ref.environment.runtime
    port_key = "infra.nats.port" if runtime == "native" else "infra.nats.image_port"
    try:
        own = apps_own(ref.environment) if as_app else None
        return Client(f"{runtime}'s NATS", address, ref.port, port_key, ANSWER_SECONDS, own)
    except LoginRequired:  # on a new connection: NATS closes this one within a second or two
        credentials = login(ref.environment)
        return Client(f"{runtime}'s NATS", address, ref.port, port_key, ANSWER_SECONDS, credentials)


@dataclass(frozen=True)
class _Page:
    """One page of a list of JetStream's API."""

    items: Sequence[_Info] = ()
    total: int = 0


@dataclass(frozen=True)
class _Reader:
    """Reads JetStream once, over one connection."""

    client: Client

    def streams(self, awaited: Collection[str], seconds: float) -> dict[str, Stream]:
        """All streams with their durables. Raises Unanswered."""
        try:
            info = self._lists([f"{_API}.STREAM.LIST"], "streams")[0]
            names = [str(stream["config"]["name"]) for stream in info]
            consumers = self._consumers(names)
            streams = {name: _stream(stream, consumers[name]) for name, stream in zip(names, info)}
            return self._with_fetching(streams, awaited, seconds)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            what = f"what {self.client.name} sends is no answer of JetStream's"
            raise Unanswered(f"{what} ({type(error).__name__} {error}): check what listens there") from error

    def _consumers(self, streams: Sequence[str]) -> dict[str, list[_Info]]:
        return dict(zip(streams, self._lists([f"{_API}.CONSUMER.LIST.{name}" for name in streams], "consumers")))

    def _lists(self, subjects: Sequence[str], key: str) -> list[list[_Info]]:
        """The whole list of each subject, page by page; the pages of all lists are requested side by side."""
        items: dict[str, list[_Info]] = {subject: [] for subject in subjects}
        unfinished = list(items)
        while unfinished:
            requests = [(subject, json.dumps({"offset": len(items[subject])}).encode()) for subject in unfinished]
            pages = dict(zip(unfinished, (self._page(message, key) for message in self.client.request(requests))))
            for subject, page in pages.items():
                items[subject] += page.items
            unfinished = [name for name, page in pages.items() if page.items and len(items[name]) < page.total]
        return [items[subject] for subject in subjects]

    def _page(self, message: Message, key: str) -> _Page:
        if message.status:  # 503: nobody is subscribed to JetStream's API
            raise Unanswered(_disabled(self.client.name, f"status {message.status}"))
        info = shape.parse(message.payload)
        error = info.get("error") or {}
        if error.get("code") == _GONE:
            return _Page()
        if error:
            raise Unanswered(_disabled(self.client.name, f"{error.get('code')} {error.get('description')}"))
        return _Page(info.get(key) or [], int(info["total"]))

    def _with_fetching(self, streams: dict[str, Stream], awaited: Collection[str], seconds: float) -> dict[str, Stream]:
        """The streams, with the awaited pull consumers as bound from which a client fetches within `seconds`."""
        idle = {(stream, name): one for stream, name, one in _idle(streams) if name in awaited}
        if not idle:
            return streams
        busy = fetched_from(self.client, idle, self._now, seconds or suitable_seconds(idle.values()))
        return {
            name: replace(stream, consumers=_with_bound(name, stream.consumers, busy))
            for name, stream in streams.items()
        }

    def _now(self, streams: Collection[str]) -> dict[Key, Consumer]:
        """The durables of some streams, read again."""
        with self.client.within(ANSWER_SECONDS):
            return {
                (stream, name): consumer
                for stream, info in self._consumers(sorted(streams)).items()
                for name, consumer in _durables(info).items()
            }


def _disabled(name: str, why: str) -> str:
    return (
        f"{name} has no JetStream for the app ({why[:200]}): start it with JetStream (-js), for the "
        "app's account as well if it has accounts; just after its start it may not be ready yet"
    )


def _stream(info: _Info, consumers: Iterable[_Info]) -> Stream:
    config, state = info["config"], info["state"]
    return Stream(
        max_age=int(config.get("max_age", 0)),
        max_bytes=int(config.get("max_bytes", -1)),
        messages=int(state["messages"]),
        last=int(state["last_seq"]),
        consumers=_durables(consumers),
        in_memory=config.get("storage") == "memory",
        retention=str(config.get("retention") or "limits"),
        expiring=bool(config.get("allow_msg_ttl") or config.get("allow_msg_schedules")),
    )


def _durables(info: Iterable[_Info]) -> dict[str, Consumer]:
    return {consumer["name"]: _consumer(consumer) for consumer in info if consumer["config"].get("durable_name")}


def _consumer(info: _Info) -> Consumer:
    config = info["config"]
    pull = not config.get("deliver_subject")
    return Consumer(
        # `push_bound` is missing where nobody is subscribed; a client that fetches waits for messages.
        bound=int(info["num_waiting"]) > 0 if pull else bool(info.get("push_bound")),
        pending=int(info["num_pending"]),
        unacknowledged=int(info["num_ack_pending"]),
        redelivered=int(info["num_redelivered"]),
        delivered=int(info["delivered"]["stream_seq"]),
        deliveries=int(info["delivered"]["consumer_seq"]),
        floor=int(info["ack_floor"]["stream_seq"]),
        created=str(info["created"]),
        pull=pull,
        ack_wait=int(config.get("ack_wait") or 0) / 1e9,
        acknowledged=str(info["ack_floor"].get("last_active") or ""),
        lasting=not (config.get("inactive_threshold") or config.get("mem_storage")),
    )


def _idle(streams: dict[str, Stream]) -> list[tuple[str, str, Consumer]]:
    """Stream, name and consumer of the pull consumers from which no client waits to fetch."""
    return [
        (name, durable, consumer)
        for name, stream in streams.items()
        for durable, consumer in stream.consumers.items()
        if consumer.pull and not consumer.bound
    ]


def _with_bound(stream: str, consumers: dict[str, Consumer], busy: Collection[Key]) -> dict[str, Consumer]:
    return {name: replace(c, bound=c.bound or (stream, name) in busy) for name, c in consumers.items()}


def _with_growth(first: dict[str, Stream], second: dict[str, Stream]) -> dict[str, Stream]:
    """The second reading, with how much each durable's pending messages grew since the first."""
    grown = {}
    for name, stream in second.items():
        earlier = first[name].consumers if name in first else {}
        consumers = {
            key: replace(consumer, grew=consumer.pending - earlier.get(key, consumer).pending)
            for key, consumer in stream.consumers.items()
        }
        grown[name] = replace(stream, consumers=consumers)
    return grown

"""The owner's JetStream, by NATS' own monitoring: limits of the streams, and how far each durable has got."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Tuple

from . import docker
from .answers import monitored
from .appfacts import Consumer, JetStream, Stream, StreamsRef
from .machine import Machine, StepFailed, said
from .paths import read_owner

APART = 1.0  # seconds between the two looks that show whether a durable's pending messages grow
_LOCAL = "127.0.0.1"


def jetstream(machine: Machine, ref: StreamsRef) -> JetStream:
    """The streams as two looks show them; what cannot be asked is told, not raised."""
    runtime = ""
    try:
        runtime, address = place(machine, ref)
        first = read_streams(address, ref.monitor)
        time.sleep(APART)
        return JetStream(runtime, _grown(first, read_streams(address, ref.monitor)))
    except (OSError, ValueError, StepFailed) as error:
        return JetStream(runtime, problem=said(error))


def place(machine: Machine, ref: StreamsRef) -> Tuple[str, str]:
    """The owner and the address of its NATS. Before the first hand-over there is no owner file, and Docker owns.

    Raises StepFailed when the owner file says nothing known, or Docker does not, or the container is not up.
    """
    runtime = read_owner(Path(ref.owner_file)) or "docker"
    if runtime == "native":
        return runtime, _LOCAL
    nats = docker.containers(machine, ref.project).get("nats")
    if not nats or not nats.address:
        raise StepFailed(f"the container of {ref.project}'s nats {'is on no network' if nats else 'does not exist'}")
    return runtime, nats.address


def read_streams(address: str, monitor: int) -> Dict[str, Stream]:
    """The streams by name. Raises OSError when the monitoring does not answer, ValueError when not as NATS does."""
    return streams_of(monitored(address, monitor))


def streams_of(told: Any) -> Dict[str, Stream]:
    """The streams in what /jsz says with streams, consumers and their configuration. Raises ValueError."""
    try:
        accounts = told.get("account_details") or []
        found = [stream for account in accounts for stream in account.get("stream_detail") or []]
        return {stream["name"]: _stream(stream) for stream in found}
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"no answer of JetStream: {type(error).__name__} {error}") from error


def _stream(told: Dict[str, Any]) -> Stream:
    config, state = told["config"], told["state"]
    return Stream(
        max_age=int(config.get("max_age", 0)),
        max_bytes=int(config.get("max_bytes", -1)),
        messages=int(state["messages"]),
        last=int(state["last_seq"]),
        consumers={consumer["name"]: _consumer(consumer) for consumer in told.get("consumer_detail") or []},
    )


def _consumer(told: Dict[str, Any]) -> Consumer:
    return Consumer(
        bound=bool(told.get("push_bound")),  # missing where nobody is subscribed
        pending=int(told["num_pending"]),
        unacknowledged=int(told["num_ack_pending"]),
        redelivered=int(told["num_redelivered"]),
        delivered=int(told["delivered"]["stream_seq"]),
        deliveries=int(told["delivered"]["consumer_seq"]),
        floor=int(told["ack_floor"]["stream_seq"]),
        created=str(told["created"]),
    )


def _grown(first: Dict[str, Stream], second: Dict[str, Stream]) -> Dict[str, Stream]:
    """The second look, with how much each durable's pending messages grew since the first."""
    grown = {}
    for name, stream in second.items():
        former = first[name].consumers if name in first else {}
        consumers = {
            key: replace(consumer, grew=consumer.pending - former.get(key, consumer).pending)
            for key, consumer in stream.consumers.items()
        }
        grown[name] = replace(stream, consumers=consumers)
    return grown

"""Reads the owner's JetStream again and again, through a hand-over as well, in which another NATS takes its place."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

from ...system.machine import Machine, StepFailed, failure_detail
from ...system.owner import read_owner
from ...wire.app import JetStream, StreamsRef
from ...wire.terms import Owner
from .jetstream import locate, read_streams

INTERVAL_SECONDS = 0.2
RETRY_SECONDS = 0.5  # after an error; longer, since finding a container costs the VPS more than a request


def readings(machine: Machine, ref: StreamsRef, seconds: float) -> Iterator[tuple[float, JetStream]]:
    """Readings, each with the seconds since the first; for `seconds`, or for ever when that is 0. Never raises."""
    follower = _Follower(machine, ref)
    began = time.monotonic()
    while True:
        at = time.monotonic() - began
        reading = follower.read()
        yield at, reading
        if at >= (seconds or math.inf):
            return
        time.sleep(RETRY_SECONDS if reading.problem else INTERVAL_SECONDS)


class _Follower:
    """Reads from the owner's NATS; finds its address anew only when the owner changes or it does not answer."""

    def __init__(self, machine: Machine, ref: StreamsRef) -> None:
        self._machine = machine
        self._ref = ref
        self._owner: Owner = ""  # what the owner file held when the address was looked up
        self._runtime: Owner = ""
        self._address = ""

    def read(self) -> JetStream:
        """The owner's streams as they are now; an error is the result's `problem`."""
        try:
            owner = read_owner(Path(self._ref.owner_file))
            if owner != self._owner or not self._address:
                self._owner, self._runtime, self._address = owner, owner, ""
                self._runtime, self._address = locate(self._machine, self._ref)
            return JetStream(self._runtime, read_streams(self._address, self._ref.nats[self._runtime]))
        except (OSError, ValueError, StepFailed) as error:
            self._address = ""
            return JetStream(self._runtime, problem=failure_detail(error))

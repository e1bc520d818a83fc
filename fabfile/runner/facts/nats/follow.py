"""Looks at the owner's JetStream again and again, through a hand-over as well: NATS goes, and another one comes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

from ...system.machine import Machine, StepFailed, said
from ...system.owner import read_owner
from ...wire.app import JetStream, StreamsRef
from ...wire.terms import Owner
from .jetstream import place, read_streams

EVERY = 0.2  # seconds between two looks
AWAY = 0.5  # seconds to the next look where nobody answered: finding a container costs the VPS more than asking it


def looks(machine: Machine, ref: StreamsRef, seconds: float) -> Iterator[tuple[float, JetStream]]:
    """Looks, each with the seconds since the first; for `seconds`, or for ever when that is 0. Never raises."""
    follower = _Follower(machine, ref)
    began = time.monotonic()
    while True:
        at = time.monotonic() - began
        look = follower.look()
        yield at, look
        if at >= (seconds or math.inf):
            return
        time.sleep(AWAY if look.problem else EVERY)


class _Follower:
    """Follows the owner; where its NATS is gets looked up again only when it changes or does not answer."""

    def __init__(self, machine: Machine, ref: StreamsRef) -> None:
        self._machine = machine
        self._ref = ref
        self._said: Owner = ""  # what the owner file held when the address was looked up
        self._runtime: Owner = ""
        self._address = ""

    def look(self) -> JetStream:
        """What it says now, or why it says nothing."""
        try:
            said_now = read_owner(Path(self._ref.owner_file))
            if said_now != self._said or not self._address:
                self._said, self._runtime, self._address = said_now, said_now, ""
                self._runtime, self._address = place(self._machine, self._ref)
            return JetStream(self._runtime, read_streams(self._address, self._ref.nats[self._runtime]))
        except (OSError, ValueError, StepFailed) as error:
            self._address = ""
            return JetStream(self._runtime, problem=said(error))

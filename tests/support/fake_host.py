"""A strict stand-in for a VPS: it answers what the test says it would, and anything else is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from fabfile import public
from fabfile.commands import session
from fabfile.plans.plan import Plan
from fabfile.remote import login_errors, refusals
from fabfile.runner.services.requests import ExecRequest, LogsRequest
from fabfile.runner.wire.adoption import Adoption, AdoptionRequest
from fabfile.runner.wire.app import JetStream, StreamsRef
from fabfile.runner.wire.edge import EdgeLogin
from fabfile.runner.wire.events import Event, PastPlan
from fabfile.runner.wire.facts import Facts, FactsRequest, HostInfo
from fabfile.runner.wire.soak import Soak

GOOD_HOST = HostInfo("vps")


class FakeHost:
    """Facts for surveys, events for plans; every call is noted in `calls`."""

    is_here = False

    def __init__(self, facts: Facts | None = None) -> None:
        self.facts = facts or Facts(host=GOOD_HOST)
        self.adoption = Adoption()
        self.later: list[Facts] = []  # what the surveys after the first one find, the last one of them from then on
        self.events: dict[str, list[Event]] = {}  # verb → what it yields
        self.looks: list[JetStream] = []
        self.logged: list[dict[str, Any]] = []  # what the runner prints for `logs`
        self.printed: list[tuple[str, bytes]] = []  # what a command prints, and on which stream
        self.exit_code = 0  # … and ends with
        self.past: list[Event] = []  # the journal of whichever plan is named
        self.plans: list[PastPlan] = []
        self.interrupted_at: int | None = None  # after how many events Ctrl-C is pressed, once
        self.deaf = False  # it can't be told a word
        self.hears_at = 0  # … until it was told so many times
        self.soak: list[Event] = []  # the events of the newest one
        self.soaker: dict[str, Any] = {}  # who runs one
        self.calls: list[tuple[Any, ...]] = []
        self.shipped: list[Plan] = []
        self.secrets: dict[str, str] = {}  # what came beside the last one
        self.logins: list[dict[str, str]] = []  # what NPM's API answers, one after the other

    @property
    def name(self) -> str:
        return "vps"

    def connect(self) -> None:
        pass

    def survey(self, wanted: FactsRequest, meanwhile: Callable[[], None] = lambda: None) -> Facts:
        meanwhile()
        if self.later and ("survey",) in self.calls:
            self.facts = self.later.pop(0)
        self.calls.append(("survey",))
        return self.facts

    def adopt(self, wanted: AdoptionRequest) -> Adoption:
        self.calls.append(("adopt", wanted))
        return self.adoption

    def positions(self, ref: StreamsRef, seconds: float) -> Iterator[tuple[float, JetStream]]:
        self.calls.append(("positions", seconds))
        for number, look in enumerate(self.looks):
            if number == self.interrupted_at:
                raise KeyboardInterrupt
            yield float(number), look

    def logs(self, request: LogsRequest) -> Iterator[dict[str, Any]]:
        self.calls.append(("logs", request))
        for number, line in enumerate(self.logged):
            if number == self.interrupted_at:
                raise KeyboardInterrupt
            yield line

    def command(self, request: ExecRequest) -> FakeHost:
        self.calls.append(("command", request))
        return self

    def run(self, sink: Callable[[str, bytes], None]) -> int:
        """Run what `command` was called with."""
        for stream, data in self.printed:
            sink(stream, data)
        if self.interrupted_at is not None:
            raise KeyboardInterrupt
        return self.exit_code

    def log_in(self, login: EdgeLogin) -> dict[str, str]:
        self.calls.append(("log_in", login))
        return self.logins.pop(0)

    def ship(self, plan: Plan, facts: Facts, secrets: Mapping[str, str]) -> Iterator[Event]:
        assert facts is self.facts, "a plan goes with the survey that it was made from"
        self.shipped.append(plan)
        self.secrets = dict(secrets)
        return self._told("ship", plan.id)

    def follow(self, plan_id: str, told: int = 0) -> Iterator[Event]:
        return self._told("follow", plan_id)

    def revert(self, plan_id: str) -> Iterator[Event]:
        return self._told("revert", plan_id)

    def history(self) -> list[PastPlan]:
        self.calls.append(("history",))
        return self.plans

    def journal(self, plan_id: str) -> list[Event]:
        self.calls.append(("journal", plan_id))
        return self.past

    def decide(self, plan_id: str, decision: str) -> None:
        self.calls.append(("say", decision))
        if self.deaf or [call[0] for call in self.calls].count("say") < self.hears_at:
            raise login_errors.timed_out("vps.example:22", 10)

    def soak_start(self, soak: Soak) -> Iterator[Event]:
        self.calls.append(("soak_start", soak))
        if self.soaker:
            refusals.event({"holder": self.soaker})
        for number, line in enumerate(self.soak):
            if number == self.interrupted_at:
                raise KeyboardInterrupt
            yield line

    def soak_stop(self) -> list[Event]:
        self.calls.append(("soak_stop",))
        return self.soak if self.soaker else []

    def soak_show(self) -> tuple[str, list[Event]]:
        self.calls.append(("soak_show",))
        return str(self.soaker.get("soak", "")), self.soak

    def _told(self, verb: str, plan_id: str) -> Iterator[Event]:
        self.calls.append((verb,) if verb == "ship" else (verb, plan_id))
        for number, event in enumerate(self.events[verb]):
            if number == self.interrupted_at:
                self.interrupted_at = None
                raise KeyboardInterrupt
            yield event

    @property
    def verbs(self) -> list[str]:
        """The calls without their arguments, surveys left out: those change nothing."""
        return [call[0] for call in self.calls if call[0] != "survey"]

    @classmethod
    def shipping(cls, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> FakeHost:
        """One that stands in for every host, and whose plans have these events."""
        made = cls()
        made.events["ship"] = events
        made.stand_in(monkeypatch)
        return made

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be the host that every task works on."""
        monkeypatch.setattr(session, "select_host", lambda context, site, name: self)
        monkeypatch.setattr(public, "not_good", lambda site, refusing: [])  # before a plan all is well outside

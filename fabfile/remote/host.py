"""A VPS over SSH: survey, ship, follow, decide. Each method calls a verb of the runner and reads what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from fabric import Connection

from fabfile import inventory
from fabfile.errors import Unreachable, UsageError
from fabfile.remote import bootstrap, refusals
from fabfile.remote.caller import Caller, ConnectionLost, DetachedJob, Line
from fabfile.remote.command import Command
from fabfile.remote.link import Link
from fabfile.remote.refusals import Refused
from fabfile.runner.services.requests import ExecRequest, LogsRequest
from fabfile.runner.wire.adoption import Adoption, AdoptionRequest
from fabfile.runner.wire.app import JetStream, StreamsRef
from fabfile.runner.wire.edge import EdgeLogin
from fabfile.runner.wire.events import Event, PastPlan
from fabfile.runner.wire.facts import Facts, FactsRequest
from fabfile.runner.wire.soak import Soak

if TYPE_CHECKING:
    from fabfile.plans.plan import Plan


class Host:
    """One VPS of the inventory, or the one that `fab -H` connected to."""

    def __init__(
        self, host: inventory.Host, timeout: float, connection: Connection | None = None, link: Link | None = None
    ) -> None:
        self._host = host
        self._caller = Caller(link or Link(host, timeout, connection), host.address)

    @property
    def name(self) -> str:
        """Its name in the inventory; of another one `fab`."""
        return self._host.name

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, once it is connected."""
        return self._caller.link.is_here

    def connect(self) -> None:
        """Begin to connect, beside what the caller does next. What goes wrong with it is raised by the next call."""
        self._caller.link.begin()

    def survey(self, request: FactsRequest, meanwhile: Callable[[], None] = lambda: None) -> Facts:
        """Facts about the VPS, in one round trip; changes nothing. Raises Unreachable.

        `meanwhile` is called while the VPS looks.
        """
        answers = self._caller.answers("survey", [], bootstrap.payload(request), request.patience, meanwhile)
        if not answers:
            raise self._caller.no_answer("the survey ended without an answer")
        return refusals.answered(Facts, answers[0], "facts")

    def adopt(self, request: AdoptionRequest) -> Adoption:
        """What is on the VPS that an inventory would say, in one round trip; changes nothing. Raises Unreachable."""
        answers = self._caller.answers("adopt", [], bootstrap.payload(request))
        if not answers:
            raise self._caller.no_answer("the look at the VPS ended without an answer")
        return refusals.answered(Adoption, answers[0], "adoption")

    def positions(self, ref: StreamsRef, seconds: float) -> Iterator[tuple[float, JetStream]]:
        """Looks at the owner's JetStream, each with the seconds since the first, over one connection.

        They end after `seconds`, or never when that is 0. Raises Unreachable.
        """
        try:
            for line in self._caller.call("positions", [f"{seconds:g}"], bootstrap.payload(ref)):
                yield refusals.seconds(line, "at"), refusals.answered(JetStream, line, "look")
        except ConnectionLost as error:
            raise self._caller.no_answer(str(error)) from error

    def logs(self, request: LogsRequest) -> Iterator[Line]:
        """The owner, then log lines of its services as they come, over one connection. Raises Unreachable."""
        try:
            yield from (
                line for line in self._caller.call("logs", [], bootstrap.payload(request)) if "alive" not in line
            )
        except ConnectionLost as error:
            raise self._caller.no_answer(str(error)) from error

    def command(self, request: ExecRequest) -> Command:
        """A command beside a service of the owner's, to be run over this connection. Raises Unreachable."""
        begun = self._caller.answers("exec_begin", [], bootstrap.payload(request))[0]
        end = partial(self._caller.answers, "exec_end", [begun["id"], begun["user"]])
        return Command(begun["argv"], self._caller.link.execute, end)

    def log_in(self, login: EdgeLogin) -> dict[str, str]:
        """What NPM's API, asked on the VPS, says to a log-in: `token`, `challenge` or `refused`. Raises Unreachable."""
        answers = self._caller.answers("log_in", [], bootstrap.payload(login))
        if not answers:
            raise self._caller.no_answer("the log-in to NPM's API ended without an answer")
        return {key: str(value) for key, value in answers[0].items()}

    def ship(self, plan: Plan, facts: Facts, secrets: Mapping[str, str] | None = None) -> Iterator[Event]:
        """Ship a plan, have it started, and yield its events until it is finished.

        A lost connection changes nothing on the VPS: this connects again and goes on where it was.
        Raises Unreachable, or ManualInterventionRequired when the runner went away before the end.
        """
        yield from self._follow_plan(plan.id, self._caller.call("ship", [], bootstrap.shipment(plan, facts, secrets)))

    def follow(self, plan_id: str, count: int = 0) -> Iterator[Event]:
        """Yield a plan's events from number `count` on, until it is finished. Raises as `ship` does."""
        yield from self._follow_plan(plan_id, self._caller.call("follow", [plan_id, str(count)]), count)

    def revert(self, plan_id: str) -> Iterator[Event]:
        """Revert an interrupted plan and yield the events of that. Raises as `ship` does."""
        count = len(self.journal(plan_id))
        yield from self._follow_plan(plan_id, self._caller.call("revert", [plan_id]), count)

    def history(self) -> list[PastPlan]:
        """Every past plan, oldest first. Raises Unreachable."""
        return [refusals.past_plan(line) for line in self._caller.answers("history", [])]

    def journal(self, plan_id: str) -> list[Event]:
        """Every event of a plan so far. Raises Unreachable, UsageError when there is no such plan."""
        return [refusals.event(line) for line in self._caller.answers("history", [plan_id])]

    def soak_start(self, soak: Soak) -> Iterator[Event]:
        """Have a soak started and yield its events until it has ended.

        A lost connection changes nothing on the VPS: this connects again and goes on where it was. Raises Unreachable,
        and SoakAlreadyRunning where another one runs.
        """
        job = DetachedJob("soak_follow", soak.id, "The soak goes on there.", "inv soak")
        yield from self._caller.reconnecting(
            job, self._caller.call("soak_start", [], bootstrap.soak(soak), soak.every), 0, soak.every
        )

    def soak_stop(self) -> list[Event]:
        """Have the running soak end; all its events, none when no soak runs. Raises Unreachable."""
        return [refusals.event(line) for line in self._caller.answers("soak_stop", [])]

    def soak_show(self) -> tuple[str, list[Event]]:
        """The identifier of the running soak, empty if none runs, and all events of the newest one.

        Raises Unreachable.
        """
        answers = self._caller.answers("soak_show", [])
        if not answers:
            raise self._caller.no_answer("the look at the soak ended without an answer")
        return refusals.holder(answers[0]).soak, [refusals.event(line) for line in answers[1:]]

    def decide(self, plan_id: str, decision: str) -> None:
        """Tell the runner confirm or revert, over a new connection: it proves that one can still get in.

        Raises Unreachable.
        """
        other = self._caller.again()
        try:
            other.answers("decide", [plan_id, decision])
        except Unreachable as error:
            state = f"The plan {plan_id} goes on there; unconfirmed, it reverts by itself."
            raise Unreachable(error.message, state=state, next_step=error.next_step) from error
        finally:
            other.close()

    def close(self) -> None:
        """Close the connection; what was shipped goes on."""
        self._caller.close()

    def _follow_plan(self, plan_id: str, lines: Iterator[Line], count: int = 0) -> Iterator[Event]:
        state = f"The plan {plan_id} goes on there; unconfirmed, it reverts by itself."
        job = DetachedJob("follow", plan_id, state, f"inv attach --plan {plan_id}")
        try:
            for event in self._caller.reconnecting(job, lines, count):
                count += event.is_journaled
                yield event
        except (Refused, UsageError) as refused:  # also where its folder is gone meanwhile
            raise refusals.runner_died(plan_id, refused) if count else refused from None

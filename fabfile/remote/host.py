"""A VPS over SSH: connect, survey, ship, follow, confirm. Fabric makes the connections.

Every verb is one round trip on one connection; where the VPS lacks the runner, it is sent that first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fabric import Connection
from paramiko.ssh_exception import SSHException

from fabfile import inventory
from fabfile.errors import Unreachable, UsageError
from fabfile.remote import bootstrap, login_errors, refusals
from fabfile.remote.command import Channel, Command
from fabfile.remote.link import Link
from fabfile.remote.refusals import Refused
from fabfile.runner.services.requests import ExecRequest, LogsRequest
from fabfile.runner.system.deadline import Deadline
from fabfile.runner.wire.adoption import Adoption, AdoptionRequest
from fabfile.runner.wire.app import JetStream, StreamsRef
from fabfile.runner.wire.edge import EdgeLogin
from fabfile.runner.wire.events import Event, PastPlan
from fabfile.runner.wire.facts import Facts, FactsRequest
from fabfile.runner.wire.soak import Soak

if TYPE_CHECKING:
    from fabfile.plans.plan import Plan

Line = dict[str, Any]  # what the runner prints, before it is known what it is

ANSWER_SECONDS = 60.0  # seconds to wait for an answer, and to go on trying to reconnect
RETRY_SECONDS = 0.5  # seconds between two attempts


class ConnectionLost(Exception):
    """The connection ended in the middle of an answer; what runs on the VPS goes on."""


@dataclass(frozen=True)
class _DetachedJob:
    """What continues on the VPS without us: the verb that follows it, its identifier, and words for when it is lost."""

    verb: str
    id: str
    goes_on: str
    again: str


class Host:
    """One VPS of the inventory, or the one that `fab -H` connected to."""

    def __init__(
        self, host: inventory.Host, timeout: float, connection: Connection | None = None, link: Link | None = None
    ) -> None:
        self._host = host
        self._timeout = timeout
        self._link = link or Link(host, timeout, connection)

    @property
    def name(self) -> str:
        """Its name in the inventory; of another one `fab`."""
        return self._host.name

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, once it is connected."""
        return self._link.is_here

    def connect(self) -> None:
        """Begin to connect, beside what the caller does next. What goes wrong with it is raised by the next call."""
        self._link.begin()

    def survey(self, request: FactsRequest, meanwhile: Callable[[], None] = lambda: None) -> Facts:
        """Facts about the VPS, in one round trip; changes nothing. Raises Unreachable.

        `meanwhile` is called while the VPS looks.
        """
        answers = self._answers("survey", [], bootstrap.payload(request), request.patience, meanwhile)
        if not answers:
            raise self._no_answer("the survey ended without an answer")
        return refusals.answered(Facts, answers[0], "facts")

    def adopt(self, request: AdoptionRequest) -> Adoption:
        """What is on the VPS that an inventory would say, in one round trip; changes nothing. Raises Unreachable."""
        answers = self._answers("adopt", [], bootstrap.payload(request))
        if not answers:
            raise self._no_answer("the look at the VPS ended without an answer")
        return refusals.answered(Adoption, answers[0], "adoption")

    def positions(self, ref: StreamsRef, seconds: float) -> Iterator[tuple[float, JetStream]]:
        """Looks at the owner's JetStream, each with the seconds since the first, over one connection.

        They end after `seconds`, or never when that is 0. Raises Unreachable.
        """
        try:
            for line in self._call("positions", [f"{seconds:g}"], bootstrap.payload(ref)):
                yield refusals.seconds(line, "at"), refusals.answered(JetStream, line, "look")
        except ConnectionLost as error:
            raise self._no_answer(str(error)) from error

    def logs(self, request: LogsRequest) -> Iterator[Line]:
        """The owner, then log lines of its services as they come, over one connection. Raises Unreachable."""
        try:
            yield from (line for line in self._call("logs", [], bootstrap.payload(request)) if "alive" not in line)
        except ConnectionLost as error:
            raise self._no_answer(str(error)) from error

    def command(self, request: ExecRequest) -> Command:
        """A command beside a service of the owner's, to be run over this connection. Raises Unreachable."""
        begun = self._answers("exec_begin", [], bootstrap.payload(request))[0]
        end = partial(self._answers, "exec_end", [begun["id"], begun["user"]])
        return Command(begun["argv"], self._link.execute, end)

    def log_in(self, login: EdgeLogin) -> dict[str, str]:
        """What NPM's API, asked on the VPS, says to a log-in: `token`, `challenge` or `refused`. Raises Unreachable."""
        answers = self._answers("log_in", [], bootstrap.payload(login))
        if not answers:
            raise self._no_answer("the log-in to NPM's API ended without an answer")
        return {key: str(value) for key, value in answers[0].items()}

    def ship(self, plan: Plan, facts: Facts, secrets: Mapping[str, str] | None = None) -> Iterator[Event]:
        """Ship a plan, have it started, and yield its events until it is finished.

        A lost connection changes nothing on the VPS: this connects again and goes on where it was.
        Raises Unreachable, or ManualInterventionRequired when the runner went away before the end.
        """
        yield from self._follow_plan(plan.id, self._call("ship", [], bootstrap.shipment(plan, facts, secrets)))

    def follow(self, plan_id: str, count: int = 0) -> Iterator[Event]:
        """Yield a plan's events from number `count` on, until it is finished. Raises as `ship` does."""
        yield from self._follow_plan(plan_id, self._call("follow", [plan_id, str(count)]), count)

    def revert(self, plan_id: str) -> Iterator[Event]:
        """Revert an interrupted plan and yield the events of that. Raises as `ship` does."""
        count = len(self.journal(plan_id))
        yield from self._follow_plan(plan_id, self._call("revert", [plan_id]), count)

    def history(self) -> list[PastPlan]:
        """Every past plan, oldest first. Raises Unreachable."""
        return [refusals.past_plan(line) for line in self._answers("history", [])]

    def journal(self, plan_id: str) -> list[Event]:
        """Every event of a plan so far. Raises Unreachable, UsageError when there is no such plan."""
        return [refusals.event(line) for line in self._answers("history", [plan_id])]

    def soak_start(self, soak: Soak) -> Iterator[Event]:
        """Have a soak started and yield its events until it has ended.

        A lost connection changes nothing on the VPS: this connects again and goes on where it was. Raises Unreachable,
        and SoakAlreadyRunning where another one runs.
        """
        job = _DetachedJob("soak_follow", soak.id, "The soak goes on there.", "inv soak")
        yield from self._reconnecting(
            job, self._call("soak_start", [], bootstrap.soak(soak), soak.every), 0, soak.every
        )

    def soak_stop(self) -> list[Event]:
        """Have the running soak end; all its events, none when no soak runs. Raises Unreachable."""
        return [refusals.event(line) for line in self._answers("soak_stop", [])]

    def soak_show(self) -> tuple[str, list[Event]]:
        """The identifier of the running soak, empty if none runs, and all events of the newest one.

        Raises Unreachable.
        """
        answers = self._answers("soak_show", [])
        if not answers:
            raise self._no_answer("the look at the soak ended without an answer")
        return refusals.holder(answers[0]).soak, [refusals.event(line) for line in answers[1:]]

    def decide(self, plan_id: str, decision: str) -> None:
        """Tell the runner confirm or revert, over a new connection: it proves that one can still get in.

        Raises Unreachable.
        """
        other = Host(self._host, self._timeout, link=self._link.again())
        try:
            other._answers("decide", [plan_id, decision])
        except Unreachable as error:
            state = f"The plan {plan_id} goes on there; unconfirmed, it reverts by itself."
            raise Unreachable(error.message, state=state, next_step=error.next_step) from error
        finally:
            other.close()

    def close(self) -> None:
        """Close the connection; what was shipped goes on."""
        self._link.close()

    def _follow_plan(self, plan_id: str, lines: Iterator[Line], count: int = 0) -> Iterator[Event]:
        state = f"The plan {plan_id} goes on there; unconfirmed, it reverts by itself."
        job = _DetachedJob("follow", plan_id, state, f"inv attach --plan {plan_id}")
        try:
            for event in self._reconnecting(job, lines, count):
                count += event.is_journaled
                yield event
        except (Refused, UsageError) as refused:  # also where its folder is gone meanwhile
            raise refusals.runner_died(plan_id, refused) if count else refused from None

    def _reconnecting(
        self, job: _DetachedJob, lines: Iterator[Line], count: int, patience: float = 0.0
    ) -> Iterator[Event]:
        """Events until `finished`; where the connection is lost, on a new one from number `count` on."""
        give_up: Deadline | None = None
        last = ""
        while True:
            try:
                for line in lines:
                    give_up = None
                    if "alive" in line:  # a step may take longer without an event than a connection may be silent
                        continue
                    event = refusals.event(line)
                    count, last = count + event.is_journaled, event.kind
                    yield event
                return
            except Refused:
                raise
            except (ConnectionLost, Unreachable) as error:
                if last == "finished":
                    return
                if isinstance(error, Unreachable) and give_up is None:
                    raise  # there was no connection to lose
                give_up = give_up or Deadline(ANSWER_SECONDS)
                if give_up.passed:
                    raise Unreachable(
                        f"the connection to {self._host.address} was lost and could not be re-established",
                        state=job.goes_on,
                        next_step=f"Once the VPS can be reached: {job.again}",
                    ) from None
            time.sleep(RETRY_SECONDS)
            self.close()
            self._link = self._link.again()
            lines = self._call(job.verb, [job.id, str(count)], patience=patience)

    def _answers(
        self,
        verb: str,
        arguments: list[str],
        payload: bytes = b"",
        patience: float = 0.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[Line]:
        """The whole answer of a verb that comes to its end by itself."""
        try:
            return list(self._call(verb, arguments, payload, patience, meanwhile))
        except ConnectionLost as error:
            raise self._no_answer(str(error)) from error

    def _call(
        self,
        verb: str,
        arguments: list[str],
        payload: bytes = b"",
        patience: float = 0.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Iterator[Line]:
        """Run one verb of the runner as root and yield its lines, `ANSWER_SECONDS` and `patience` apart at most."""
        channel = self._link.execute(["python3", "-I", "-c", bootstrap.BOOT_LINE, verb, *arguments])
        channel.settimeout(ANSWER_SECONDS + patience)
        try:
            self._send(channel, bootstrap.framed(payload), whole=False)
            yield from self._lines(channel, meanwhile)
        except (OSError, SSHException, EOFError) as error:
            raise ConnectionLost(str(error) or type(error).__name__) from error
        finally:
            channel.close()

    def _send(self, channel: Channel, payload: bytes, *, whole: bool = True) -> None:
        """Send input, and its end unless it is not the `whole` of it."""
        try:
            channel.sendall(payload)
            if whole:
                channel.shutdown_write()
        except TimeoutError:
            raise
        except OSError:
            pass  # the other side has ended already; why is in what it wrote

    def _lines(self, channel: Channel, meanwhile: Callable[[], None]) -> Iterator[Line]:
        with channel.makefile("rb") as out, channel.makefile_stderr("rb") as err:
            for line in out:
                if line in (bootstrap.HERE, bootstrap.LACKING):
                    self._send(channel, bootstrap.zipapp() if line == bootstrap.LACKING else b"")
                    meanwhile()
                else:
                    yield refusals.answer(line)
            stderr = err.read().decode(errors="replace")
        code = channel.recv_exit_status()
        if code == -1:
            raise ConnectionLost("the connection closed without an exit status")
        if code != 0:
            raise refusals.boot_error(code, stderr, self._link.user, self._host.address)

    def _no_answer(self, why: str) -> Unreachable:
        return login_errors.silent(self._host.address, why)

"""Calls verbs of the runner over SSH: sends the runner where the VPS lacks it, connects again where a call is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from paramiko.ssh_exception import SSHException

from fabfile.errors import Unreachable
from fabfile.remote import bootstrap, login_errors, refusals
from fabfile.remote.command import Channel
from fabfile.remote.link import Link
from fabfile.remote.refusals import Refused
from fabfile.runner.system.deadline import Deadline
from fabfile.runner.wire.events import Event

Line = dict[str, Any]  # what the runner prints, before it is known what it is

ANSWER_SECONDS = 60.0  # seconds to wait for an answer, and to go on trying to reconnect
RETRY_SECONDS = 0.5  # seconds between two attempts


class ConnectionLost(Exception):
    """The connection ended in the middle of an answer; what runs on the VPS goes on."""


@dataclass(frozen=True)
class DetachedJob:
    """What continues on the VPS without us: the verb that follows it, its identifier, and words for when it is lost."""

    verb: str
    id: str
    goes_on: str
    again: str


class Caller:
    """Calls to one VPS, each verb one round trip on one connection."""

    def __init__(self, link: Link, address: str) -> None:
        self.link = link
        self._address = address

    def again(self) -> Caller:
        """Calls to the same VPS, over a connection of their own."""
        return Caller(self.link.again(), self._address)

    def close(self) -> None:
        """Close the connection; what was shipped goes on."""
        self.link.close()

    def reconnecting(
        self, job: DetachedJob, lines: Iterator[Line], count: int, patience: float = 0.0
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
                        f"the connection to {self._address} was lost and could not be re-established",
                        state=job.goes_on,
                        next_step=f"Once the VPS can be reached: {job.again}",
                    ) from None
            time.sleep(RETRY_SECONDS)
            self.close()
            self.link = self.link.again()
            lines = self.call(job.verb, [job.id, str(count)], patience=patience)

    def answers(
        self,
        verb: str,
        arguments: list[str],
        payload: bytes = b"",
        patience: float = 0.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[Line]:
        """The whole answer of a verb that comes to its end by itself."""
        try:
            return list(self.call(verb, arguments, payload, patience, meanwhile))
        except ConnectionLost as error:
            raise self.no_answer(str(error)) from error

    def call(
        self,
        verb: str,
        arguments: list[str],
        payload: bytes = b"",
        patience: float = 0.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Iterator[Line]:
        """Run one verb of the runner as root and yield its lines, `ANSWER_SECONDS` and `patience` apart at most."""
        channel = self.link.execute(["python3", "-I", "-c", bootstrap.BOOT_LINE, verb, *arguments])
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
            raise refusals.boot_error(code, stderr, self.link.user, self._address)

    def no_answer(self, why: str) -> Unreachable:
        return login_errors.silent(self._address, why)

"""Runs a command beside a service, and passes on its output and its exit code."""

from __future__ import annotations

import codecs
import signal
import sys
from collections.abc import Callable, Sequence

from fabfile import output
from fabfile.commands.services import choice
from fabfile.commands.session import Session
from fabfile.errors import Interrupted, UsageError
from fabfile.runner.services.requests import ExecRequest


def run(session: Session, service: str, argv: Sequence[str], *, interactive: bool) -> int:
    """Run a command beside a service of the owner's; returns its exit code.

    Where nobody reads its output any more, as in a pipe to head, it is ended as SIGPIPE would end it. Raises UsageError
    for a service that the inventory does not have, Unreachable, Interrupted.
    """
    site, console = session.site, session.console
    workloads = choice.named(site, service)
    if len({workload.name for workload in workloads}) > 1:
        raise UsageError("exec needs one service", next_step="Name one, as in inv exec --service api -- env.")
    request = ExecRequest(
        workloads, site.runtimes.docker.project, site.app.owner_file, tuple(argv), interactive=interactive
    )
    command = session.host.command(request)
    try:
        if console.for_programs:
            sink = _Lines(lambda stream, text: console.data("output", stream=stream, text=text))
            code = command.run(sink.receive)
            sink.end()
        else:
            code = (command.run_at_terminal if interactive else command.run)(_pass_on)
    except KeyboardInterrupt:
        raise Interrupted(
            state=f"The command beside {service} was ended.", next_step="Run the same command again."
        ) from None
    except BrokenPipeError:
        output.give_up(sys.stdout)
        return 128 + signal.SIGPIPE
    console.data("exit", code=code)
    return code


def _pass_on(stream: str, data: bytes) -> None:
    place = (sys.stdout if stream == "stdout" else sys.stderr).buffer
    place.write(data)
    place.flush()


class _Lines:
    """Makes whole lines of text out of what comes."""

    def __init__(self, print_line: Callable[[str, str], None]) -> None:
        self._print = print_line
        self._rest = {"stdout": "", "stderr": ""}
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in self._rest}

    def receive(self, stream: str, data: bytes) -> None:
        """Print the lines that are whole."""
        *lines, self._rest[stream] = (self._rest[stream] + self._decoders[stream].decode(data)).split("\n")
        for line in lines:
            self._print(stream, line)

    def end(self) -> None:
        """Print what came without the end of a line."""
        for stream, rest in self._rest.items():
            if rest:
                self._print(stream, rest)

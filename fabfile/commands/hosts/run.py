"""Does a command's work on several hosts: a process for each, all that they print, and one table at the end."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fabfile import output
from fabfile.commands.hosts.choice import Choice
from fabfile.commands.hosts.process import Process, Stream
from fabfile.console import Console
from fabfile.errors import Interrupted

INTERRUPTED: Final = Interrupted.exit_code
WORST_FIRST: Final = (5, 70, 6, INTERRUPTED, 1, 4, 3, 2)
"""Exit codes by how much they want of the operator: first those after which the VPS is not known to be as before."""

_LEAST_COLUMNS: Final = 40  # of a terminal, left beside the hosts' names

Act = Callable[[str], "tuple[int, str]"]
"""The work on the host of that name: returns its exit code, and the first line of the error that it has printed."""


@dataclass(frozen=True)
class Result:
    """How the work on a host ended; without a code it has not begun."""

    host: str
    code: int | None
    ended: str
    seconds: float = 0.0


def run(choice: Choice, act: Act, *, json: bool, looks: bool = False) -> int:
    """Do the work on each host, show a table of how it ended, and return the worst host's exit code.

    With `looks` nothing is done yet, and there is a table only where a look went wrong.
    """
    run_ = _Run(choice, act, json=json, good="only looked at" if looks else "done")
    run_.carry_out()
    results = [run_.results[name] for name in choice.hosts]
    if looks and not any(result.code or result.code is None for result in results):
        return 0
    console = Console(json=json)
    console.table("hosts", ("", "host", "code", "how it ended", "seconds"), map(_row, results))
    for result in results:
        with output.using(host=result.host):
            console.data("host", exit_code=result.code, ended=result.ended, seconds=result.seconds)
    return worst([result.code for result in results if result.code is not None] + [INTERRUPTED] * run_.cut_short)


def worst(codes: Sequence[int]) -> int:
    """The code among them that wants most of the operator; a command's own, as `exec` has it, counts as a failure."""
    failed = [code for code in codes if code]
    own = [code for code in failed if code not in WORST_FIRST]
    first = next((code for code in WORST_FIRST if code in failed or (own and code == 1)), 0)
    return max([1, *own]) if first == 1 else first


def _row(result: Result) -> tuple[str, ...]:
    if result.code is None:
        return "!", result.host, "", result.ended, ""
    return "✗" if result.code else "✓", result.host, str(result.code), result.ended, f"{result.seconds:.1f}"


class _Run:
    """The hosts that wait for their turn, those at work, and how the others ended."""

    def __init__(self, choice: Choice, act: Act, *, json: bool, good: str) -> None:
        self.results: dict[str, Result] = {}
        self._choice = choice
        self._act = act
        self._json = json
        self._good = good  # how the work ends on a host where it does not fail
        self._waiting = list(choice.hosts)
        self._running: list[Process] = []
        self._why_not = ""  # no other host begins
        self._interrupted = False
        self._asks = False
        self._at_terminal = sys.stdin.isatty() and sys.stderr.isatty()
        self._width = max(map(len, choice.hosts))

    @property
    def cut_short(self) -> bool:
        """Whether Ctrl-C kept a host from its turn."""
        return self._interrupted and any(result.code is None for result in self.results.values())

    def carry_out(self) -> None:
        """Do all that may be done; then every host has its result."""
        with self._signals():
            while self._running or (self._waiting and not self._why_not):
                while self._waiting and not self._why_not and len(self._running) < self._choice.parallel:
                    self._begin(self._waiting.pop(0))
                self._attend()
        for name in self._waiting:
            self.results[name] = Result(name, None, f"not begun: {self._why_not}")

    def _begin(self, name: str) -> None:
        if sys.stdout.isatty():  # where the process, which has a pipe, does not see how wide it is
            os.environ["COLUMNS"] = str(max(shutil.get_terminal_size().columns - self._width - 3, _LEAST_COLUMNS))
        self._running.append(Process(name, lambda: self._act(name), self._at_terminal, self._running))

    def _attend(self) -> None:
        """Wait until one of them prints, asks or ends, and see to it."""
        sources: list[Process | Stream] = [*self._running]
        sources += [stream for process in self._running for stream in process.streams if stream.is_open]
        ready, _, _ = select.select(sources, [], [])
        for process in list(self._running):
            self._pass_on(process)
            if process not in ready:
                continue
            try:
                for number in process.messages():
                    self._ask(process, number)
            except EOFError:
                self._end(process)

    def _pass_on(self, process: Process, *, all_of_it: bool = False) -> None:
        for stream in process.streams:
            for line in stream.lines():
                self._print(process, stream, line)
            rest = stream.rest() if all_of_it else ""
            if rest:
                self._print(process, stream, rest)

    def _print(self, process: Process, stream: Stream, text: str, end: str = "\n") -> None:
        if self._json and not stream.is_error:
            print(text, flush=True)  # its lines name the host
        else:
            target = sys.stderr if stream.is_error else sys.stdout
            print(f"{process.host:<{self._width}} | {text}", end=end, file=target, flush=True)

    def _ask(self, process: Process, number: int) -> None:
        """Have the operator answer what the process has printed last; the others wait with what they print."""
        self._pass_on(process)
        question = "".join(stream.rest() for stream in process.streams)
        print(f"{process.host:<{self._width}} | {question}", end="", file=sys.stderr, flush=True)
        self._asks, answer = True, ""
        try:
            answer = output.typed_line()
        except KeyboardInterrupt:
            print(file=sys.stderr)
        finally:
            self._asks = False
        process.answer(number, answer)

    def _end(self, process: Process) -> None:
        code, ended = process.wait(), process.ended
        self._pass_on(process, all_of_it=True)
        if code < 0:
            ended, code = self._killed(process.host, -code), INTERRUPTED
        self._running.remove(process)
        process.close()
        self.results[process.host] = Result(
            process.host, code, ended or ("failed" if code else self._good), process.seconds
        )
        if code and self._choice.fail_fast and not self._why_not:
            self._why_not = f"{process.host} had failed before"

    def _killed(self, host: str, number: int) -> str:
        error = Interrupted(
            f"the process for {host} was ended by {signal.Signals(number).name}",
            state="A plan that it followed goes on there; where nobody confirms it, it reverts.",
            next_step=f"inv attach --host {host} follows it; inv status --host {host} shows what runs.",
        )
        with output.using(host=host):
            output.error(error, as_json=self._json)
        return error.message

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Within the block Ctrl-C is for the hosts' processes, and so is what would end this one."""
        handlers = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._leave, signal.SIGHUP: self._leave}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: Any) -> None:
        if self._asks:
            raise KeyboardInterrupt  # it is the answer
        self._interrupted, self._why_not = True, "interrupted"
        self._send_all(number)

    def _leave(self, number: int, frame: Any) -> None:
        self._send_all(number)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _send_all(self, number: int) -> None:
        for process in self._running:
            process.signal(number)

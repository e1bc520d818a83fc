"""Runs a command once for all facts of a survey that are read from its output."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from ..system.machine import Machine, Result


class OneLook(Machine):
    """A machine looked at once: a command that several facts are read from is run for the first of them.

    For commands that only read. Where something is waited for, each look needs an answer of its own.
    """

    def __init__(self, machine: Machine) -> None:
        vars(self).update(vars(machine))
        self._machine, self._lock = machine, threading.Lock()
        self._results: dict[object, Future[Result]] = {}

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        timeout: float = 30.0,
        stdin: bytes | None = None,
        ok: tuple[int, ...] | None = (0,),
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Result:
        """As `Machine.run`; whoever comes second waits for the first one's result."""
        call = (tuple(argv), user, stdin, tuple((env or {}).items()), cwd)
        with self._lock:
            is_first = call not in self._results
            result = self._results.setdefault(call, Future())
        if is_first:
            run = self._machine.run
            try:
                result.set_result(run(argv, user=user, timeout=timeout, stdin=stdin, ok=None, env=env, cwd=cwd))
            except BaseException as error:  # noqa: BLE001 -- whoever waits for the result must not wait for ever
                result.set_exception(error)
        return result.result().checked(ok)

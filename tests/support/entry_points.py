"""Both front doors, run in this process: `inv` by Invoke's own Program, `islandflow` by Click's own parser."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fabric import Config
from fabric.executor import Executor
from fabric.main import Fab
from invoke.program import Program
from invoke.tasks import Task

from fabfile import namespace
from fabfile.cli import cli

TASKS: dict[str, Task[Any]] = {name: namespace[name] for name in namespace.task_names}
_HELP = {name: dict(task.help) for name, task in TASKS.items()}


@dataclass
class Run:
    """How a command ended, what it printed, and which calls reached a recorded task's body."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


@dataclass
class Recorder:
    """Stands in for the bodies of all tasks and notes what they are called with."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def inv(*words: str) -> Run:
    """`inv WORDS`, parsed and run by Invoke with the package's collection."""
    for name, task in TASKS.items():
        task.help = dict(_HELP[name])  # Invoke empties it as it parses, which is once in a process's life
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["inv", *words])  # where a task finds the words behind --
        return _run(lambda: Program(namespace=namespace, binary="inv").run(["inv", *words]))


def islandflow(*words: str) -> Run:
    """`islandflow WORDS`, parsed and run by Click."""
    return _run(lambda: cli.main(list(words), prog_name="islandflow"))


def fab(*words: str) -> Run:
    """`fab WORDS`, parsed and run by Fabric's own Program."""
    for name, task in TASKS.items():
        task.help = dict(_HELP[name])
    program = Fab(name="fab", executor_class=Executor, config_class=Config, namespace=namespace, version="0")
    return _run(lambda: program.run(["fab", *words]))


DOORS: dict[str, Callable[..., Run]] = {"inv": inv, "islandflow": islandflow}


@contextlib.contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Every task's body notes its call instead of running; parsing and signatures stay what they are."""
    recorder = Recorder()
    with monkeypatch.context() as patch:
        for name, task in TASKS.items():
            patch.setattr(task, "body", _noting(recorder, name, task.body))
        yield recorder


def _noting(recorder: Recorder, name: str, body: Callable[..., Any]) -> Callable[..., None]:
    @functools.wraps(body)
    def noted(context: Any, *args: Any, **given: Any) -> None:
        assert not args, "tasks are called by keyword"
        recorder.calls.append((name, given))

    return noted


def _run(act: Callable[[], Any]) -> Run:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            act()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        sys.stdout.flush()
    return Run(code, out.getvalue(), err.getvalue())

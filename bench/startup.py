"""Measures the CPU time of listing, --help and completion, against nearly empty Invoke and Click.

    python bench/startup.py [--rounds 10]

Prints milliseconds of CPU time, children included, best of the rounds, and the ratio. Compiled modules are cached
before, as in an installation. Beside `inv` stands Invoke with one task,
beside `islandflow` a Click group with one command, in a process that imports Invoke too, because that is where the
commands come from.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
TASKS = """
from invoke.tasks import task

@task
def cutover(c): pass
"""
COMMANDS = """
import click
import invoke

@click.group()
def door(): pass

@door.command()
def cutover(): pass

door(prog_name="islandflow")
"""
LOAD = ("-c", "import fabfile.cli, invoke.main, tasks")
INV = ("-m", "invoke")
DOOR = ("-c", "import fabfile.cli; fabfile.cli.cli(prog_name='islandflow')")
BARE = ("-c", COMMANDS)
SCRIPT = {"_ISLANDFLOW_COMPLETE": "bash_source"}
WORD = {"_ISLANDFLOW_COMPLETE": "bash_complete", "COMP_WORDS": "islandflow cut", "COMP_CWORD": "1"}


@dataclass(frozen=True)
class Pair:
    """The same command of the tool and of the library that it is built on."""

    name: str
    tool: Sequence[str]
    bare: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)


PAIRS = (
    Pair("inv --list", (*INV, "--list"), (*INV, "--list")),
    Pair("inv, a word completed", (*INV, "--complete", "--", "inv cut"), (*INV, "--complete", "--", "inv cut")),
    Pair("islandflow --help", (*DOOR, "--help"), (*BARE, "--help")),
    Pair("islandflow, completion script", DOOR, BARE, SCRIPT),
    Pair("islandflow, a word completed", DOOR, BARE, WORD),
)


def main() -> None:
    """Print a line for each pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="startup-") as scratch:
        (Path(scratch) / "tasks.py").write_text(TASKS)
        cached = {**os.environ, "PYTHONPYCACHEPREFIX": f"{scratch}/cache"}
        cached.pop("PYTHONDONTWRITEBYTECODE", None)
        _cpu(LOAD, ROOT, {**cached, "PYTHONPATH": str(ROOT)})
        print(f"{'':<32}{'tool':>8}{'bare':>8}{'ratio':>8}")
        for pair in PAIRS:
            tool = _best(pair.tool, ROOT, {**cached, **pair.environ, "PYTHONPATH": str(ROOT)}, rounds)
            bare = _best(pair.bare, Path(scratch), {**cached, **pair.environ}, rounds)
            print(f"{pair.name:<32}{tool * 1000:>5.0f} ms{bare * 1000:>5.0f} ms{tool / bare:>6.2f} x")


def _best(arguments: Sequence[str], folder: Path, environ: Mapping[str, str], rounds: int) -> float:
    _cpu(arguments, folder, environ)  # what isn't in the disk's cache yet
    return min(_cpu(arguments, folder, environ) for _ in range(rounds))


def _cpu(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environ, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

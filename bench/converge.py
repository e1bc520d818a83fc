"""Measures the parts of a command that has nothing to do, beside one SSH connection that runs `true`.

    python -m bench.converge [--rounds R] [--rtt 0,50] [--name LAB]

Needs root: it works on a lab of its own, which it boots and removes unless it is up. It hands the app over to native
first, unless it is there, so that each command finds its results. The medians of the rounds are printed: what it took
until the tool began to connect (start), until the VPS began to gather facts (connect), until the facts were there
(survey) and until the end (judge); then what each fact took on the VPS, all of them gathered side by side. Each command
has a bare connection right before it, since the machine's other load changes from minute to minute.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import methods, show, trace
from bench.distance import delayed
from fabfile import inventory, survey
from fabfile.commands import status
from fabfile.console import Console
from fabfile.errors import CutoverError
from fabfile.lab.lab import Lab
from fabfile.remote import bootstrap

COMMANDS = (("status",), ("infra", "install"), ("app", "install"), ("cutover", "--dry"), ("cutover", "--yes"))
PARTS = ("start", "connect", "survey", "judge")
SCRATCH = "/root/islandflow-converge"  # on the lab

# Gathers the facts of a request and prints the seconds that each took.
SURVEY_SCRIPT = f"""
import json, sys, time
sys.path.insert(0, {SCRATCH!r} + "/runner.pyz")
from pathlib import Path
from runner.facts import gather
from runner.main import Machine, decode
took = {{}}
def timed(job):
    def run(machine, request):
        began = time.monotonic()
        try:
            return job(machine, request)
        finally:
            took[job.__name__.strip("_")] = time.monotonic() - began
    return run
gather._JOBS[:] = [(needed, timed(job)) for needed, job in gather._JOBS]
began = time.monotonic()
gather.gather(Machine(Path("/var/lib/islandflow/ops")), decode(json.loads(sys.stdin.readline())))
print(json.dumps({{**took, "all": time.monotonic() - began}}))
"""


@dataclass(frozen=True)
class Sample:
    """One run of a command: seconds of each part, of the whole, of processor time here, and of the bare connection."""

    parts: Mapping[str, float]
    whole: float
    cpu: float
    bare: float


def main() -> int:
    """Measure and print; returns 0 when everything could be measured, else 1."""
    options = _options()
    lab = Lab(options.name)
    was_running = lab.running
    try:
        lab.up()
        _measure(lab, options)
    except (methods.BenchError, CutoverError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    finally:
        if not was_running:
            lab.down()
    return 0


def _measure(lab: Lab, options: argparse.Namespace) -> None:
    tool, report = methods.Tool(lab), show.wide_console()
    if tool.owner() != "native":
        show.progress("hands the app over to native")
        tool.run("cutover")
    rows = []
    for rtt in options.rtt:
        with _at_distance(lab, rtt / 1000) as (file, bare):
            for words in COMMANDS:
                show.progress(f"{' '.join(words)}, {rtt:g} ms away")
                samples = [_sample(words, file, bare) for _ in range(options.rounds + 1)][1:]  # the first one warms up
                rows.append(_row(words, rtt, samples))
    columns = (
        "command",
        "RTT",
        "start",
        "connect",
        "survey",
        "judge",
        "whole",
        "CPU here",
        "ssh true",
        "above",
        "ratio",
    )
    report.table("A command with nothing to do (medians)", columns, rows)
    _facts(lab, report)


def _sample(words: Sequence[str], file: Path, bare: Sequence[str]) -> Sample:
    began = time.monotonic()
    subprocess.run(bare, check=True, stdin=subprocess.DEVNULL, timeout=methods.TIMEOUT_SECONDS)
    connection = time.monotonic() - began
    marks = file.with_name("marks.json")
    marks.unlink(missing_ok=True)
    used, began = _cpu(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "bench.trace", str(marks), *words],
        env=os.environ | {"ISLANDFLOW_INVENTORY": str(file)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=methods.TIMEOUT_SECONDS,
    )
    whole, used = time.monotonic() - began, _cpu() - used
    if done.returncode:
        raise methods.BenchError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr.strip()}")
    times = [began, *(json.loads(marks.read_text())[mark] for mark in trace.MARKS)]
    parts = dict(zip(PARTS, (ends - begins for begins, ends in itertools.pairwise(times)), strict=True))
    return Sample(parts, whole, used, connection)


def _row(words: Sequence[str], rtt: float, samples: Sequence[Sample]) -> tuple[str, ...]:
    parts = [statistics.median(sample.parts[name] for sample in samples) for name in samples[0].parts]
    whole, bare = statistics.median(s.whole for s in samples), statistics.median(s.bare for s in samples)
    above = statistics.median(sample.whole - sample.bare for sample in samples)
    cpu = statistics.median(sample.cpu for sample in samples)
    figures = (*parts, whole, cpu, bare, above)
    return (" ".join(words), f"{rtt:g} ms", *(f"{value:.2f} s" for value in figures), f"{whole / bare:.1f}")


def _facts(lab: Lab, report: Console) -> None:
    """What each fact takes on the VPS, by the requests of `status` and of a cutover."""
    site = inventory.load(lab.inventory, {})
    lab.guest.write(f"{SCRATCH}/runner.pyz", bootstrap.zipapp())
    columns = []
    for asked in (status.request(site), survey.request(site, versions=True)):
        request = bootstrap.payload(asked).decode()
        argv = ["python3", "-I", "-c", SURVEY_SCRIPT]
        rounds = [json.loads(lab.run(argv, stdin=request).stdout) for _ in range(4)][1:]
        columns.append({name: statistics.median(times[name] for times in rounds) for name in rounds[0]})
    names = sorted(columns[1], key=lambda name: -columns[1][name])
    rows = [(name, *(f"{medians[name]:.2f} s" if name in medians else "" for medians in columns)) for name in names]
    report.table("The survey by fact, side by side (medians)", ("fact", "status", "cutover"), rows)


@contextlib.contextmanager
def _at_distance(lab: Lab, seconds: float) -> Iterator[tuple[Path, list[str]]]:
    """An inventory with the lab at such a round-trip time, and a bare connection with the same."""
    near = str(lab.ports["ssh"])
    with tempfile.TemporaryDirectory(prefix="converge-") as scratch, delayed(lab.ports["ssh"], seconds) as port:
        known = Path(scratch, "known_hosts")
        known.write_text((lab.folder / "known_hosts").read_text().replace(f":{near} ", f":{port} "))
        text = re.sub(rf"^port = {near}$", f"port = {port}", lab.inventory.read_text(), flags=re.MULTILINE)
        file = Path(scratch, "inventory.toml")
        file.write_text(text.replace(str(lab.folder / "known_hosts"), str(known)))
        bare = [word.replace(str(lab.folder / "known_hosts"), str(known)) for word in lab.ssh("true")]
        yield file, [str(port) if word == near else word for word in bare]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.converge", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each command runs (5)")
    parser.add_argument("--rtt", type=_numbers, default=[0.0, 50.0], help="round-trip times in milliseconds (0,50)")
    parser.add_argument("--name", default="bench", help="the lab's name (bench)")
    return parser.parse_args()


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())

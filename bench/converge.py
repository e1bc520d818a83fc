"""Where the time goes in a command that finds nothing to do, beside one SSH connection that runs `true`.

    python -m bench.converge [--rounds R] [--rtt 0,50] [--name LAB]

Needs root: it works on a lab of its own, which it boots and removes unless it is up. It hands the app over to native
first, unless it is there, so that each command finds its results. The medians of the rounds are printed: what it took
until the tool began to connect (start), until the VPS began to look (connect), until the facts were there (survey) and
until the end (judge); then what each fact took on the VPS, all of them looked at side by side. Each command has a bare
connection right before it, as what else the machine does changes from minute to minute.
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
from bench.distance import further
from fabfile import inventory, survey
from fabfile.console import Console
from fabfile.errors import CutoverError
from fabfile.lab.lab import Lab
from fabfile.remote import bootstrap

COMMANDS = (("status",), ("infra", "install"), ("app", "install"), ("cutover", "--dry"), ("cutover",))
PARTS = ("start", "connect", "survey", "judge")
SCRATCH = "/root/islandflow-converge"  # on the lab

# Gathers the facts of a request and prints the seconds that each took.
LOOK = f"""
import json, sys, time
sys.path.insert(0, {SCRATCH!r} + "/runner.pyz")
from pathlib import Path
from runner.facts import gather
from runner.main import Machine, decode
took = {{}}
def timed(job):
    def run(machine, wanted):
        began = time.monotonic()
        try:
            return job(machine, wanted)
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
    found = lab.running
    try:
        lab.up()
        _measure(lab, options)
    except (methods.BenchError, CutoverError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    finally:
        if not found:
            lab.down()
    return 0


def _measure(lab: Lab, options: argparse.Namespace) -> None:
    tool, report = methods.Tool(lab), show.wide()
    if tool.owner() != "native":
        show.saying("hands the app over to native")
        tool.run("cutover")
    rows = []
    for rtt in options.rtt:
        with _at_distance(lab, rtt / 1000) as (file, bare):
            for words in COMMANDS:
                show.saying(f"{' '.join(words)}, {rtt:g} ms away")
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
    subprocess.run(bare, check=True, stdin=subprocess.DEVNULL, timeout=methods.LIMIT)
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
        timeout=methods.LIMIT,
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
    found = []
    for versions in (False, True):
        request = bootstrap.payload(survey.request(site, versions=versions)).decode()
        looks = [json.loads(lab.run(["python3", "-I", "-c", LOOK], stdin=request).stdout) for _ in range(4)][1:]
        found.append({name: statistics.median(look[name] for look in looks) for name in looks[0]})
    names = sorted(found[1], key=lambda name: -found[1][name])
    rows = [(name, *(f"{some[name]:.2f} s" if name in some else "" for some in found)) for name in names]
    report.table("The survey by fact, side by side (medians)", ("fact", "status", "cutover"), rows)


@contextlib.contextmanager
def _at_distance(lab: Lab, seconds: float) -> Iterator[tuple[Path, list[str]]]:
    """An inventory that leads to the lab over such a round trip, and a bare connection over the same way."""
    near = str(lab.ports["ssh"])
    with tempfile.TemporaryDirectory(prefix="converge-") as scratch, further(lab.ports["ssh"], seconds) as port:
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

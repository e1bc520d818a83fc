"""`make faults`: every fault at every step of cutover and of rollback, and a matrix of how each ended."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fabfile.lab.lab import Lab
from tests.system.conftest import Vps
from tests.system.faults.campaign import Campaign, table
from tests.system.faults.cell import COMMANDS, Bench, Verdict


def main() -> int:
    """The exit code: 1 when a cell was not survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults", description=__doc__)
    parser.add_argument("--lab", default="faults", help="the lab that is used, and removed unless it was up before")
    parser.add_argument("--direction", choices=COMMANDS, help="only this one")
    parser.add_argument("--step", default="", help="only steps with this in their name")
    parser.add_argument("--fault", default="", help="only faults with this in their name")
    parser.add_argument("--part", type=_part, default=(0, 1), help="K/N: this lab's share of N, as in 1/2")
    parser.add_argument("--journals", type=Path, help="a folder for the journals of cells that were not survived")
    asked = parser.parse_args()
    lab = Lab(asked.lab)
    kept = lab.running
    lab.reset()
    try:
        campaign = Campaign(Bench(Vps(lab)), lambda verdict: told(verdict, asked.journals))
        directions = [asked.direction] if asked.direction else list(COMMANDS)
        verdicts = campaign.matrix(
            directions, lambda cell: asked.step in cell.step and asked.fault in cell.fault, *asked.part
        )
    finally:
        if not kept:
            lab.down()
    print(table(verdicts))
    return int(any(verdict.problems for verdict in verdicts))


def _part(text: str) -> tuple[int, int]:
    """Number, counted from 0, and how many there are. Raises ValueError."""
    part, parts = map(int, text.split("/"))
    if not 1 <= part <= parts:
        raise ValueError(text)
    return part - 1, parts


def told(verdict: Verdict, journals: Path | None) -> None:
    """Print a verdict as it comes, and keep the evidence of a bad one."""
    print(verdict, flush=True)
    if journals and verdict.problems:
        journals.mkdir(parents=True, exist_ok=True)
        name = "-".join([verdict.direction, verdict.step, verdict.fault]).replace("/", "_").replace(" ", "-")
        lines = [str(verdict), verdict.told, *map(str, verdict.events)]
        (journals / f"{name}.txt").write_text("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())

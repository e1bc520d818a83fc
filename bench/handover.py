"""How long data takes to change hands: the tool's own way against a walk of Python's own, in ratios.

    python -m bench.handover [--files 200000] [--rounds 3] [--folder FOLDER]

Makes its own tree in a scratch folder (ClickHouse's shape: many folders with a few files each) and removes it. Needs
root. What counts is the time while nobody owns: the look at what is whose, the change of owners, and the way back. It
is told in CPU seconds, children included, so that a busy machine makes no difference; the tree is in the cache.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from fabfile.runner.actions.data import ChangeOwnership
from fabfile.runner.system.machine import Machine

FORMER, NEW = (101, 101), (999, 998)
IN_A_FOLDER = 20
Way = Callable[[Path, Path], tuple[float, float, float]]  # tree, scratch → seconds: look, hand over, undo


def main() -> None:
    """Print one table for a tree of one owner, one for a tree where every hundredth entry is root's."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="handover-") as scratch:
        tree = Path(scratch) / "data"
        entries = _grow(tree, options.files)
        for title, every in (("one owner", 0), ("mixed owners", 100)):
            print(f"\n{title}, {entries} entries, best of {options.rounds}")
            print(f"{'':<10}{'look':>9}{'hand over':>11}{'undo':>11}{'away':>9}")
            best = {name: _best(way, tree, Path(scratch), every, options.rounds) for name, way in WAYS.items()}
            for name, seconds in best.items():
                print(f"{name:<10}{_row([*seconds, seconds[0] + seconds[1]], ' s')}")
            ratios = [python / tool for python, tool in zip(*best.values(), strict=True)]
            away = [seconds[0] + seconds[1] for seconds in best.values()]
            print(f"{'ratio':<10}{_row([*ratios, away[0] / away[1]], ' x')}")


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _row(values: list[float], unit: str) -> str:
    return "".join(f"{value:>{width}.2f}{unit}" for value, width in zip(values, (7, 9, 9, 7), strict=True))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to make the tree: the file system that is to be measured")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("changing owners needs root")
    return options


def _grow(tree: Path, files: int) -> int:
    """Make the tree; returns how many entries it has."""
    folders = -(-files // IN_A_FOLDER)
    for number in range(folders):
        folder = tree / f"table{number % 20}" / f"part{number}"
        folder.mkdir(parents=True)
        for name in range(min(IN_A_FOLDER, files - number * IN_A_FOLDER)):
            (folder / f"column{name}.bin").touch()
    return sum(1 for _ in _walk(str(tree)))


def _best(way: Way, tree: Path, scratch: Path, every: int, rounds: int) -> tuple[float, float, float]:
    found = []
    for _ in range(rounds):
        for number, (entry, _) in enumerate(_walk(str(tree))):
            os.chown(entry, *((0, 0) if every and number % every == 1 else FORMER))
        found.append(way(tree, scratch))
    look, over, back = (min(seconds) for seconds in zip(*found, strict=True))
    return look, over, back


def _tool(tree: Path, scratch: Path) -> tuple[float, float, float]:
    """The action that the plans have."""
    machine = Machine(scratch / "ops")
    machine.backups.mkdir(parents=True, exist_ok=True)
    action = ChangeOwnership((str(tree),), (f"{NEW[0]}:{NEW[1]}",))
    began = _cpu()
    before = action.inspect(machine).before
    looked = _cpu()
    action.apply(machine, before)
    given = _cpu()
    action.undo(machine, before)
    return looked - began, given - looked, _cpu() - given


def _python(tree: Path, scratch: Path) -> tuple[float, float, float]:
    """What the tool did before: every entry looked at in Python, and changed if it is somebody else's."""
    began = _cpu()
    mixed = len({(status.st_uid, status.st_gid) for _, status in _walk(str(tree))}) > 1
    looked = _cpu()
    former = {entry: (status.st_uid, status.st_gid) for entry, status in _walk(str(tree))} if mixed else {}
    _change(tree, lambda entry: NEW)
    given = _cpu()
    _change(tree, lambda entry: former.get(entry, FORMER))
    return looked - began, given - looked, _cpu() - given


def _change(tree: Path, wanted: Callable[[str], tuple[int, int]]) -> None:
    for entry, status in _walk(str(tree)):
        pair = wanted(entry)
        if (status.st_uid, status.st_gid) != pair:
            os.chown(entry, *pair, follow_symlinks=False)


def _walk(path: str) -> Iterator[tuple[str, os.stat_result]]:
    yield path, os.lstat(path)
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        else:
            yield entry.path, entry.stat(follow_symlinks=False)


WAYS: dict[str, Way] = {"Python": _python, "tool": _tool}


if __name__ == "__main__":
    main()

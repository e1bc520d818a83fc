"""Measures how the time of looking at several hosts grows: `history` on 1, 4 and 16 of them.

    python -m bench.hosts [--counts 1,4,16] [--seconds 4]

All are names of one SSH server on 127.0.0.1 that stands in for the VPSs, and each look takes it `--seconds`. For each
count it prints the time, as a ratio to that of one host too, the CPU time of the tool's own processes, and that of
each host beside what so many commands would take one after the other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support import inventories, ssh_server
from tests.support.ssh_server import Server

ROOT = Path(__file__).parents[1]
SETTINGS = "MaxStartups 200\nMaxSessions 50"
SLOW = '#!/bin/sh\nsleep {seconds}\nexec {python} "$@"\n'


@dataclass(frozen=True)
class Measured:
    """One command: seconds until it ended, and seconds of CPU time that it and its processes took."""

    seconds: float
    cpu: float


def main() -> None:
    """Print a line for each count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=lambda text: [int(part) for part in text.split(",")], default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hosts-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        with ssh_server.running(folder, SETTINGS) as server:
            server.program("python3", SLOW.format(seconds=arguments.seconds, python=sys.executable))
            single = _measured(server, ["--host", "h0"], 1)
            print(f"one host by its name: {single.seconds:.1f} s, {single.cpu:.2f} s of CPU time")
            print(f"{'hosts':>5}{'time':>10}{'ratio':>8}{'CPU':>10}{'a host':>10}{'of single':>11}")
            first = None
            for count in arguments.counts:
                done = _measured(server, ["--all"], count)
                first = first or done
                share = done.cpu / count
                print(
                    f"{count:>5}{done.seconds:>8.1f} s{done.seconds / first.seconds:>6.2f} x"
                    f"{done.cpu:>8.2f} s{share:>8.2f} s{share / single.cpu:>9.2f} x"
                )


def _measured(server: Server, words: list[str], count: int) -> Measured:
    """Run `history` on so many names of the server. Raises CalledProcessError where it can't be looked at."""
    values = server.host().model_dump(mode="json", include={"address", "port", "user", "key", "known_hosts"})
    raw = inventories.changed({"hosts": {f"h{number}": values for number in range(count)}, "default_host": "h0"})
    file = server.folder / "inventory.toml"
    file.write_text(inventories.toml(raw))
    environ = {**os.environ, "ISLANDFLOW_INVENTORY": str(file), "PYTHONPATH": str(ROOT), "HOME": str(server.folder)}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke", "history", *words], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, said)
    return Measured(time.monotonic() - began, usage.ru_utime + usage.ru_stime)


if __name__ == "__main__":
    main()

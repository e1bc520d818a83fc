"""A soak after a cutover, on the VPS itself: a clean one says keep, a killed worker says go back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.system.conftest import Vps

SHORT = ("soak", "--hours", "0.01", "--json")
KILL = "kill -9 $(systemctl --user -M delta@ show -p MainPID --value islandflow-compute.service)"


def told(text: str, kind: str) -> list[dict[str, Any]]:
    """The JSON lines of a kind."""
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def started(vps: Vps, hours: str, samples: int) -> subprocess.Popen[str]:
    """A soak that is being followed, and has taken so many samples."""
    command = [str(Path(sys.executable).with_name("islandflow")), "soak", "--hours", hours, "--json"]
    following = subprocess.Popen(
        command,
        env={**os.environ, "ISLANDFLOW_INVENTORY": str(vps.lab.inventory)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert following.stdout
    for _ in range(1 + samples):
        assert following.stdout.readline()
    return following


def test_a_clean_one_says_keep_and_a_killed_worker_is_seen(vps: Vps) -> None:
    vps.good("cutover")

    out = vps.good(*SHORT)
    (said,) = told(out, "recommendation")
    assert (said["verdict"], said["ended"]) == ("keep native", "time"), said
    samples = [line["evidence"]["sample"] for line in told(out, "sample")]
    assert len(samples) > 3 and all(pulse["ok"] for sample in samples for pulse in sample["workloads"].values())
    last = samples[-1]
    assert len(last["workloads"]) == 9 and all(pulse["memory"]["held"] > 0 for pulse in last["workloads"].values())
    assert {"api-option-prints", "compute-option-prints", "candles-equity-prints"} <= set(last["durables"])
    assert all(address["requests"] > 10 and address["answers"] > 10 for address in told(out, "address"))

    following = started(vps, "0.01", samples=3)
    vps.lab.run(KILL)
    rest, _ = following.communicate(timeout=300)
    (said,) = told(rest, "recommendation")
    assert following.returncode == 1 and said["verdict"] == "go back", said
    assert said["command"] == "islandflow rollback --full", said
    assert "compute was restarted once" in said["reasons"], said
    (compute,) = [line for line in told(rest, "workload") if line["what"] == "compute"]
    assert compute["restarts"] == 1 and not compute["ok"]


def test_it_goes_on_without_anybody_and_through_a_reboot_and_ends_when_told_to(vps: Vps) -> None:
    vps.good("cutover")
    following = started(vps, "0.2", samples=1)
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=120)
    assert following.returncode == 130
    second = vps.tool("soak", "--hours", "1")
    assert second.returncode == 4 and "a soak of 0.2 h" in second.stderr, second.stderr
    assert told(vps.good("soak", "--json"), "recommendation") == [], "it goes on"

    before = len(told(vps.good("soak", "--json"), "sample"))
    vps.lab.reboot()
    deadline = time.monotonic() + 180
    while True:
        shown = vps.tool("soak", "--json")
        samples = told(shown.stdout, "sample")
        if not told(shown.stdout, "recommendation") and len(samples) > before:
            break
        assert time.monotonic() < deadline, shown.stdout + shown.stderr
        time.sleep(1)
    assert len({sample["evidence"]["sample"]["boot"] for sample in samples}) == 2

    stopped = vps.tool("soak", "--stop", "--json")
    (said,) = told(stopped.stdout, "recommendation")
    assert stopped.returncode == 1 and said["ended"] == "stopped", stopped.stdout + stopped.stderr
    assert said["verdict"] == "look first", said
    assert vps.lab.run("systemctl list-units --all 'islandflow-soak-*'").stdout.count(".service") == 0

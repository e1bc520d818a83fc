"""What an operator does at a terminal: keys are typed, and the transcript is what counts."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.terminal import Pty
from tests.system.conftest import Vps
from tests.system.test_deploy import DESK, made_of, push

MINUTES = 600.0  # seconds for a deploy, which builds an image


def at_a_terminal(vps: Vps, *words: str) -> Pty:
    """The tool on a terminal."""
    unset = ("NO_COLOR", "COLUMNS", "LINES")  # the terminal itself says how wide it is
    env = {name: value for name, value in vps.environment(TERM="xterm-256color").items() if name not in unset}
    return Pty([str(Path(sys.executable).with_name("islandflow")), *words], env)


def test_a_cutover_is_declined_and_a_deploy_is_guided(vps: Vps) -> None:
    vps.lab.run(f"sudo -u delta git clone -q --no-hardlinks /home/delta/origin.git {DESK}")
    second, plans = push(vps, "The second one"), "ls /var/lib/islandflow/ops/plans 2>/dev/null | wc -l"
    with at_a_terminal(vps) as terminal:
        terminal.expect("owner  docker")
        terminal.expect("1  hand the app from Docker to native")
        terminal.expect("A number, or Enter for none:")
        terminal.type("1\n")
        terminal.expect("edge: point to the parking lot:")
        terminal.expect("Requests wait from “edge: point to the parking lot”")
        terminal.expect("Begin? [y/N]")
        terminal.type("\n")
        assert terminal.end() == 130
    assert "it has not begun, since nobody said yes" in terminal.transcript
    assert vps.lab.run(plans).stdout.strip() == "0" and vps.served_by() == ("docker", "docker", "docker")

    with vps.nobody_turned_away(), at_a_terminal(vps, "deploy", "--no-confirm") as terminal:
        terminal.expect("Deploy what?")
        terminal.type("1\n")
        terminal.expect("To which services?")
        terminal.type("6\n")
        terminal.expect("Which of ")
        terminal.type("candles\n")
        terminal.expect(f"candles get {second[:12]} (main).")
        terminal.expect("Begin? [y/N]")
        terminal.type("y\n")
        terminal.expect("deploy  ", MINUTES)
        terminal.expect(" served, ", MINUTES)
        terminal.expect(" failed, longest wait ", MINUTES)
        terminal.expect(": done in ", MINUTES)
        assert terminal.end() == 0
    assert made_of(vps)["candles"] == second

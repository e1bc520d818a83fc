"""Deploys that somebody leaves, or that the VPS does not live through: what ran serves on, and the next one works."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fabfile.terms import Runtime
from tests.system.conftest import Vps, until
from tests.system.test_deploy import CHECKOUT, DESK, live, made_of, push, releases
from tests.system.test_reboots import ended, reached, unconfirmed, under_way
from tests.system.test_terminal import at_a_terminal

SLOW_BUILD = {
    "native": "echo 'await Bun.sleep(600_000);' >>apps/web/build.ts",
    "docker": "echo 'RUN sleep 600' >>deployment/docker/Dockerfile",
}
SLOW_START = "git checkout -q HEAD~1 -- . && sed -i '1i await Bun.sleep(600_000);' services/api/src/index.ts"
BUILDS = {"native": "[r]un build", "docker": "[s]leep 600"}


def leave(vps: Vps, when: str, condition: Callable[[], bool], answer: str, *words: str) -> tuple[int, str]:
    """A deploy at a terminal, and Ctrl-C with this answer once the condition holds; exit code and transcript."""
    with at_a_terminal(vps, "deploy", "--yes", *words) as terminal:
        until(when, condition)
        terminal.type("\x03")
        terminal.expect("[Enter] leave it running, [r] revert it:")
        terminal.type(f"{answer}\n")
        return terminal.end(), " ".join(terminal.transcript.split())


def reboot_in_the_middle(vps: Vps, before: dict[str, str], now: Callable[[Vps], dict[str, str]], runtime: str) -> None:
    """Reboot: the plan is reverted, what ran before serves, and nothing is locked."""
    vps.lab.reboot()
    ending = until("the plan is reverted", lambda: ended(vps))
    assert (ending["outcome"], ending["why"]) == ("reverted", "the plan was interrupted")
    until("it serves", lambda: vps.served_by() == (runtime,) * 3)
    assert now(vps) == before
    warned = vps.warned("status")
    assert "a plan runs" not in warned and "unfinished" not in warned
    vps.no_lot_left()


@pytest.mark.parametrize("runtime", ["native", "docker"])
def test_what_ran_serves_after_ctrl_c_and_reboots_in_build_and_restart(vps: Vps, runtime: Runtime) -> None:
    vps.lab.run(f"sudo -u delta git clone -q --no-hardlinks /home/delta/origin.git {DESK}")
    now = live if runtime == "native" else made_of
    if runtime == "native":
        vps.good("cutover")
    before = now(vps)

    # Left alone in the build, and the VPS reboots: the half-built release is gone.
    slow = push(vps, "A slow build", SLOW_BUILD[runtime])
    builds = ["pgrep", "-f", BUILDS[runtime]]
    code, said = leave(
        vps,
        "it is being built",
        lambda: vps.lab.run(builds, check=False).returncode == 0,
        "",
        *("--ref", "main", "--pieces", "web"),
    )
    assert code == 130 and "you stopped watching; the plan goes on" in said, said
    assert "a plan runs" in vps.warned("status") and vps.lab.run(builds).stdout
    reboot_in_the_middle(vps, before, now, runtime)
    assert vps.lab.run(builds, check=False).returncode != 0

    # Reverted in the hold by who began it: nobody is turned away.
    first = push(vps, "A slow start", SLOW_START)
    with vps.nobody_turned_away():
        code, said = leave(
            vps,
            "requests wait",
            reached(vps, "start", f"app: api to {first[:12]}"),
            "r",
            *("--ref", "main", "--pieces", "api"),
        )
    assert code == 1 and "was reverted: the operator asked to revert" in said and "Everything is as before" in said
    assert now(vps) == before and releases(vps)[first]["state"] != "good"

    # The VPS reboots while the API restarts.
    second = push(vps, "Just as slow")
    with under_way(vps, "deploy", "--ref", "main", "--pieces", "api") as operator:
        until("requests wait", reached(vps, "start", f"app: api to {second[:12]}"))
        operator.kill()
        reboot_in_the_middle(vps, before, now, runtime)

    # The next one works, and is not undone for a public check that was not good before it.
    good = push(vps, "Quick again", "git checkout -q HEAD~3 -- .")
    said = vps.warned("deploy", "--ref", "main", "--pieces", "candles", ISLANDFLOW_INVENTORY=unconfirmed(vps))
    assert "/ws/nowhere is live is not good before the plan" in " ".join(said.split())
    assert now(vps) == {**before, "candles": good}
    assert {name for name, release in releases(vps).items() if release["built"]} & {slow, first, second} == set()
    left = set(vps.lab.run(["ls", f"{CHECKOUT}.releases"], check=False).stdout.split())
    assert left == ({good, "live"} if runtime == "native" else left & {"live"})
    vps.good("deploy", "--ref", "main", "--pieces", "candles,api")
    assert now(vps) == {**before, "candles": good, "api": good}

"""While nobody owns, requests wait: not one fails, whichever way the plan ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fabfile.lab.demo import Quiet, public
from fabfile.runner.watch import Watcher
from tests.lab.conftest import Vps

DOCKER, NATIVE = ("docker",) * 3, ("native",) * 3
DROP_IN = "/home/delta/.config/systemd/user/islandflow-api.service.d"


@contextmanager
def nobody_turned_away(vps: Vps) -> Iterator[None]:
    """The public asks all the while, from outside, and every request is answered."""
    watcher = Watcher(public(vps.site), Quiet())
    with watcher:
        yield
    for name, felt in watcher.felt().items():
        assert felt["requests"] > 20, (name, felt)
        assert felt["failures"] == 0, (name, felt)


def nothing_left(vps: Vps) -> None:
    """No lot is open, and no unit of one listens."""
    assert vps.lab.run("ls /run/islandflow | grep park", check=False).stdout == ""
    assert "islandflow-park" not in vps.lab.run("systemctl list-units --all --type=socket").stdout


def finished(told: str) -> dict[str, Any]:
    """The evidence of the last event that a plan's JSON lines tell."""
    events = [json.loads(line) for line in told.splitlines()]
    (last,) = [event for event in events if event.get("event") == "finished"]
    evidence: dict[str, Any] = last["evidence"]
    return evidence


def test_a_cutover_and_a_rollback_turn_nobody_away(vps: Vps) -> None:
    for words, runtime in (("cutover", NATIVE), ("rollback --full", DOCKER)):
        with nobody_turned_away(vps):
            evidence = finished(vps.good(*words.split(), "--json"))
        assert vps.served_by() == runtime
        assert all(felt["failures"] == 0 for felt in evidence["felt"].values()), "the runner saw the same"
        assert evidence["held_ms"] > 0
        nothing_left(vps)


def test_a_hand_over_that_fails_lets_the_parked_through_to_the_restored_runtime(vps: Vps) -> None:
    vps.lab.run(
        f"mkdir -p {DROP_IN} && printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > {DROP_IN}/broken.conf"
    )
    before = vps.edge_files()
    with nobody_turned_away(vps):
        done = vps.tool("cutover")
    assert done.returncode == 1, done.stdout + done.stderr
    assert vps.served_by() == DOCKER
    assert vps.edge_files() == before
    nothing_left(vps)


def test_a_plan_that_is_taken_back_after_its_end_holds_the_public_again(vps: Vps) -> None:
    broken = vps.lab.folder / "broken.toml"
    text = vps.lab.inventory.read_text().replace("confirm = 120", "confirm = 6")
    broken.write_text(text.replace('"/ws/live"', '"/ws/nowhere"'))
    with nobody_turned_away(vps):
        done = vps.tool("cutover", ISLANDFLOW_INVENTORY=str(broken))
    assert done.returncode == 1, done.stdout + done.stderr
    assert vps.served_by() == DOCKER
    nothing_left(vps)


def test_past_its_limit_the_hold_ends_with_docker_serving(vps: Vps) -> None:
    """A native server that does not come up in time: the public waits for a bounded time only."""
    vps.lab.run("mkdir -p /etc/systemd/system/islandflow-nats.service.d")
    slow = "[Service]\\nExecStartPre=/bin/sleep 60\\n"
    vps.lab.run(f"printf '{slow}' > /etc/systemd/system/islandflow-nats.service.d/slow.conf")
    hasty = vps.lab.folder / "hasty.toml"
    hasty.write_text(vps.lab.inventory.read_text().replace("hold_limit = 45", "hold_limit = 15"))
    with nobody_turned_away(vps):
        done = vps.tool("cutover", ISLANDFLOW_INVENTORY=str(hasty))
    assert done.returncode == 1, done.stdout + done.stderr
    assert vps.served_by() == DOCKER
    nothing_left(vps)


def test_restarting_api_and_web_turns_nobody_away(vps: Vps) -> None:
    vps.good("cutover")
    for scope in ("api", "web"):
        with nobody_turned_away(vps):
            vps.good("app", "restart", "--scope", scope)
        assert vps.served_by() == NATIVE
        nothing_left(vps)


def test_without_a_hold_a_failed_cutover_ends_with_the_public_served_at_once(vps: Vps) -> None:
    """Containers that were stopped may come back with each other's addresses, which nginx remembers for 10 s."""
    vps.lab.run(
        f"mkdir -p {DROP_IN} && printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > {DROP_IN}/broken.conf"
    )
    unheld = vps.lab.folder / "unheld.toml"
    unheld.write_text(vps.lab.inventory.read_text().replace("hold = true", "hold = false"))
    done = vps.tool("cutover", ISLANDFLOW_INVENTORY=str(unheld))
    assert done.returncode == 1, done.stdout + done.stderr
    assert vps.served_by() == DOCKER

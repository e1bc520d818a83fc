"""While nobody owns, requests wait: not one fails, whichever way the plan ends."""

from __future__ import annotations

from tests.system.conftest import Vps

DOCKER, NATIVE = ("docker",) * 3, ("native",) * 3
DROP_IN = "/home/delta/.config/systemd/user/islandflow-api.service.d"


def test_past_its_limit_the_hold_ends_with_docker_serving(restored: Vps) -> None:
    """A native server that does not come up in time: the public waits for a bounded time only."""
    slow = restored.drop_in("/etc/systemd/system/islandflow-nats.service.d", "ExecStartPre=/bin/sleep 60")
    hasty = restored.lab.folder / "hasty.toml"
    hasty.write_text(restored.lab.inventory.read_text().replace("hold_limit = 45", "hold_limit = 15"))
    with slow, restored.nobody_turned_away():
        done = restored.tool("cutover", ISLANDFLOW_INVENTORY=str(hasty))
    assert done.returncode == 1, done.stdout + done.stderr
    assert restored.served_by() == DOCKER
    restored.no_lot_left()


def test_restarting_api_and_web_turns_nobody_away(on_native: Vps) -> None:
    for scope in ("api", "web"):
        with on_native.nobody_turned_away():
            on_native.good("app", "restart", "--scope", scope)
        assert on_native.served_by() == NATIVE
        on_native.no_lot_left()


def test_without_a_hold_a_failed_cutover_ends_with_the_public_served_at_once(restored: Vps) -> None:
    """Containers that were stopped may come back with each other's addresses, which nginx remembers for 10 s."""
    unheld = restored.lab.folder / "unheld.toml"
    unheld.write_text(restored.lab.inventory.read_text().replace("hold = true", "hold = false"))
    with restored.drop_in(DROP_IN, "ExecStart=", "ExecStart=/bin/false"):
        done = restored.tool("cutover", ISLANDFLOW_INVENTORY=str(unheld))
    assert done.returncode == 1, done.stdout + done.stderr
    assert restored.served_by() == DOCKER

"""While nobody owns, requests wait: not one fails, whichever way the plan ends."""

from __future__ import annotations

from tests.system.conftest import Vps

DOCKER, NATIVE = ("docker",) * 3, ("native",) * 3
DROP_IN = "/home/delta/.config/systemd/user/islandflow-api.service.d"


def test_past_its_limit_the_hold_ends_with_docker_serving(vps: Vps) -> None:
    """A native server that does not come up in time: the public waits for a bounded time only."""
    vps.lab.run("mkdir -p /etc/systemd/system/islandflow-nats.service.d")
    slow = "[Service]\\nExecStartPre=/bin/sleep 60\\n"
    vps.lab.run(f"printf '{slow}' > /etc/systemd/system/islandflow-nats.service.d/slow.conf")
    hasty = vps.lab.folder / "hasty.toml"
    hasty.write_text(vps.lab.inventory.read_text().replace("hold_limit = 45", "hold_limit = 15"))
    with vps.nobody_turned_away():
        done = vps.tool("cutover", ISLANDFLOW_INVENTORY=str(hasty))
    assert done.returncode == 1, done.stdout + done.stderr
    assert vps.served_by() == DOCKER
    vps.no_lot_left()


def test_restarting_api_and_web_turns_nobody_away(on_native: Vps) -> None:
    for scope in ("api", "web"):
        with on_native.nobody_turned_away():
            on_native.good("app", "restart", "--scope", scope)
        assert on_native.served_by() == NATIVE
        on_native.no_lot_left()


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

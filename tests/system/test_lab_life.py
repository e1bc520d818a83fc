"""Labs come and go: reset, reboot, a crash, two at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fabfile.errors import UsageError
from fabfile.lab.baseline import CHECKOUT
from fabfile.lab.choices import Choices
from fabfile.lab.host import LabError
from fabfile.lab.lab import Lab, labs
from tests.system.conftest import Vps

APP, MINE = "flow.deltaisland.io", "mine.example.test"


def test_reset_forgets_what_happened_and_keeps_the_way_in(vps: Vps) -> None:
    lab = vps.lab
    kept = lab.inventory.read_text(), (lab.folder / "known_hosts").read_text(), lab.ports
    lab.run("touch /root/trace /var/lib/islandflow/trace && docker rm -f islandflow-vps-web-1")
    lab.reset()
    assert lab.run("ls /root/trace /var/lib/islandflow/trace", check=False).returncode == 2
    assert vps.get(APP, "/")[0] == 200
    assert (lab.inventory.read_text(), (lab.folder / "known_hosts").read_text(), lab.ports) == kept


def test_a_reboot_over_ssh_brings_the_app_back_by_itself(vps: Vps) -> None:
    before = vps.lab.guest.init
    subprocess.run(vps.lab.ssh("sudo reboot"), capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
    deadline = time.monotonic() + 240
    while vps.lab.guest.init in (before, None) or vps.get(APP, "/")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert vps.lab.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout
    assert "Status: active" in vps.lab.run("ufw status").stdout


def test_a_checkout_of_ones_own_runs_beside_the_first_lab_and_is_handed_over_and_back(
    untouched: Vps, tmp_path: Path
) -> None:
    """The lab's app stands for it, changed a little; what the first lab has is the checkout, env files and all."""
    first = untouched.lab
    with subprocess.Popen(first.guest.enter(["tar", "-c", "-C", CHECKOUT, "."]), stdout=subprocess.PIPE) as packed:
        subprocess.run(["tar", "-x", "-C", str(tmp_path)], stdin=packed.stdout, check=True)
    page = tmp_path / "apps/web/src/page.ts"
    page.write_text(page.read_text().replace('"Islandflow"', '"My own"'))
    inventory = tmp_path / "mine.toml"
    inventory.write_text(first.inventory.read_text().replace(APP, MINE))
    own = Lab(f"test-{os.getpid()}-own")
    try:
        own.up(Choices.of(app=str(tmp_path), inventory=str(inventory)))
        mine = Vps(own)
        assert "<title>My own" in mine.get(MINE, "/")[2]
        assert set(own.ports.values()).isdisjoint(first.ports.values())
        assert {own.name, first.name} <= {lab.name for lab in labs()}
        with pytest.raises(UsageError, match=f"is up already, as: lab.up --app {tmp_path}"):
            own.up(Choices.of(cpus="0.5"))
        mine.good("cutover")
        assert "<title>My own" in mine.get(MINE, "/")[2] and mine.status()["owner"] == "native"
        assert untouched.served_by() == ("docker", "docker", "docker"), "the first one knows nothing of it"
        mine.good("rollback", "--full")
        assert "<title>My own" in mine.get(MINE, "/")[2] and mine.status()["owner"] == "docker"
        assert str(tmp_path) in mine.tool("lab.status", door="inv").stdout
    finally:
        own.down()
    assert not own.folder.exists() and not own.running
    own.down()  # nothing to do


def test_a_starved_lab_gets_no_more_than_its_share(untouched: Vps) -> None:
    """Of processor time, whatever the machine's load: two loops inside spend it, and its own clock counts it."""
    untouched.lab.guest.starve(0.2)
    try:
        loops = "for i in 1 2; do (while :; do :; done) & done; sleep 10; kill $(jobs -p); wait"
        before = time.monotonic()
        used = untouched.lab.run(["systemd-run", "--quiet", "--wait", "--pipe", "bash", "-c", f"{loops}; times"]).stdout
        seconds = time.monotonic() - before
    finally:
        untouched.lab.guest.starve(None)
    minutes, rest = used.split()[2].rstrip("s").split("m")
    assert 0 < float(minutes) * 60 + float(rest) <= 0.2 * seconds + 0.5
    with pytest.raises(LabError, match="use fewer"):
        untouched.lab.guest.starve(1e12)
    untouched.lab.guest.starve(None)


def test_a_lab_whose_supervisor_was_killed_is_down_and_comes_up_again(vps: Vps) -> None:
    supervisor = vps.lab.guest.supervisor
    assert supervisor
    vps.lab.guest.pull_plug()
    assert not vps.lab.running
    # Somebody else's process may have got the pid by now: the state file alone proves nothing.
    stale = {"pid": os.getpid(), "started": 1}
    (vps.lab.folder / "supervisor.json").write_text(json.dumps(stale))
    assert vps.lab.guest.supervisor is None
    vps.lab.up()
    assert vps.get(APP, "/")[0] == 200


def test_a_lab_whose_supervisor_died_alone_leaves_nothing_running(vps: Vps) -> None:
    supervisor, init = vps.lab.guest.supervisor, vps.lab.guest.init
    assert supervisor and init
    os.kill(supervisor, signal.SIGKILL)
    while vps.lab.running:
        time.sleep(0.05)
    vps.lab.up()
    assert not Path(f"/proc/{init}").exists()
    assert vps.lab.guest.init != init
    assert vps.get(APP, "/")[0] == 200


def test_an_unreachable_lab_is_named_by_its_tasks(untouched: Vps) -> None:
    done = untouched.tool("lab.ssh", "--name", "nowhere", door="inv")
    assert done.returncode == 2
    assert 'no lab "nowhere" is up' in done.stderr
    assert untouched.lab.name in untouched.tool("lab.status", door="inv").stdout

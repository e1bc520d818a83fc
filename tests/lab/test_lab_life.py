"""Labs come and go: reset, reboot, a crash, two at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from fabfile.lab.machine import Lab, labs
from tests.lab.conftest import Vps

APP = "flow.deltaisland.io"


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


def test_a_second_lab_runs_beside_the_first_and_is_gone_when_it_is_down(vps: Vps) -> None:
    second = Lab(f"test-{os.getpid()}-second")
    try:
        second.up()
        assert set(second.ports.values()).isdisjoint(vps.lab.ports.values())
        assert Vps(second).get(APP, "/")[0] == vps.get(APP, "/")[0] == 200
        second.run("docker stop islandflow-vps-web-1")
        assert vps.get(APP, "/")[0] == 200
        assert {second.name, vps.lab.name} <= {lab.name for lab in labs()}
    finally:
        second.down()
    assert not second.folder.exists()
    assert not second.running
    second.down()  # nothing to do


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


def test_an_unreachable_lab_is_named_by_its_tasks(vps: Vps) -> None:
    done = vps.tool("lab.ssh", "--name", "nowhere", door="inv")
    assert done.returncode == 2
    assert 'no lab "nowhere" is up' in done.stderr
    assert vps.lab.name in vps.tool("lab.status", door="inv").stdout

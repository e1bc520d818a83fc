"""Reboots, at rest and in the middle of a plan: never both runtimes, never neither without a word about it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fabfile.inventory import load
from tests.system.conftest import Vps, until

OWNER = "/var/lib/islandflow/owner"
DOCKER, NATIVE = ("docker",) * 3, ("native",) * 3


def running(vps: Vps) -> set[str]:
    """Which runtimes have anything running of the app or its servers, whoever is healthy."""
    site = load(vps.lab.inventory, {})
    system = [server.unit for server in site.servers]
    users = [service.unit for service in site.scope("full")]
    asked = [
        ("native", ["systemctl", "is-active", *system]),
        ("native", ["systemctl", "--user", "-M", f"{site.app.user}@", "is-active", *users]),
    ]
    found = {
        runtime
        for runtime, argv in asked
        if {"active", "activating"} & set(vps.lab.run(argv, check=False).stdout.split())
    }
    label = f"label=com.docker.compose.project={site.runtimes.docker.project}"
    return found | ({"docker"} if vps.lab.run(["docker", "ps", "--quiet", "--filter", label]).stdout else set())


def events(vps: Vps) -> list[dict[str, Any]]:
    """What the journals on the VPS tell, the last plan's last."""
    told = vps.lab.run("cat /var/lib/islandflow/ops/plans/*/journal.jsonl", check=False).stdout
    return [json.loads(line) for line in told.splitlines() if line.endswith("}")]


def unconfirmed(vps: Vps, confirm: float = 120.0) -> str:
    """An inventory of the lab by which a public check asks for what is not there."""
    text, path = vps.lab.inventory.read_text(), vps.lab.folder / "unconfirmed.toml"
    path.write_text(text.replace("confirm = 120", f"confirm = {confirm:g}").replace("/ws/live", "/ws/nowhere"))
    return str(path)


@contextmanager
def under_way(vps: Vps, *words: str, confirm: float = 120.0) -> Iterator[subprocess.Popen[bytes]]:
    """A command of the operator's that is never confirmed: one of its public checks asks for what is not there."""
    command = [str(Path(sys.executable).with_name("islandflow")), *words, "--yes"]
    environment = {**os.environ, "ISLANDFLOW_INVENTORY": unconfirmed(vps, confirm)}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()


def reached(vps: Vps, event: str, step: str | None) -> Callable[[], bool]:
    """Whether the plan has come to this event."""
    return lambda: any((told["kind"], told["step"]) == (event, step) for told in events(vps))


def ended(vps: Vps) -> dict[str, Any] | None:
    """How the last plan ended, once it has."""
    told = events(vps)
    return told[-1]["evidence"] if told and told[-1]["kind"] == "finished" else None


def says(vps: Vps, command: str, words: str) -> bool:
    """Whether a command on the VPS prints these words."""
    return words in vps.lab.run(command).stdout


def test_a_reboot_comes_up_with_the_owner_alone(vps: Vps) -> None:
    vps.good("cutover")
    vps.lab.reboot()
    until("native serves", lambda: vps.served_by() == NATIVE)
    assert running(vps) == {"native"}
    vps.good("rollback", "--full")
    vps.lab.reboot()
    until("Docker serves", lambda: vps.served_by() == DOCKER)
    assert running(vps) == {"docker"}


def test_without_a_readable_owner_file_nothing_native_starts_and_everything_says_so(vps: Vps) -> None:
    vps.good("cutover")
    for spoil, why, told in (
        (f"rm {OWNER}", "No such file or directory", "nobody owns the app"),
        (f"echo native >{OWNER} && chmod 000 {OWNER}", "Permission denied", "not readable by all"),
    ):
        vps.lab.run(spoil)
        vps.lab.reboot()
        assert running(vps) == set()
        # Of a process that ended before journald looked at it, it knows the unit's name, but not whose unit that is.
        ours = "_SYSTEMD_USER_UNIT=islandflow-api.service + _SYSTEMD_UNIT=islandflow-api.service"
        for unit in ("-u islandflow-redis.service", ours):
            command = f"journalctl -b --no-pager {unit}"
            # The app's user manager may begin after SSH answers.
            until(f"{unit} says {why}", functools.partial(says, vps, command, f"{OWNER}: {why}"))
        assert told in " ".join(vps.warned("status").split())
    refused = vps.tool("infra", "start")
    assert refused.returncode == 3 and "chmod 644" in refused.stderr
    vps.lab.run(["chmod", "644", OWNER])
    vps.good("infra", "start")
    vps.good("app", "start")
    until("native serves", lambda: vps.served_by() == NATIVE)


@pytest.mark.parametrize(
    ("event", "step"), [("waiting", None), ("start", "infra: start")], ids=["unconfirmed", "half-way"]
)
def test_a_reboot_in_the_middle_of_a_cutover_ends_with_docker(vps: Vps, event: str, step: str | None) -> None:
    # What starts at boot is started by the reboot, while the owner is native, and no step of the plan knows of it.
    vps.good("app", "install", "--scope", "full")
    with under_way(vps, "cutover") as operator:
        until(f"{event} {step}", reached(vps, event, step))
        operator.kill()
        vps.lab.reboot()
    ending = until("the plan is reverted", lambda: ended(vps))
    assert (ending["outcome"], ending["why"]) == ("reverted", "the plan was interrupted")
    until("Docker serves", lambda: vps.served_by() == DOCKER)
    assert running(vps) == {"docker"}
    assert vps.status()["owner"] == "docker"
    vps.good("cutover")
    assert vps.served_by() == NATIVE


def test_nobody_there_to_confirm_is_the_same_as_a_no(vps: Vps) -> None:
    """The operator's machine is gone while the runner waits for its word."""
    with under_way(vps, "cutover", confirm=15.0) as operator:
        until("the runner waits", reached(vps, "waiting", None))
        operator.kill()
        ending = until("the plan is reverted", lambda: ended(vps))
    assert (ending["outcome"], ending["why"]) == ("reverted", "nobody confirmed within 15 s")
    assert vps.served_by() == DOCKER
    assert running(vps) == {"docker"}

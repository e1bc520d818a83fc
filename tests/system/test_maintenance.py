"""Maintenance at the edge, and a plan that somebody else reverts while it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.system.conftest import Vps, until
from tests.system.test_edge import EDGE, everything

APP, API = "flow.deltaisland.io", "api.flow.deltaisland.io"
DOCKER = ("docker",) * 3


def test_users_get_a_page_until_maintenance_ends_and_the_files_come_back(restored: Vps) -> None:
    before = everything(restored)
    restored.good("edge", "maintenance", "--on", "--message", "We move house.", "--until", "23:59")

    status, headers, page = restored.get(APP, "/")
    assert (status, "We move house." in page) == (503, True)
    assert headers["retry-after"].endswith("gmt") and headers["content-type"].startswith("text/html")
    for name, path in ((APP, "/prints/"), (API, "/health")):
        status, headers, answer = restored.get(name, path)
        assert (status, json.loads(answer)["message"]) == (503, "We move house.")
    assert restored.get(APP, "/.well-known/acme-challenge/token")[0] == 404, "the app answers, as before"
    restored.lab.run(["docker", "restart", EDGE.split()[-1]])
    until("the edge is back", lambda: restored.get(APP, "/")[0] == 503)
    assert "We move house." in restored.good("status")

    refused = restored.tool("cutover")
    assert refused.returncode == 3 and "edge.maintenance --off" in refused.stderr

    restored.good("edge", "maintenance", "--off")
    assert restored.served_by() == DOCKER
    fingerprint, former = everything(restored).splitlines(), before.splitlines()
    changed = [(old.split(), new.split()) for old, new in zip(former, fingerprint, strict=True) if old != new]
    assert all(old[:4] == new[:4] and len(old) == 5 for old, new in changed), "only the files' times"


def test_a_plan_is_reverted_at_once_from_another_machine_while_it_runs(restored: Vps) -> None:
    slow = restored.drop_in("/etc/systemd/system/islandflow-nats.service.d", "ExecStartPre=/bin/sleep 40")
    command = [str(Path(sys.executable).with_name("islandflow")), "cutover", "--yes"]
    with (
        slow,
        restored.nobody_turned_away(),
        subprocess.Popen(
            command, env=restored.environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as first,
    ):
        until("native's NATS is being started", lambda: "start-pre" in shown(restored, "islandflow-nats.service"))
        second = restored.tool("revert")
        assert (second.returncode, first.wait()) == (1, 1), second.stderr
    assert "the operator asked to revert" in second.stderr
    assert restored.served_by() == DOCKER


def shown(vps: Vps, unit: str) -> str:
    """The detailed state of a unit."""
    return vps.lab.run(["systemctl", "show", "--property=SubState", unit]).stdout

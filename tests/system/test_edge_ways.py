"""NPM's own API beside the files' way, backups, and the API's own name closed, on the lab's edge."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from fabfile.lab.inventory import NPM_IDENTITY, NPM_SECRET
from tests.system.conftest import Vps
from tests.system.test_edge import DATABASE, DOCKER, ROOT, everything, make_nginx_refuse_our_block, workers

CREDENTIALS = {"NPM_IDENTITY": NPM_IDENTITY, "NPM_SECRET": NPM_SECRET}
API = "api.flow.deltaisland.io"


def state(vps: Vps) -> tuple[list[dict[str, Any]], str]:
    """The rows but for when they were changed, and the fingerprint of every file."""
    rows = json.loads(vps.lab.run(["sqlite3", "-json", DATABASE, "SELECT * FROM proxy_host"]).stdout)
    files = vps.lab.run(f"cd {ROOT}/nginx/proxy_host && sha256sum * && stat -c '%n %a %U %G' *").stdout
    return [{**row, "modified_on": "", "meta": json.loads(row["meta"])} for row in rows], files


def backups(vps: Vps) -> list[dict[str, Any]]:
    return [json.loads(line) for line in vps.good("npm", "restore", "--json").splitlines()]


def test_both_ways_end_in_the_same_rows_and_bytes_and_a_backup_leads_back(restored: Vps) -> None:
    before, third = state(restored), restored.edge_files()
    assert restored.tool("npm", "diff").returncode == 1
    restored.good("npm", "switch", "--to", "docker", "--way", "files")
    by_files = state(restored)
    assert by_files != before and restored.tool("npm", "diff").returncode == 0

    [backup] = backups(restored)
    restored.good("npm", "restore", "--backup", backup["id"])
    assert state(restored) == before

    restored.good("npm", "switch", "--to", "docker", **CREDENTIALS)
    assert state(restored) == by_files
    assert restored.served_by() == DOCKER
    assert "nothing to do" in restored.good("npm", "switch", "--to", "docker", "--way", "api", **CREDENTIALS)
    after = restored.edge_files()
    assert {key: after[key] for key in ("3", "row 3")} == {key: third[key] for key in ("3", "row 3")}
    assert len(backups(restored)) == 3
    kept = restored.lab.run(
        f"ls -A /run/islandflow/secrets; grep -rl {NPM_SECRET} /var/lib/islandflow/ops /tmp", check=False
    )
    assert kept.stdout == ""
    assert NPM_SECRET not in restored.lab.run("journalctl --no-pager").stdout


def test_what_nginx_refuses_of_npms_is_undone_although_npm_says_200(restored: Vps) -> None:
    before = everything(restored)
    make_nginx_refuse_our_block(restored)
    told = restored.tool("npm", "switch", "--to", "docker", **CREDENTIALS)
    assert told.returncode == 1, told.stdout + told.stderr
    assert "NPM has taken flow.deltaisland.io offline" in (told.stdout + told.stderr).replace("\n", " ")
    assert everything(restored) == before
    assert restored.served_by() == DOCKER


def test_a_wrong_secret_and_a_missing_code_are_refused_with_nothing_touched(restored: Vps) -> None:
    before, running = everything(restored), workers(restored)
    told = restored.tool("npm", "switch", "--to", "docker", NPM_IDENTITY=NPM_IDENTITY, NPM_SECRET="guess")
    assert told.returncode == 3 and "Invalid email or password" in told.stderr
    restored.lab.guest.write(f"{ROOT}/two-factor", b"123456\n")
    told = restored.tool("npm", "switch", "--to", "docker", **CREDENTIALS)
    assert told.returncode == 2 and "wants a two-factor code" in told.stderr
    assert (everything(restored), workers(restored)) == (before, running)
    assert typed(restored, "123456\n") == 0
    assert restored.served_by() == DOCKER and restored.tool("npm", "diff").returncode == 0


def typed(vps: Vps, text: str) -> int:
    """The exit code of a switch by the API with somebody at the terminal who types `text`."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "ISLANDFLOW_INVENTORY": str(vps.lab.inventory), **CREDENTIALS}
    os.write(ours, text.encode())
    command = [str(Path(sys.executable).with_name("islandflow")), "npm", "switch", "--to", "docker"]
    try:
        done = subprocess.run(command, stdin=theirs, capture_output=True, env=variables, timeout=400)
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode


def test_a_closed_name_stays_closed_through_a_cutover_and_opens_exactly(vps: Vps) -> None:
    vps.good("npm", "switch", "--to", "docker")
    opened = state(vps)
    vps.good("npm", "switch", "--to", "docker", "--raw-api", "closed")
    assert vps.get(API, "/health")[0] == 0
    vps.lab.run("docker restart nginx-proxy-manager", timeout=60)  # durably: NPM starts with what is on the disk
    assert vps.status()["edge"] == "docker"

    vps.good("cutover")
    assert vps.status()["edge"] == "native" and vps.get(API, "/health")[0] == 0
    vps.good("npm", "switch", "--to", "native", "--raw-api", "open", "--way", "files")
    assert vps.served_by() == ("native", "native", "native")

    vps.good("rollback", "--full")
    assert state(vps) == opened and vps.served_by() == DOCKER

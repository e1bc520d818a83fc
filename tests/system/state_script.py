"""What a plan may leave behind on the VPS. Run there as a script, standard library only; prints one JSON object.

Two states that are the same have the same traces: files, rows and firewall rules by content, units by state. The
argument, one JSON object, says where to look.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from typing import Any

COLUMNS = "id, domain_names, is_deleted, enabled, forward_scheme, forward_host, forward_port, advanced_config"
TRANSIENT = ("islandflow-execute-", "islandflow-revert-", "islandflow-recover.")  # the runner's own
UNFINISHED = ("/**/.*.islandflow-*", "/**/.*-by-islandflow*", "/**/reserve")  # what the runner makes and must remove
SEAL = "/run/islandflow/data"  # stays while native owns


def main(wanted: dict[str, Any]) -> dict[str, str]:
    found = {"owner": _owner(wanted["owner_file"])}
    for pattern in wanted["files"]:
        for path in glob.glob(pattern, recursive=True):
            if "islandflow-recover" not in path and (os.path.islink(path) or os.path.isfile(path)):
                found[path] = _content(path)
    for path in wanted["folders"]:
        status = os.lstat(path)
        found[f"{path}/"] = f"{status.st_uid}:{status.st_gid} {status.st_mode & 0o7777:o}"
    for root in wanted["roots"]:
        for pattern in UNFINISHED:
            found.update(dict.fromkeys(glob.glob(root + pattern, recursive=True), "left over"))
    running = [path for path in glob.glob("/run/islandflow/*") if path != SEAL or found["owner"] != "native"]
    found.update(dict.fromkeys(running, "left over"))
    with sqlite3.connect(f"file:{wanted['database']}?mode=ro", uri=True) as database:
        for row in database.execute(f"SELECT {COLUMNS} FROM proxy_host"):
            found[f"row {row[0]}"] = repr(row[1:])
    for manager in (["--system"], ["--user", "-M", f"{wanted['user']}@"]):
        found.update(_units(manager))
    found.update({f"mount {line.split()[4]}": "there" for line in _mounts()})
    return found


def _owner(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except FileNotFoundError:
        return "docker"  # it has been Docker's since before there was such a file


def _content(path: str) -> str:
    if os.path.islink(path):
        return f"to {os.readlink(path)}"
    status = os.lstat(path)
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()[:16]
    return f"{status.st_uid}:{status.st_gid} {status.st_mode & 0o7777:o} {digest}"


def _units(manager: list[str]) -> dict[str, str]:
    """Units of ours that systemd has in memory, and whether they start at boot."""
    shown = _systemctl(manager, "list-units", "--all")
    states = {words[0]: f"{words[1]} {words[2]}" for words in shown}
    boot = {f"{words[0]} at boot": words[1] for words in _systemctl(manager, "list-unit-files")}
    own = {**{name: state for name, state in states.items() if state != "loaded inactive"}, **boot}
    own.update({name: "left over" for name in states if name.startswith("islandflow-park-")})
    return {f"{manager[0]} {name}": state for name, state in own.items() if not name.startswith(TRANSIENT)}


def _systemctl(manager: list[str], *verb: str) -> list[list[str]]:
    argv = ["/usr/bin/systemctl", *manager, *verb, "--plain", "--no-legend", "--no-pager", "islandflow-*"]
    done = subprocess.run(argv, capture_output=True, text=True)  # 1: there is none
    return [line.split() for line in done.stdout.splitlines() if line.strip()]


def _mounts() -> list[str]:
    with open("/proc/self/mountinfo") as file:
        return [line for line in file if "islandflow" in line.split()[4]]


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))

"""The state of a VPS as far as plans change it, and where two states differ."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from fabfile.inventory import Site
from fabfile.lab.lab import Lab

ACCOUNTS = "/etc/passwd"  # system users that a plan has made stay: they change nothing
SCRIPT = Path(__file__).with_name("state_script.py")


def traces(lab: Lab, site: Site) -> dict[str, str]:
    """What plans may leave behind on the VPS, as the script finds it."""
    app, docker, edge = site.app, site.runtimes.docker, site.edge
    configured = ["/etc/islandflow", "/etc/systemd/system", app.unit_directory]
    files = ["/etc/islandflow/**", "/etc/systemd/system/**/islandflow-*", f"{app.unit_directory}/**", docker.file]
    files += [docker.overlay_file, docker.env_file, app.owner_file, ACCOUNTS, "/etc/ufw/user.rules"]
    files += [f"{edge.root}/data/nginx/proxy_host/*.conf"]
    wanted = {
        "files": files,
        "owner_file": app.owner_file,
        "folders": [server.data for server in site.servers],
        "roots": [*configured, app.data_root, f"{edge.root}/data/nginx"],
        "database": edge.database,
        "user": app.user,
    }
    source = SCRIPT.read_text()
    found: dict[str, str] = json.loads(lab.run(["/usr/bin/python3", "-I", "-c", source, json.dumps(wanted)]).stdout)
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> Iterable[str]:
    """Where two states differ, in words."""
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key) and key != ACCOUNTS:
            yield f"{key} was {before.get(key, 'not there')}, is {after.get(key, 'not there')}"

"""The edge's hosts put into a lab: rows, generated files and certificate, whatever names they are to have."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fabfile.lab.edge import seed
from fabfile.lab.guest import Guest


def plant(guest: Guest, root: str, names: Sequence[str]) -> bytes:
    """Have the edge of Compose project `root` up with the three hosts, `names` being the app's and the API's.

    Returns the authority's certificate (PEM). Whatever hosts it had are gone.
    """
    compose = f"cd {root} && docker compose"
    guest.run(f"{compose} stop")
    rows = seed.hosts(*names)
    statements = f"DELETE FROM proxy_host;\n{seed.statements(rows)}"
    guest.run(["sqlite3", "-bail", f"{root}/data/database.sqlite"], stdin=statements)
    with tempfile.TemporaryDirectory() as scratch:
        seed.write_files(Path(scratch), rows)
        authority = seed.certify(Path(scratch), names)
        guest.unpack(Path(scratch), f"{root}/data", owner="root")
    guest.run(f"{compose} up --detach")
    return authority


def names(guest: Guest, root: str) -> list[str]:
    """The app's name and the API's, as the edge has them."""
    query = "SELECT domain_names FROM proxy_host WHERE id < 3 ORDER BY id"
    output = guest.run(["sqlite3", "-readonly", f"{root}/data/database.sqlite", query]).stdout
    return [json.loads(line)[0] for line in output.splitlines()]

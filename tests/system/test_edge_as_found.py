"""Edges as people have them: locations of their own, access lists, blocks of their own, names closed without TLS."""

from __future__ import annotations

import json
from typing import Any

from fabfile.lab.edge import hostfile
from tests.system.conftest import Vps, until
from tests.system.test_edge import DATABASE, DOCKER, EDGE, ROOT, everything, set_advanced

API = "api.flow.deltaisland.io"


def set_row(vps: Vps, number: int, file: dict[str, Any] | None = None, **columns: Any) -> None:
    """Give a host other columns, and the file that NPM writes for them, or for those of `file`."""
    assignments = ", ".join(f"{name} = {value!r}" for name, value in columns.items())
    vps.lab.run(["sqlite3", DATABASE, f"UPDATE proxy_host SET {assignments} WHERE id = {number}"])
    query = f"SELECT * FROM proxy_host WHERE id = {number}"
    row = json.loads(vps.lab.run(["sqlite3", "-json", DATABASE, query]).stdout)[0]
    vps.lab.run(["tee", f"{ROOT}/nginx/proxy_host/{number}.conf"], stdin=hostfile.render({**row, **(file or {})}))
    vps.lab.run(f"{EDGE} nginx -t && {EDGE} nginx -s reload")


def test_locations_that_the_row_does_not_lead_are_refused_with_their_lines(restored: Vps) -> None:
    set_advanced(
        restored, "location = / { proxy_pass http://web:3000; }\nlocation /docs { proxy_pass http://web:3000/; }"
    )
    before = everything(restored)
    told = restored.tool("cutover")
    words = " ".join((told.stdout + told.stderr).split())
    assert told.returncode == 3, words
    assert "`location = /` (" in words and "leads to web:3000 by itself" in words
    assert "`location /docs` (" in words and "502" in words
    assert everything(restored) == before and restored.served_by()[0] == "docker"
    shown = restored.tool("npm", "status")
    assert shown.returncode == 1 and "location = /" in shown.stdout


def test_behind_an_access_list_a_switch_ends_well(restored: Vps) -> None:
    restored.lab.run(f"mkdir -p {ROOT}/access && echo 'u:{{PLAIN}}p' > {ROOT}/access/1")
    set_row(restored, 1, access_list_id=1)
    until("the access list refuses", lambda: restored.get("flow.deltaisland.io", "/")[0] == 401)  # nginx has read it
    told = restored.warned("npm", "switch", "--to", "docker")
    assert "may refuse our requests" in " ".join(told.split())
    assert restored.get("flow.deltaisland.io", "/")[0] == 401 and restored.served_by()[2] == "docker"


def test_a_name_without_tls_closes_although_npm_answers_200_for_it(restored: Vps) -> None:
    set_row(restored, 2, certificate_id=0, ssl_forced=0)
    restored.good("npm", "switch", "--to", "docker", "--raw-api", "closed")
    welcome = restored.lab.run(f"curl -s -w '%{{http_code}}' -H 'Host: {API}' 203.0.113.10").stdout
    assert "Congratulations!" in welcome and welcome.endswith("200")
    assert "nothing to do" in restored.good("npm", "switch", "--to", "docker", "--raw-api", "closed")


def test_a_disabled_host_whose_file_npm_wrote_anew_is_closed(restored: Vps) -> None:
    restored.good("npm", "switch", "--to", "docker")
    set_row(restored, 2, enabled=0)
    assert "nothing to do" in restored.good("npm", "switch", "--to", "docker")
    restored.good("npm", "switch", "--to", "docker", "--raw-api", "open")
    assert restored.served_by() == DOCKER


def test_a_file_that_lost_its_tls_is_drift(restored: Vps) -> None:
    restored.good("npm", "switch", "--to", "docker")
    set_row(restored, 1, {"certificate_id": 0, "ssl_forced": 0}, certificate_id=1)
    assert restored.tool("npm", "diff").returncode == 1
    told = restored.tool("npm", "switch", "--to", "docker")
    assert told.returncode == 3 and "does not listen on port 443" in " ".join((told.stdout + told.stderr).split())

"""The public side of a lab, from outside: there is no DNS for its names, so it is asked pinned alone."""

from __future__ import annotations

import json
from typing import Any

from tests.system.conftest import Vps

DATABASE = ["sqlite3", "/home/delta/nginx-proxy-manager/data/database.sqlite"]


def told(vps: Vps, **env: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """How `public.check` ended, and every check by its name without a port that only this lab has."""
    done = vps.tool("public", "check", "--json", **env)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    https = f":{vps.lab.ports['https']}"
    return done.returncode, {line["name"].replace(https, ""): line for line in lines if line["kind"] == "public"}


def test_routes_that_the_edge_gives_to_the_web_app_are_told_and_the_switch_fixes_them(restored: Vps) -> None:
    """The old scripts' host file knows fewer prefixes than the API has by now."""
    code, found = told(restored)
    assert code == 1
    html = {name for name, check in found.items() if not check["ok"] and "sent it to the web app" in check["text"]}
    assert {"/quotes is the API's", "/news is the API's", "POST /lookup/options-support"} <= html
    assert found["/ws/live is live"]["text"] == "upgrades and delivers"

    restored.good("npm", "switch", "--to", "docker")
    code, found = told(restored)
    assert [check["text"] for check in found.values() if not check["ok"]] == []
    assert code == 0
    assert found["POST /lookup/options-support"]["text"] == "answers 200"
    assert found["TLS of flow.deltaisland.io"]["text"].startswith("valid for ")
    ports = [check["text"] for name, check in found.items() if name.startswith("port ")]
    assert len(ports) == 2 and set(ports) == {"hangs up: nothing behind it"}
    text = " ".join(restored.tool("public", "check").stdout.split())
    assert "pinned to 127.0.0.1 alone: DNS was not asked" in text


def test_a_direct_port_that_is_open_is_told(untouched: Vps) -> None:
    serve = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=3000, bind='203.0.113.10')"
    untouched.lab.run(["systemd-run", "--quiet", "--unit=stranger", "python3", "-c", serve])
    untouched.lab.run("timeout 60 sh -c 'until curl -so /dev/null 203.0.113.10:3000; do sleep 0.1; done'")
    try:
        code, found = told(untouched)
    finally:
        untouched.lab.run(["systemctl", "stop", "stranger"])
    web = found[f"port {untouched.lab.ports['web']} (web) is closed"]
    assert code == 1 and not web["ok"] and "open to the world" in web["text"]


def test_the_raw_api_is_closed_once_its_host_is_disabled(restored: Vps) -> None:
    closed = restored.lab.folder / "closed.toml"
    closed.write_text(restored.lab.inventory.read_text().replace('raw_api = "open"', 'raw_api = "closed"'))
    name = "api.flow.deltaisland.io is closed"
    _, found = told(restored, ISLANDFLOW_INVENTORY=str(closed))
    assert not found[name]["ok"] and "answers 200 with JSON" in found[name]["text"]

    # As NPM does it: the row stays, the generated file goes.
    restored.lab.run([*DATABASE, "UPDATE proxy_host SET enabled = 0 WHERE id = 2"])
    restored.lab.run("rm /home/delta/nginx-proxy-manager/data/nginx/proxy_host/2.conf")
    restored.lab.run("docker exec nginx-proxy-manager nginx -s reload && sleep 1")
    _, found = told(restored, ISLANDFLOW_INVENTORY=str(closed))
    alert = "TLS alert unrecognized_name: the edge has no host of this name"
    assert (found[name]["ok"], found[name]["text"]) == (True, f"HTTPS: {alert}; HTTP: answers 200 without JSON")

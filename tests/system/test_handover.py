"""Cutover and rollback, end to end: over to native, checked, and back, with nothing lost and nothing else touched."""

from __future__ import annotations

import json
import time
from pathlib import Path

from fabfile.lab.inventory import NPM_SECRET
from tests.system.conftest import Vps


def test_there_and_back_with_nothing_lost(vps: Vps) -> None:
    edge = vps.edge_files()
    before = vps.counts()

    _hand_over(vps, "cutover")
    assert vps.served_by() == ("native", "native", "native")
    status = vps.status()
    assert (status["owner"], status["edge"]) == ("native", "native")
    assert all(ok == key.startswith("native/") for key, ok in status["health"].items()), status

    assert "nothing to do: all" in vps.good("cutover")

    _hand_over(vps, "rollback", "--full")
    assert vps.served_by() == ("docker", "docker", "docker")
    status = vps.status()
    assert (status["owner"], status["edge"]) == ("docker", "docker")
    assert all(ok == key.startswith("docker/") for key, ok in status["health"].items()), status

    assert "nothing to do: all" in vps.good("rollback", "--full")

    after = vps.edge_files()
    assert {key: after[key] for key in ("3", "row 3")} == {key: edge[key] for key in ("3", "row 3")}
    _nothing_lost(vps, before)
    _recorded(vps)


def _hand_over(vps: Vps, *words: str) -> None:
    """No request fails, and the runner's own record says the same."""
    with vps.nobody_turned_away():
        events = [json.loads(line) for line in vps.good(*words, "--json").splitlines()]
    (ending,) = [event["evidence"] for event in events if event.get("kind") == "finished"]
    assert all(impact["failures"] == 0 for impact in ending["impact"].values()), ending
    assert ending["held_ms"] > 0
    vps.no_lot_left()


def _recorded(vps: Vps) -> None:
    """Both plans left a record that tells what users got and what was changed, and no secret."""
    lines = [json.loads(line) for line in vps.good("record", "--json").splitlines()]
    there, back = [Path(line["html"]) for line in lines][-2:]
    for page in (there, back):
        made = json.loads(page.with_suffix(".json").read_text())
        assert (made["outcome"], made["host"]) == ("done", "islandflow-lab")
        assert made["moments"] and made["held_seconds"] > 0 and made["versions"] and len(made["checks"]) > 20
        assert any("proxy_host row 1" in diff["path"] for diff in made["diffs"]), made["diffs"]
        text = page.read_text() + page.with_suffix(".md").read_text()
        assert NPM_SECRET not in text and "OPTIONS_PROVIDER_KEY=" not in text
    units = [diff["path"] for diff in json.loads(there.with_suffix(".json").read_text())["diffs"]]
    assert "/etc/systemd/system/islandflow-nats.service" in units
    assert "Keep native as the default runtime" in vps.good("followup", "--plan", there.stem)


def _nothing_lost(vps: Vps, before: dict[str, dict[str, int]]) -> None:
    """The app numbers its messages: every number from 1 on has its row, and they go on from where they were."""
    deadline = time.monotonic() + 120
    while True:
        counts = vps.counts()
        missing = {table: c for table, c in counts.items() if c["distinct"] != c["max"] or c["min"] != 1}
        moved = all(counts[table]["max"] > before[table]["max"] for table in ("option_prints", "equity_prints"))
        if (not missing and moved) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert moved and not missing, (before, counts)


def test_dry_shows_files_rows_and_rules_and_changes_nothing(untouched: Vps) -> None:
    before = untouched.edge_files()
    told = untouched.good("cutover", "--dry")
    assert "+++ /etc/systemd/system/islandflow-nats.service (then)" in told
    assert "proxy_host row 1 (flow.deltaisland.io)" in told
    assert "ufw allow proto tcp from 172.18.0.0/16 to any port 4000" in told
    assert untouched.edge_files() == before
    assert untouched.lab.run("ls -A /var/lib/islandflow/ops /etc/islandflow", check=False).stdout == ""
    assert "nothing" not in untouched.lab.run("ufw show added").stdout
    assert untouched.served_by() == ("docker", "docker", "docker")


def test_the_override_wins_over_the_env_file(on_native: Vps) -> None:
    assert "OPTIONS_INGEST_ADAPTER=alpaca" in on_native.lab.run("cat /home/delta/islandflow/.env").stdout
    pid = "systemctl --user -M delta@ show -P MainPID islandflow-ingest-options.service"
    environment = on_native.lab.run(f"tr '\\0' '\\n' < /proc/$({pid})/environ").stdout.splitlines()
    assert "OPTIONS_INGEST_ADAPTER=synthetic" in environment


def test_bootstrap_then_cutover_then_single_scopes(vps: Vps) -> None:
    vps.good("infra", "bootstrap")
    vps.good("infra", "check")
    vps.good("cutover")
    assert vps.served_by() == ("native", "native", "native")
    assert "nothing to do" in vps.good("cutover", "--scope", "api")
    vps.good("app", "stop", "--scope", "workers")
    assert vps.tool("app", "check").returncode == 1
    vps.good("cutover", "--scope", "workers")
    vps.good("app", "restart", "--scope", "api")
    vps.good("app", "check")
    told = vps.tool("docker", "up")
    assert told.returncode == 3 and "native owns" in told.stderr


def test_a_scope_alone_is_refused_while_docker_owns(untouched: Vps) -> None:
    told = untouched.tool("cutover", "--scope", "api")
    assert told.returncode == 3
    assert "would leave the rest of the app down" in told.stderr
    assert untouched.served_by() == ("docker", "docker", "docker")


def test_fab_with_a_host_does_the_same(on_native: Vps) -> None:
    done = on_native.tool("-H", "lab", "npm.switch", "--to", "native", door="fab")
    assert done.returncode == 0 and "nothing to do" in done.stdout, done.stdout + done.stderr
    by_address = f"delta@127.0.0.1:{on_native.lab.ports['ssh']}"
    done = on_native.tool("-H", by_address, "npm.switch", "--to", "native", door="fab")
    assert done.returncode == 0 and "nothing to do" in done.stdout, done.stdout + done.stderr


def test_json_lines_are_all_that_is_printed(vps: Vps) -> None:
    for words in (["cutover", "--json"], ["cutover", "--json"], ["status", "--json"], ["history", "--json"]):
        for line in vps.good(*words).splitlines():
            json.loads(line)

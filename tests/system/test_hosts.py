"""Several hosts at once: one lab by two names, and a host that can't be reached."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from tests.support.inventories import toml
from tests.system.conftest import Vps


def inventory(vps: Vps, path: Path) -> str:
    """The lab's inventory with these hosts: a and b are the lab, gone is nobody."""
    raw: dict[str, Any] = tomllib.loads(vps.lab.inventory.read_text())
    lab = raw["hosts"]["lab"]
    raw["hosts"] = {"a": {**lab, "tags": ["here"]}, "gone": {**lab, "port": 1}, "b": {**lab, "tags": ["here"]}}
    raw["default_host"] = "a"
    path.write_text(toml(raw))
    return str(path)


def hosts(out: str) -> dict[str, int | None]:
    """The exit code of each host, from lines of --json."""
    lines = [json.loads(line) for line in out.splitlines()]
    return {line["inventory_hostname"]: line["exit_code"] for line in lines if line["kind"] == "host"}


def test_looks_reach_all_that_can_be_and_a_rolling_plan_ends_at_the_first_failure(
    on_native: Vps, tmp_path: Path
) -> None:
    def tool(*words: str) -> tuple[int, str]:
        done = on_native.tool("-i", inventory(on_native, tmp_path / "several.toml"), *words)
        return done.returncode, done.stdout

    code, out = tool("status", "--all", "--json")
    owners = {
        line["inventory_hostname"]: line["owner"] for line in map(json.loads, out.splitlines()) if "owner" in line
    }
    assert (code, hosts(out)) == (6, {"a": 0, "gone": 6, "b": 0})
    assert owners == {"a": "native", "b": "native"}

    code, out = tool("check", "static", "--tag", "here", "--json")
    assert (code, hosts(out)) == (0, {"a": 0, "b": 0})

    code, out = tool("cutover", "--tag", "here", "--yes")
    assert code == 0 and out.count("nothing to do: all") == 2, out

    code, out = tool("cutover", "--all", "--yes", "--json")
    assert (code, hosts(out)) == (6, {"a": 0, "gone": 6, "b": None})

    code, out = tool("cutover", "--all", "--yes", "--json", "--no-fail-fast")
    assert (code, hosts(out)) == (6, {"a": 0, "gone": 6, "b": 0})

"""The list of the edge's backups."""

from __future__ import annotations

import dataclasses
import json

import pytest

from fabfile.commands import backups
from fabfile.console import Console
from fabfile.runner.wire.edge import EdgeBackup, ProxyHost, SavedHost
from fabfile.runner.wire.facts import Facts


def test_backups_tell_when_by_which_plan_and_where_the_names_led(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("app.example", "api.example")
    row = ProxyHost(1, names, True, "http", "web", 3000, "", "", "{}")
    closed = dataclasses.replace(row, host="api", port=4000, enabled=False)
    hosts = {n: SavedHost(n, r, "/x", 1, "", r.enabled) for n, r in zip(names, (row, closed), strict=True)}
    facts = Facts(edge_backups=(EdgeBackup("20231114T221320-000000", "p1", 1.7e9, hosts, {}),))
    backups.show(Console(json=True), facts)
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["kind"], line["id"], line["plan"]) == ("backup", "20231114T221320-000000", "p1")
    assert line["hosts"] == ["app.example at http://web:3000", "api.example at http://api:4000 (closed)"]
    backups.show(Console(), facts)
    assert "2023-11-14 22:13:20" in capsys.readouterr().out


def test_without_any_it_says_how_one_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    backups.show(Console(), Facts())
    assert "There are none yet: inv npm.backup" in capsys.readouterr().out

"""Whatever stands in NPM's database and files, and whatever Docker says of it: facts, or a problem in words."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
from pathlib import Path
from random import Random

import pytest

from fabfile.runner.adoption.edge import edges
from fabfile.runner.edge import backup, database, server
from fabfile.runner.edge.facts import edge_facts
from fabfile.runner.edge.nginx import ParseError, parse
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.edge import SavedHost
from tests.runner.support.fake_edge import FakeEdge
from tests.support import fuzz

_COLUMNS = (
    *("id", "domain_names", "forward_host", "forward_port", "advanced_config", "enabled", "meta", "locations"),
    *("certificate_id", "forward_scheme", "modified_on", "is_deleted", "access_list_id", "ssl_forced"),
)
_CELLS = (None, 0, 1, -1, 1 << 62, 1.5, "", "x", b"", b"\xff\xfe", "[]", "{}", "[1]", '["a"', "null", '"a"', "9" * 30,
          '["flow.deltaisland.io"]', "[" * 5000, *fuzz.TEXTS[:40])  # fmt: skip
_TABLES = (
    "DROP TABLE proxy_host",
    "ALTER TABLE proxy_host RENAME TO hosts",
    "DELETE FROM proxy_host",
    "CREATE TABLE other (a); ALTER TABLE proxy_host RENAME COLUMN forward_port TO port",
    "ALTER TABLE proxy_host DROP COLUMN certificate_id",
    "ALTER TABLE proxy_host DROP COLUMN locations",
    "ALTER TABLE proxy_host DROP COLUMN is_deleted",
    "CREATE TEMP TABLE a AS SELECT * FROM proxy_host; DROP TABLE proxy_host;"
    " CREATE TABLE proxy_host AS SELECT * FROM a; UPDATE proxy_host SET id = NULL",
    "DROP TABLE proxy_host; CREATE VIEW proxy_host AS SELECT 1 AS id, 'x' AS domain_names",
)


@pytest.fixture
def edge(tmp_path: Path) -> FakeEdge:
    return FakeEdge(tmp_path)


def test_any_database_gives_facts_or_a_problem(edge: FakeEdge, tmp_path: Path) -> None:
    whole = tmp_path / "whole.sqlite"
    shutil.copy(edge.ref.database, whole)

    def act(chance: Random) -> None:
        shutil.copy(whole, edge.ref.database)
        _damage_database(chance, Path(edge.ref.database))
        _look(edge)

    fuzz.search(act, share=0.5)


def test_any_generated_file_gives_facts_or_a_problem(edge: FakeEdge) -> None:
    files = {path: path.read_bytes() for path in edge.conf.glob("*.conf")}

    def act(chance: Random) -> None:
        for path, content in files.items():
            path.write_bytes(fuzz.damaged(chance, content) if chance.random() < 0.5 else content)
        _look(edge)

    fuzz.search(act, share=0.5)


def test_any_text_is_nginx_configuration_or_is_refused(edge: FakeEdge) -> None:
    whole = (edge.conf / "1.conf").read_bytes()
    fuzz.search(lambda chance: parse(fuzz.damaged(chance, whole).decode("utf-8", "surrogateescape")), ParseError)


def test_any_word_of_docker_about_the_container_gives_facts_or_a_problem(
    edge: FakeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = edge._answer

    def act(chance: Random) -> None:
        def damaged(words: str) -> tuple[int, str, str]:
            _, out, err = answer(words)
            return chance.choice((0, 0, 0, 1)), fuzz.as_json(chance, json.loads(out)) if out else out, err

        monkeypatch.setattr(edge, "_answer", damaged)
        container = server.container(edge, edge.ref.container)
        assert decode(json.loads(json.dumps(encode(container)))) == container
        assert not database.foreign_database(edge.ref, container).startswith("\0")

    fuzz.search(act)


def test_any_backup_is_read_or_left_out(edge: FakeEdge) -> None:
    hosts = [_saved(edge)]
    folder = edge.ops / "plans/p1/backups/edge-20260101T000000-000001"
    backup.save(folder, edge.ref.database, hosts)
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    manifest = json.loads(whole[folder / "manifest.json"])

    def act(chance: Random) -> None:
        for path, content in whole.items():
            path.write_bytes(content)
        broken = chance.choice([*whole])
        if broken.name == "manifest.json":
            broken.write_text(fuzz.as_json(chance, manifest))
        else:
            broken.write_bytes(fuzz.damaged(chance, whole[broken]))
        backups = backup.read_all(edge.ops)
        assert decode(json.loads(json.dumps(encode(backups)))) == tuple(backups)
        row = database.live_rows(edge.ref.database)[0]
        for read in (
            lambda: backup.find(edge.ops, edge.ref.database, "20260101T000000-000001"),
            lambda: backup.file_from_backup(edge.ops, edge.ref.database, row, row.names[0]),
        ):
            with contextlib.suppress(StepFailed, OSError, ValueError):
                read()

    fuzz.search(act, ValueError)


def _look(edge: FakeEdge) -> None:
    """Read the edge as a survey and as `init` do, and send what was read to the operator's machine."""
    facts = edge_facts(edge, edge.ref)
    assert decode(json.loads(json.dumps(encode(facts)))) == facts
    item = {
        "Name": "/npm", "Config": {"Image": "jc21/nginx-proxy-manager"}, "State": {}, "HostConfig": {},
        "NetworkSettings": {}, "Mounts": [{"Source": str(edge.root / "data"), "Destination": "/data"}],
    }  # fmt: skip
    assert edges([item])  # type: ignore[list-item]  # a TypedDict in the test's own words


def _damage_database(chance: Random, path: Path) -> None:
    """Other values, other columns, other tables, or bytes that are no database."""
    kind = chance.random()
    if kind < 0.25:
        path.write_bytes(fuzz.damaged(chance, path.read_bytes()))
        return
    with contextlib.closing(sqlite3.connect(path)) as connection, contextlib.suppress(sqlite3.Error):
        if kind < 0.4:
            connection.executescript(chance.choice(_TABLES))
        else:
            for _ in range(chance.randint(1, 3)):
                column, cell, row = chance.choice(_COLUMNS), chance.choice(_CELLS), chance.randint(1, 3)
                # NOT NULL and the like are in the table's text, which SQLite lets nobody change otherwise.
                connection.execute("PRAGMA ignore_check_constraints = 1")
                connection.execute("DROP TABLE IF EXISTS loose")
                connection.execute("CREATE TABLE loose AS SELECT * FROM proxy_host")
                connection.execute(f"UPDATE loose SET {column} = ? WHERE id = ?", (cell, row))
                connection.execute("DROP TABLE proxy_host")
                connection.execute("ALTER TABLE loose RENAME TO proxy_host")
        connection.commit()


def _saved(edge: FakeEdge) -> SavedHost:
    row = database.live_rows(edge.ref.database)[0]
    path = edge.conf / "1.conf"
    return SavedHost(row.names[0], dataclasses.replace(row), str(path), path.stat().st_mtime_ns, "", True)

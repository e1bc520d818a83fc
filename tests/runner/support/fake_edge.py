"""An edge without Docker: a real database and real files, and a strict stand-in for the container.

The stand-in's nginx has what it last read; a reload gives it the present files and new workers. It answers
only the commands that the real one is asked, anything else is an error. What it cannot show, the lab does.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.edge import server
from fabfile.runner.edge.hostfile import own_upstream, server_block
from fabfile.runner.edge.maintenance import page
from fabfile.runner.edge.probe import ProbeRequest
from fabfile.runner.edge.routes import route_blocks
from fabfile.runner.system.machine import CommandFailed, Machine, Observation, Result
from fabfile.runner.wire.edge import EdgeRef, Upstream
from tests.runner.support.npm_shape import DOMAIN, HostShape, old_block

API_DOMAIN = f"api.{DOMAIN}"
OTHER = "other.example.test"
NETWORK = "npm-shared"

SCHEMA = """
CREATE TABLE proxy_host (
  id integer PRIMARY KEY AUTOINCREMENT, created_on datetime NOT NULL, modified_on datetime NOT NULL,
  owner_user_id integer NOT NULL, is_deleted integer NOT NULL DEFAULT 0, domain_names json NOT NULL,
  forward_host varchar(255) NOT NULL, forward_port integer NOT NULL,
  access_list_id integer NOT NULL DEFAULT 0,
  certificate_id integer NOT NULL DEFAULT 0, ssl_forced integer NOT NULL DEFAULT 0,
  caching_enabled integer NOT NULL DEFAULT 0, block_exploits integer NOT NULL DEFAULT 0,
  advanced_config text NOT NULL DEFAULT '', meta json NOT NULL,
  allow_websocket_upgrade integer NOT NULL DEFAULT 0, http2_support integer NOT NULL DEFAULT 0,
  forward_scheme varchar(255) NOT NULL DEFAULT 'http', enabled integer NOT NULL DEFAULT 1, locations json,
  hsts_enabled integer NOT NULL DEFAULT 0, hsts_subdomains integer NOT NULL DEFAULT 0,
  trust_forwarded_proto tinyint NOT NULL DEFAULT 0)
"""
_INSERT = (
    "INSERT INTO proxy_host (created_on, modified_on, owner_user_id, is_deleted, domain_names, forward_host,"
    " forward_port, advanced_config, meta, enabled, allow_websocket_upgrade)"
    " VALUES (?, ?, 1, ?, ?, ?, ?, ?, '{}', ?, 1)"
)


class FakeEdge(Machine):
    """A VPS whose edge has three proxy hosts: the app (1), its API (2) and somebody else's (3)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "ops", folder / "ops/plans/p1/backups")
        self.root = folder / "npm"
        self.conf = self.root / "data/nginx/proxy_host"
        self.conf.mkdir(parents=True)
        self.ref = EdgeRef(
            str(self.root),
            str(self.root / "data/database.sqlite"),
            "nginx-proxy-manager",
            NETWORK,
            (DOMAIN, API_DOMAIN),
        )
        self.running = True
        self.pid = 7
        self.docker = True
        self.variables = {"PATH": "/bin", "DB_MYSQL_PASSWORD": "hunter2"}  # of the container
        self.networks = {NETWORK: {"IPAddress": "172.18.0.9"}}
        self.refuses: Callable[[str], bool] = lambda text: False  # which files `nginx -t` refuses
        self.takes_reloads = True
        self.refused: dict[str, int] = {}  # domain → the status with which nginx itself answers our requests for `/`
        self.loaded: dict[str, str] = {}
        self.workers = {100: 0.0}
        self.calls: list[str] = []
        self.answers: dict[tuple[str, int], dict[str, Any]] = {}
        with self.database() as connection:
            connection.execute(SCHEMA)
        routes = old_block(("ws", "replay", "prints", "flow"), Upstream("api", 4000))
        self.add((DOMAIN,), Upstream("web", 3000), routes)
        self.add((API_DOMAIN,), Upstream("api", 4000))
        self.add((OTHER,), Upstream("other", 8080), tls=False)
        self.load()

    def database(self) -> sqlite3.Connection:
        """A connection of somebody else's to NPM's database; commits when used as a context."""
        return sqlite3.connect(self.ref.database, timeout=0.1)

    def add(
        self,
        names: tuple[str, ...],
        upstream: Upstream,
        advanced: str = "",
        tls: bool = True,
        deleted: bool = False,
    ) -> None:
        """One more proxy host, in the database and, when live, as a generated file."""
        then = "2025-01-01 00:00:00"
        values = (then, then, deleted, json.dumps(names), upstream.host, upstream.port, advanced, 1)
        with self.database() as connection:
            number = connection.execute(_INSERT, values).lastrowid
        if not deleted:
            shape = HostShape(upstream, advanced, names, tls=tls)
            (self.conf / f"{number}.conf").write_text(shape.render())

    def close(self, number: int) -> None:
        """Disable a host, as in NPM's page."""
        with self.database() as connection:
            connection.execute("UPDATE proxy_host SET enabled = 0 WHERE id = ?", (number,))
        (self.conf / f"{number}.conf").unlink()
        self.load()

    def lead_nowhere(self, number: int) -> None:
        """Close a host as the app's own script does: it leads nowhere, and its file is deleted."""
        with self.database() as connection:
            connection.execute(
                "UPDATE proxy_host SET forward_scheme = 'http', forward_host = '127.0.0.1', forward_port = 9,"
                " allow_websocket_upgrade = 0, advanced_config = '', enabled = 0 WHERE id = ?",
                (number,),
            )
        (self.conf / f"{number}.conf").unlink()
        self.restart()

    def lead_again(self, number: int, upstream: Upstream) -> None:
        """Open it again as that script does: in the database, since there is no file that it could change."""
        with self.database() as connection:
            connection.execute(
                "UPDATE proxy_host SET forward_host = ?, forward_port = ?, allow_websocket_upgrade = 1, enabled = 1"
                " WHERE id = ?",
                (upstream.host, upstream.port, number),
            )
        self.restart()

    def script(self, page: Upstream, api: Upstream, prefixes: tuple[str, ...]) -> None:
        """Point the app's name as that script does: its own block in the row, and one more in the file, indented."""
        block = old_block(prefixes, api, "(/|$)")
        with self.database() as connection:
            connection.execute(
                "UPDATE proxy_host SET forward_host = ?, forward_port = ?, advanced_config = ? WHERE id = 1",
                (page.host, page.port, block),
            )
        path = self.conf / "1.conf"
        text = re.sub(r'(?m)^(\s*set \$server\s+)".*";', rf'\g<1>"{page.host}";', path.read_text(), count=1)
        text = re.sub(r"(?m)^(\s*set \$port\s+)\d+;", rf"\g<1>{page.port};", text, count=1)
        rendered = "\n".join(f"  {line}" if line else line for line in block.splitlines()) + "\n"
        pattern = re.compile(r"^  location ~ \^/\(.*?^  }\n?", re.M | re.S)
        if pattern.search(text):
            text = pattern.sub(lambda _: rendered, text, count=1)
        else:
            text = text.replace("  location / {", f"{rendered}\n  location / {{", 1)
        path.write_text(text)
        self.restart()

    def rows(self) -> list[tuple[Any, ...]]:
        """Everything in the table."""
        return list(self.database().execute("SELECT * FROM proxy_host ORDER BY id"))

    def files(self) -> dict[str, tuple[bytes, int, int]]:
        """Name → contents, mode and modification time of everything in the folder of generated files."""
        return {
            path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
            for path in sorted(self.conf.iterdir())
        }

    def leads(self, domain: str) -> tuple[str, str]:
        """Where the running nginx sends a name's pages, and the prefixes of its first route block."""
        text = next(text for text in self.loaded.values() if f"server_name {domain}" in text.lower())
        server = server_block(text, domain)
        blocks = route_blocks(server.children or ())
        return str(own_upstream(server)), str(blocks[0].upstream) if blocks else ""

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        timeout: float = 30.0,
        stdin: bytes | None = None,
        ok: tuple[int, ...] | None = (0,),
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Result:
        """Answer as Docker and the container would. Raises AssertionError for a command never foreseen."""
        words = " ".join(argv)
        self.calls.append(words)
        code, out, err = self._answer(words)
        if ok is not None and code not in ok:
            raise CommandFailed(f"{words} ended with {code}", code=code, said=err)
        return Result(tuple(argv), code, out, err)

    def serve(self, *, upstream: Upstream, header: str = "native") -> None:
        """Let something answer at an upstream."""
        headers = {"x-islandflow-runtime": header}
        self.answers[upstream.host, upstream.port] = {"kind": "answer", "status": 200, "headers": headers}

    def _answer(self, words: str) -> tuple[int, str, str]:
        if not self.docker:
            return 1, "", "Cannot connect to the Docker daemon"
        name = self.ref.container
        if words == f"docker inspect --type container {name}":
            state = {"Running": self.running, "Status": "running" if self.running else "exited", "Pid": self.pid}
            settings = {"Env": [f"{key}={value}" for key, value in self.variables.items()]}
            found = {"State": state, "Config": settings, "NetworkSettings": {"Networks": self.networks}}
            return 0, json.dumps([found]), ""
        if words == f"docker network inspect {NETWORK}":
            config = [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
            return 0, json.dumps([{"IPAM": {"Config": config}}]), ""
        if words == f"docker exec {name} nginx -t":
            bad = any(self.refuses(path.read_text(errors="replace")) for path in self.conf.glob("*.conf"))
            return (1, "", "nginx: [emerg] test failed") if bad else (0, "", "test is successful")
        assert words == f"docker exec {name} nginx -s reload", f"nobody asks an edge `{words}`"
        if self.takes_reloads:
            self.load()
        return 0, "", ""

    def nginx(self, *words: str) -> tuple[bool, str]:
        """The container's nginx, as NPM in the same container runs it."""
        code, _, err = self._answer(" ".join(("docker exec", self.ref.container, "nginx", *words)))
        return code == 0, err

    def restart(self) -> None:
        """Have the container restart, as with Docker's daemon: its nginx reads the files as they are."""
        self.pid += 1
        self.load()

    def load(self) -> None:
        """Have nginx read the files as they are."""
        self.loaded = {path.name: path.read_text() for path in self.conf.glob("*.conf")}
        self.workers = {max(self.workers) + 1: time.time()}


def stand_in(edge: FakeEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fake where the real container's processes and sockets would be."""

    def probe(container: Any, request: ProbeRequest, timeout: float) -> list[Any]:
        silent = {"kind": "silent", "text": "no answer within 2 s"}
        answer = edge.answers.get((request.host, request.port), silent)
        return [{"text": "answers", **answer, "address": "10.1.1.1"}]

    def probe_host(
        address: str, tls: bool, domain: str, path: str, header: str, status_limit: int = 400, timeout: float = 1.0
    ) -> Observation:
        text = next(text for text in edge.loaded.values() if f"server_name {domain}" in text.lower())
        by_itself = re.search(rf"add_header {page.HEADER} (\d+) always;", text)
        if by_itself:
            wrong = server.header_problem({page.HEADER.lower(): by_itself[1]}, header)
            good = not wrong and status_limit > 503
            return Observation(good, f"{wrong or 'answers 503'}", {"status": 503})
        status = edge.refused.get(domain, 401 if "auth_basic " in text else 0)
        if status and path == "/":  # as NPM has it, in `location /` alone
            return Observation(status < status_limit, f"answers {status}", {"status": status})
        root, routes = edge.leads(domain)
        place = routes if routes and path.strip("/").split("/")[0] in ("ws", "prints") else root
        host, _, port = place.partition(":")
        answer = edge.answers.get((host, int(port)))
        if answer is None:
            return Observation(False, f"answers 502 from {place}")
        wrong = server.header_problem(answer["headers"], header)
        return Observation(not wrong, f"{wrong or 'answers 200'} from {place}", {"status": 200})

    def probe_closed_host(address: str, tls: bool, domain: str, timeout: float = 1.0) -> Observation:
        there = any(f"server_name {domain};" in text for text in edge.loaded.values())
        return Observation(not there, "is still there" if there else "is refused by the edge")

    monkeypatch.setattr(server, "probe_closed_host", probe_closed_host)
    monkeypatch.setattr(server, "workers", lambda pid: dict(edge.workers))
    monkeypatch.setattr(server, "probe", probe)
    monkeypatch.setattr(server, "probe_host", probe_host)

"""Whatever the programs of an unknown VPS print, `init` gets facts, from which it drafts an inventory or asks."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from random import Random

import pytest

from fabfile.adoption import drafting
from fabfile.adoption.drafting import Login
from fabfile.adoption.scene import Choice
from fabfile.errors import CutoverError
from fabfile.inventory import Site
from fabfile.runner.adoption import containers
from fabfile.runner.adoption.gather import adoption
from fabfile.runner.facts import environment
from fabfile.runner.system import sockets
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.adoption import AdoptionRequest
from fabfile.runner.wire.codec import decode, encode
from tests.runner.support.answers import Damaged, answers
from tests.support import fuzz, inventories

_COMPOSE = "services:\n  web:\n    env_file:\n      - .env\n      - path: other.env\n        required: false\n"
_ENV = "export A=1\nNATS_URL=nats://app:hunter2@nats # comment\nB='x'\n"


def test_any_answers_give_facts_that_can_be_drafted_from(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    place = {"runtimes.docker.directory": str(root), "runtimes.docker.file": str(root / "docker-compose.yml")}
    told = answers(inventories.site(tmp_path, place))
    request = AdoptionRequest(
        ("A", "B"), ("nats", "redis", "clickhouse"), ("nats-server.service",), str(tmp_path / "owner"), ("web.service",)
    )
    monkeypatch.setattr(containers, "http_answers", lambda address, port: {"/": "200"})
    monkeypatch.setattr(sockets, "listening_ports", lambda pid: [3000, 4000])

    def act(chance: Random) -> None:
        (root / "docker-compose.yml").write_bytes(fuzz.damaged(chance, _COMPOSE.encode()))
        (root / ".env").write_bytes(fuzz.damaged(chance, _ENV.encode()))
        (root / "package.json").write_text(fuzz.as_json(chance, {"scripts": {"start": "x"}}))
        damaged = Damaged(tmp_path / "ops", told, chance)
        monkeypatch.setattr(Machine, "run", lambda self, argv, **given: damaged.run(argv, **given))
        environment._composed.clear()
        facts = adoption(damaged, request)
        assert decode(json.loads(json.dumps(encode(facts)))) == facts
        with contextlib.suppress(CutoverError):
            draft, scene = drafting.drafted(facts, inventories.WRITTEN, Login("192.0.2.7", "delta"), Choice())
            drafting.text(drafting.settled(draft), scene, Login("192.0.2.7", "delta"))

    fuzz.search(act)

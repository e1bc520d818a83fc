"""Whatever the VPS's programs print, a survey brings facts home that the operator's machine can judge."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fabfile import survey
from fabfile.checks import parts, preflight
from fabfile.errors import CutoverError
from fabfile.inventory import Site
from fabfile.plans.plan import judge
from fabfile.runner.facts import environment
from fabfile.runner.facts.credentials import Credentials
from fabfile.runner.facts.data import clickhouse
from fabfile.runner.facts.gather import gather
from fabfile.runner.facts.nats import jetstream
from fabfile.runner.system import http
from fabfile.runner.system.machine import Machine, StepFailed
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.edge import EdgeFacts
from fabfile.runner.wire.facts import Facts, FactsRequest
from fabfile.terms import RUNTIMES, SCOPES
from tests.plans.catalogue import PLANS
from tests.runner.support.answers import Damaged, answers
from tests.support import fuzz, inventories

# Fields of a request that are read together, without those that /proc alone answers.
_GROUPS = (
    ("units",),
    ("user", "user_units", "checkout", "scripts"),
    ("trees", "accounts", "disks", "needs", "ops"),
    ("ports",),
    ("programs", "project"),
    ("project", "workloads"),
    ("project",),
    ("compose", "overlay", "comparison", "compose_view"),
    ("compose", "overlay", "settings_file", "projects"),
    ("owner_file", "env_keys", "environments"),
    ("exposed", "unit_files", "user"),
    ("firewall",),
    ("edge", "firewall"),
    ("data",),
)


@pytest.fixture
def vps(tmp_path: Path) -> Site:
    """A site whose Compose file is there, and whose env file."""
    compose, env = tmp_path / "docker-compose.yml", tmp_path / ".env"
    compose.write_text("services: {}\n")
    env.write_text("A=1\nNATS_URL=nats://app:hunter2@nats\n")
    return inventories.site(
        tmp_path, {"runtimes.docker.file": str(compose), "app.env_file": str(env), "runtimes.docker.env_file": str(env)}
    )


def test_any_answers_of_the_programs_give_facts_that_can_be_judged(
    vps: Site, tmp_path: Path, docker_serves: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, light = (
        answers(vps),
        dataclasses.replace(docker_serves, edge=EdgeFacts(problem="it is not what this is about")),
    )
    full = survey.merge(survey.docker(vps), survey.static(vps))
    full = survey.merge(full, survey.request(vps, versions=True))

    def act(chance: Random) -> None:
        damaged = Damaged(tmp_path / "ops", told, chance)
        # Some readers have a machine of their own.
        monkeypatch.setattr(Machine, "run", lambda self, argv, **given: damaged.run(argv, **given))
        environment._composed.clear()
        fields = {name for group in chance.sample(_GROUPS, chance.randint(1, 2)) for name in group}
        request = FactsRequest(**{name: getattr(full, name) for name in fields})
        facts = gather(damaged, dataclasses.replace(request, workloads=request.workloads[: chance.randint(1, 20)]))
        assert decode(json.loads(json.dumps(encode(facts)))) == facts
        judged(vps, dataclasses.replace(light, **_new(facts)), chance)

    fuzz.search(act, StepFailed)


def judged(site: Site, facts: Facts, chance: Random) -> None:
    """Judge the facts as a task does. The edge's are light: what nginx makes of a file has tests of its own."""
    preflight.findings(site, facts, chance.choice(RUNTIMES))
    parts.scope_findings(site, facts, chance.choice(SCOPES))
    with contextlib.suppress(CutoverError):
        judge(PLANS[chance.choice([*PLANS])](site, facts), facts)


def _new(facts: Facts) -> dict[str, Any]:
    """The fields that were gathered."""
    default = Facts()
    return {spec.name: value for spec in dataclasses.fields(Facts) for value in [getattr(facts, spec.name)]
            if value != getattr(default, spec.name)}  # fmt: skip


# ── Servers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


_JSZ = {
    "account_details": [
        {
            "stream_detail": [
                {
                    "name": "ALERTS",
                    "config": {"max_age": 1, "max_bytes": -1, "storage": "file"},
                    "state": {"messages": 1, "last_seq": 1},
                    "consumer_detail": [
                        {
                            "name": "a", "created": "2026-01-01T00:00:00Z", "push_bound": True, "num_waiting": 0,
                            "num_pending": 0, "num_ack_pending": 0, "num_redelivered": 0,
                            "config": {"durable_name": "a", "deliver_subject": "x"},
                            "delivered": {"stream_seq": 1, "consumer_seq": 1}, "ack_floor": {"stream_seq": 1},
                        }
                    ],
                }
            ]
        }
    ]
}  # fmt: skip


def test_any_answer_of_nats_monitoring_is_read_or_refused() -> None:
    fuzz.search(lambda chance: jetstream.parse_monitoring(fuzz.as_json(chance, _JSZ).encode()), ValueError)


@pytest.mark.parametrize("rows", [
    [["app", "prints", "MergeTree", "12", ""], ["app", "cache", "Memory", None, ""]],
    [["app", "prints", "3", 3, ["default"]]],
    [["/var/lib/clickhouse/"]],
], ids=["tables", "parts", "disks"])  # fmt: skip
def test_any_answer_of_clickhouse_is_read_or_refused(rows: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def act(chance: Random) -> None:
        body = fuzz.as_json(chance, {"meta": [], "data": rows, "rows": len(rows)}).encode()
        answer = http.Answer(chance.choice((200, 200, 200, 500, 516)), {}, body)
        monkeypatch.setattr(http, "request", lambda *place, **given: answer)
        for read in (clickhouse.tables, clickhouse.parts, clickhouse.path):
            with contextlib.suppress(clickhouse.ClickHouseError):
                read("127.0.0.1", 1, Credentials())

    fuzz.search(act)

"""What a NATS holds: what must stay of streams and durables, and what goes by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.facts.data.holding import holdings
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.app import Environment
from fabfile.runner.wire.data import DataRef, Holding, losses
from tests.runner.support.nats_server import JSON, Nats, consumer, ephemeral, stream
from tests.runner.support.servers import serving


@pytest.fixture(autouse=True)
def no_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fabfile.runner.facts.nats.jetstream.ANSWER_SECONDS", 60.0)


class Single(Nats):
    """A NATS with one stream WORK, of this configuration, with so many messages."""

    def __init__(self, messages: int, consumers: list[JSON], **config: Any) -> None:
        super().__init__({"WORK": consumers})
        self.described = stream("WORK")
        self.described["config"] = {"name": "WORK", "max_age": 0, **config}
        self.described["state"]["messages"] = messages

    def listed(self, subject: str, offset: int) -> JSON:
        answer = super().listed(subject, offset)
        return {**answer, "streams": [self.described]} if "streams" in answer else answer


def held(server: Nats, tmp_path: Path) -> Holding:
    with serving(server.talk) as port:
        ref = DataRef("nats", "native", port, "infra.nats.port", str(tmp_path), Environment("native", "/none", "/none"))
        return holdings(Machine(tmp_path), [ref])["native/nats"]


def lost(before: Nats, after: Nats, tmp_path: Path) -> list[str]:
    return losses(held(before, tmp_path), held(after, tmp_path))


@pytest.mark.parametrize(
    ("config", "consumers", "messages"),
    [
        ({"retention": "interest"}, [ephemeral()], 0),
        (
            {"retention": "interest"},
            [consumer("short", 5, config={"durable_name": "short", "inactive_threshold": 9})],
            0,
        ),
        ({"retention": "interest"}, [consumer("worker", 2)], 2),
        ({"retention": "workqueue"}, [consumer("worker", 2)], 2),
        ({"retention": "workqueue"}, [], 0),
        ({"allow_msg_ttl": True}, [], 0),
        ({"max_age": 3600 * 10**9}, [], 0),
    ],
    ids=["an ephemeral one's", "a short-lived one's", "acknowledged", "done", "nobody's", "each its own age", "age"],
)
def test_messages_that_go_by_themselves_are_not_lost(
    config: JSON, consumers: list[JSON], messages: int, tmp_path: Path
) -> None:
    assert lost(Single(5, consumers, **config), Single(messages, consumers, **config), tmp_path) == []


@pytest.mark.parametrize(
    ("config", "consumers", "messages"),
    [
        ({"retention": "limits"}, [ephemeral()], 4),
        ({}, [], 4),
        ({"retention": "interest"}, [consumer("worker", 2), consumer("slow", 4)], 3),
        ({"retention": "workqueue"}, [consumer("worker", 2)], 1),
    ],
    ids=["kept by limits", "by default", "needed by one", "work to be done"],
)
def test_messages_that_stay_until_somebody_takes_them_must_be_there(
    config: JSON, consumers: list[JSON], messages: int, tmp_path: Path
) -> None:
    (loss,) = lost(Single(5, consumers, **config), Single(messages, consumers, **config), tmp_path)
    assert loss.startswith("messages of WORK: ")


def test_the_largest_message_is_read_from_its_greeting(tmp_path: Path) -> None:
    assert held(Single(5, []), tmp_path).settings == {"max_payload": str(1 << 20)}
    large = Single(5, [])
    large.info = {"max_payload": 8 << 20}
    assert held(large, tmp_path).settings == {"max_payload": str(8 << 20)}
    odd = Single(5, [])
    odd.info = {"max_payload": "much"}
    assert held(odd, tmp_path).settings == {}


def test_a_store_that_only_its_key_opens_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "jetstream" / "$G" / "streams" / "WORK"
    folder.mkdir(parents=True)
    assert held(Single(5, []), tmp_path).unreadable == ()
    (folder / "meta.key").touch()
    assert held(Single(5, []), tmp_path).unreadable == ("its store is encrypted (jetstream.key in its configuration)",)


def durable(**config: Any) -> JSON:
    return consumer("worker", config={"durable_name": "worker", "deliver_subject": "to.worker", **config})


@pytest.mark.parametrize("config", [{"inactive_threshold": 30 * 10**9}, {"mem_storage": True}])
def test_a_durable_that_goes_by_itself_need_not_be_there(config: JSON, tmp_path: Path) -> None:
    assert lost(Single(5, [durable(**config)]), Single(5, []), tmp_path) == []
    assert lost(Single(5, [durable()]), Single(5, []), tmp_path) == ["durable WORK/worker: 19 before, nothing now"]

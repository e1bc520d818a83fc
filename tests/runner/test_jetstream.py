"""The owner's JetStream as NATS' monitoring tells it, from the runtime that owns."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner import jetstream as module
from fabfile.runner.appfacts import Consumer, StreamsRef
from fabfile.runner.jetstream import jetstream, streams_of
from fabfile.runner.streamwatch import looks

from .recorder import Recorder
from .servers import page, says, serving


def consumer(name: str = "api-alerts", pending: int = 3, **more: Any) -> dict[str, Any]:
    """A consumer as NATS 2.10 tells it, some parts left out; nobody is subscribed unless told."""
    return {
        "name": name,
        "created": "2026-01-01T00:00:00Z",
        "delivered": {"consumer_seq": 24, "stream_seq": 23, "last_active": "2026-01-01T00:00:01Z"},
        "ack_floor": {"consumer_seq": 20, "stream_seq": 19},
        "num_ack_pending": 4,
        "num_redelivered": 1,
        "num_waiting": 0,
        "num_pending": pending,
        **more,
    }


def told(*consumers: dict[str, Any], name: str = "ALERTS", last: int = 26) -> dict[str, Any]:
    """What /jsz says with streams, consumers and their configuration."""
    stream = {
        "name": name,
        "config": {"name": name, "subjects": ["alerts"], "max_age": 43_200_000_000_000, "max_bytes": 268_435_456},
        "state": {"messages": 25, "bytes": 9000, "first_seq": 2, "last_seq": last, "consumer_count": len(consumers)},
        "consumer_detail": list(consumers),
    }
    return {"account_details": [{"name": "$G", "stream_detail": [stream]}]}


def owned_by(tmp_path: Path, runtime: str, monitor: int = 1) -> StreamsRef:
    (tmp_path / "owner").write_text(runtime + "\n")
    return StreamsRef(monitor, "islandflow-vps", str(tmp_path / "owner"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr(module, "APART", 0.0)
    return Recorder(tmp_path)


def test_limits_and_positions_are_told_as_they_are() -> None:
    (stream,) = streams_of(told(consumer(push_bound=True))).values()
    assert (stream.max_age, stream.max_bytes, stream.messages, stream.last) == (43_200_000_000_000, 2**28, 25, 26)
    assert stream.consumers["api-alerts"] == Consumer(True, 3, 4, 1, 23, 24, 19, "2026-01-01T00:00:00Z")


def test_a_durable_that_nobody_is_subscribed_to_is_not_bound() -> None:
    (stream,) = streams_of(told(consumer())).values()
    assert not stream.consumers["api-alerts"].bound


@pytest.mark.parametrize("empty", [{}, {"account_details": None}, {"account_details": [{"name": "$G"}]}])
def test_no_streams_are_none(empty: dict[str, Any]) -> None:
    assert streams_of(empty) == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["account_details", "stream_detail", "consumer_detail", "name", "config", "state"]),
                inner,
            )
        ),
    )
)
def test_whatever_answers_is_read_or_refused_in_words(answer: Any) -> None:
    with contextlib.suppress(ValueError):
        streams_of(answer)


def test_what_grows_is_seen_by_two_looks(machine: Recorder, tmp_path: Path) -> None:
    answers = iter([told(consumer(pending=3)), told(consumer(pending=23), consumer("api-new", pending=9))])

    def talk(line: Any) -> None:
        line.recv(4096)
        line.sendall(page(body=json.dumps(next(answers)).encode()))

    with serving(talk) as monitor:
        found = jetstream(machine, owned_by(tmp_path, "native", monitor))
    durables = found.streams["ALERTS"].consumers
    assert (found.runtime, found.problem) == ("native", "")
    assert (durables["api-alerts"].grew, durables["api-alerts"].pending) == (20, 23)
    assert durables["api-new"].grew == 0, "it was not there before"
    assert machine.calls == [], "where native owns Docker is not asked"


def test_docker_owns_where_there_is_no_owner_file(machine: Recorder, tmp_path: Path) -> None:
    found = jetstream(machine, StreamsRef(1, "islandflow-vps", str(tmp_path / "none")))
    assert "islandflow-vps's nats does not exist" in found.problem


def test_a_container_on_no_network_is_not_taken_for_this_host(machine: Recorder, tmp_path: Path) -> None:
    item = {
        "Id": "1",
        "Name": "/x",
        "Config": {"Labels": {"com.docker.compose.service": "nats"}},
        "State": {"Status": "exited"},
        "NetworkSettings": {"Networks": {"default": {"IPAddress": ""}}},
    }
    machine.answers = {"docker ps": "1\n", "docker inspect": json.dumps([item])}
    assert "is on no network" in jetstream(machine, owned_by(tmp_path, "docker")).problem


def test_a_strange_owner_is_told(machine: Recorder, tmp_path: Path) -> None:
    assert "holds 'both'" in jetstream(machine, owned_by(tmp_path, "both")).problem


def test_a_monitoring_that_does_not_answer_is_told(machine: Recorder, tmp_path: Path) -> None:
    found = jetstream(machine, owned_by(tmp_path, "native"))
    assert found.runtime == "native" and "refused" in found.problem.lower()


def test_watching_goes_on_while_nobody_answers_and_follows_the_owner(machine: Recorder, tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("docker")
    with serving(says(page(body=json.dumps(told()).encode()))) as monitor:
        ref = StreamsRef(monitor, "islandflow-vps", str(tmp_path / "owner"))
        seen = looks(machine, ref, 60)
        at, away = next(seen)
        assert at < 30 and (away.runtime, away.streams) == ("docker", {}) and "does not exist" in away.problem
        (tmp_path / "owner").write_text("native")
        at, there = next(seen)
        assert (there.runtime, there.problem, set(there.streams)) == ("native", "", {"ALERTS"})


def test_watching_ends_when_its_time_is_over(machine: Recorder, tmp_path: Path) -> None:
    assert len(list(looks(machine, owned_by(tmp_path, "native"), 0.0001))) == 2

"""Maintenance on and off: by the files, NPM's rows as they were, the files exactly back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from fabfile.runner.actions.edge_point import MaintainEdge
from fabfile.runner.edge.change import CLOSED, OPEN
from fabfile.runner.edge.maintenance import region
from fabfile.runner.facts.gather import gather
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.edge import EdgeFacts, Maintenance
from fabfile.runner.wire.facts import FactsRequest
from tests.runner.edge.test_change import carry_out, exposed, point, serving
from tests.runner.support.fake_edge import API_DOMAIN, FakeEdge
from tests.runner.support.npm_shape import DOMAIN

ON = Maintenance(1_700_000_000, 0.0, "moving house")


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    made = serving(tmp_path, monkeypatch)
    carry_out(made, point(made))
    return made


def action(edge: FakeEdge, words: Maintenance | None) -> MaintainEdge:
    return MaintainEdge(edge.ref, words, ("ws", "prints"), 0.1)


def switch(edge: FakeEdge, words: Maintenance | None) -> dict[str, object]:
    """Inspect and apply as the engine does, through JSON; returns the snapshot."""
    shipped: MaintainEdge = decode(json.loads(json.dumps(encode(action(edge, words)))))
    look = shipped.inspect(edge)
    assert not look.noop_reason, look.noop_reason
    before: dict[str, object] = json.loads(json.dumps(look.before))
    shipped.apply(edge, before)
    return before


def facts(edge: FakeEdge) -> EdgeFacts:
    return gather(edge, FactsRequest(edge=edge.ref)).edge


def contents(edge: FakeEdge) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in edge.conf.iterdir()}


def test_rows_stay_and_files_come_back_byte_for_byte(edge: FakeEdge) -> None:
    rows, files = edge.rows(), contents(edge)
    switch(edge, ON)
    assert edge.rows() == rows and contents(edge)["3.conf"] == files["3.conf"]
    assert all(region.BEGIN in edge.loaded[name] for name in ("1.conf", "2.conf"))
    assert facts(edge).maintenance == ON
    switch(edge, None)
    assert (edge.rows(), contents(edge), facts(edge).maintenance) == (rows, files, None)


def test_facts_are_those_of_the_file_without_it(edge: FakeEdge) -> None:
    before = facts(edge)
    switch(edge, ON)
    now = facts(edge)
    assert {region.of(host) for host in now.hosts.values()} == {ON}
    plain = {name: dataclasses.replace(host, maintenance="") for name, host in now.hosts.items()}
    assert plain == before.hosts


def test_a_second_time_changes_nothing_and_other_words_do(edge: FakeEdge) -> None:
    assert "off" in action(edge, None).inspect(edge).noop_reason
    switch(edge, ON)
    assert "on" in action(edge, ON).inspect(edge).noop_reason
    other = dataclasses.replace(ON, message="soon back")
    files = contents(edge)
    before = switch(edge, other)
    assert facts(edge).maintenance == other
    action(edge, other).undo(edge, before)
    assert (contents(edge), facts(edge).maintenance) == (files, ON)


@pytest.mark.parametrize("first", [None, ON])
def test_an_undo_restores_what_was(edge: FakeEdge, first: Maintenance | None) -> None:
    if first:
        switch(edge, first)
    rows, files = edge.rows(), contents(edge)
    then = None if first else ON
    before = switch(edge, then)
    for _ in range(2):
        action(edge, then).undo(edge, before)
        assert (edge.rows(), contents(edge), facts(edge).maintenance) == (rows, files, first)
    assert all((region.BEGIN in edge.loaded[name]) == bool(first) for name in ("1.conf", "2.conf"))


def test_what_nginx_refuses_is_put_back_and_never_loaded(edge: FakeEdge) -> None:
    files = contents(edge)
    edge.refuses = lambda text: region.BEGIN in text
    look = action(edge, ON).inspect(edge)
    with pytest.raises(StepFailed, match="nginx refuses"):
        action(edge, ON).apply(edge, look.before)
    action(edge, ON).undo(edge, look.before)
    assert (contents(edge), facts(edge).maintenance) == (files, None)


def test_nothing_else_changes_the_edge_meanwhile(edge: FakeEdge) -> None:
    switch(edge, ON)
    files = contents(edge)
    with pytest.raises(StepFailed, match="maintenance is on for flow"):
        exposed(edge, CLOSED).inspect(edge)
    assert contents(edge) == files


def test_a_closed_host_stays_closed_and_opens_without_maintenance(edge: FakeEdge) -> None:
    switch(edge, ON)
    switch(edge, None)  # whose backup has the files with maintenance
    carry_out(edge, exposed(edge, CLOSED))
    switch(edge, ON)
    assert "2.conf" not in contents(edge)
    switch(edge, None)
    carry_out(edge, exposed(edge, OPEN))
    assert region.BEGIN not in (edge.conf / "2.conf").read_text()


def test_a_save_in_npm_ends_it_for_that_host_and_that_is_noticed(edge: FakeEdge) -> None:
    files = contents(edge)
    switch(edge, ON)
    (edge.conf / "1.conf").write_bytes(files["1.conf"])
    edge.load()
    now = facts(edge)
    assert (now.maintenance, region.of(now.hosts[DOMAIN]), region.of(now.hosts[API_DOMAIN])) == (ON, None, ON)
    switch(edge, ON)
    assert region.of(facts(edge).hosts[DOMAIN]) == ON
    for name in ("1.conf", "2.conf"):
        (edge.conf / name).write_bytes(files[name])
    edge.load()
    switch(edge, None)  # the note alone is left
    assert (facts(edge).maintenance, contents(edge)) == (None, files)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b'{"type": "Maintenance"}', b"\xff"])
def test_a_damaged_note_is_none(edge: FakeEdge, damage: bytes) -> None:
    switch(edge, ON)
    (edge.ops / region.NOTE).write_bytes(damage)
    assert facts(edge).maintenance is None and facts(edge).hosts[DOMAIN].maintenance
    switch(edge, None)
    assert not facts(edge).hosts[DOMAIN].maintenance

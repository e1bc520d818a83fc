"""Backups of the edge: made on demand or by a switch, listed alike, and brought back by the safe order."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from fabfile.runner.actions.edge_point import BackUpEdge, RestoreEdge
from fabfile.runner.edge import backup, database
from fabfile.runner.edge.change import CLOSED
from fabfile.runner.facts.gather import gather
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.edge import EdgeBackup, ProxyHost, Upstream
from fabfile.runner.wire.facts import FactsRequest
from tests.runner.edge.test_change import API_UPSTREAM, ROUTES, WEB, carry_out, exposed, point
from tests.runner.support.fake_edge import API_DOMAIN, OTHER, FakeEdge, stand_in
from tests.runner.support.npm_shape import DOMAIN

OLD = (Upstream("web", 3000), Upstream("api", 4000))


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    made = FakeEdge(tmp_path)
    stand_in(made, monkeypatch)
    for upstream in (WEB, API_UPSTREAM):
        made.serve(upstream=upstream)
    for upstream in OLD:
        made.serve(upstream=upstream, header="docker")
    return made


def listed(edge: FakeEdge, which: str = "all") -> list[EdgeBackup]:
    """The backups as they arrive on the operator's machine."""
    found = gather(edge, FactsRequest(edge=edge.ref, edge_backups=which)).edge_backups
    return list(decode(json.loads(json.dumps(encode(found)))))


def kept(edge: FakeEdge) -> str:
    """The identifier of a backup made now."""
    action = BackUpEdge(edge.ref)
    look = action.inspect(edge)
    assert not look.noop_reason
    return str(action.apply(edge, look.before)["backup"])


def bringing_back(edge: FakeEdge, number: str) -> RestoreEdge:
    return RestoreEdge(edge.ref, number, {DOMAIN: "/", API_DOMAIN: "/health"}, ROUTES, 0.1)


def bring_back(edge: FakeEdge, number: str) -> dict[str, object]:
    action = decode(json.loads(json.dumps(encode(bringing_back(edge, number)))))
    look = action.inspect(edge)
    assert not look.noop_reason, look.noop_reason
    before: dict[str, object] = json.loads(json.dumps(look.before))
    action.apply(edge, before)
    return before


def test_making_a_backup_changes_nothing_of_the_edge(edge: FakeEdge) -> None:
    rows, files = edge.rows(), edge.files()
    number = kept(edge)
    [backup] = listed(edge)
    assert (backup.id, backup.plan, sorted(backup.hosts)) == (number, "p1", [API_DOMAIN, DOMAIN])
    assert backup.hosts[DOMAIN].row.place == "http://web:3000"
    assert (edge.rows(), edge.files()) == (rows, files)
    assert not any(call.endswith("reload") for call in edge.calls)


def test_a_switchs_backup_is_listed_too_oldest_first(edge: FakeEdge) -> None:
    first = kept(edge)
    folder = Path(carry_out(edge, point(edge))["backup"])
    assert [backup.id for backup in listed(edge)] == [first, backup.number_of(folder)]
    assert listed(edge)[0].texts == {}
    assert listed(edge, first)[0].texts[DOMAIN] == listed(edge, backup.number_of(folder))[0].texts[DOMAIN]


def test_a_folder_that_is_no_backup_is_left_out(edge: FakeEdge) -> None:
    number = kept(edge)
    for name, text in (("edge-1", "{"), ("edge-2", '{"hosts": [{"type": "Gone"}]}'), ("edge-x", "{}")):
        folder = edge.backups / name
        folder.mkdir()
        (folder / "manifest.json").write_text(text)
    assert [backup.id for backup in listed(edge)] == [number]


def test_a_backup_brings_back_rows_and_files_of_ours_and_nothing_else(edge: FakeEdge) -> None:
    number, rows, files = kept(edge), edge.rows(), edge.files()
    carry_out(edge, point(edge))
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET forward_host = 'moved' WHERE id = 3")
        connection.execute("UPDATE proxy_host SET block_exploits = 1 WHERE id = 2")
    bring_back(edge, number)
    assert [edge.files()[name][0] for name in ("1.conf", "2.conf")] == [files[n][0] for n in ("1.conf", "2.conf")]
    assert edge.files()["3.conf"] == files["3.conf"]
    assert edge.leads(DOMAIN) == ("web:3000", "api:4000")
    changed = {
        (now[0], n) for now, was in zip(edge.rows(), rows, strict=True) for n in range(len(was)) if now[n] != was[n]
    }
    assert {number for number, column in changed if column != 2} == {2, 3}  # what others changed, besides modified_on


def test_a_restore_can_itself_be_undone(edge: FakeEdge) -> None:
    number = kept(edge)
    carry_out(edge, point(edge))
    rows, files = edge.rows(), edge.files()
    before = bring_back(edge, number)
    bringing_back(edge, number).undo(edge, before)
    assert (edge.rows(), edge.files()) == (rows, files)
    assert edge.leads(DOMAIN) == (str(WEB), str(API_UPSTREAM))


def test_restoring_the_present_state_changes_nothing(edge: FakeEdge) -> None:
    number = kept(edge)
    assert bringing_back(edge, number).inspect(edge).noop_reason


def test_a_closed_name_comes_back_closed_and_an_open_one_open(edge: FakeEdge) -> None:
    first, files = kept(edge), edge.files()
    carry_out(edge, exposed(edge, CLOSED))
    second = kept(edge)
    bring_back(edge, first)
    assert {name: content for name, (content, _, _) in edge.files().items()} == {n: c for n, (c, _, _) in files.items()}
    bring_back(edge, second)
    assert sorted(edge.files()) == ["1.conf", "3.conf"]


def test_an_upstream_that_does_not_answer_any_more_is_refused(edge: FakeEdge) -> None:
    number = kept(edge)
    carry_out(edge, point(edge))
    rows, files = edge.rows(), edge.files()
    del edge.answers[OLD[1].host, OLD[1].port]
    action = bringing_back(edge, number)
    look = action.inspect(edge)
    with pytest.raises(StepFailed, match="the edge cannot use the new upstream: api:4000"):
        action.apply(edge, look.before)
    assert (edge.rows(), edge.files()) == (rows, files)


def test_a_file_that_is_no_configuration_any_more_is_replaced(edge: FakeEdge) -> None:
    number, files = kept(edge), edge.files()
    (edge.conf / "1.conf").write_text("server {\n}}\n")
    bring_back(edge, number)
    assert edge.files()["1.conf"][0] == files["1.conf"][0]


def test_a_backed_up_file_that_does_not_fit_its_row_any_more_is_not_restored(edge: FakeEdge) -> None:
    number = kept(edge)
    (edge.conf / "1.conf").write_text("server {\n}}\n")
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET certificate_id = 7 WHERE id = 1")
    with pytest.raises(StepFailed, match="is not nginx configuration"):
        bring_back(edge, number)


def test_a_backup_that_is_not_there_is_refused(edge: FakeEdge) -> None:
    with pytest.raises(StepFailed, match=r"there is no backup 7 of the edge: `inv npm.restore` lists them"):
        bringing_back(edge, "7").inspect(edge)


def test_without_a_row_of_the_name_there_is_nothing_to_keep(edge: FakeEdge) -> None:
    edge.ref = dataclasses.replace(edge.ref, domains=(DOMAIN, "nobody.example.test"))
    with pytest.raises(StepFailed, match=f"no live proxy host has the name nobody.* {OTHER}"):
        BackUpEdge(edge.ref).inspect(edge)


def test_a_backup_from_before_brings_it_back_open_and_one_from_after_closed(edge: FakeEdge) -> None:
    def row() -> ProxyHost:
        return database.live_rows(edge.ref.database)[1]

    first = kept(edge)
    edge.lead_nowhere(2)
    last = kept(edge)
    bring_back(edge, first)
    assert row().enabled and row().websocket and "2.conf" in edge.files()
    bring_back(edge, last)
    assert row().points_nowhere and row().websocket is False and "2.conf" not in edge.files()

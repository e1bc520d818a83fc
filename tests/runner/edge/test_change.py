"""Pointing the edge: rows and files together, refusals before anything is touched, and every way back."""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.actions.edge import EdgeServes
from fabfile.runner.actions.edge_point import PointEdge
from fabfile.runner.edge import backup, database, server, verify
from fabfile.runner.edge.change import EdgeHost
from fabfile.runner.edge.database import COLUMNS
from fabfile.runner.edge.hostfile import digest
from fabfile.runner.edge.routes import managed_block
from fabfile.runner.facts.gather import gather
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.edge import Upstream, Values
from fabfile.runner.wire.facts import Facts
from tests.runner.support.fake_edge import API_DOMAIN, OTHER, FakeEdge, stand_in
from tests.runner.support.killed import killed_writing
from tests.runner.support.npm_shape import DOMAIN, HostShape, old_block

ROUTES = ("ws", "replay", "prints", "flow", "quotes")
NATIVE = "x-islandflow-runtime: native"
WEB, API_UPSTREAM = Upstream("172.18.0.1", 3000), Upstream("172.18.0.1", 4000)


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    return serving(tmp_path, monkeypatch)


def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    """An edge that leads the app's two hostnames to web and to the API."""
    made = FakeEdge(folder)
    stand_in(made, monkeypatch)
    made.serve(upstream=WEB)
    made.serve(upstream=API_UPSTREAM)
    return made


def point(edge: FakeEdge, seconds: float = 0.1) -> PointEdge:
    app = EdgeHost(DOMAIN, WEB.host, WEB.port, ROUTES, API_UPSTREAM.host, API_UPSTREAM.port, "/", NATIVE)
    api = EdgeHost(API_DOMAIN, API_UPSTREAM.host, API_UPSTREAM.port, probe_path="/health", expect_header=NATIVE)
    return PointEdge(edge.ref, (app, api), seconds)


def exposed(edge: FakeEdge, exposure: str) -> PointEdge:
    """As `point`, and the API's own name open, closed or as it is."""
    app, api = point(edge).hosts
    return PointEdge(edge.ref, (app, dataclasses.replace(api, exposure=exposure)), 0.1)


def carry_out(edge: FakeEdge, action: PointEdge) -> dict[str, Any]:
    """Look and do as the engine does, through the plan's JSON; returns what was found before."""
    action = decode(json.loads(json.dumps(encode(action))))
    look = action.inspect(edge)
    assert not look.noop_reason, look.noop_reason
    before: dict[str, Any] = json.loads(json.dumps(look.before))
    action.apply(edge, before)
    return before


def facts_of(edge: FakeEdge, action: PointEdge) -> Facts:
    """The facts as they arrive on the operator's machine."""
    found: Facts = decode(json.loads(json.dumps(encode(gather(edge, action.required_facts())))))
    return found


def test_pages_and_routes_move_together_in_database_files_and_the_running_nginx(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    assert edge.leads(DOMAIN) == (str(WEB), str(API_UPSTREAM))
    assert edge.leads(API_DOMAIN) == (str(API_UPSTREAM), "")
    [app, api] = database.live_rows(edge.ref.database)[:2]
    assert (app.host, app.port, app.advanced) == (WEB.host, WEB.port, managed_block(ROUTES, API_UPSTREAM))
    assert (api.host, api.port, api.advanced) == (API_UPSTREAM.host, API_UPSTREAM.port, "")
    assert app.modified_on > "2025-01-01 00:00:00"
    for row, upstream in ((app, WEB), (api, API_UPSTREAM)):
        text = (edge.conf / f"{row.id}.conf").read_text()
        assert text == HostShape(upstream, row.advanced, row.names).render()


def test_a_second_switch_is_a_noop_on_either_machine(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    assert "172.18.0.1:3000" in point(edge).inspect(edge).noop_reason
    assert point(edge).noop_reason(facts_of(edge, point(edge))) == point(edge).inspect(edge).noop_reason


def test_the_diffs_are_known_beforehand_and_change_nothing(edge: FakeEdge) -> None:
    rows, files = edge.rows(), edge.files()
    facts = facts_of(edge, point(edge))
    titles = [title for change in point(edge).changes(facts) for title, _, _ in change.diffs()]
    assert titles == [
        f"proxy_host row 1 ({DOMAIN})",
        str(edge.conf / "1.conf"),
        f"proxy_host row 2 ({API_DOMAIN})",
        str(edge.conf / "2.conf"),
    ]
    assert (edge.rows(), edge.files()) == (rows, files)


def test_no_other_host_changes_in_row_or_file(edge: FakeEdge) -> None:
    edge.add(("gone.example.test", DOMAIN), Upstream("old", 1), deleted=True)
    rows, files = edge.rows(), edge.files()
    carry_out(edge, point(edge))
    assert edge.rows()[2:] == rows[2:]
    assert edge.files()["3.conf"] == files["3.conf"]
    assert sorted(edge.files()) == sorted(files), "nothing is left beside the files"


def test_only_our_columns_of_our_rows_change(edge: FakeEdge) -> None:
    names = [column[0] for column in edge.database().execute("SELECT * FROM proxy_host").description]
    rows = edge.rows()
    carry_out(edge, point(edge))
    changed = {
        name
        for old, new in zip(rows, edge.rows(), strict=True)
        for name, was, now in zip(names, old, new, strict=True)
        if was != now
    }
    assert changed == {"forward_host", "advanced_config", "modified_on"}


def test_mode_and_owner_of_a_file_stay(edge: FakeEdge) -> None:
    path = edge.conf / "1.conf"
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    former = path.stat()
    carry_out(edge, point(edge))
    now = path.stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (former.st_mode, former.st_uid, former.st_gid)
    assert now.st_ino != former.st_ino, "renamed over, never written in place"


def test_a_file_newer_than_the_running_nginx_is_no_noop(edge: FakeEdge) -> None:
    before = carry_out(edge, point(edge))
    edge.workers = {min(edge.workers): 1.0}
    rows = edge.rows()
    look = point(edge).inspect(edge)
    assert not look.noop_reason
    point(edge).apply(edge, look.before)
    assert edge.rows() == rows, "there was only nginx to be told"
    assert before["backup"] != look.before["backup"]


def test_restoring_brings_back_every_byte(edge: FakeEdge) -> None:
    rows, files = edge.rows(), edge.files()
    before = carry_out(edge, point(edge))
    assert edge.files() != files
    evidence = point(edge).undo(edge, before)
    put_back = evidence["put_back"]
    assert isinstance(put_back, list) and len(put_back) == 4
    assert (edge.rows(), edge.files()) == (rows, files)
    assert edge.leads(DOMAIN) == ("web:3000", "api:4000")
    reloads = edge.calls.count("docker exec nginx-proxy-manager nginx -s reload")
    assert point(edge).undo(edge, before) == {"why": "nothing had been changed"}
    assert edge.calls.count("docker exec nginx-proxy-manager nginx -s reload") == reloads


def test_restoring_keeps_what_others_changed_meanwhile(edge: FakeEdge) -> None:
    before = carry_out(edge, point(edge))
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET block_exploits = 1 WHERE id = 1")
        connection.execute("UPDATE proxy_host SET forward_host = 'moved' WHERE id = 3")
    path = edge.conf / "1.conf"
    path.write_text(path.read_text().replace("http2 on;", "http2 off;"))
    point(edge).undo(edge, before)
    text = path.read_text()
    assert "http2 off;" in text
    assert text == (edge.loaded["1.conf"])
    assert edge.leads(DOMAIN) == ("web:3000", "api:4000")
    found = edge.database().execute("SELECT block_exploits FROM proxy_host WHERE id = 1").fetchone()
    assert found == (1,)
    assert edge.database().execute("SELECT forward_host FROM proxy_host WHERE id = 3").fetchone() == ("moved",)


def test_the_backup_is_a_whole_database_and_both_files(edge: FakeEdge) -> None:
    rows, files = edge.rows(), edge.files()
    folder = Path(carry_out(edge, point(edge))["backup"])
    copy = sqlite3.connect(folder / "database.sqlite")
    assert list(copy.execute("SELECT * FROM proxy_host ORDER BY id")) == rows
    assert [(folder / f"{n}.conf").read_bytes() for n in (1, 2)] == [files[f"{n}.conf"][0] for n in (1, 2)]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir() if path.suffix != ".sqlite")


# Refused before anything is touched


def refusal(edge: FakeEdge, action: PointEdge) -> str:
    """Why the switch is refused; asserts that nothing was touched by the attempt."""
    rows, files = edge.rows(), edge.files()
    with pytest.raises(StepFailed) as caught:
        carry_out(edge, action)
    assert (edge.rows(), edge.files()) == (rows, files)
    assert not any(call.endswith("reload") for call in edge.calls)
    return str(caught.value)


def refusal_after_a_switch(edge: FakeEdge) -> str:
    """As `refusal`, where nginx has been reloaded before."""
    edge.calls.clear()
    return refusal(edge, point(edge))


def test_a_config_test_that_already_fails_is_refused(edge: FakeEdge) -> None:
    edge.refuses = lambda text: OTHER in text
    assert "nginx -t already fails" in refusal(edge, point(edge))


def test_no_row_of_the_name_is_refused_naming_what_was_found(edge: FakeEdge) -> None:
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET is_deleted = 1 WHERE id = 1")
    words = refusal(edge, point(edge))
    assert f"no live proxy host has the name {DOMAIN} (names in the database: {API_DOMAIN}, {OTHER})" in words


def test_two_live_rows_are_refused_naming_both(edge: FakeEdge) -> None:
    edge.add(("x.example.test", DOMAIN), Upstream("twin", 1))
    words = refusal(edge, point(edge))
    assert f"2 live proxy hosts have the name {DOMAIN}: 1 ({DOMAIN} to http://web:3000), 4 (x." in words


def test_upper_case_names_are_the_same_names(edge: FakeEdge) -> None:
    """NPM keeps them as they were typed; nginx and DNS know no case."""
    with edge.database() as connection:
        connection.execute(
            "UPDATE proxy_host SET domain_names = ? WHERE id = 1", (json.dumps(["Flow.DeltaIsland.io"]),)
        )
    path = edge.conf / "1.conf"
    path.write_text(path.read_text().replace(DOMAIN, "Flow.DeltaIsland.io"))
    edge.load()
    carry_out(edge, point(edge))
    assert edge.leads(DOMAIN) == (str(WEB), str(API_UPSTREAM))
    edge.calls.clear()
    edge.add((DOMAIN,), Upstream("twin", 1))
    assert f"2 live proxy hosts have the name {DOMAIN}" in refusal(edge, point(edge))


def test_a_disabled_host_is_refused(edge: FakeEdge) -> None:
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET enabled = 0 WHERE id = 2")
    assert f"proxy host 2 ({API_DOMAIN}) is disabled" in refusal(edge, point(edge))


def test_one_proxy_host_with_both_names_is_refused(edge: FakeEdge) -> None:
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET is_deleted = 1 WHERE id = 2")
        both = json.dumps([DOMAIN, API_DOMAIN])
        connection.execute("UPDATE proxy_host SET domain_names = ? WHERE id = 1", (both,))
    path = edge.conf / "1.conf"
    path.write_text(path.read_text().replace(f"server_name {DOMAIN}", f"server_name {DOMAIN} {API_DOMAIN}"))
    assert f"proxy host 1 has both {DOMAIN} and {API_DOMAIN}" in refusal(edge, point(edge))


def test_all_findings_come_at_once(edge: FakeEdge) -> None:
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET enabled = 0 WHERE id IN (1, 2)")
    edge.refuses = lambda text: True
    words = refusal(edge, point(edge))
    assert "nginx -t" in words and "host 1 " in words and "host 2 " in words


def test_a_missing_file_that_no_backup_has_is_refused_naming_the_way_that_works(edge: FakeEdge) -> None:
    (edge.conf / "2.conf").unlink()
    words = refusal(edge, point(edge))
    assert f"{API_DOMAIN}: its generated file is missing, and no backup on this VPS has it: with `--way api`" in words


def test_drift_of_the_advanced_config_is_named_and_fixed_as_the_database_says(edge: FakeEdge) -> None:
    rows, files = edge.rows(), edge.files()
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET advanced_config = 'a b;' WHERE id = 1")
    facts = facts_of(edge, point(edge))
    assert "advanced_config differs" in facts.edge.hosts[DOMAIN].drift[0]
    before = carry_out(edge, point(edge))
    advanced = f"a b;\n{managed_block(ROUTES, API_UPSTREAM)}"
    assert (edge.conf / "1.conf").read_text() == HostShape(WEB, advanced, (DOMAIN,)).render()
    assert facts_of(edge, point(edge)).edge.hosts[DOMAIN].drift == ()
    point(edge).undo(edge, before)
    assert edge.files() == files
    assert edge.rows()[1:] == rows[1:]


@pytest.mark.parametrize("times", [1, 2])
def test_a_block_of_the_apps_own_script_is_understood(edge: FakeEdge, times: int) -> None:
    """It puts a second block behind ours, which nginx never comes to: pages move, and the API's routes stay."""
    carry_out(edge, point(edge))
    for _ in range(times):
        edge.script(Upstream("web", 3000), Upstream("api", 4000), ROUTES)
    fact = facts_of(edge, point(edge)).edge.hosts[DOMAIN]
    assert (str(fact.upstream), str(fact.route_upstream)) == ("web:3000", str(API_UPSTREAM)) and fact.drift
    carry_out(edge, point(edge))
    assert edge.leads(DOMAIN) == (str(WEB), str(API_UPSTREAM))
    block = managed_block(ROUTES, API_UPSTREAM)
    assert (edge.conf / "1.conf").read_text() == HostShape(WEB, block, (DOMAIN,)).render()
    assert database.live_rows(edge.ref.database)[0].advanced == block


def test_drift_behind_custom_locations_cannot_be_fixed_by_files(edge: FakeEdge) -> None:
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET advanced_config = 'a b;', locations = '[{}]' WHERE id = 1")
    assert "advanced_config differs" in refusal(edge, point(edge))


def test_a_file_that_a_backup_has_is_made_again(edge: FakeEdge) -> None:
    before = carry_out(edge, point(edge))
    (edge.conf / "2.conf").unlink()
    facts = facts_of(edge, point(edge))
    assert "its file is missing" in facts.edge.hosts[API_DOMAIN].drift[0]
    carry_out(edge, point(edge))
    assert (edge.conf / "2.conf").read_text() == HostShape(API_UPSTREAM, "", (API_DOMAIN,)).render()
    assert before["hosts"][API_DOMAIN]["file_becomes"] == digest((edge.conf / "2.conf").read_text())


def test_what_a_kept_file_depends_on_must_not_have_changed_since(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    (edge.conf / "2.conf").unlink()
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET certificate_id = 9 WHERE id = 2")
    assert f"{API_DOMAIN}: certificate_id changed since its file was backed up" in refusal_after_a_switch(edge)


def test_drift_of_the_own_upstream_alone_is_named_and_fixed(edge: FakeEdge) -> None:
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET forward_port = 3001 WHERE id = 1")
    facts = facts_of(edge, point(edge))
    assert "http://web:3001, the file to web:3000" in facts.edge.hosts[DOMAIN].drift[0]
    before = carry_out(edge, point(edge))
    assert facts_of(edge, point(edge)).edge.hosts[DOMAIN].drift == ()
    point(edge).undo(edge, before)
    assert facts_of(edge, point(edge)).edge.hosts[DOMAIN].drift == facts.edge.hosts[DOMAIN].drift


def test_a_stopped_container_is_refused(edge: FakeEdge) -> None:
    edge.running = False
    assert "container nginx-proxy-manager is exited" in refusal(edge, point(edge))


def test_a_container_outside_of_the_network_is_refused(edge: FakeEdge) -> None:
    edge.networks = {"bridge": {"IPAddress": "172.17.0.2"}}
    assert "container nginx-proxy-manager is not on the network npm-shared" in refusal(edge, point(edge))


def test_a_silent_upstream_is_refused_with_the_rule_that_opens_the_firewall(edge: FakeEdge) -> None:
    del edge.answers[API_UPSTREAM.host, API_UPSTREAM.port]
    words = refusal(edge, point(edge))
    assert "172.18.0.1:4000/ws (10.1.1.1) no answer within 2 s" in words
    assert "add: ufw allow proto tcp from 172.18.0.0/16 to any port 4000 comment" in words
    assert "port 3000" not in words


def test_an_upstream_of_the_other_runtime_is_refused(edge: FakeEdge) -> None:
    edge.serve(upstream=API_UPSTREAM, header="docker")
    assert "x-islandflow-runtime is 'docker' instead of 'native'" in refusal(edge, point(edge))


def test_an_upstream_that_answers_with_an_error_is_refused(edge: FakeEdge) -> None:
    edge.answers[WEB.host, WEB.port]["status"] = 503
    assert "172.18.0.1:3000/ (10.1.1.1) answers 503" in refusal(edge, point(edge))


def test_a_parking_place_is_asked_for_a_mere_connection(edge: FakeEdge) -> None:
    lot = [Upstream("172.18.0.1", 13000), Upstream("172.18.0.1", 14000)]
    for upstream in lot:
        edge.answers[upstream.host, upstream.port] = {"kind": "open"}
    app = EdgeHost(DOMAIN, lot[0].host, lot[0].port, ROUTES, lot[1].host, lot[1].port, probe_path="")
    api = EdgeHost(API_DOMAIN, lot[1].host, lot[1].port, probe_path="")
    carry_out(edge, PointEdge(edge.ref, (app, api), 0.1))
    assert edge.leads(DOMAIN) == (str(lot[0]), str(lot[1]))


# Failures on the way


class Killed(BaseException):
    """The runner's end, as far as the code under it can tell."""


def test_files_that_nginx_refuses_are_restored_and_never_loaded(edge: FakeEdge) -> None:
    rows, files = edge.rows(), edge.files()
    edge.refuses = lambda text: str(WEB.host) in text
    action = point(edge)
    look = action.inspect(edge)
    with pytest.raises(StepFailed, match="nginx refuses the new files"):
        action.apply(edge, look.before)
    assert (edge.rows(), edge.files()) == (rows, files)
    assert action.undo(edge, look.before) == {"why": "nothing had been changed"}
    assert not any(call.endswith("reload") for call in edge.calls), "the running nginx never noticed"


def test_an_edge_that_restarts_amid_the_test_reloads_the_old_files(edge: FakeEdge) -> None:
    """Docker's daemon restarts: the test's command is lost, and nginx starts with files that are then put back."""
    before, rows = edge.leads(DOMAIN), edge.rows()
    action = point(edge)
    look = action.inspect(edge)

    def lost(text: str) -> bool:
        if edge.pid == 7:
            edge.restart()
        return str(WEB.host) in text

    edge.refuses = lost
    with pytest.raises(StepFailed, match="restarted meanwhile"):
        action.apply(edge, look.before)
    assert edge.rows() == rows and edge.leads(DOMAIN) != before
    edge.refuses = lambda text: False
    action.undo(edge, look.before)
    assert edge.leads(DOMAIN) == before


def test_a_locked_database_ends_the_switch_in_bounded_time(edge: FakeEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.2)
    rows, files = edge.rows(), edge.files()
    action = point(edge)
    look = action.inspect(edge)
    writer = edge.database()
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StepFailed, match="database is locked"):
        action.apply(edge, look.before)
    assert action.undo(edge, look.before) == {"why": "nothing had been changed"}, "no need to write"
    writer.rollback()
    assert (edge.rows(), edge.files()) == (rows, files)


def test_a_backup_of_a_locked_database_ends_in_bounded_time(
    edge: FakeEdge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.2)
    writer = edge.database()
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StepFailed, match="locked"):
        database.back_up(edge.ref.database, tmp_path / "copy.sqlite")
    writer.rollback()


def test_a_row_changed_since_it_was_looked_at_is_left_alone(edge: FakeEdge) -> None:
    action = point(edge)
    look = action.inspect(edge)
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET forward_host = 'moved' WHERE id = 1")
    with pytest.raises(StepFailed, match=f"{DOMAIN} was changed by somebody else"):
        action.apply(edge, look.before)
    assert edge.rows()[0][6] == "moved"


def test_a_row_changed_in_the_last_moment_rolls_the_transaction_back(edge: FakeEdge) -> None:
    rows = database.live_rows(edge.ref.database)
    changes = [database.RowChange(row, row.values._replace(host="new")) for row in rows[:2]]
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET forward_port = 9 WHERE id = 2")
    with pytest.raises(StepFailed, match="somebody else changed proxy host 2"):
        database.change_rows(edge.ref.database, changes)
    assert database.live_rows(edge.ref.database)[0] == rows[0]


def test_a_reload_without_new_workers_fails_and_can_be_undone(edge: FakeEdge) -> None:
    rows, files = edge.rows(), edge.files()
    edge.takes_reloads = False
    action = point(edge)
    look = action.inspect(edge)
    with pytest.raises(StepFailed, match="did not reload its configuration"):
        action.apply(edge, look.before)
    edge.takes_reloads = True
    action.undo(edge, look.before)
    assert (edge.rows(), edge.files()) == (rows, files)
    assert edge.leads(DOMAIN) == ("web:3000", "api:4000")


def test_an_edge_that_serves_from_the_wrong_runtime_fails_and_can_be_undone(
    edge: FakeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, files = edge.rows(), edge.files()
    action = point(edge)
    look = action.inspect(edge)
    # The upstream answers when it is probed, and is somebody else once the edge asks it.
    real = server.reload

    def reload_then_change(*args: Any) -> dict[str, Any]:
        edge.serve(upstream=API_UPSTREAM, header="docker")
        return real(*args)

    monkeypatch.setattr(server, "reload", reload_then_change)
    with pytest.raises(StepFailed, match=r"/ws x-islandflow-runtime is 'docker'"):
        action.apply(edge, look.before)
    action.undo(edge, look.before)
    assert (edge.rows(), edge.files()) == (rows, files)


CUTS = [
    (verify, "check_upstreams"),
    (backup, "back_up"),
    (backup, "save"),
    (database, "change_rows"),
    (backup, "write_file"),
    (server, "config_test"),
    (server, "reload"),
    (verify, "check_serving"),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("module", "name"), CUTS, ids=[name for _, name in CUTS])
def test_a_switch_cut_off_anywhere_is_undone_completely(
    edge: FakeEdge, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, when: str
) -> None:
    rows, files = edge.rows(), edge.files()
    action = point(edge)
    look = action.inspect(edge)
    real = getattr(module, name)

    def cut(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module, name, cut)
        with pytest.raises(Killed):
            action.apply(edge, look.before)
    action.undo(edge, look.before)
    assert (edge.rows(), edge.files()) == (rows, files)
    assert edge.leads(DOMAIN) == ("web:3000", "api:4000")
    assert point(edge).undo(edge, look.before) == {"why": "nothing had been changed"}


def test_a_file_of_the_edge_that_a_killed_runner_had_half_written_is_cleared(
    edge: FakeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = point(edge)
    look = action.inspect(edge)

    def cut(path: Path, *args: Any) -> None:
        killed_writing(path)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(backup, "write_file", cut)
        with pytest.raises(Killed):
            action.apply(edge, look.before)
    action.undo(edge, look.before)
    assert not list(edge.root.rglob(".*.islandflow-*"))


@pytest.mark.parametrize(
    ("module", "name"),
    [(backup, "restore_rows"), (backup, "write_file"), (server, "reload"), (backup, "clear_stages")],
    ids=["restore_rows", "write_file", "reload", "clear_stages"],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_restore_cut_off_anywhere_can_be_finished(
    edge: FakeEdge, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, when: str
) -> None:
    rows, files = edge.rows(), edge.files()
    before = carry_out(edge, point(edge))
    real = getattr(module, name)

    def cut(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module, name, cut)
        with pytest.raises(Killed):
            point(edge).undo(edge, before)
    point(edge).undo(edge, before)
    assert (edge.rows(), edge.files()) == (rows, files)
    assert edge.leads(DOMAIN) == ("web:3000", "api:4000")


def test_with_the_container_gone_rows_and_files_are_restored_all_the_same(edge: FakeEdge) -> None:
    rows, files = edge.rows(), edge.files()
    before = carry_out(edge, point(edge))
    edge.running = False
    evidence = point(edge).undo(edge, before)
    assert "reads the restored files when it starts" in str(evidence["reload"])
    assert (edge.rows(), edge.files()) == (rows, files)


def test_with_docker_away_restoring_says_that_nginx_could_not_be_reloaded(edge: FakeEdge) -> None:
    rows, files = edge.rows(), edge.files()
    before = carry_out(edge, point(edge))
    edge.docker = False
    with pytest.raises(StepFailed, match=r"nginx cannot be reloaded: .* Cannot connect to the Docker daemon"):
        point(edge).undo(edge, before)
    assert (edge.rows(), edge.files()) == (rows, files)
    edge.docker = True
    point(edge).undo(edge, before)
    assert edge.leads(DOMAIN) == ("web:3000", "api:4000")


def test_a_host_deleted_meanwhile_is_not_brought_back(edge: FakeEdge) -> None:
    before = carry_out(edge, point(edge))
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET is_deleted = 1 WHERE id = 2")
    (edge.conf / "2.conf").unlink()
    point(edge).undo(edge, before)
    assert not (edge.conf / "2.conf").exists()
    assert edge.leads(DOMAIN) == ("web:3000", "api:4000")


def test_a_file_that_npm_deleted_is_brought_back(edge: FakeEdge) -> None:
    """NPM deletes the file of a live host whose configuration it finds broken."""
    files = edge.files()
    before = carry_out(edge, point(edge))
    (edge.conf / "2.conf").unlink()
    point(edge).undo(edge, before)
    assert edge.files()["2.conf"][0] == files["2.conf"][0]


def test_the_table_of_columns_has_the_fields_of_values_in_their_order() -> None:
    """SQL gets the values by their place."""
    assert tuple(COLUMNS) == Values._fields


# ── Locations that the row does not lead ────────────────────────────────────────────────────────────────────────────


def set_advanced(edge: FakeEdge, advanced: str) -> None:
    """Give the app's host an advanced_config, as saving it in NPM's page would."""
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET advanced_config = ? WHERE id = 1", (advanced,))
    (edge.conf / "1.conf").write_text(HostShape(Upstream("web", 3000), advanced).render())
    edge.load()


@pytest.mark.parametrize("location", ["= /", "^~ /", "^~ /ws", "= /ws", "~ ^/ws", "~ ^/"])
def test_a_location_that_wins_over_ours_is_refused_and_nothing_is_touched(edge: FakeEdge, location: str) -> None:
    set_advanced(edge, f"location {location} {{ proxy_pass http://web:3000; }}")
    rows, files = edge.rows(), edge.files()
    words = refusal(edge, point(edge))
    assert f"`location {location}` ({edge.conf}/1.conf, line 55) leads to web:3000 by itself" in words
    assert (edge.rows(), edge.files()) == (rows, files)


def test_a_location_behind_ours_or_beside_it_is_none_of_our_business(edge: FakeEdge) -> None:
    set_advanced(
        edge, managed_block(ROUTES, API_UPSTREAM) + "\nlocation ~ ^/ws { return 404; }\nlocation /docs { return 404; }"
    )
    carry_out(edge, point(edge))
    assert edge.leads(DOMAIN) == (str(WEB), str(API_UPSTREAM))


def test_the_line_is_that_of_the_file_as_it_is_now(edge: FakeEdge) -> None:
    """Our block is longer than the one that it takes the place of."""
    old, location = old_block(("ws",), API_UPSTREAM), "location = / { proxy_pass http://web:3000; }"
    set_advanced(edge, f"{old}\n{location}")
    line = (edge.conf / "1.conf").read_text().split("\n").index(location) + 1
    assert f"1.conf, line {line}) leads" in refusal(edge, point(edge))


def test_a_block_of_lua_is_kept_byte_for_byte(edge: FakeEdge) -> None:
    """As CrowdSec's bouncer has one."""
    lua = 'access_by_lua_block {\n  if x then return ngx.exit(403) end -- }\n  local t = { "}" }\n}\n'
    set_advanced(edge, lua)
    carry_out(edge, point(edge))
    text, [row, *_] = (edge.conf / "1.conf").read_text(), database.live_rows(edge.ref.database)
    assert row.advanced == lua + managed_block(ROUTES, API_UPSTREAM)
    assert text == HostShape(WEB, row.advanced, (DOMAIN,)).render()


def test_a_location_in_a_file_that_npm_includes_counts(edge: FakeEdge) -> None:
    custom = edge.root / "data/nginx/custom/server_proxy.conf"
    custom.parent.mkdir()
    custom.write_text("location ^~ /ws { proxy_pass http://api:4000; }\n")
    assert "`location ^~ /ws` (/data/nginx/custom/server_proxy.conf, line 1)" in refusal(edge, point(edge))
    included = facts_of(edge, point(edge)).edge.hosts[DOMAIN].includes
    assert list(included["/data/nginx/custom/server_proxy[.]conf"]) == ["/data/nginx/custom/server_proxy.conf"]


def test_a_backup_is_restored_whatever_its_locations_are(edge: FakeEdge) -> None:
    before = carry_out(edge, point(edge))
    set_advanced(edge, "location = / { proxy_pass http://web:3000; }")
    point(edge).undo(edge, before)
    assert edge.leads(DOMAIN)[0] == "web:3000"


# ── An access list on the host ──────────────────────────────────────────────────────────────────────────────────────


def protect(edge: FakeEdge) -> None:
    """Give the app's host an access list, as NPM writes it: into `location /`."""
    path = edge.conf / "1.conf"
    path.write_text(path.read_text().replace("  location / {\n", '  location / {\n    auth_basic "Who?";\n'))
    edge.load()


def test_what_an_access_list_refused_before_is_good_when_it_is_refused_again(edge: FakeEdge) -> None:
    protect(edge)
    assert "auth_basic Who?" in facts_of(edge, point(edge)).edge.hosts[DOMAIN].access[0]
    look = point(edge).inspect(edge)
    evidence = point(edge).apply(edge, look.before)
    assert edge.leads(DOMAIN) == (str(WEB), str(API_UPSTREAM))
    assert f"{DOMAIN}/ answers 401: the edge itself refuses us, as before" in str(evidence["served"])


PORTAL = (
    "auth_request /auth;\nerror_page 401 =302 https://auth.example.test/;\n"
    "location = /auth { internal; proxy_pass http://auth:9091; }"
)


def refuse(edge: FakeEdge, advanced: str, status: int) -> PointEdge:
    """Have the app's host refuse our requests; its answers name no runtime."""
    set_advanced(edge, advanced)
    edge.refused[DOMAIN] = status
    app, api = (dataclasses.replace(host, expect_header="") for host in point(edge).hosts)
    return PointEdge(edge.ref, (app, api), 0.1)


@pytest.mark.parametrize(
    ("advanced", "status"),
    [
        ("if ($http_user_agent ~ islandflow) { return 403; }", 403),
        ("if ($blocked) { return 444; }", 444),
        ("ssl_verify_client on;", 400),
        (PORTAL, 302),
    ],
)
def test_what_the_edge_itself_refused_before_is_good_when_it_is_refused_again(
    edge: FakeEdge, advanced: str, status: int
) -> None:
    action = refuse(edge, advanced, status)
    look = action.inspect(edge)
    served = str(action.apply(edge, look.before)["served"])
    assert "the edge itself refuses us, as before" in served and edge.leads(DOMAIN)[0] == str(WEB)


@pytest.mark.parametrize("status", [200, 502])
def test_a_portals_redirect_that_was_not_there_before_is_no_page_of_the_apps(
    edge: FakeEdge, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    action = refuse(edge, PORTAL, status)
    look, reload = action.inspect(edge), server.reload

    def reload_and_refuse(*args: Any) -> Any:
        edge.refused[DOMAIN] = 302
        return reload(*args)

    monkeypatch.setattr(server, "reload", reload_and_refuse)
    with pytest.raises(StepFailed, match="answers 302, as the edge itself does for whom it refuses"):
        action.apply(edge, look.before)


def test_what_the_edge_can_not_have_refused_counts_no_more_than_before(edge: FakeEdge) -> None:
    action = refuse(edge, "ssl_verify_client on;", 403)
    look = action.inspect(edge)
    with pytest.raises(StepFailed, match="answers 403"):
        action.apply(edge, look.before)


def test_a_refusal_that_was_not_there_before_is_none_of_an_access_lists(
    edge: FakeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect(edge)
    monkeypatch.setattr(verify, "refused_before", lambda *args: {})
    look = point(edge).inspect(edge)
    with pytest.raises(StepFailed, match="answers 401"):
        point(edge).apply(edge, look.before)


def test_the_way_back_serves_behind_an_access_list_as_well(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    host = dataclasses.replace(point(edge).hosts[0], expect_header="")
    edge.answers.clear()
    assert not EdgeServes(edge.ref, (host,)).check(edge).ok
    protect(edge)
    assert EdgeServes(edge.ref, (host,)).check(edge).ok

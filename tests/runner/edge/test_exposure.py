"""The API's own name open or closed, by files: durably, as NPM itself would, and exactly back."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile.runner.edge import database, server
from fabfile.runner.edge.change import CLOSED, KEEP, OPEN
from fabfile.runner.system.machine import Observation, StepFailed
from tests.runner.edge.test_change import API_UPSTREAM, WEB, carry_out, exposed, facts_of, point, refusal
from tests.runner.support.fake_edge import API_DOMAIN, FakeEdge, stand_in
from tests.runner.support.npm_shape import DOMAIN, HostShape


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    made = FakeEdge(tmp_path)
    stand_in(made, monkeypatch)
    made.serve(upstream=WEB)
    made.serve(upstream=API_UPSTREAM)
    return made


def enabled(edge: FakeEdge) -> list[bool]:
    return [row.enabled for row in database.live_rows(edge.ref.database)]


def test_closing_disables_the_row_and_deletes_the_file_and_the_app_stays(edge: FakeEdge) -> None:
    carry_out(edge, exposed(edge, CLOSED))
    assert (enabled(edge), sorted(edge.files())) == ([True, False, True], ["1.conf", "3.conf"])
    assert edge.leads(DOMAIN) == (str(WEB), str(API_UPSTREAM))
    assert not any(API_DOMAIN in text for text in edge.loaded.values())


def test_closing_twice_changes_nothing_more(edge: FakeEdge) -> None:
    carry_out(edge, exposed(edge, CLOSED))
    assert exposed(edge, CLOSED).inspect(edge).noop_reason
    assert exposed(edge, KEEP).inspect(edge).noop_reason
    assert not exposed(edge, OPEN).inspect(edge).noop_reason


def test_opening_brings_back_every_byte(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    rows, files = edge.rows(), edge.files()
    carry_out(edge, exposed(edge, CLOSED))
    carry_out(edge, exposed(edge, OPEN))
    assert edge.files()["2.conf"][:2] == files["2.conf"][:2]
    assert [row[:2] + row[3:] for row in edge.rows()] == [row[:2] + row[3:] for row in rows]  # but modified_on


def test_a_closed_hosts_row_follows_and_opening_leads_where_it_says(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    carry_out(edge, exposed(edge, CLOSED))
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET forward_host = 'elsewhere' WHERE id = 2")
    carry_out(edge, exposed(edge, KEEP))
    assert (enabled(edge)[1], database.live_rows(edge.ref.database)[1].host) == (False, API_UPSTREAM.host)
    assert "2.conf" not in edge.files()
    carry_out(edge, exposed(edge, OPEN))
    assert (edge.conf / "2.conf").read_text() == HostShape(API_UPSTREAM, "", (API_DOMAIN,)).render()


@pytest.mark.parametrize("exposure", [CLOSED, OPEN])
def test_undoing_a_change_of_exposure_restores_rows_and_files(edge: FakeEdge, exposure: str) -> None:
    carry_out(edge, point(edge))
    if exposure == OPEN:
        carry_out(edge, exposed(edge, CLOSED))
    rows, files, loaded = edge.rows(), edge.files(), dict(edge.loaded)
    before = carry_out(edge, exposed(edge, exposure))
    exposed(edge, exposure).undo(edge, before)
    assert (edge.rows(), edge.files(), edge.loaded) == (rows, files, loaded)


def test_a_name_that_still_answers_is_not_closed(edge: FakeEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, files = edge.rows(), edge.files()
    monkeypatch.setattr(server, "probe_closed_host", lambda *args: Observation(False, "still answers 200"))
    action = exposed(edge, CLOSED)
    look = action.inspect(edge)
    with pytest.raises(StepFailed, match="still answers 200"):
        action.apply(edge, look.before)
    action.undo(edge, look.before)
    assert (edge.rows(), edge.files()) == (rows, files)


def test_what_somebody_else_opened_meanwhile_stays_open(edge: FakeEdge) -> None:
    carry_out(edge, exposed(edge, CLOSED))
    before = carry_out(edge, exposed(edge, KEEP)) if not exposed(edge, KEEP).inspect(edge).noop_reason else None
    assert before is None
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET forward_host = 'old' WHERE id = 2")
    before = carry_out(edge, exposed(edge, KEEP))
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET enabled = 1 WHERE id = 2")
    (edge.conf / "2.conf").write_text(HostShape(API_UPSTREAM, "", (API_DOMAIN,)).render())
    exposed(edge, KEEP).undo(edge, before)
    assert enabled(edge)[1] and (edge.conf / "2.conf").exists()


def test_a_host_that_was_closed_elsewhere_cannot_be_opened_by_files(edge: FakeEdge) -> None:
    edge.close(2)
    words = refusal(edge, exposed(edge, OPEN))
    assert f"{API_DOMAIN}: its generated file is missing, and no backup on this VPS has it: with `--way api`" in words


def test_row_and_file_that_disagree_on_exposure_need_a_decision(edge: FakeEdge) -> None:
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET enabled = 0 WHERE id = 2")
    words = refusal(edge, exposed(edge, KEEP))
    assert "disabled in the database, and its file is still there: decide with `npm.switch --raw-api open`" in words
    carry_out(edge, exposed(edge, CLOSED))
    assert "2.conf" not in edge.files()


def test_the_app_itself_is_never_switched_while_it_is_disabled(edge: FakeEdge) -> None:
    edge.close(1)
    assert f"proxy host 1 ({DOMAIN}) is disabled: enable it" in refusal(edge, exposed(edge, KEEP))


def test_a_closed_hosts_fact_still_has_its_upstream(edge: FakeEdge) -> None:
    edge.close(2)
    fact = facts_of(edge, point(edge)).edge.hosts[API_DOMAIN]
    assert (fact.closed, str(fact.upstream), fact.text, fact.drift) == (True, "api:4000", "", ())


# ── As NPM leaves files when it writes many at once ─────────────────────────────────────────────────────────────────

COMMENTS = "# ------\n# api.flow.deltaisland.io\n# ------\n\n"
LEFT_OVER = [COMMENTS, "", COMMENTS + 'map $scheme $hsts_header {\n    https "max-age=63072000";\n}\n']


@pytest.mark.parametrize("text", LEFT_OVER)
def test_a_disabled_host_whose_file_has_no_server_block_is_closed(edge: FakeEdge, text: str) -> None:
    carry_out(edge, point(edge))
    edge.close(2)
    (edge.conf / "2.conf").write_text(text)
    edge.load()
    fact = facts_of(edge, point(edge)).edge.hosts[API_DOMAIN]
    assert (fact.closed, fact.problem, fact.drift, fact.text) == (True, "", (), "")
    assert exposed(edge, KEEP).inspect(edge).noop_reason and exposed(edge, CLOSED).inspect(edge).noop_reason
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET forward_host = 'old' WHERE id = 2")
    files = edge.files()
    before = carry_out(edge, exposed(edge, KEEP))
    assert edge.files() == files, "its row follows, and what is no host's stays"
    exposed(edge, KEEP).undo(edge, before)
    assert edge.files() == files
    carry_out(edge, exposed(edge, OPEN))
    assert edge.leads(API_DOMAIN) == (str(API_UPSTREAM), "")


def test_an_enabled_host_without_a_server_block_is_still_a_problem(edge: FakeEdge) -> None:
    (edge.conf / "2.conf").write_text(COMMENTS)
    assert "0 server blocks" in refusal(edge, point(edge))


def without_tls(edge: FakeEdge, certificate: int = 3) -> None:
    """As after a certificate request of NPM's that went wrong: the row has one, the file does not listen on 443."""
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET certificate_id = ? WHERE id = 1", (certificate,))
    path = edge.conf / "1.conf"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "443" not in line))
    edge.load()


def test_a_file_that_lost_its_tls_is_drift_and_port_443_is_asked(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    without_tls(edge)
    fact = facts_of(edge, point(edge)).edge.hosts[DOMAIN]
    lost = f"{DOMAIN}: certificate 3 in the database, and its file does not listen on port 443"
    assert fact.tls and [text for text in fact.drift if text.startswith(lost)]
    edge.calls.clear()
    words = refusal(edge, point(edge))
    assert lost in words and "save the host in NPM's page" in words and "--way api" in words


def test_a_host_without_a_certificate_needs_no_tls(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    without_tls(edge, certificate=0)
    fact = facts_of(edge, point(edge)).edge.hosts[DOMAIN]
    assert (fact.tls, fact.drift) == (False, ())


# ── As the app's own script closes and opens it ─────────────────────────────────────────────────────────────────────


def test_a_host_that_leads_nowhere_on_purpose_is_closed_and_stays_so(edge: FakeEdge) -> None:
    edge.lead_nowhere(2)
    fact = facts_of(edge, point(edge)).edge.hosts[API_DOMAIN]
    assert fact.closed and fact.row and fact.row.points_nowhere and fact.drift == ()
    shut = edge.rows()[1]
    carry_out(edge, exposed(edge, KEEP))
    assert edge.leads(DOMAIN) == (str(WEB), str(API_UPSTREAM))
    assert exposed(edge, CLOSED).inspect(edge).noop_reason
    assert edge.rows()[1] == shut and "2.conf" not in edge.files()


def test_a_host_that_leads_nowhere_is_opened_with_websockets_from_its_backup(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    rows, files = edge.rows(), edge.files()
    edge.lead_nowhere(2)
    shut, loaded = edge.rows(), dict(edge.loaded)
    before = carry_out(edge, exposed(edge, OPEN))
    assert edge.leads(API_DOMAIN) == (str(API_UPSTREAM), "")
    assert edge.files()["2.conf"][0] == files["2.conf"][0]
    assert [row[:2] + row[3:] for row in edge.rows()] == [row[:2] + row[3:] for row in rows]  # but modified_on
    exposed(edge, OPEN).undo(edge, before)
    assert (edge.rows(), edge.loaded) == (shut, loaded)


def test_a_host_that_the_script_opened_without_a_file_gets_it_back(edge: FakeEdge) -> None:
    carry_out(edge, point(edge))
    files = edge.files()
    edge.lead_nowhere(2)
    edge.lead_again(2, API_UPSTREAM)
    fact = facts_of(edge, point(edge)).edge.hosts[API_DOMAIN]
    assert not fact.closed and "its file is missing" in fact.drift[0]
    carry_out(edge, exposed(edge, KEEP))
    assert edge.files()["2.conf"][0] == files["2.conf"][0]


def test_whether_websockets_pass_stays_somebody_elses_where_we_do_not_change_it(edge: FakeEdge) -> None:
    before = carry_out(edge, point(edge))
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET allow_websocket_upgrade = 0 WHERE id = 1")
    point(edge).undo(edge, before)
    assert database.live_rows(edge.ref.database)[0].websocket is False

"""NPM's own API as the other way of the same change: same rows, same bytes, and every answer it may give."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.actions.edge_point import PointEdge
from fabfile.runner.actions.edge_switch import API, SECRET
from fabfile.runner.edge import api
from fabfile.runner.edge.api import Api, ApiError
from fabfile.runner.edge.change import CLOSED, KEEP, OPEN
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.edge import EdgeLogin
from tests.runner.edge.test_change import API_UPSTREAM, WEB, carry_out, exposed, facts_of, serving
from tests.runner.support.fake_edge import API_DOMAIN, OTHER, FakeEdge, stand_in
from tests.runner.support.npm_api import USER, Recording, api_of
from tests.runner.support.npm_shape import DOMAIN, HostShape

PLACE = "/api/nginx/proxy-hosts/{}"


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    return serving(tmp_path, monkeypatch)


@pytest.fixture
def npm(edge: FakeEdge) -> Iterator[Recording]:
    with api_of(edge) as serving:
        yield serving


def by_api(edge: FakeEdge, exposure: str = KEEP) -> PointEdge:
    return dataclasses.replace(exposed(edge, exposure), way=API)


def failed(edge: FakeEdge, action: PointEdge) -> StepFailed:
    """The error that a change ends with; asserts that undoing it leaves everything as it was."""
    rows, files = edge.rows(), contents(edge)
    look = action.inspect(edge)
    with pytest.raises(StepFailed) as caught:
        action.apply(edge, look.before)
    action.undo(edge, look.before)
    assert (edge.rows(), contents(edge)) == (rows, files)
    assert edge.leads(DOMAIN) == ("web:3000", "api:4000")
    return caught.value


def contents(edge: FakeEdge) -> dict[str, bytes]:
    return {name: content for name, (content, _, _) in edge.files().items()}


def values(edge: FakeEdge) -> list[dict[str, Any]]:
    """The rows but for when they were changed, and however the note on nginx is spelled."""
    names = [column[0] for column in edge.database().execute("SELECT * FROM proxy_host").description]
    rows = [dict(zip(names, row, strict=True)) for row in edge.rows()]
    return [{key: value for key, value in row.items() if key not in ("modified_on", "meta")} for row in rows]


@pytest.mark.parametrize("exposure", [KEEP, CLOSED])
def test_both_ways_end_in_the_same_rows_and_bytes(
    tmp_path: Path, edge: FakeEdge, npm: Recording, exposure: str
) -> None:
    other = (edge.rows()[2], edge.files()["3.conf"])
    carry_out(edge, by_api(edge, exposure))
    twin = FakeEdge(tmp_path / "twin")
    with pytest.MonkeyPatch.context() as patched:
        stand_in(twin, patched)
        for upstream in (WEB, API_UPSTREAM):
            twin.serve(upstream=upstream)
        carry_out(twin, exposed(twin, exposure))
    assert values(edge) == values(twin)
    assert contents(edge) == contents(twin)
    assert (edge.rows()[2], edge.files()["3.conf"]) == other
    assert edge.leads(DOMAIN) == twin.leads(DOMAIN) == (str(WEB), str(API_UPSTREAM))


def test_only_fields_that_differ_are_sent_to_npm(edge: FakeEdge, npm: Recording) -> None:
    carry_out(edge, by_api(edge))
    sent = [(path, sorted(body)) for method, path, body in npm.calls if method == "PUT"]
    assert sent == [(PLACE.format(1), ["advanced_config", "forward_host"]), (PLACE.format(2), ["forward_host"])]


def test_a_second_switch_sends_npm_no_request(edge: FakeEdge, npm: Recording) -> None:
    carry_out(edge, by_api(edge))
    assert by_api(edge).inspect(edge).noop_reason


def test_a_change_by_the_api_is_undone_without_the_api(edge: FakeEdge, npm: Recording) -> None:
    rows, files = edge.rows(), edge.files()
    before = carry_out(edge, by_api(edge))
    npm.calls.clear()
    edge.secrets = {}
    by_api(edge).undo(edge, before)
    assert (edge.rows(), edge.files()) == (rows, files)
    assert npm.calls == [] and edge.leads(DOMAIN) == ("web:3000", "api:4000")


def test_a_file_that_npm_now_writes_differently_gets_its_former_bytes_back(edge: FakeEdge, npm: Recording) -> None:
    """An update of NPM brings other templates, which a host gets with its next change."""
    rows, files = edge.rows(), edge.files()
    former = npm.render
    npm.render = lambda row: former(row).replace("  http2 on;", "  http2 on;\n  # new in this version")
    before = carry_out(edge, by_api(edge))
    assert "new in this version" in (edge.conf / "1.conf").read_text()
    by_api(edge).undo(edge, before)
    assert (edge.rows(), edge.files()) == (rows, files)


def test_neither_the_record_nor_the_backup_has_the_token(edge: FakeEdge, npm: Recording) -> None:
    look = by_api(edge).inspect(edge)
    evidence = by_api(edge).apply(edge, look.before)
    token = edge.secrets[SECRET]
    assert token not in json.dumps([look.before, evidence]) and token not in repr(by_api(edge))
    for path in edge.ops.rglob("*"):
        assert path.is_dir() or token.encode() not in path.read_bytes()


# ── Nasty answers ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_nginx_refuses_is_a_failure_although_npm_answers_200(edge: FakeEdge, npm: Recording) -> None:
    edge.refuses = lambda text: str(WEB.host) in text
    error = failed(edge, by_api(edge))
    assert f"NPM has taken {DOMAIN} offline" in str(error)
    assert "test failed" in str(error.evidence["said"])


def test_a_second_host_going_offline_restores_both(edge: FakeEdge, npm: Recording) -> None:
    edge.refuses = lambda text: API_DOMAIN in text and API_UPSTREAM.host in text
    assert f"NPM has taken {API_DOMAIN} offline" in str(failed(edge, by_api(edge)))


def test_a_database_changed_by_a_failed_request_is_restored_without_a_reload(
    edge: FakeEdge, npm: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = by_api(edge)
    look, rows, workers = action.inspect(edge), edge.rows(), dict(edge.workers)
    edge.refuses = lambda text: OTHER in text  # somebody else's file broke in this very moment
    with pytest.raises(ApiError, match="PUT /api/nginx/proxy-hosts/1: status 500: Internal Error"):
        action.apply(edge, look.before)
    assert edge.rows() == rows and edge.workers == workers
    assert action.undo(edge, look.before) == {"why": "nothing had been changed"}


def test_an_expired_token_is_reported(edge: FakeEdge, npm: Recording) -> None:
    npm.now = lambda: 4e9
    assert "status 400: Token has expired" in str(failed(edge, by_api(edge)))


@pytest.mark.parametrize(("token", "words"), [("x.y", "500: jwt malformed"), ("", "404: Not Found")])
def test_an_invalid_token_is_reported(edge: FakeEdge, npm: Recording, token: str, words: str) -> None:
    edge.secrets = {SECRET: token}
    assert f"status {words}" in str(failed(edge, by_api(edge)))


def test_a_plan_without_a_token_changes_nothing(edge: FakeEdge, npm: Recording) -> None:
    edge.secrets = {}
    assert "the plan has no token for NPM's API" in str(failed(edge, by_api(edge)))


def test_an_api_that_does_not_answer_is_reported(edge: FakeEdge, npm: Recording) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        edge.ref = dataclasses.replace(edge.ref, api_port=taken.getsockname()[1])
    assert "no answer from 127.0.0.1:" in str(failed(edge, by_api(edge)))


def test_a_host_that_npm_does_not_have_is_reported(npm: Recording, edge: FakeEdge) -> None:
    api = Api("127.0.0.1", edge.ref.api_port, edge.secrets[SECRET])
    with pytest.raises(ApiError, match="404: Item Not Found - 9"):
        api.call("GET", PLACE.format(9))


def test_another_host_under_the_same_number_is_left_alone(edge: FakeEdge, npm: Recording) -> None:
    change = by_api(edge).changes(facts_of(edge, by_api(edge)))[0]
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET domain_names = '[\"x\"]' WHERE id = 1")
    with pytest.raises(StepFailed, match=rf"has \['x'\] as host 1, its database {DOMAIN}"):
        api.apply(Api("127.0.0.1", edge.ref.api_port, edge.secrets[SECRET]), change)
    assert [method for method, _, _ in npm.calls] == ["GET"]


def test_read_only_fields_are_refused_by_npm(edge: FakeEdge, npm: Recording) -> None:
    api = Api("127.0.0.1", edge.ref.api_port, edge.secrets[SECRET])
    with pytest.raises(ApiError, match="400: data must NOT have additional properties"):
        api.call("PUT", PLACE.format(1), api.call("GET", PLACE.format(1)))


# ── Open and closed ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_closing_and_opening_bring_back_every_byte(edge: FakeEdge, npm: Recording) -> None:
    carry_out(edge, by_api(edge))
    rows, files = values(edge), contents(edge)
    carry_out(edge, by_api(edge, CLOSED))
    assert "2.conf" not in edge.files() and values(edge)[1]["enabled"] == 0
    carry_out(edge, by_api(edge, OPEN))
    assert (values(edge), contents(edge)) == (rows, files)


def test_a_closed_hosts_row_follows_and_it_stays_closed(edge: FakeEdge, npm: Recording) -> None:
    edge.close(2)
    carry_out(edge, by_api(edge))
    assert "2.conf" not in edge.files()
    assert (values(edge)[1]["enabled"], values(edge)[1]["forward_host"]) == (0, API_UPSTREAM.host)


def test_opening_needs_no_backup_since_npm_makes_the_file(edge: FakeEdge, npm: Recording) -> None:
    edge.close(2)
    carry_out(edge, by_api(edge, OPEN))
    assert contents(edge)["2.conf"].decode() == HostShape(API_UPSTREAM, "", (API_DOMAIN,)).render()


def test_a_missing_file_is_made_again(edge: FakeEdge, npm: Recording) -> None:
    carry_out(edge, by_api(edge))
    files = contents(edge)
    (edge.conf / "1.conf").unlink()
    carry_out(edge, by_api(edge))
    assert contents(edge) == files


def test_the_file_of_a_host_that_is_disabled_in_the_database_alone_goes(edge: FakeEdge, npm: Recording) -> None:
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET enabled = 0 WHERE id = 2")
    rows, files = edge.rows(), edge.files()
    before = carry_out(edge, by_api(edge, CLOSED))
    assert "2.conf" not in edge.files()
    by_api(edge, CLOSED).undo(edge, before)
    assert (edge.rows(), edge.files()) == (rows, files)


def test_a_host_that_somebody_else_disables_in_this_moment_is_reported(edge: FakeEdge, npm: Recording) -> None:
    change = by_api(edge, CLOSED).changes(facts_of(edge, by_api(edge, CLOSED)))[1]
    edge.close(2)
    with pytest.raises(ApiError, match="400: Host is already disabled"):
        api.apply(Api("127.0.0.1", edge.ref.api_port, edge.secrets[SECRET]), change)


# ── Logging in ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_right_credentials_return_a_token(edge: FakeEdge, npm: Recording) -> None:
    token = api.token(edge, EdgeLogin(edge.ref, *USER))["token"]
    host = Api("127.0.0.1", edge.ref.api_port, token).call("GET", PLACE.format(1))
    assert isinstance(host, dict) and host["forward_host"] == "web"


def test_wrong_credentials_are_refused_with_npms_text(edge: FakeEdge, npm: Recording) -> None:
    answer = api.token(edge, EdgeLogin(edge.ref, USER[0], "guess"))
    assert answer == {"refused": "NPM's API: POST /api/tokens: status 400: Invalid email or password"}


def test_a_two_factor_code_is_a_second_request(edge: FakeEdge, npm: Recording) -> None:
    (edge.root / "data/two-factor").write_text("123456\n")
    challenge = api.token(edge, EdgeLogin(edge.ref, *USER))["challenge"]
    with pytest.raises(ApiError, match="403: Permission Denied"):
        Api("127.0.0.1", edge.ref.api_port, challenge).call("GET", PLACE.format(1))
    wrong = api.token(edge, EdgeLogin(edge.ref, challenge=challenge, code="0"))
    assert "Invalid verification code" in wrong["refused"]
    assert "token" in api.token(edge, EdgeLogin(edge.ref, challenge=challenge, code="123456"))


def test_an_edge_without_an_address_is_reported(edge: FakeEdge) -> None:
    edge.running, edge.networks = False, {}
    assert api.token(edge, EdgeLogin(edge.ref, *USER)) == {"refused": "container nginx-proxy-manager is exited"}


def test_an_answer_that_is_not_npms_is_reported(
    edge: FakeEdge, npm: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npm, "log_in", lambda body: {"status": "OK"})
    assert api.token(edge, EdgeLogin(edge.ref, *USER)) == {
        "refused": "NPM's API returned neither a token nor a two-factor challenge"
    }


def test_npm_writes_a_file_anew_that_lost_its_tls(edge: FakeEdge, npm: Recording) -> None:
    with edge.database() as connection:
        connection.execute("UPDATE proxy_host SET certificate_id = 3 WHERE id = 1")
    path = edge.conf / "1.conf"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "443" not in line))
    edge.load()
    carry_out(edge, by_api(edge))
    assert "listen 443 ssl" in path.read_text() and by_api(edge).inspect(edge).noop_reason

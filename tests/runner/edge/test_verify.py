"""On the way back: the public is served again, proven by what nginx has read and by what it answers."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from fabfile.runner.actions.edge import EdgeServes
from fabfile.runner.edge import probe
from fabfile.runner.edge.change import EdgeHost
from fabfile.runner.system.machine import Served, StepFailed
from fabfile.runner.wire.edge import Upstream
from tests.runner.support.fake_edge import API_DOMAIN, FakeEdge, stand_in
from tests.runner.support.npm_shape import DOMAIN

WEB, API = Upstream("web", 3000), Upstream("api", 4000)


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    """An edge that leads to Docker, which serves."""
    made = FakeEdge(tmp_path)
    stand_in(made, monkeypatch)
    made.serve(upstream=WEB, header="docker")
    made.serve(upstream=API, header="docker")
    return made


def serves(edge: FakeEdge, header: str = "") -> EdgeServes:
    app = EdgeHost(DOMAIN, WEB.host, WEB.port, ("ws",), API.host, API.port, "/", header)
    return EdgeServes(edge.ref, (app, EdgeHost(API_DOMAIN, API.host, API.port, expect_header=header)))


@pytest.mark.parametrize("header", ["", "x-islandflow-runtime: docker"])
def test_edge_serves_holds_where_files_nginx_and_answers_agree(edge: FakeEdge, header: str) -> None:
    assert serves(edge, header).until(edge, 60).ok
    assert serves(edge, header).check(edge).ok


def test_an_nginx_that_has_not_read_its_files_proves_nothing(edge: FakeEdge) -> None:
    """Its answers may be those of the runtime that is about to be stopped."""
    edge.workers = {100: 1.0}
    assert "has not read the file" in serves(edge).check(edge).text


def test_files_with_another_upstream_are_reported(edge: FakeEdge) -> None:
    app, api = serves(edge).hosts
    elsewhere = EdgeServes(edge.ref, (dataclasses.replace(app, upstream_host="172.18.0.1"), api))
    assert elsewhere.check(edge).text == f"{DOMAIN} has the upstream web:3000, not 172.18.0.1:3000"


def test_a_header_that_names_the_other_runtime_does_not_do(edge: FakeEdge) -> None:
    assert "is 'docker' instead of 'native'" in serves(edge, "x-islandflow-runtime: native").check(edge).text


def test_a_host_that_does_not_answer_fails_in_time_with_what_users_get(edge: FakeEdge) -> None:
    del edge.answers[WEB.host, WEB.port]
    edge.served_since = lambda since: Served(7, 7, 0.1)
    started = time.monotonic()
    with pytest.raises(StepFailed, match=r"answers 502 from web:3000 \(meanwhile 0 of 7 requests .*\) \(waited "):
        serves(edge).until(edge, 0.5)
    assert time.monotonic() - started < 15, "else it is half a minute"


def test_a_closed_host_gets_no_request(edge: FakeEdge) -> None:
    del edge.answers[API.host, API.port]
    edge.close(2)
    assert serves(edge).check(edge).ok


@pytest.mark.skipif(os.geteuid() != 0, reason="entering a network namespace needs root")
def test_one_thread_connects_from_the_containers_network_and_the_others_from_their_own() -> None:
    with (
        subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 60"], stdout=subprocess.PIPE
        ) as apart,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        try:
            assert apart.stdout and apart.stdout.readline() == b"ready\n"
            port, kinds = server.getsockname()[1], []

            def ask() -> None:
                probe.enter_network(apart.pid)
                kinds.append(probe.probe_upstream("127.0.0.1", port, "", "x", "127.0.0.1")[0]["kind"])

            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
            kinds.append(probe.probe_upstream("127.0.0.1", port, "", "x", "127.0.0.1")[0]["kind"])
        finally:
            apart.kill()
    assert kinds == ["broken", "open"], "its own loopback is down"
    with pytest.raises(FileNotFoundError):
        probe.enter_network(1 << 23)

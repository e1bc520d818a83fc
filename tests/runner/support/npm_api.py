"""NPM's API in front of the fake edge: the lab's own server of it, on the loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from typing import Any

from fabfile.lab.edge.api import Npm, server
from fabfile.runner.actions.edge_switch import SECRET
from fabfile.runner.wire.edge import Upstream
from tests.runner.support.fake_edge import NETWORK, FakeEdge
from tests.runner.support.npm_shape import HostShape

USER = ("operator@example.test", "open sesame")


class Recording(Npm):
    """Notes every call and what came with it."""

    calls: list[tuple[str, str, Any]]

    def answer(self, method: str, path: str, token: str, body: Any) -> Any:
        self.calls.append((method, path, body))
        return super().answer(method, path, token, body)


def rendered(row: dict[str, Any]) -> str:
    """A row's file in the shape that the fake edge's files have."""
    upstream = Upstream(row["forward_host"], row["forward_port"], row["forward_scheme"])
    return HostShape(upstream, row["advanced_config"], tuple(json.loads(row["domain_names"]))).render()


@contextlib.contextmanager
def api_of(edge: FakeEdge) -> Iterator[Recording]:
    """The API, serving; the edge's container has its address, and the machine a token for it."""
    npm = Recording(edge.root / "data", USER, rendered, edge.nginx)
    npm.calls = []
    with server(npm, "127.0.0.1", 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        edge.networks = {NETWORK: {"IPAddress": "127.0.0.1"}}
        edge.ref = dataclasses.replace(edge.ref, api_port=serving.server_address[1])
        edge.secrets = {SECRET: npm.granted()["token"]}
        try:
            yield npm
        finally:
            serving.shutdown()
            thread.join()

"""An app that is as it should be, behind a real HTTPS server on the loopback that goes by the public names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile.inventory import Site
from tests.public.outside import API, APP, site_of
from tests.support.https_server import Answer, Authority, Behaviour, serving


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def behaviour() -> Behaviour:
    """An app that is as it should be."""
    return Behaviour(
        {
            "/": Answer(kind="text/html"),
            "/health": Answer(),
            "/ws/live": Answer(upgrade=True),
            "/ws": Answer(),
            "/prints/options?limit=1": Answer(),
            "/lookup": Answer(405),
            "/lookup/options-support": Answer(),
        }
    )


@pytest.fixture
def port(behaviour: Behaviour, authority: Authority) -> Iterator[int]:
    with serving(behaviour, authority.certificate(APP, API)) as port:
        yield port


@pytest.fixture
def site(tmp_path: Path, authority: Authority, port: int) -> Site:
    return site_of(tmp_path, port, ca=str(authority.file))

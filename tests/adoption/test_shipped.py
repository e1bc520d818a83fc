"""The app of the shipped inventory, as its own Compose file runs it: a newcomer's file asks nothing."""

from __future__ import annotations

import copy
import dataclasses
import tomllib
from pathlib import Path

import pytest

from fabfile.adoption import drafting
from fabfile.adoption.differences import differences
from fabfile.adoption.drafting import Login
from fabfile.adoption.scene import Choice
from fabfile.inventory import Site, load
from fabfile.runner.wire.adoption import Adoption, StartFound
from tests.adoption import vps
from tests.support import inventories

SHIPPED = tomllib.loads(inventories.SHIPPED.read_text())
WEB = ("run", "--cwd", "apps/web", "start", "--", "-H", "0.0.0.0", "-p", "3000")


@pytest.fixture
def site() -> Site:
    return load(inventories.SHIPPED, {})


@pytest.fixture
def facts(site: Site) -> Adoption:
    """The web's container is made for a container, and Docker's NATS has no monitoring."""
    there = vps.with_container(vps.vps(site), site, "web", start=StartFound(".", WEB, scripts=("build", "start")))
    there = vps.with_container(there, site, "nats", listens=(4222,))
    work = there.projects[site.runtimes.docker.project].work
    paths = (*site.app.shell_scripts, *work.paths)
    return vps.with_project(there, site, work=dataclasses.replace(work, paths=paths))


def test_its_inventory_is_the_shipped_one_but_for_the_address(site: Site, facts: Adoption, tmp_path: Path) -> None:
    login = Login("192.0.2.7", "delta")
    draft, scene = drafting.drafted(facts, copy.deepcopy(SHIPPED), login, Choice())
    assert scene.known and draft.questions() == []
    file = tmp_path / "written.toml"
    file.write_text(drafting.text(drafting.settled(draft), scene, login), encoding="utf-8")
    found = load(file, {})
    assert {name: vps.in_order(service) for name, service in found.services.items()} == {
        name: vps.in_order(service) for name, service in site.services.items()
    }
    assert (found.app, found.streams, found.edge, found.provider) == (site.app, site.streams, site.edge, site.provider)
    assert found.infra.redis == site.infra.redis and found.infra.nats.monitor_port is None
    assert found.public.routes == site.public.routes and found.public.lookups == site.public.lookups


def test_the_shipped_inventory_says_what_is_there(site: Site, facts: Adoption) -> None:
    assert differences(site, facts, SHIPPED) == ([], [])

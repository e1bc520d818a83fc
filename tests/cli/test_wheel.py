"""What `pip install .`, pipx and uv install: a wheel that works where no checkout is."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fabfile import inventory, resources
from fabfile.remote import bootstrap
from fabfile.rendering import files
from tests.support.inventories import SHIPPED
from tests.support.wheel import copied, installed, run, wheel_of

pytestmark = pytest.mark.xdist_group("wheel")  # one worker builds it

GATEWAY = "172.18.0.1"
SINGLE = ("inventory.toml", "docs/inventory.schema.json")
LEFT_BEHIND = (
    "fabfile/lab/app/node_modules/a/b.js",
    "fabfile/lab/edge/__pycache__/x.pyc",
    "build/lib/bench/edge.py",
    "build/lib/fabfile/_data/templates/old.j2",
)
SDIST = "from setuptools import build_meta; build_meta.build_sdist('dist')"

# Runs in the installed tool's Python, which must not see the checkout.
RENDER = f"""
import hashlib, json, stat
from pathlib import Path
import fabfile
from fabfile import inventory, resources
from fabfile.lab.host import ASSETS
from fabfile.lab.inventory import write_inventory
from fabfile.remote import bootstrap
from fabfile.rendering import files
site = inventory.load(resources.INVENTORY, {{}})
lab = write_inventory(Path.cwd()).name
entry = ASSETS / "images" / "redis" / "entrypoint"
rendered = files.infra(site) + files.app(site, bind="{GATEWAY}") + files.overlay(site)
print(json.dumps({{
    "package": fabfile.__file__, "version": resources.version(), "lab": lab, "mode": stat.S_IMODE(entry.stat().st_mode),
    "runner": hashlib.sha256(bootstrap.zipapp()).hexdigest(),
    "files": {{file.path: file.content.decode() for file in rendered}},
}}))
"""


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as somebody worked in it."""
    folder = copied(tmp_path_factory.mktemp("wheel") / "source")
    for name in LEFT_BEHIND:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("left behind")
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    return wheel_of(source)


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(wheel, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def rendered(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the installed tool makes of its own templates and its own example."""
    return json.loads(run(program.with_name("python"), "-c", RENDER, cwd=tmp_path_factory.mktemp("empty")))


def test_the_wheel_has_the_package_and_what_lies_beside_it_and_nothing_else(source: Path, wheel: Path) -> None:
    """Templates, inventory, runner and the lab's assets to the last file; neither bench nor tests."""
    package = {path.relative_to(source).as_posix() for path in (source / "fabfile").rglob("*") if path.is_file()}
    beside = {path.relative_to(source).as_posix() for path in (source / "templates").rglob("*") if path.is_file()}
    expected = package - set(LEFT_BEHIND) | {f"fabfile/_data/{name}" for name in (*beside, *SINGLE)}
    assert {name for name in contents(wheel) if ".dist-info/" not in name} == expected
    assert {"fabfile/runner/main.py", "fabfile/lab/app/.dockerignore", "fabfile/lab/assets/site.toml"} < expected


def test_the_wheel_of_the_sdist_is_the_same(source: Path, wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-c", SDIST, cwd=source)
    (sdist,) = (source / "dist").iterdir()
    run("tar", "-xzf", sdist, cwd=tmp_path)
    (unpacked,) = tmp_path.iterdir()
    assert contents(wheel_of(unpacked)) == contents(wheel)


def test_it_starts_in_an_empty_folder(program: Path, tmp_path: Path) -> None:
    assert run(program, "--version", cwd=tmp_path) == f"islandflow, version {resources.version()}\n"
    assert "cutover" in run(program, "--help", cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_has_no_inventory_of_its_own_to_fall_back_to(program: Path, tmp_path: Path) -> None:
    """The example's VPS is nobody's: a command must not go there."""
    told = run(program, "status", cwd=tmp_path, code=2)
    assert "no inventory was found" in told and "islandflow init --host" in told


def test_it_runs_from_where_it_was_installed(program: Path, rendered: Any) -> None:
    assert Path(rendered["package"]).is_relative_to(program.parents[1])
    assert rendered["version"] == resources.version()
    assert (rendered["lab"], rendered["mode"] & 0o111) == ("inventory.toml", 0o111)


def test_it_renders_every_file_and_sends_the_runner_as_a_checkout_does(rendered: Any) -> None:
    site = inventory.load(SHIPPED, {})
    here = files.infra(site) + files.app(site, bind=GATEWAY) + files.overlay(site)
    assert rendered["files"] == {file.path: file.content.decode() for file in here}
    assert rendered["runner"] == hashlib.sha256(bootstrap.zipapp()).hexdigest()


@pytest.mark.parametrize(
    ("spoil", "lost"),
    [
        (lambda source: (source / "setup.py").unlink(), "fabfile/_data/inventory.toml"),
        (lambda source: (source / "templates/record/summary.j2").unlink(), "fabfile/_data/templates/record/summary.j2"),
    ],
    ids=["without setup.py", "without a template"],
)
def test_a_wheel_that_lacks_something_is_noticed(
    spoil: Callable[[Path], None], lost: str, wheel: Path, tmp_path: Path
) -> None:
    spoiled = copied(tmp_path / "source")
    spoil(spoiled)
    assert lost in contents(wheel).keys() - contents(wheel_of(spoiled)).keys()

"""The parts of the lab that need no lab: caches, requirements, the edge's files, the inventory."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import shutil
import sqlite3
import time
from pathlib import Path

import crossplane
import pytest
from invoke.context import MockContext
from invoke.exceptions import Exit

import fabfile.lab.host
import fabfile.lab.inventory
from fabfile import inventory, resources
from fabfile.errors import UsageError
from fabfile.lab import cache
from fabfile.lab.edge import hostfile, seed
from fabfile.lab.guest import Guest
from fabfile.lab.host import LabError, UnsupportedMachine, require
from fabfile.lab.inventory import VPS_PORTS, write_inventory
from fabfile.lab.lab import Lab
from fabfile.runner.edge.nginx import parse
from fabfile.tasks import lab

NAMES = ("flow.example.test", "api.flow.example.test")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "islandflow-lab"


def slow_build(folder: Path) -> None:
    time.sleep(0.3)
    (folder / "built-by").write_text(str(os.getpid()))
    with (folder.parent / "builds").open("a") as log:
        log.write("x")


def build_in_a_process(key: str) -> str:
    return (cache.cached("tier", key, slow_build).path / "built-by").read_text()


@pytest.mark.parametrize(("cpus", "said"), [(4.0, "4 CPUs"), (None, "all CPUs")])
def test_a_share_that_the_kernel_refuses_is_an_error_in_words(tmp_path: Path, cpus: float | None, said: str) -> None:
    group = tmp_path / "group"
    (group / "cpu.max").mkdir(parents=True)  # it can't be written, whoever asks
    (tmp_path / "cgroup").write_text(f"{group}")
    with pytest.raises(LabError, match=f"can't give a lab {said}"):
        Guest(tmp_path).starve(cpus)


def test_two_processes_build_a_folder_once() -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        answers = pool.map(build_in_a_process, ["k1"] * 3)
    assert len(set(answers)) == 1
    assert (fabfile.lab.host.home() / "tier/builds").read_text() == "x"


def test_a_build_that_fails_leaves_nothing_under_its_key(home: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.cached("tier", "k1", fail)
    assert [path.name for path in (home / "tier").iterdir()] == ["k1.lock"]
    assert cache.cached("tier", "k1", slow_build).path.is_dir()


def test_another_recipe_prunes_the_former_one_unless_it_is_in_use(home: Path) -> None:
    held = cache.cached("tier", "k1", Path.touch)
    cache.cached("tier", "k2", Path.touch)
    assert (home / "tier/k1").exists()
    fcntl.flock(held.lock, fcntl.LOCK_UN)
    cache.cached("tier", "k3", Path.touch).lock.close()
    assert {path.name for path in (home / "tier").iterdir() if path.is_dir()} == {"k3"}


def test_a_digest_follows_names_modes_and_contents_but_not_litter(tmp_path: Path) -> None:
    folder = tmp_path / "recipe"
    (folder / "node_modules").mkdir(parents=True)
    (folder / "a").write_text("1")
    before = cache.digest([folder])
    (folder / "node_modules/b").touch()
    assert cache.digest([folder]) == before
    (folder / "a").chmod(0o700)
    after = cache.digest([folder])
    assert after != before
    (folder / "a").write_text("2")
    assert cache.digest([folder]) not in (before, after)
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])


def test_without_root_one_line_says_so_and_the_exit_code_is_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Exit) as left:
        lab.up(MockContext())
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs root" in line


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    absent = {"mmdebstrap", "systemd-nspawn"}
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool in absent else f"/usr/bin/{tool}")
    with pytest.raises(UnsupportedMachine) as refused:
        require()
    assert "apt-get install mmdebstrap systemd-container" in refused.value.render()
    assert len(refused.value.render().splitlines()) == 1
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("name", ["", "../x", "UPPER", "a b", "-x", "a" * 42, "x\n"])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        Lab(name)


def test_the_labs_inventory_is_valid_and_leads_to_the_lab_alone(tmp_path: Path) -> None:
    ports = {name: 20000 + number for number, name in enumerate(VPS_PORTS)}
    found = inventory.load(write_inventory(tmp_path, ports), {})
    (host,) = found.hosts.values()
    assert (str(host.address), host.port) == ("127.0.0.1", ports["ssh"])
    assert (str(found.public.address), found.public.https_port) == ("127.0.0.1", ports["https"])
    assert (found.public.resolve, found.origin, found.public.http_port) == (False, "127.0.0.1", ports["http"])
    assert set(found.closed_ports.values()) <= set(ports.values())
    project = inventory.load(resources.INVENTORY, {})
    assert found.infra.nats.port == project.infra.nats.port and found.edge == project.edge
    assert {server.image for server in found.servers}.isdisjoint(server.image for server in project.servers)


def test_the_labs_inventory_describes_the_labs_own_app(tmp_path: Path) -> None:
    """As its code says: where each service is, what it consumes, and which streams there are."""
    found = inventory.load(write_inventory(tmp_path), {})
    code = {service.name: f"{service.directory}/{service.argv[-1]}" for service in found.services.values()}
    app = Path(fabfile.lab.inventory.__file__).parent / "app"
    for name, path in code.items():
        source = (app / Path(path).relative_to(found.app.checkout)).read_text()
        consumed = set(re.findall(r'bus\.consume\(\s*"([a-z-]+)"', source))
        if name != "api":  # which consumes whatever it keeps
            assert {f"{name}-{kind}" for kind in consumed} == set(found.services[name].durables)
    catalogue = (app / "packages/bus/src/catalogue.ts").read_text()
    assert set(re.findall(r'feed\("([A-Z_]+)"', catalogue)) == set(found.streams)
    assert found.public.websocket_hello is None and found.public.raw_api == "open"


def test_the_hosts_files_have_npms_shape(tmp_path: Path) -> None:
    seed.write_files(tmp_path, seed.hosts(*NAMES))
    for number, upstream in ((1, ("web", "3000")), (2, ("api", "4000")), (3, ("other", "8080"))):
        file = tmp_path / f"nginx/proxy_host/{number}.conf"
        parsed = crossplane.parse(str(file), single=True, check_ctx=False, check_args=False)
        assert parsed["status"] == "ok", parsed["errors"]
        block, server = parsed["config"][0]["parsed"]
        assert (block["directive"], server["directive"]) == ("map", "server")
        sets = [line["args"] for line in server["block"] if line["directive"] == "set"]
        assert sets[:3] == [["$forward_scheme", "http"], ["$server", upstream[0]], ["$port", upstream[1]]]
        locations = [line["args"] for line in server["block"] if line["directive"] == "location"]
        assert locations[-1] == ["/"]
        assert len(locations) == (2 if number == 1 else 1)
    assert f"\n\n{seed.ADVANCED_CONFIG}\n\n" in (tmp_path / "nginx/proxy_host/1.conf").read_text()


def test_a_row_survives_the_database_and_renders_the_same_file() -> None:
    schema = (Path(seed.__file__).parent / "image/schema.sql").read_text()
    rows = seed.hosts(*NAMES)
    rows[0]["advanced_config"] += "\n# it's quoted"
    with sqlite3.connect(":memory:") as database:
        database.row_factory = sqlite3.Row
        database.executescript(schema + seed.statements(rows))
        stored = database.execute("SELECT * FROM proxy_host ORDER BY id").fetchall()
    assert [dict(row) for row in stored] == rows
    assert [hostfile.render(dict(row)) for row in stored] == [hostfile.render(row) for row in rows]


def test_a_disabled_hosts_file_has_comments_alone() -> None:
    row = seed.hosts(*NAMES)[0]
    text = hostfile.render({**row, "enabled": 0})
    assert NAMES[0] in text and parse(text) == []


def test_an_access_list_stands_in_the_hosts_own_location_and_a_certificate_makes_it_listen_on_443() -> None:
    row = seed.hosts(*NAMES)[0]
    [server] = [block for block in parse(hostfile.render({**row, "access_list_id": 7})) if block.name == "server"]
    [root] = server.find("location", "/")
    assert (
        root.find("auth_basic_user_file", "/data/access/7") and root.find("deny", "all") and root.find("satisfy", "any")
    )
    assert server.find("listen", "443") and "443" not in hostfile.render({**row, "certificate_id": 0})

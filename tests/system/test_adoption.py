"""An inventory from nothing: what `init` writes of the lab carries a cutover and the way back."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from fabfile.inventory import load
from tests.support import inventories
from tests.support.ssh_server import Client
from tests.system.conftest import Vps


def surveyed(vps: Vps, folder: Path) -> subprocess.CompletedProcess[str]:
    """`init` as an operator calls it whose ssh knows the lab's key; it writes folder/mine.toml."""
    login, key = f"delta@127.0.0.1:{vps.lab.ports['ssh']}", str(vps.lab.folder / "key")
    words = ("init", "--host", login, "--key", key, "--output", str(folder / "mine.toml"))
    with pytest.MonkeyPatch.context() as environment:
        client = Client(folder, environment)
        client.config.write_text(f"UserKnownHostsFile {vps.lab.folder / 'known_hosts'}\n")
        return vps.tool(*words)


def written(vps: Vps, folder: Path) -> str:
    """The text of the inventory that `init` writes."""
    done = surveyed(vps, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "mine.toml").read_text()


def addressed(vps: Vps, folder: Path) -> dict[str, str]:
    """The variables that choose what `init` wrote, with what nobody can see on the VPS: how a lab is reached from here.

    Its ports are on 127.0.0.1, no resolver knows its names, and its API is asked what the lab's app answers.
    """
    tables, own = tomllib.loads(written(vps, folder)), tomllib.loads(vps.lab.inventory.read_text())
    tables["hosts"]["vps"]["known_hosts"] = str(vps.lab.folder / "known_hosts")
    tables["public"] = own["public"]
    file = folder / "addressed.toml"
    file.write_text(inventories.toml(tables))
    return {"ISLANDFLOW_INVENTORY": str(file)}


def test_what_init_writes_carries_a_cutover_and_the_way_back(vps: Vps, tmp_path: Path) -> None:
    mine = addressed(vps, tmp_path)
    site = load(Path(mine["ISLANDFLOW_INVENTORY"]), {})
    durables = {name: set(service.durables) for name, service in site.services.items()}
    assert durables == {name: set(service.durables) for name, service in vps.site.services.items()}

    vps.good("doctor", **mine)
    with vps.nobody_turned_away():
        vps.good("cutover", **mine)
    assert vps.status()["owner"] == "native"
    vps.good("doctor", **mine)
    with vps.nobody_turned_away():
        vps.good("rollback", "--full", **mine)
    assert vps.status()["owner"] == "docker"
    vps.good("doctor", **mine)


def test_doctor_agrees_with_the_labs_own_inventory(untouched: Vps) -> None:
    lines = [json.loads(line) for line in untouched.good("doctor", "--json").splitlines()]
    assert [line for line in lines if line["kind"] == "difference"] == []


def test_nothing_secret_is_written(untouched: Vps, tmp_path: Path) -> None:
    text = written(untouched, tmp_path)
    env = untouched.lab.run("cat /home/delta/islandflow/.env /home/delta/nginx-proxy-manager/.env").stdout
    values = {line.partition("=")[2] for line in env.splitlines() if "KEY" in line or "SECRET" in line}
    assert values and not [value for value in values if value in text]


def test_without_nats_the_durables_are_as_shipped_and_the_file_says_so(vps: Vps, tmp_path: Path) -> None:
    vps.lab.run(["docker", "stop", f"{vps.site.runtimes.docker.project}-nats-1"])
    assert "JetStream could not be asked" in written(vps, tmp_path)


def test_without_docker_nothing_is_written(vps: Vps, tmp_path: Path) -> None:
    vps.lab.run(["systemctl", "stop", "docker.socket", "docker.service"])
    done = surveyed(vps, tmp_path)
    assert done.returncode == 1 and "Docker does not answer" in done.stderr
    assert not (tmp_path / "mine.toml").exists()

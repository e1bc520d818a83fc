"""The tool on the VPS itself: without SSH, since a host key proves where it is."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile.lab.lab import Lab
from tests.support.inventories import toml
from tests.system.conftest import Vps

DESK = "/opt/desk"  # where the lab gets this machine's Python, with what the tool needs
REPOSITORY = Path(__file__).parents[2]
PUBLIC_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
# Of Python and of the environment that the tests run in: nothing that the tool needs.
HEAVY = {"test", "tests", "idlelib", "ensurepip", "site-packages", "dist-packages", "mypy", "mypyc", "ruff", "pip"}
HEAVY |= {"setuptools", "hypothesis", "playwright", "pytest", "_pytest", "xdist", "coverage", "PIL"}
RUN = f"""
import os, sys
sys.path[:0] = ["{DESK}/repository", "{DESK}/packages"]
sys.argv[0] = "islandflow"
from fabfile.cli import main
main()
"""


def needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The member, unless nothing of it is needed."""
    parts = member.name.split("/")
    inside = parts[1:] if parts[0] == "packages" else parts[2:]
    return None if HEAVY.intersection(inside) or "__mypyc" in member.name or "/config-" in member.name else member


def libraries() -> Iterator[tuple[Path, str]]:
    """The shared libraries of this process that belong to the machine and not to Python, and the loader."""
    probe = "import ssl, sqlite3, ctypes, lzma, bz2, zlib, hashlib, readline; print(open('/proc/self/maps').read())"
    maps = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    for path in {Path(line.split()[-1]) for line in maps.splitlines() if ".so" in line}:
        if "site-packages" not in path.parts and "lib-dynload" not in path.parts:
            links = path.parent.glob(f"{path.name.partition('.so')[0]}.so*")  # it is loaded by the name of one
            yield from ((path, link.name) for link in links if link.resolve() == path.resolve())
            if path.name.startswith("ld-"):
                yield path, "loader"


def bring_python(lab: Lab) -> list[str]:
    """Copy this machine's Python to the lab, which has another; the words that run the tool there."""
    binary = Path(sys.executable).resolve()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.add(binary, f"python/bin/{version}")
            archive.add(sysconfig.get_path("stdlib"), f"python/lib/{version}", filter=needed)
            archive.add(sysconfig.get_path("purelib"), "packages", filter=needed)
            for name in ("fabfile", "templates", "docs", "inventory.toml", "pyproject.toml"):
                archive.add(REPOSITORY / name, f"repository/{name}", filter=needed)
            for path, name in libraries():
                archive.add(path.resolve(), f"lib/{name}")
        file.seek(0)
        lab.run(["mkdir", DESK])
        lab.run(["tar", "-C", DESK, "-x"], stdin=file)
    loader = [f"{DESK}/lib/loader", "--library-path", f"{DESK}/lib", f"{DESK}/python/bin/{version}"]
    return [*loader, "-I", "-c", RUN]


@pytest.fixture
def desk(restored: Vps) -> Iterator[list[str]]:
    """The words that run the tool on the VPS, with an inventory by which it is at its own address; no SSH answers."""
    lab = restored.lab
    lab.run("systemctl stop ssh.socket ssh.service", check=False)
    try:
        words = bring_python(lab)
        address = lab.run("hostname --all-ip-addresses").stdout.split()[-1]  # a bridge's: the others are an example's
        raw = tomllib.loads(lab.inventory.read_text())
        raw["hosts"]["lab"] = {"address": address, "user": "delta", "known_hosts": f"{DESK}/known_hosts"}
        raw["public"] |= {"address": address, "ca": f"{DESK}/ca.pem"}
        raw["public"] |= {"https_port": 443, "http_port": 80}
        key = (lab.folder / "host_key.pub").read_text()
        lab.guest.write(PUBLIC_KEY, key.encode())  # which every VPS has, and the lab keeps outside
        for name, text in (
            ("known_hosts", f"{address} {key}"),
            ("ca.pem", lab.ca.read_text()),
            ("inventory.toml", toml(raw)),
        ):
            lab.guest.write(f"{DESK}/{name}", text.encode())
        yield ["env", f"ISLANDFLOW_INVENTORY={DESK}/inventory.toml", *words]
    finally:
        lab.run(["rm", "-rf", DESK, PUBLIC_KEY])
        lab.run("systemctl start ssh.service", check=False)


def test_a_plan_runs_where_a_host_key_proves_the_vps_and_nowhere_else(restored: Vps, desk: list[str]) -> None:
    lab = restored.lab
    done = lab.run([*desk, "status"])
    said = " ".join(done.stderr.split())
    assert "owner docker" in " ".join(done.stdout.split()) and "this machine is the VPS" in said
    done = lab.run([*desk, "npm", "backup"])
    assert ": done in " in done.stdout
    code = lab.run([*desk, "exec", "--service", "api", "--", "sh", "-c", "exit 5"], check=False).returncode
    assert code == 5
    lab.run(f"sed -i 's/AAAA[^ ]*/{'A' * 68}/' {DESK}/known_hosts")
    refused = lab.run([*desk, "status"], check=False)
    assert refused.returncode == 6 and "this machine is the VPS" not in refused.stderr, refused.stderr

"""A VPS that lets in nobody but its bastion: cutover and rollback through a jump host in a network of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ssh_server
from tests.support.ssh_server import Client, Server
from tests.system.conftest import Vps

BASTION, INSIDE = "10.93.0.1", "10.93.0.2"  # the two ends of the wire between bastion and VPS

# In place of a network between the operator and the bastion: its port, from within its network.
RELAY = """
import os, socket, sys, threading
bastion = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def pump(read, write):
    while data := read():
        write(data)
threading.Thread(target=pump, args=(lambda: os.read(0, 65536), bastion.sendall), daemon=True).start()
pump(lambda: bastion.recv(65536), lambda data: os.write(1, data))
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def network(vps: Vps) -> Iterator[str]:
    """A network namespace with a wire to the VPS, which lets SSH in from there alone; its name."""
    name = f"bastion-{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip(
            "-n",
            name,
            "link",
            "add",
            "vps",
            "type",
            "veth",
            "peer",
            "name",
            "bastion",
            "netns",
            str(vps.lab.guest.init),
        )
        ip("-n", name, "address", "add", f"{BASTION}/30", "dev", "vps")
        for device in ("lo", "vps"):
            ip("-n", name, "link", "set", device, "up")
        vps.lab.run(f"ip address add {INSIDE}/30 dev bastion && ip link set bastion up")
        vps.lab.run(f"iptables -I INPUT -p tcp --dport 22 ! -s {BASTION} -j REJECT")
        yield name
    finally:
        ip("netns", "delete", name)


@pytest.fixture
def bastion(network: str, tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "bastion"
    folder.mkdir()
    with ssh_server.running(folder, within=["nsenter", f"--net=/run/netns/{network}"]) as server:
        yield server


@pytest.fixture
def client(vps: Vps, network: str, bastion: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The operator's own ssh configuration, which alone knows the way."""
    made = Client(tmp_path, monkeypatch)
    relay = tmp_path / "relay.py"
    relay.write_text(RELAY)
    known = tmp_path / "known_hosts"
    known.write_text(f"{INSIDE} {vps.lab.folder.joinpath('host_key.pub').read_text()}")
    made.config.write_text(
        f"Host the-vps\n  HostName {INSIDE}\n  ProxyJump gate\n  UserKnownHostsFile {known}\n"
        f"Host gate\n  HostName 127.0.0.1\n  Port {bastion.port}\n  User {bastion.user}\n"
        f"  IdentityFile {bastion.folder}/key\n  UserKnownHostsFile {bastion.known_hosts}\n  StrictHostKeyChecking no\n"
        f"  ProxyCommand nsenter --net=/run/netns/{network} {sys.executable} {relay} %p\n"
    )
    return made


def behind(vps: Vps, tmp_path: Path) -> Path:
    """The lab's inventory, which names the VPS as the ssh configuration does."""
    text = vps.lab.inventory.read_text()
    old = f'address = "127.0.0.1"\nport = {vps.lab.ports["ssh"]}\n'
    assert old in text
    kept = [line for line in text.replace(old, 'address = "the-vps"\n').splitlines() if "known_hosts" not in line]
    path = tmp_path / "inventory.toml"
    path.write_text("\n".join(kept) + "\n")
    return path


def test_cutover_and_rollback_through_a_bastion(vps: Vps, client: Client, bastion: Server, tmp_path: Path) -> None:
    away = {"ISLANDFLOW_INVENTORY": str(behind(vps, tmp_path))}
    directly = vps.tool("status")
    assert directly.returncode == 6 and "speaks no SSH" in directly.stderr, directly.stderr

    known = bastion.known_hosts.read_text()
    bastion.known_hosts.write_text("")
    unknown = vps.tool("cutover", **away)
    assert unknown.returncode == 6, unknown.stderr
    assert "the jump host on the way to" in unknown.stderr and "Host key verification failed" in unknown.stderr
    assert "Nothing was changed on the VPS" in unknown.stderr and bastion.known_hosts.read_text() == ""
    bastion.known_hosts.write_text(known)

    with vps.nobody_turned_away():
        vps.good("cutover", **away)
        assert vps.served_by() == ("native", "native", "native")
        vps.good("rollback", "--full", **away)
    assert vps.served_by() == ("docker", "docker", "docker")
    assert (bastion.folder / "log").read_text().count("Accepted publickey") >= 4  # each confirms over a new connection

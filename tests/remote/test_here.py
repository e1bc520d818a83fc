"""The tool on the VPS itself: that it is there is proven, and commands are children that read and write as over SSH."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile.remote import here, ssh
from fabfile.remote.command import Command
from fabfile.remote.here import LocalChannel, Terminal
from fabfile.remote.host import Host
from fabfile.remote.link import Link
from fabfile.remote.openssh import SshConfig
from fabfile.runner.wire.facts import FactsRequest
from tests.support import ssh_server
from tests.support.ssh_server import Client, Server


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    return ssh_server.Client(tmp_path, monkeypatch)


@pytest.fixture
def server(tmp_path: Path, client: Client) -> Iterator[Server]:
    folder = tmp_path / "vps"
    folder.mkdir()
    with ssh_server.running(folder) as server:
        yield server


@pytest.fixture
def host_keys(tmp_path: Path, server: Server) -> Path:
    """Where this machine would have its host keys, if the server were its own."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    shutil.copy(server.folder / "host_key.pub", folder / "ssh_host_ed25519_key.pub")
    return folder


@pytest.fixture
def on_the_vps(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as one on the VPS, as root."""
    monkeypatch.setattr(here, "is_here", lambda config: True)
    monkeypatch.setattr("getpass.getuser", lambda: "root")


def config(server: Server) -> SshConfig:
    """What the configuration says of the server."""
    return ssh.configuration(server.host(), ssh.Login())


def test_an_address_of_this_machine_counts_with_a_host_key_of_this_machine(
    server: Server, host_keys: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not here.is_here(config(server), host_keys), "the loopback is everybody's"
    monkeypatch.setattr(here, "_is_own", lambda name: True)
    assert here.is_here(config(server), host_keys)
    (host_keys / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAAanother root@another\n")
    assert not here.is_here(config(server), host_keys), "a port leads to another machine"
    (host_keys / "ssh_host_ed25519_key.pub").write_bytes(b"\xff")
    assert not here.is_here(config(server), host_keys)
    assert not here.is_here(config(server), host_keys / "nowhere")


def test_what_is_reached_by_a_detour_is_elsewhere(
    server: Server, host_keys: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here, "_is_own", lambda name: True)
    for line in ("ProxyJump bastion", "ProxyCommand nc %h %p", "HostKeyAlias other"):
        client.config.write_text(f"{line}\n")
        assert not here.is_here(config(server), host_keys), line


def test_the_addresses_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert here._can_bind("127.0.0.1")
    assert not here._can_bind("192.0.2.1")
    assert not here._is_own("127.0.0.1") and not here._is_own("localhost")
    assert not here._is_own("no.such.name.invalid") and not here._is_own("")
    monkeypatch.setattr(here, "_can_bind", lambda address: address == "192.0.2.1")
    for addresses, own in ((["192.0.2.1"], True), (["192.0.2.1", "192.0.2.2"], False), (["192.0.2.1", "::1"], False)):
        found = [(0, 0, 0, "", (address, 0)) for address in addresses]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, found=found, **__: found)
        assert here._is_own("vps.example") == own


def test_a_survey_needs_no_ssh_where_the_vps_is_this_machine(server: Server, on_the_vps: None) -> None:
    unreachable = server.host().model_copy(update={"port": 1})
    with contextlib.closing(Host(unreachable, 5)) as host:
        host.connect()
        facts = host.survey(FactsRequest(host=True))
        assert host.is_here and facts.host and facts.host.kernel == os.uname().release
        assert host.survey(FactsRequest(host=True)).host, "and once more"


def test_a_command_here_gets_input_and_passes_on_output_and_its_exit_code(
    server: Server, on_the_vps: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, said = tmp_path / "input", {"stdout": b"", "stderr": b""}
    file.write_bytes(b"a line\n" + b"x" * 300_000 + b"\n")

    def sink(stream: str, data: bytes) -> None:
        said[stream] += data

    script = 'read first; read rest; echo "$first ${#rest}"; echo oh >&2; exit 42'
    with file.open() as stdin, contextlib.closing(Link(server.host(), 5)) as link:
        monkeypatch.setattr("sys.stdin", stdin)
        assert Command(["sh", "-c", script], link.execute, lambda: None).run(sink) == 42
    assert said == {"stdout": b"a line 300000\n", "stderr": b"oh\n"}


def test_a_command_at_a_terminal_has_one_of_its_own() -> None:
    script = "tty; stty size; read line; stty size; echo $TERM got $line; kill -KILL $$"
    channel = LocalChannel(["sh", "-c", script], Terminal("vt220", 100, 40))
    channel.settimeout(30)
    with channel.makefile("rb") as lines:
        assert lines.readline().startswith(b"/dev/pts/")
        assert lines.readline().strip() == b"40 100"
        channel.resize_pty(90, 30)
        channel.sendall(b"this\n")
        assert [line.strip() for line in lines] == [b"this", b"30 90", b"vt220 got this"]
    assert channel.eof_received and channel.recv(10) == b""
    assert channel.recv_exit_status() == 128 + 9
    channel.close()


def test_reading_waits_no_longer_than_it_may_and_a_closed_channel_is_read_to_its_end() -> None:
    channel = LocalChannel(["sleep", "600"])
    channel.settimeout(0.1)
    assert not channel.recv_ready() and not channel.exit_status_ready()
    with pytest.raises(TimeoutError, match=r"0\.1 s"):
        channel.recv(10)
    channel._process.kill()
    channel.settimeout(30)
    assert (channel.recv(10), channel.recv_stderr(10), channel.recv_exit_status()) == (b"", b"", 137)
    channel.close()
    assert channel.eof_received
    with pytest.raises(FileNotFoundError):
        LocalChannel(["/no/such/program"])

"""Getting in as OpenSSH does: its configuration, its known hosts, its jump hosts, and the words where it fails.

Each server is a real sshd, and the ssh that the tool calls is the real one, with a configuration that the test writes.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fabric import Config, Connection

from fabfile import inventory
from fabfile.commands import session
from fabfile.console import Console
from fabfile.errors import Unreachable
from fabfile.remote import route
from fabfile.remote.host import Host
from fabfile.remote.target import select_host
from fabfile.runner.wire.facts import FactsRequest, HostInfo
from tests.remote.test_host import wait_for
from tests.support import inventories, ssh_server
from tests.support.ssh_server import Client, Server

TIMEOUT = 20.0  # seconds; the machine may be busy


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(tmp_path, monkeypatch)


@contextlib.contextmanager
def started(folder: Path, settings: str = "", shell: str = "/bin/sh") -> Iterator[Server]:
    folder.mkdir()
    with ssh_server.running(folder, settings, shell) as server:
        yield server


@pytest.fixture
def server(client: Client, tmp_path: Path) -> Iterator[Server]:
    with started(tmp_path / "vps") as server:
        yield server


def survey(entry: inventory.Host, timeout: float = TIMEOUT) -> HostInfo:
    with contextlib.closing(Host(entry, timeout)) as host:
        return host.survey(FactsRequest(host=True)).host


def refused(entry: inventory.Host, timeout: float = TIMEOUT) -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        survey(entry, timeout)
    assert caught.value.exit_code == 6 and "Nothing was changed on the VPS" in caught.value.state
    return caught.value


def bare(server: Server, address: str = "vps") -> inventory.Host:
    """An entry that leaves everything to the ssh configuration."""
    return inventory.Host(name="vps", address=address, user=server.user)


def changed(server: Server, **changes: Any) -> inventory.Host:
    return server.host().model_copy(update=changes)


def stanza(server: Server, name: str = "vps", *lines: str, key: Path | None = None) -> str:
    """What an ssh configuration says of a server."""
    return "\n".join([
        f"Host {name}",
        "  HostName 127.0.0.1",
        f"  Port {server.port}",
        f"  User {server.user}",
        f"  IdentityFile {key or server.folder / 'key'}",
        f"  UserKnownHostsFile {server.known_hosts}",
        *(f"  {line}" for line in lines),
        "",
    ])  # fmt: skip


def host_key(server: Server) -> str:
    return " ".join((server.folder / "host_key.pub").read_text().split()[:2])


def key(path: Path, passphrase: str = "") -> Path:
    ssh_server.make_key(path, passphrase)
    return path


# ── The configuration ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_alias_of_the_ssh_configuration_has_its_address_port_key_and_known_hosts(
    client: Client, server: Server
) -> None:
    client.config.write_text(stanza(server))
    assert survey(bare(server)).name


@pytest.mark.parametrize(
    "text",
    [
        "Match final all\n  CASignatureAlgorithms ^ssh-ed25519\n",  # as Fedora ships it
        "Match final all\n  Include {folder}/included\n",
        "Include {folder}/included\n",
        'Match exec "true"\n  IdentityFile {folder}/%r/%h/none\n',
        "Match localuser nobody\n  HostName 203.0.113.1\n",
        "CanonicalizeHostname yes\nCanonicalDomains invalid\nCanonicalizeFallbackLocal yes\n",
        "IgnoreUnknown Nonsense\nNonsense yes\n",
        "CertificateFile {folder}/none\nPKCS11Provider /nowhere.so\nGlobalKnownHostsFile /dev/null\n",
    ],
    ids=lambda text: text.split("\n")[0],
)
def test_whatever_the_configuration_is_made_of_openssh_reads_it(client: Client, server: Server, text: str) -> None:
    (client.config.parent / "included").write_text("Compression no\n")
    client.config.write_text(stanza(server) + text.format(folder=client.config.parent))
    assert survey(bare(server)).name


def test_the_inventory_wins_over_the_configuration(client: Client, server: Server) -> None:
    client.config.write_text("Host *\n  Port 1\n  User nobody\n  UserKnownHostsFile /dev/null\n  HostName 127.0.0.1\n")
    assert survey(server.host()).name


def test_a_known_hosts_file_may_have_a_blank_in_its_name(client: Client, server: Server) -> None:
    (client.config.parent / "the known").write_text(server.known_hosts.read_text())
    text = stanza(server).replace(str(server.known_hosts), f'"{client.config.parent}/the known" /nowhere')
    client.config.write_text(text)
    assert survey(bare(server)).name


def test_a_configuration_that_openssh_refuses_is_refused_in_its_words(client: Client, server: Server) -> None:
    client.config.write_text("Host *\n  Nonsense yes\n")
    error = refused(server.host())
    assert f"{client.config}: line 2: Bad configuration option: nonsense" in error.message
    assert "ssh -G" in error.next_step


@pytest.mark.parametrize("keyword", ["Ciphers", "MACs", "KexAlgorithms", "HostKeyAlgorithms"])
def test_algorithms_of_the_configuration_are_the_ones_that_are_spoken(
    client: Client, server: Server, keyword: str
) -> None:
    foreign = {
        "Ciphers": ("aes256-ctr", "chacha20-poly1305@openssh.com"),
        "MACs": ("hmac-sha2-512", "umac-64@openssh.com"),
        "KexAlgorithms": ("ecdh-sha2-nistp384", "sntrup761x25519-sha512@openssh.com"),
        "HostKeyAlgorithms": ("ssh-ed25519", "sk-ssh-ed25519@openssh.com"),
    }
    common, alien = foreign[keyword]
    ciphers = "" if keyword == "Ciphers" else "Ciphers aes128-ctr\n"  # one that needs a MAC
    client.config.write_text(f"{keyword} {common}\n{ciphers}")
    assert survey(server.host()).name
    client.config.write_text(f"{keyword} {alien}\n{ciphers}")
    error = refused(server.host())
    assert "no common algorithm" in error.message and alien in error.message and "ssh -G" in error.next_step


def test_a_server_without_a_common_algorithm_is_told(client: Client, tmp_path: Path) -> None:
    with started(tmp_path / "modern", "Ciphers chacha20-poly1305@openssh.com") as server:
        error = refused(server.host())
    assert "no common algorithm" in error.message and "ciphers" in error.message and "sshd -T" in error.next_step


def test_the_address_family_of_the_configuration_counts(client: Client, server: Server) -> None:
    client.config.write_text("AddressFamily inet6\n")
    assert "can't be resolved" in refused(server.host()).message


# ── The host's key ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_configuration_without_known_hosts_knows_no_host(client: Client, server: Server) -> None:
    text = stanza(server, "vps", "GlobalKnownHostsFile none").replace(str(server.known_hosts), "none")
    client.config.write_text(text)
    error = refused(bare(server))
    assert "names no known_hosts file" in error.message and "`known_hosts` in the inventory" in error.next_step


def test_an_algorithm_that_the_configuration_forbids_is_not_spoken_for_a_known_key(
    client: Client, server: Server
) -> None:
    client.config.write_text("HostKeyAlgorithms rsa-sha2-512\n")
    assert "no common algorithm" in refused(server.host()).message


def test_a_hashed_name_is_known(client: Client, server: Server) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(server.known_hosts)], check=True, capture_output=True)
    assert "127.0.0.1" not in server.known_hosts.read_text()
    assert survey(server.host()).name


@pytest.mark.parametrize("names", ["*", "[127.0.0.*]:*,!other", "127.0.0.1"], ids=["any", "a pattern", "no port"])
def test_a_pattern_and_a_name_without_a_port_are_known(client: Client, server: Server, names: str) -> None:
    server.known_hosts.write_text(f"{names} {host_key(server)}\n")
    assert survey(server.host()).name


def test_an_alias_for_the_host_key_is_what_it_is_known_by(client: Client, server: Server) -> None:
    client.config.write_text("HostKeyAlias the-vps\n")
    assert "unknown" in refused(server.host()).message
    server.known_hosts.write_text(f"the-vps {host_key(server)}\n")
    assert survey(server.host()).name


def test_every_file_of_the_configuration_is_looked_at(client: Client, server: Server) -> None:
    known = server.known_hosts.read_text()
    server.known_hosts.unlink()
    (client.config.parent / "global").write_text(known)
    client.config.write_text(stanza(server, "vps", f"GlobalKnownHostsFile /nowhere {client.config.parent}/global"))
    assert survey(bare(server)).name


def test_the_server_shows_the_kind_of_key_that_is_known(client: Client, tmp_path: Path) -> None:
    """Several keys, and only the last one that would be chosen is known."""
    (tmp_path / "vps").mkdir()
    other = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(other)], check=True)
    with ssh_server.running(tmp_path / "vps", f"HostKey {other}") as server:
        server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {other.with_suffix('.pub').read_text()}")
        assert survey(server.host()).name
        server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {host_key(server)}\n")
        assert survey(server.host()).name


def test_a_key_of_another_kind_is_unknown_and_not_changed(client: Client, server: Server) -> None:
    other = client.config.parent / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(other)], check=True)
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {other.with_suffix('.pub').read_text()}")
    error = refused(server.host())
    assert "is unknown" in error.message and "a key of another kind is (ssh-rsa)" in error.message


@pytest.mark.parametrize("beside", [True, False])
def test_a_revoked_key_is_refused_as_such(client: Client, server: Server, beside: bool) -> None:
    known = server.known_hosts.read_text() if beside else ""
    server.known_hosts.write_text(f"{known}@revoked * {host_key(server)}\n")
    error = refused(server.host())
    assert "is revoked" in error.message and "Stop" in error.next_step
    assert "ssh-keyscan" not in error.next_step


@pytest.mark.parametrize("krl", [False, True], ids=["a list of keys", "a key revocation list"])
def test_a_key_in_a_list_of_revoked_ones_is_refused(client: Client, server: Server, krl: bool) -> None:
    other = key(client.config.parent / "other")
    file = client.config.parent / "revoked"
    for name, good in ((other, True), (server.folder / "host_key", False)):
        file.unlink(missing_ok=True)
        if krl:
            subprocess.run(["ssh-keygen", "-q", "-k", "-f", str(file), f"{name}.pub"], check=True)
        else:
            file.write_text(Path(f"{name}.pub").read_text())
        client.config.write_text(f"RevokedHostKeys {file}\n")
        if good:
            assert survey(server.host()).name
        else:
            assert "is revoked" in refused(server.host()).message


def test_where_the_list_of_revoked_keys_is_no_file_no_key_is_trusted(client: Client, server: Server) -> None:
    client.config.write_text(f"RevokedHostKeys {client.config.parent}\n")
    assert "RevokedHostKeys names it" in refused(server.host()).message


def test_a_host_that_only_an_authority_vouches_for_is_refused_with_the_reason(client: Client, server: Server) -> None:
    authority = Path(f"{key(client.config.parent / 'ca')}.pub").read_text()
    server.known_hosts.write_text(f"@cert-authority [127.0.0.1]:* {authority}")
    error = refused(server.host())
    assert "@cert-authority" in error.message and "does not check host certificates" in error.message
    assert "ssh-keyscan" in error.next_step
    server.known_hosts.write_text(f"@cert-authority * {authority}[127.0.0.1]:{server.port} {host_key(server)}\n")
    assert survey(server.host()).name


@pytest.mark.parametrize(
    "text", ["nonsense", "a b", "@revoked", "* ssh-ed25519 AAAA", "|1|x|y ssh-ed25519 AAAA", "\xff\0"]
)
def test_a_line_that_is_none_is_passed_over(client: Client, server: Server, text: str) -> None:
    server.known_hosts.write_bytes(f"{text}\n".encode("latin-1") + server.known_hosts.read_bytes())
    assert survey(server.host()).name


# ── The keys that are offered ───────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def agent(folder: Path, keys: Sequence[Path], *options: str) -> Iterator[Path]:
    """An agent that holds some keys; its socket."""
    path = folder / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(path.exists)
            for file in keys:
                environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
                subprocess.run(["ssh-add", "-q", *options, str(file)], env=environment, check=True)
            yield path
        finally:
            process.terminate()


def test_the_agent_of_the_configuration_is_used(client: Client, server: Server) -> None:
    with agent(client.config.parent, [server.folder / "key"]) as path:
        client.config.write_text(f"IdentityAgent {path}\n")
        assert survey(changed(server, key=None)).name


def test_an_agent_that_does_not_answer_is_named(client: Client, server: Server) -> None:
    client.config.write_text("IdentityAgent /nowhere/agent\n")
    error = refused(changed(server, key=None))
    assert "Not offered: the keys of the SSH agent at /nowhere/agent" in error.message


def test_a_configuration_without_agent_uses_none(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with agent(client.config.parent, [server.folder / "key"]) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        client.config.write_text("IdentityAgent none\n")
        assert "IdentityAgent is none" in refused(changed(server, key=None)).message


def test_too_many_keys_are_told_from_a_wrong_one(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [key(client.config.parent / f"k{number}") for number in range(8)]
    with agent(client.config.parent, keys) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        error = refused(changed(server, key=None))
        assert "Too many authentication failures" in error.message and "after 6 keys" in error.message
        assert "IdentitiesOnly" in error.next_step
        assert survey(server.host()).name, "the key that the inventory names comes first"


def test_only_the_identities_of_the_configuration_are_offered_where_it_says_so(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [key(client.config.parent / f"k{number}") for number in range(8)]
    (server.folder / "key").rename(client.config.parent / "mine")
    with agent(client.config.parent, [*keys, client.config.parent / "mine"]) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        (client.config.parent / "mine").unlink()  # its public half tells which one the agent shall take
        client.config.write_text(stanza(server, "vps", "IdentitiesOnly yes", key=server.folder / "key.pub"))
        assert survey(bare(server)).name


def test_an_agent_that_does_not_sign_costs_no_other_key(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent asks before it signs, and nobody answers."""
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    other = key(client.config.parent / "other")
    with agent(client.config.parent, [other], "-c") as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        client.config.write_text(stanza(server))
        assert survey(bare(server)).name
        client.config.write_text(stanza(server, key=other))
        assert "with which the SSH agent did not sign" in refused(bare(server)).message


def test_a_security_key_is_named(client: Client, server: Server) -> None:
    file = client.config.parent / "id_sk"
    file.write_text(_security_key())
    client.config.write_text(stanza(server, key=file))
    error = refused(bare(server))
    assert f"{file}, a security key" in error.message and "ssh-add" in error.message


def test_a_passphrase_is_named_though_the_configuration_names_the_key(client: Client, server: Server) -> None:
    file = key(client.config.parent / "locked", "secret")
    client.config.write_text(stanza(server, key=file))
    error = refused(bare(server))
    assert f"the key {file} has a passphrase" in error.message and f"ssh-add {file}" in error.next_step


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_in_openssl_s_form_is_offered(client: Client, server: Server, kind: str) -> None:
    file = client.config.parent / f"id_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-m", "PKCS8", "-N", "", "-f", str(file)], check=True)
    with (server.folder / "key.pub").open("a") as keys:
        keys.write(Path(f"{file}.pub").read_text())
    client.config.write_text(stanza(server, key=file))
    assert survey(bare(server)).name


def test_a_passphrase_of_a_key_in_openssl_s_form_is_named(client: Client, server: Server) -> None:
    file = client.config.parent / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-m", "PKCS8", "-N", "secret", "-f", str(file)], check=True)
    client.config.write_text(stanza(server, key=file))
    assert f"the key {file} has a passphrase" in refused(bare(server)).message


def test_a_passphrase_that_fab_prompted_for_unlocks_the_key(client: Client, server: Server, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(server.folder / "key")], check=True)
    client.config.write_text(stanza(server, "mine"))
    connection = Connection("mine", connect_kwargs={"passphrase": "secret"})
    with contextlib.closing(select_host(connection, inventories.site(tmp_path), None)) as host:
        assert host.survey(FactsRequest(host=True)).host.name


def test_a_certificate_of_the_configuration_is_offered(client: Client, tmp_path: Path) -> None:
    authority, mine = key(tmp_path / "ca"), key(tmp_path / "mine")
    settings = f"TrustedUserCAKeys {authority}.pub\nAuthorizedKeysFile none"
    with started(tmp_path / "vps", settings) as server:
        sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", server.user, f"{mine}.pub"]
        subprocess.run(sign, check=True)
        (tmp_path / "mine-cert.pub").rename(tmp_path / "elsewhere")
        client.config.write_text(stanza(server, "vps", f"CertificateFile {tmp_path}/elsewhere", key=mine))
        assert survey(bare(server)).name
        client.config.write_text(stanza(server, key=mine))
        assert f"refuses the key {mine}" in refused(bare(server)).message


def test_a_second_factor_is_told_from_a_refusal(client: Client, tmp_path: Path) -> None:
    settings = "AuthenticationMethods publickey,password\nPasswordAuthentication yes"
    with started(tmp_path / "vps", settings) as server:
        error = refused(server.host())
    assert f"accepts {server.folder / 'key'}" in error.message and "demands password" in error.message
    assert "AuthenticationMethods publickey" in error.next_step


def test_a_server_that_accepts_no_keys_is_told(client: Client, tmp_path: Path) -> None:
    with started(tmp_path / "vps", "PubkeyAuthentication no\nPasswordAuthentication yes") as server:
        for entry in (server.host(), changed(server, key=None)):
            error = refused(entry)
            assert "only by password" in error.message and "PubkeyAuthentication yes" in error.next_step


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"Exceeded MaxStartups\r\n"])
def test_what_speaks_no_ssh_is_told(client: Client, server: Server, text: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection = listener.accept()[0]
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(99)
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        error = refused(changed(server, port=listener.getsockname()[1]))
    assert "closed the connection or speaks no SSH" in error.message and "MaxStartups" in error.next_step


def test_a_server_that_opens_no_session_is_told(client: Client, tmp_path: Path) -> None:
    with started(tmp_path / "vps", "MaxSessions 0") as server:
        error = refused(server.host())
    assert "opens no session" in error.message and "MaxSessions" in error.next_step


# ── Jump hosts and proxy commands ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def bastion(client: Client, tmp_path: Path) -> Iterator[Server]:
    with started(tmp_path / "bastion") as server:
        yield server


@pytest.mark.parametrize("way", ["alias", "in full", "twice", "a chain", "its own jump host", "a proxy command"])
def test_the_way_leads_through_jump_hosts(client: Client, server: Server, bastion: Server, way: str) -> None:
    in_full = f"%r@127.0.0.1:{bastion.port}"
    whole = f"Match host 127.0.0.1\n  IdentityFile {bastion.folder}/key\n  UserKnownHostsFile {bastion.known_hosts}\n"
    jumps = {
        "alias": "gate",
        "in full": in_full,
        "twice": "gate,gate",
        "a chain": "gate,inner",
        "its own jump host": "inner",
    }
    line = f"ProxyJump {jumps[way]}" if way in jumps else f"ProxyCommand {client.ssh} -W [%h]:%p gate"
    inner = stanza(bastion, "inner", "ProxyJump gate") if way == "its own jump host" else stanza(bastion, "inner")
    end = whole if way == "in full" else ""
    client.config.write_text(stanza(server, "vps", line) + stanza(bastion, "gate") + inner + end)

    assert survey(bare(server)).name
    wait_for(lambda: not bastion.connections())
    log = (bastion.folder / "log").read_text()
    times = 2 if way in ("twice", "a chain", "its own jump host") else 1
    assert log.count("Accepted publickey") == times


@pytest.mark.parametrize("file", ["empty", "of another key"])
@pytest.mark.parametrize("checking", ["no", "accept-new", "ask"])
def test_a_jump_host_that_is_not_known_is_refused_whatever_the_configuration_says(
    client: Client, server: Server, bastion: Server, file: str, checking: str
) -> None:
    other = Path(f"{key(client.config.parent / 'other')}.pub").read_text()
    bastion.known_hosts.write_text(f"[127.0.0.1]:{bastion.port} {other}" if file == "of another key" else "")
    before = bastion.known_hosts.read_text()
    gate = stanza(bastion, "gate", f"StrictHostKeyChecking {checking}")
    client.config.write_text(stanza(server, "vps", "ProxyJump gate") + gate)

    error = refused(bare(server))

    assert "the jump host on the way to" in error.message and "Host key verification failed" in error.message
    assert "gate" in error.next_step and "compare its fingerprint" in error.next_step
    assert bastion.known_hosts.read_text() == before and not server.connections()
    assert "Accepted" not in (bastion.folder / "log").read_text()


def test_a_first_jump_host_that_is_not_known_is_refused_too(client: Client, server: Server, bastion: Server) -> None:
    lines = ("UserKnownHostsFile /dev/null", "StrictHostKeyChecking no")
    first = "\n".join(line for line in stanza(bastion, "first", *lines).splitlines() if "/known_hosts" not in line)
    client.config.write_text(stanza(server, "vps", "ProxyJump first,gate") + first + "\n" + stanza(bastion, "gate"))
    assert "Host key verification failed" in refused(bare(server)).message
    assert "Accepted" not in (bastion.folder / "log").read_text()


def test_the_vps_behind_a_jump_host_must_be_known_itself(client: Client, server: Server, bastion: Server) -> None:
    client.config.write_text(stanza(server, "vps", "ProxyJump gate") + stanza(bastion, "gate"))
    server.known_hosts.write_text("")
    error = refused(bare(server))
    assert f"the host key of 127.0.0.1:{server.port} is unknown" in error.message
    assert f"{server.user}@vps" in error.next_step and "ssh-keyscan" not in error.next_step, "it would not get there"


def test_a_jump_host_that_refuses_the_key_is_named(client: Client, server: Server, bastion: Server) -> None:
    wrong = key(client.config.parent / "wrong")
    client.config.write_text(stanza(server, "vps", "ProxyJump gate") + stanza(bastion, "gate", key=wrong))
    error = refused(bare(server))
    assert "the jump host on the way" in error.message and "Permission denied (publickey)" in error.message


def test_a_jump_host_that_does_not_run_is_named(client: Client, server: Server, bastion: Server) -> None:
    client.config.write_text(stanza(server, "vps", "ProxyJump gate") + stanza(bastion, "gate"))
    bastion.stop()
    error = refused(bare(server))
    assert "the jump host on the way" in error.message and "Connection refused" in error.message


def test_a_port_that_nobody_listens_at_behind_a_jump_host_is_told(
    client: Client, server: Server, bastion: Server
) -> None:
    client.config.write_text(stanza(server, "vps", "ProxyJump gate") + stanza(bastion, "gate"))
    server.stop()
    error = refused(bare(server))
    assert f"no connection to 127.0.0.1:{server.port}: the jump host can't connect" in error.message


def test_a_jump_host_that_leads_through_itself_is_refused(client: Client, server: Server) -> None:
    client.config.write_text(stanza(server, "vps", "ProxyJump a") + "Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
    assert "through itself" in refused(bare(server)).message


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/nowhere/program %h %p", "/nowhere/program"),
        ("sh -c 'echo no way to %h >&2; exit 3'", "no way to 127.0.0.1"),
        ("false", "exit code 1"),
        ("echo nonsense", "exit code 0"),
        ("true", "exit code 0"),
    ],
)
def test_a_proxy_command_that_fails_is_named(client: Client, server: Server, command: str, words: str) -> None:
    client.config.write_text(stanza(server, "vps", f"ProxyCommand {command}"))
    error = refused(bare(server))
    assert words in error.message or words in error.next_step
    assert "proxy command" in error.message or "no connection" in error.message


def test_a_proxy_command_that_hangs_times_out(client: Client, server: Server) -> None:
    client.config.write_text(stanza(server, "vps", "ProxyCommand sleep 60; true"))
    error = refused(bare(server), timeout=1.0)
    assert f"127.0.0.1:{server.port} through its proxy command did not answer within 1 s" in error.message


def test_nothing_is_left_of_a_proxy_command(client: Client, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    routes: list[route.Route] = []
    create = route.Route.__init__

    def note(self: route.Route, *arguments: Any) -> None:
        routes.append(self)
        create(self, *arguments)

    monkeypatch.setattr(route.Route, "__init__", note)
    client.config.write_text(stanza(server, "vps", f"ProxyCommand {_RELAY}"))
    assert survey(bare(server)).name
    [made] = routes
    assert made._process is not None and made._process.returncode is not None


# ── Without an OpenSSH client ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def no_client(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no ssh on it; the home of its user."""
    monkeypatch.setenv("PATH", "/nowhere")
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    return home / ".ssh"


def test_without_a_client_the_inventory_counts(server: Server, no_client: Path) -> None:
    assert survey(server.host()).name


def test_without_a_client_the_users_own_files_count(server: Server, no_client: Path) -> None:
    entry = inventory.Host(name="vps", address="127.0.0.1", port=server.port, user=server.user)
    assert "is unknown" in refused(entry).message
    (no_client / "known_hosts").write_text(
        f"@cert-authority * ssh-ed25519 AAAA\nnonsense\n{server.known_hosts.read_text()}"
    )
    (no_client / "id_ed25519").write_bytes((server.folder / "key").read_bytes())
    assert survey(entry).name


@pytest.mark.parametrize("form", ["hashed", "revoked", "an authority", "changed"])
def test_without_a_client_known_hosts_is_read_all_the_same(server: Server, no_client: Path, form: str) -> None:
    name, (kind, blob) = f"[127.0.0.1]:{server.port}", host_key(server).split()
    other = Path(f"{server.folder / 'key'}.pub").read_text()
    texts = {
        "revoked": (f"@revoked {name} {kind} {blob}\n{name} {kind} {blob}\n", "is revoked"),
        "an authority": (f"@cert-authority {name} {kind} {blob}\n", "@cert-authority"),
        "changed": (f"{name} {other}", "has changed"),
    }
    if form == "hashed":
        import paramiko

        server.known_hosts.write_text(f"{paramiko.HostKeys.hash_host(name)} {kind} {blob}\n")
        assert survey(server.host()).name
        return
    text, words = texts[form]
    server.known_hosts.write_text(text)
    assert words in refused(server.host()).message


def test_without_a_client_each_command_says_what_does_not_count(
    no_client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inventories.site(tmp_path)
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(tmp_path / "inventory.toml"))
    session.begin(object())
    printed = " ".join(capsys.readouterr().err.split())
    assert "warning: there is no OpenSSH client" in printed and "jump hosts" in printed


def test_with_a_client_nobody_is_warned(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    session.warn_without_openssh(Console())
    assert capsys.readouterr().err == ""


# ── fab ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fab_may_name_an_alias_of_the_ssh_configuration(client: Client, server: Server, tmp_path: Path) -> None:
    with contextlib.closing(select_host(Connection("vps_of-mine"), inventories.site(tmp_path), None)) as host:
        client.config.write_text(stanza(server, "vps_of-mine"))
        assert host.survey(FactsRequest(host=True)).host.name


def test_fab_itself_reads_no_ssh_configuration(client: Client, server: Server, tmp_path: Path) -> None:
    """Fabric does before it loads a task, and ends in a traceback where Paramiko does not know a word."""
    inventories.site(tmp_path)
    server.program("sudo", "#!/bin/sh\necho sudo: a password is required >&2\nexit 1\n")
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "config").write_text("Match final all\n  Ciphers aes256-ctr\n")
    client.config.write_text(stanza(server, "mine"))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "fab"), "-H", "mine", "history"],
        env={**os.environ, "ISLANDFLOW_INVENTORY": str(tmp_path / "inventory.toml")},
        cwd=inventories.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "can't run sudo without a password" in done.stderr and "Traceback" not in done.stderr
    assert done.returncode == 6


def test_fab_may_name_a_file_of_the_ssh_configuration(client: Client, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "another"
    file.write_text(stanza(server, "mine"))
    connection = Connection("mine", config=Config(runtime_ssh_path=str(file)))
    with contextlib.closing(select_host(connection, inventories.site(tmp_path), None)) as host:
        assert host.survey(FactsRequest(host=True)).host.name


# ── Login shells ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shell", ["sh", "bash", "tcsh"])
def test_any_login_shell_passes_the_command_on(client: Client, tmp_path: Path, shell: str) -> None:
    path = shutil.which(shell)
    if not path:
        pytest.fail(f"this test needs {shell}: apt-get install {shell}", pytrace=False)
    if os.geteuid():
        pytest.skip("only root gives its users another shell")
    with started(tmp_path / "vps", shell=path) as server:
        assert survey(server.host()).name


_RELAY = (
    "python3 -c 'import os,socket,sys,threading;"
    "s=socket.create_connection((sys.argv[1],int(sys.argv[2])));"
    "f=lambda r,w:[w(d) for d in iter(r,bytes())];"
    "threading.Thread(target=f,args=(lambda:os.read(0,9999),s.sendall),daemon=True).start();"
    "f(lambda:s.recv(9999),lambda d:os.write(1,d))' %%h %%p"
).replace("%%", "%")


def _security_key() -> str:
    """The file of a security key, as `ssh-keygen -t ed25519-sk` writes it; the private part stays in the hardware."""

    def field(content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + content

    public = field(b"sk-ssh-ed25519@openssh.com") + field(bytes(32)) + field(b"ssh:")
    whole = (
        b"openssh-key-v1\0" + field(b"none") * 2 + field(b"") + struct.pack(">I", 1) + field(public) + field(bytes(64))
    )
    text = base64.encodebytes(whole).decode()
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}-----END OPENSSH PRIVATE KEY-----\n"

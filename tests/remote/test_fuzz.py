"""Whatever stands in an ssh configuration, a known_hosts file or a key: an answer or an error in words."""

from __future__ import annotations

import contextlib
from pathlib import Path

import paramiko
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabfile import inventory
from fabfile.errors import CutoverError
from fabfile.remote import hostkeys, openssh
from fabfile.remote.identities import Identities
from fabfile.remote.openssh import SshConfig
from tests.support import ssh_server
from tests.support.ssh_server import Client

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HOST = inventory.Host(name="vps", address="vps", user="delta")

# None that looks up a name or runs a program.
_NAMES = (
    "AddressFamily BindAddress CertificateFile Ciphers GlobalKnownHostsFile Host HostKeyAlgorithms HostKeyAlias "
    "HostName IdentitiesOnly IdentityAgent IdentityFile Include KexAlgorithms KnownHostsCommand MACs Match "
    "PKCS11Provider Port ProxyCommand ProxyJump ProxyUseFdpass RevokedHostKeys Tag User UserKnownHostsFile "
    "VerifyHostKeyDNS Nonsense"
)
KEYWORDS = st.sampled_from(_NAMES.split(" "))
VALUES = st.one_of(
    st.sampled_from(
        ["", "yes", "no", "none", "all", "final all", "%h", "%%", "%", "${HOME}", "~", "/", '"', "0", "-1"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=20),
)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(tmp_path, monkeypatch)


@settings(FUZZ, max_examples=150)
@given(lines=st.lists(st.tuples(KEYWORDS, VALUES), max_size=6))
def test_any_configuration_is_read_or_refused(client: Client, lines: list[tuple[str, str]]) -> None:
    kept = [(key, value) for key, value in lines if "exec" not in value]
    client.config.write_text("".join(f"{key} {value}\n" for key, value in kept))
    with contextlib.suppress(CutoverError):
        config = openssh.configuration(HOST)
        list(Identities(config, ()))
        known = hostkeys.known_keys(config, with_openssh=True)
        known.judge(paramiko.Ed25519Key.from_private_key_file(str(_key(client.config.parent))))


@settings(FUZZ, max_examples=100)
@given(content=st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([b"@revoked ", b"vps ", b"|1|", b"\n"]))))
@pytest.mark.parametrize("with_openssh", [True, False])
def test_any_known_hosts_is_read(tmp_path: Path, client: Client, with_openssh: bool, content: list[bytes]) -> None:
    file = tmp_path / "known"
    file.write_bytes(b"".join(content))
    config = SshConfig("vps", "vps", 2222, "delta", (), (file,))
    known = hostkeys.known_keys(config, with_openssh=with_openssh)
    key = paramiko.Ed25519Key.from_private_key_file(str(_key(tmp_path)))
    with pytest.raises(CutoverError):
        known.judge(key)


@settings(FUZZ, max_examples=300)
@given(cut=st.integers(0, 500), middle=st.binary(max_size=30), rest=st.integers(0, 500), text=st.text(max_size=80))
def test_any_file_may_stand_in_place_of_a_key(tmp_path: Path, cut: int, middle: bytes, rest: int, text: str) -> None:
    whole = _key(tmp_path).read_bytes()
    for content in (whole[:cut] + middle + whole[rest:], text.encode(errors="replace"), middle):
        file = tmp_path / "broken"
        file.write_bytes(content)
        with contextlib.suppress(CutoverError):
            list(Identities(SshConfig("vps", "vps", 22, "delta", (file,), ()), (file,)))


@given(st.text(max_size=30))
def test_any_destination_is_taken_apart(text: str) -> None:
    user, host, port = openssh.split(text)
    assert all(part in text for part in (user, host, port))


def _key(folder: Path) -> Path:
    path = folder / "whole"
    if not path.exists():
        ssh_server.make_key(path)
    return path

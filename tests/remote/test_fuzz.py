"""Whatever stands in an ssh configuration, a known_hosts file or a key: an answer or an error in words."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import paramiko
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabfile import inventory, survey
from fabfile.errors import CutoverError, Unreachable
from fabfile.inventory import Site
from fabfile.remote import hostkeys, openssh, refusals, route
from fabfile.remote.host import Host
from fabfile.remote.identities import Identities
from fabfile.remote.openssh import SshConfig
from fabfile.runner.wire.adoption import AdoptionRequest
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.edge import EdgeFacts, EdgeLogin
from fabfile.runner.wire.facts import Facts, FactsRequest
from tests.adoption.vps import jetstream, vps
from tests.record.journals import DONE, REVERTED, impact
from tests.support import fuzz, ssh_server
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


# ── What OpenSSH's programs print, and what the runner answers ────────────────────────────────────────────────────────


_PRINTED = """\
host vps
user delta
hostname 192.0.2.7
port 2222
addressfamily any
identitiesonly no
identityfile ~/.ssh/id_ed25519
identityfile "${HOME}/with blank"
userknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2
globalknownhostsfile /etc/ssh/ssh_known_hosts
proxyjump user@[::1]:22,other
ciphers aes128-ctr,aes256-gcm@openssh.com
hostkeyalias none
"""
_FOUND = """\
# Host [192.0.2.7]:2222 found: line 3
|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO
@revoked * ssh-rsa AAAAB3NzaC1yc2E
@cert-authority *.example ecdsa-sha2-nistp256 AAAA
"""


def test_whatever_openssh_prints_is_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = paramiko.Ed25519Key.from_private_key_file(str(_key(tmp_path)))
    known_hosts = tmp_path / "known"
    known_hosts.touch()

    def act(chance: Random) -> None:
        def printed(argv: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
            whole = _FOUND if "-F" in argv and argv[0] == "ssh-keygen" else _PRINTED
            text = fuzz.damaged(chance, whole.encode()).decode(errors="surrogateescape")
            return subprocess.CompletedProcess(argv, chance.choice((0, 0, 0, 255)), text, text)

        monkeypatch.setattr(openssh, "run", printed)
        config = openssh.configuration(HOST)
        list(Identities(config, ()))
        route._command(config, 5.0)
        known = hostkeys.known_keys(dataclasses.replace(config, known_hosts=(known_hosts,)), with_openssh=True)
        known.judge(key)

    fuzz.search(act, CutoverError)


@pytest.mark.parametrize("line", ["port x", "port 1_0", "port 99999999"])
def test_a_port_that_ssh_never_prints_is_refused(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssh, "run", lambda argv: subprocess.CompletedProcess(argv, 0, f"{line}\n", ""))
    with pytest.raises(Unreachable, match="prints a port that is none"):
        openssh.configuration(HOST)


@pytest.mark.parametrize("path", ["~nobody-at-all/key", "/" + "x" * 5000])
def test_a_path_that_leads_nowhere_is_kept(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"identityfile {path}\nuserknownhostsfile {path}\n"
    monkeypatch.setattr(openssh, "run", lambda argv: subprocess.CompletedProcess(argv, 0, text, ""))
    config = openssh.configuration(HOST)
    assert config.identity_files == (Path(path),)
    hostkeys.known_keys(config, with_openssh=True)


@pytest.mark.parametrize(
    "line", [b"5", b"[]", b'{"error": 5}', b"[" * 50_000, b'{"facts": 5}', b'{"facts": {"type": []}}']
)
def test_an_answer_that_no_runner_gives_is_refused(line: bytes) -> None:
    with pytest.raises(Unreachable, match="the runner on the VPS says"):
        refusals.answered(Facts, refusals.answer(line), "facts")


def test_whatever_the_vps_answers_is_read_or_refused(site: Site, docker_serves: Facts, monkeypatch: Any) -> None:
    there = Host(HOST, 1.0)
    light = dataclasses.replace(docker_serves, edge=EdgeFacts(), files={})
    holder = {"holder": {"who": "ana", "what": "a plan", "since": "now", "soak": "x"}}
    past = {"id": "x", "plan": "cutover", "who": "ana", "time": "now", "outcome": "done", "ms": 1, "impact": impact()}
    calls: list[tuple[Callable[[], Any], list[dict[str, Any]]]] = [
        (lambda: there.survey(FactsRequest()), [{"facts": encode(light)}]),
        (lambda: there.adopt(AdoptionRequest()), [{"adoption": encode(vps(site))}]),
        (lambda: list(there.positions(survey.streams_ref(site), 1)), [{"at": 0.5, "look": encode(jetstream(site))}]),
        (lambda: there.log_in(EdgeLogin(survey.edge_ref(site))), [{"token": "x"}]),
        (there.history, [past, past]),
        (lambda: there.journal("x"), [event.line() for event in REVERTED]),
        (there.soak_show, [holder, *(event.line() for event in REVERTED[:3])]),
        (there.soak_stop, [event.line() for event in DONE]),
        (lambda: list(there.follow("x")), [event.line() for event in DONE]),
    ]

    def act(chance: Random) -> None:
        call, lines = chance.choice(calls)
        at = chance.randrange(len(lines))
        texts = [fuzz.as_json(chance, line) if number == at else json.dumps(line) for number, line in enumerate(lines)]
        answers = [refusals.answer(text.encode()) for text in texts]
        monkeypatch.setattr(there._caller, "call", lambda *words, **given: iter(answers))
        call()

    fuzz.search(act, CutoverError)


def _key(folder: Path) -> Path:
    path = folder / "whole"
    if not path.exists():
        ssh_server.make_key(path)
    return path

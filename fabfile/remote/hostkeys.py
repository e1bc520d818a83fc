"""Which keys a host is known by: `ssh-keygen -F` reads the known_hosts files, hashed names and patterns included."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from fabfile.remote import login_errors, openssh
from fabfile.remote.openssh import SshConfig

_RSA = ("rsa-sha2-512", "rsa-sha2-256")  # the signatures that a key of type ssh-rsa makes


@dataclass(frozen=True)
class Line:
    """A line of a known_hosts file: its marker (`@revoked`, `@cert-authority` or none), and a key in Base64."""

    marker: str
    names: str
    kind: str
    key: str


@dataclass(frozen=True)
class KnownKeys:
    """The lines for one host, under its own name (`name`), and under the name without the port."""

    config: SshConfig
    name: str
    lines: Sequence[Line]
    portless: Sequence[Line] = ()

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms of the keys that are known: the server shall show one of those, if it has it."""
        kinds = [line.kind for line in (*self.lines, *self.portless) if not line.marker]
        return tuple(name for kind in dict.fromkeys(kinds) for name in (_RSA if kind == "ssh-rsa" else (kind,)))

    def judge(self, server_key: paramiko.PKey) -> None:
        """Accept the key that the server shows. Raises Unreachable for one that is revoked, changed or unknown."""
        key, fingerprint = base64.b64encode(server_key.asbytes()).decode(), _fingerprint(server_key)
        target, files = f"{self.config.hostname}:{self.config.port}", self._files()
        every = (*self.lines, *self.portless)
        if any(line.marker == "@revoked" and line.key == key for line in every):
            raise login_errors.revoked_host_key(target, fingerprint, files)
        if self._is_in_revocation_list(server_key):
            raise login_errors.revoked_host_key(target, fingerprint, self._revocation_lists())
        if any(not line.marker and line.key == key for line in every):
            return
        if any(not line.marker and line.kind == server_key.get_name() for line in self.lines):
            raise login_errors.changed_host_key(target, fingerprint, files, self.name)
        if any(line.marker == "@cert-authority" for line in every):
            raise login_errors.certified_host(target, fingerprint, files, self._remember(files))
        raise login_errors.unknown_host_key(target, fingerprint, files, self._remember(files), self._note())

    def _files(self) -> Sequence[Path]:
        """The files that are there, or the first one that is not."""
        return [file for file in self.config.known_hosts if os.path.isfile(file)] or self.config.known_hosts[:1]

    def _remember(self, files: Sequence[Path]) -> str:
        """The command that adds the key: where ssh-keyscan can't reach the host or know its name, ssh itself."""
        if any(self.config.value(keyword) for keyword in ("proxyjump", "proxycommand", "hostkeyalias")):
            login = f"{self.config.user}@{self.config.name}"
            file = f"-o UserKnownHostsFile={shlex.quote(str(files[0]))} " if files else ""
            return f"ssh -p {self.config.port} {file}{login}"
        where = shlex.quote(str(files[0])) if files else "known_hosts"
        return f"ssh-keyscan -p {self.config.port} {self.config.hostname} >> {where}"

    def _note(self) -> str:
        """What OpenSSH would have looked at besides."""
        others = [line.kind for line in self.lines if not line.marker]
        known = f"; a key of another kind is ({', '.join(sorted(set(others)))})" if others else ""
        unread = [name for name in ("KnownHostsCommand", "VerifyHostKeyDNS") if self._says(name)]
        return known + (f"; {' and '.join(unread)} of your ssh configuration is not looked at" if unread else "")

    def _says(self, keyword: str) -> bool:
        return self.config.value(keyword.lower()) not in ("", "false", "no")

    def _revocation_lists(self) -> list[Path]:
        text = self.config.value("revokedhostkeys")
        return [self.config.path(text)] if text else []

    def _is_in_revocation_list(self, server_key: paramiko.PKey) -> bool:
        for file in self._revocation_lists():
            if not (os.path.isfile(file) and os.access(file, os.R_OK)):  # OpenSSH refuses every key then, too
                raise login_errors.unreadable(str(file), "RevokedHostKeys names it, and without it no key is trusted")
            public = f"{server_key.get_name()} {base64.b64encode(server_key.asbytes()).decode()}\n"
            if _is_listed(file, public):
                return True
        return False


def known_keys(config: SshConfig, *, with_openssh: bool) -> KnownKeys:
    """The keys that the host of a configuration is known by. Raises Unreachable where a file can't be read."""
    alias, host = config.value("hostkeyalias"), config.hostname
    name = alias or (host if config.port == 22 else f"[{host}]:{config.port}")
    find = _lines_by_openssh if with_openssh else _lines_here
    readable = [file for file in config.known_hosts if _is_readable(file, must=len(config.known_hosts) == 1)]
    lines = [line for file in readable for line in find(file, name)]
    # As OpenSSH does: what is not known at its port may be known under the name without one.
    is_known = alias or name == host or any(not line.marker for line in lines)
    return KnownKeys(config, name, lines, () if is_known else [line for file in readable for line in find(file, host)])


def _lines_by_openssh(file: Path, name: str) -> Iterator[Line]:
    done = openssh.run(["ssh-keygen", "-F", name, "-f", str(file)])
    for text in done.stdout.splitlines():
        line = _line(text)
        if line:
            yield line


def _lines_here(file: Path, name: str) -> Iterator[Line]:
    """Whole names and hashed ones, and no patterns: what Paramiko reads."""
    for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
        line = _line(text)
        if line and any(_is_same(name, other) for other in line.names.split(",")):
            yield line


def _line(text: str) -> Line | None:
    words = text.split()
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    return Line(marker, *words[:3]) if len(words) >= 3 else None


def _is_same(name: str, other: str) -> bool:
    if not other.startswith("|1|"):
        return name == other
    try:
        return paramiko.HostKeys.hash_host(name, other) == other
    except (ValueError, IndexError, AssertionError):  # no salt in it
        return False


def _is_readable(file: Path, *, must: bool) -> bool:
    if not os.path.exists(file):
        return False
    if os.path.isfile(file) and os.access(file, os.R_OK):
        return True
    if must:
        raise login_errors.unreadable(str(file), "it is a folder" if file.is_dir() else "it may not be read")
    return False


def _is_listed(file: Path, public: str) -> bool:
    """Whether a key is in a list of public keys or, which only ssh-keygen reads, in a key revocation list."""
    kind, key = public.split()
    with file.open("rb") as opened:
        if opened.read(8) != b"SSHKRL\n\0":
            opened.seek(0)
            return any(key.encode() in line.split() for line in opened)
    return openssh.run(["ssh-keygen", "-Q", "-f", str(file), "/dev/stdin"], stdin=f"{kind} {key}\n").returncode != 0


def _fingerprint(key: paramiko.PKey) -> str:
    """As ssh prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"

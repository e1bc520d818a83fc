"""How OpenSSH would log in to a host: the configuration that `ssh -G` prints, whatever it was made of."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fabfile.inventory import Host
from fabfile.remote import login_errors

SECONDS = 30.0  # seconds for a program of OpenSSH's on this machine; a `Match exec` runs commands of the operator's
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")  # what is looked for where no OpenSSH says it
_TOKEN = re.compile(r"%(.)")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

WITHOUT_CLIENT = (
    "there is no OpenSSH client on this machine: ~/.ssh/config and /etc/ssh are not read (no jump hosts, aliases, "
    "IdentityFile or IdentityAgent), nor are patterns in known_hosts. Only the inventory's address, port, user, key "
    "and known_hosts count, your ~/.ssh/known_hosts and ~/.ssh/id_*, and the keys of your SSH agent"
)
"""The warning that a command gives where it can't do as OpenSSH does."""


@dataclass(frozen=True)
class SshConfig:
    """The configuration for one host. `values` has what `ssh -G` prints, by keyword in lower case."""

    name: str  # as the operator calls the host
    hostname: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    known_hosts: tuple[Path, ...]
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    file: str = ""  # of `ssh -F`, where `fab -S` names one

    def value(self, keyword: str) -> str:
        """A keyword's value, empty where it has none."""
        return _first(self.values, keyword)

    def is_on(self, keyword: str) -> bool:
        """Whether a keyword is switched on."""
        return self.value(keyword) in ("yes", "true")

    def algorithms(self, keyword: str) -> tuple[str, ...]:
        """The names in a list such as Ciphers, the preferred one first."""
        return tuple(name for name in self.value(keyword).split(",") if name)

    def expand(self, text: str) -> str:
        """Text with the tokens replaced that OpenSSH replaces."""
        full = socket.gethostname()
        tokens = {
            **{"%": "%", "h": self.hostname, "n": self.name, "p": str(self.port), "r": self.user},
            **{
                "d": str(_home()),
                "i": str(os.getuid()),
                "u": _account(),
                "l": full,
                "L": full.partition(".")[0],
            },
            "k": self.value("hostkeyalias") or self.name,
        }
        return _TOKEN.sub(lambda match: tokens.get(match[1], match[0]), text)

    def path(self, text: str) -> Path:
        """The file that a path in the configuration means."""
        expanded = _VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), self.expand(text))
        return _home() / expanded[2:] if expanded.startswith("~/") else Path(os.path.expanduser(expanded))


def available() -> bool:
    """Whether this machine has an OpenSSH client."""
    return bool(shutil.which("ssh") and shutil.which("ssh-keygen"))


def configuration(host: Host, keys: Sequence[Path] = (), file: str = "") -> SshConfig:
    """The configuration for a host of the inventory, whose port, user and known_hosts win; `keys` come first.

    Raises Unreachable where ssh refuses its configuration or does not come to an end.
    """
    port = ["-p", str(host.port)] if "port" in host.model_fields_set else []
    user = ["-l", host.user] if host.user else []
    files = [word for key in keys for word in ("-i", str(key).replace("%", "%%"))]
    values = _values(host.address, [*port, *user, *files], file)
    bare = SshConfig(
        name=host.address,
        hostname=_first(values, "hostname") or host.address,
        port=_port(values) or host.port,
        user=_first(values, "user") or host.user,
        identity_files=(),
        known_hosts=(),
        values=values,
        file=file,
    )
    identities = [bare.path(text) for text in values.get("identityfile", ()) if text.lower() != "none"]
    return SshConfig(
        **{
            **vars(bare),
            "identity_files": tuple(dict.fromkeys([*keys, *identities])),
            "known_hosts": (host.known_hosts,) if host.known_hosts else _known_hosts(values),
        }
    )


def without_client(host: Host, keys: Sequence[Path] = ()) -> SshConfig:
    """What the inventory alone says, and the files that everybody has: no configuration of OpenSSH's is read."""
    folder = Path(os.path.expanduser("~/.ssh"))
    return SshConfig(
        name=host.address,
        hostname=host.address,
        port=host.port,
        user=host.user or _account(),
        identity_files=tuple(keys) or tuple(folder / name for name in _DEFAULT_KEYS),
        known_hosts=(host.known_hosts or folder / "known_hosts",),
    )


def jump(name: str, user: str, port: str, file: str) -> tuple[str, str]:
    """The ProxyJump and the ProxyCommand that ssh itself has for a jump host. Raises Unreachable."""
    options = [*(("-l", user) if user else ()), *(("-p", port) if port else ())]
    values = _values(name, options, file)
    return _first(values, "proxyjump"), _first(values, "proxycommand")


def split(destination: str) -> tuple[str, str, str]:
    """User, host and port of a destination such as user@[::1]:22; empty where it names none."""
    user, _, rest = destination.removeprefix("ssh://").rpartition("@")
    match = re.fullmatch(r"\[(.+)\](?::(\d+))?|([^:]*)(?::(\d+))?|(.*)", rest.rstrip("/"), re.DOTALL)
    assert match, "the last branch matches everything"
    return user, match[1] or match[3] or match[5] or "", match[2] or match[4] or ""


def run(argv: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """What a program of OpenSSH's on this machine prints. It can't ask anybody. Raises Unreachable."""
    try:
        return subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            timeout=SECONDS,
            start_new_session=True,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except subprocess.TimeoutExpired:
        raise login_errors.configuration(argv[0], f"no answer within {SECONDS:g} s (a Match exec?)") from None
    except OSError as error:
        raise login_errors.configuration(argv[0], error.strerror or str(error)) from None


def _values(name: str, options: Sequence[str], file: str) -> dict[str, list[str]]:
    done = run(["ssh", "-G", *(("-F", file) if file else ()), *options, "--", name])
    if done.returncode != 0:
        raise login_errors.configuration("ssh", login_errors.last_words(done.stderr) or f"exit code {done.returncode}")
    values: dict[str, list[str]] = {}
    for line in done.stdout.replace("\0", "").splitlines():  # no path can hold a NUL
        keyword, _, value = line.partition(" ")
        values.setdefault(keyword.lower(), []).append(value)
    return values


def _first(values: Mapping[str, Sequence[str]], keyword: str) -> str:
    text = next(iter(values.get(keyword, ())), "")
    return "" if text.lower() == "none" else text


def _port(values: Mapping[str, Sequence[str]]) -> int:
    """The port that ssh names, 0 where it names none. Raises Unreachable for what is none."""
    text = _first(values, "port")
    if text and not re.fullmatch(r"[0-9]{1,5}", text):
        raise login_errors.configuration("ssh", f"it prints a port that is none: {text[:40]}")
    return int(text or 0)


def _known_hosts(values: Mapping[str, Sequence[str]]) -> tuple[Path, ...]:
    lists = [_first(values, keyword) for keyword in ("userknownhostsfile", "globalknownhostsfile")]
    return tuple(Path(path) for text in lists for path in _paths(text))


def _paths(text: str) -> list[str]:
    """The paths in a list that ssh prints without quotes: one with blanks in it is found by being there."""
    words, paths = text.split(" "), []
    while words:
        sizes = range(len(words), 0, -1)
        size = next((size for size in sizes if os.path.exists(" ".join(words[:size]))), 1)
        paths.append(" ".join(words[:size]))
        words = words[size:]
    return [path for path in paths if path]


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number that no user database knows
        return str(os.getuid())


def _home() -> Path:
    """The home that OpenSSH reads from: the one of the user database, whatever HOME says."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path(os.path.expanduser("~"))

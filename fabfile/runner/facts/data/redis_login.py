"""Whether a runtime's Redis will take the app's login, judged before it runs: by its settings and the app's own."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import SplitResult, unquote, urlsplit

from ...wire.app import Setting
from ...wire.settings import RefusedLogin

VARIABLE = "REDIS_URL"
_SERVICE = "redis"  # its name in Compose
_DEFAULT = "default"  # the user that every Redis has
_IN_FILES = ("--include", "--aclfile", "--user")  # where logins may be that the command line does not show


def refused_logins(
    native: Mapping[str, Mapping[str, Setting]],
    docker: Mapping[str, Mapping[str, str]],
    docker_origin: str,
    command: Sequence[str] | None,
) -> tuple[RefusedLogin, ...]:
    """Who gets a REDIS_URL with which its runtime's Redis will refuse it, by the variables of each service.

    `docker_origin` is the file that Docker's REDIS_URL comes from, `command` the command line of its Redis. A Redis in
    a container that is configured elsewhere than there is left out: it can't be known beforehand.
    """
    services: dict[RefusedLogin, tuple[str, ...]] = {}
    for service, variables in native.items():
        for one in _natively(variables.get(VARIABLE, Setting("", ""))):
            services[one] = (*services.get(one, ()), service)
    options = _options(command or [])
    for service, values in docker.items() if options is not None else ():
        for one in _in_docker(Setting(values.get(VARIABLE, ""), docker_origin), _password(options or [])):
            services[one] = (*services.get(one, ()), service)
    return tuple(replace(one, services=names) for one, names in services.items())


def leads_to_own(value: str) -> bool:
    """Whether a REDIS_URL names the runtime's own Redis."""
    return any(_addresses(value))


def _natively(setting: Setting) -> Iterator[RefusedLogin]:
    """Our native Redis has the default user alone and no password: whoever names that user may give any."""
    for url in _addresses(setting.value):
        user = unquote(url.username or "")
        if user not in ("", _DEFAULT):
            yield RefusedLogin("native", setting.origin, "has no users of its own", "a user name")
        elif url.password and not user:
            yield RefusedLogin("native", setting.origin, "has no password", "a password")


def _in_docker(setting: Setting, needed: str) -> Iterator[RefusedLogin]:
    for url in _addresses(setting.value):
        user, password = unquote(url.username or ""), unquote(url.password or "")
        if user not in ("", _DEFAULT):
            yield RefusedLogin("docker", setting.origin, "has no users of its own", "a user name")
        elif needed and password != needed:
            lacks = "another password" if password else "no password"
            yield RefusedLogin("docker", setting.origin, "requires a password", lacks)
        elif password and not needed and not user:
            yield RefusedLogin("docker", setting.origin, "has no password", "a password")


def _options(command: Sequence[str]) -> Sequence[str] | None:
    """The options of a Redis' command line; None where they are not all that configures it."""
    program, *rest = command or [""]
    options = command if program.startswith("-") else rest
    started = program.startswith("-") or os.path.basename(program).endswith("-server")
    file = options[:1] and not options[0].startswith("-")
    if not started or file or any(word.partition(" ")[0] in _IN_FILES for word in options):
        return None
    return options


def _password(options: Sequence[str]) -> str:
    """What `--requirepass` says, in the word behind it or in the same one; empty without."""
    for word, following in zip(options, [*options[1:], ""]):
        name, _, rest = word.partition(" ")
        if name == "--requirepass":
            return (rest or following).strip("\"'")
    return ""


def _addresses(value: str) -> Iterator[SplitResult]:
    """The addresses in a REDIS_URL that lead to the runtime's own Redis; another one has logins of its own."""
    for address in value.split(","):
        try:
            url = urlsplit(address.strip())
            if url.hostname and _is_own(url.hostname):
                yield url
        except ValueError:
            continue


def _is_own(host: str) -> bool:
    if host in (_SERVICE, "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

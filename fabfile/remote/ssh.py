"""Getting in over SSH: one attempt, as OpenSSH's configuration says it, and every way to fail in words."""

from __future__ import annotations

import ipaddress
import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import paramiko
from fabric import Connection
from paramiko.ssh_exception import IncompatiblePeer, SSHException

from fabfile.errors import Unreachable, UsageError
from fabfile.inventory import Host
from fabfile.remote import hostkeys, login_errors, openssh
from fabfile.remote.authentication import Authentication
from fabfile.remote.hostkeys import KnownKeys
from fabfile.remote.identities import Identities
from fabfile.remote.openssh import SshConfig
from fabfile.remote.route import Route

# Addresses for documentation (RFC 5737, RFC 3849): nobody's VPS.
_EXAMPLES = [
    ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
_LISTS = {"ciphers": "ciphers", "digests": "macs", "kex": "kexalgorithms", "key_types": "hostkeyalgorithms"}

# Paramiko's threads print tracebacks of what is raised to us anyway.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Login:
    """What the command line adds to the inventory: `fab` has options for it, and prompts."""

    keys: Sequence[Path] = ()
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    config_file: str = ""  # of `fab --ssh-config`

    def explicit_keys(self, host: Host) -> Sequence[Path]:
        """The keys that somebody chose: on the command line, else in the inventory."""
        return self.keys or ((host.key,) if host.key else ())

    @classmethod
    def of(cls, connection: Connection) -> Login:
        """What `fab -H` was given."""
        settings: Mapping[str, Any] = connection.connect_kwargs
        files = settings.get("key_filename") or []
        return cls(
            keys=tuple(Path(os.path.expanduser(file)) for file in ([files] if isinstance(files, str) else files)),
            passphrase=settings.get("passphrase"),
            password=settings.get("password"),
            config_file=str(getattr(connection.config, "_runtime_ssh_path", None) or ""),
        )


def configuration(host: Host, login: Login) -> SshConfig:
    """How to log in to a host; where there is no OpenSSH client, what the inventory alone says.

    Raises Unreachable, and UsageError for an address that stands in an inventory only as an example.
    """
    _refuse_example(host, host.address)
    if openssh.available():
        config = openssh.configuration(host, login.explicit_keys(host), login.config_file)
        _refuse_example(host, config.hostname)
        return config
    return openssh.without_client(host, login.explicit_keys(host))


def connect(connection: Connection, host: Host, login: Login, config: SshConfig, timeout: float) -> Route:
    """Log in, with `timeout` seconds for each part; the way that the connection takes. Raises Unreachable."""
    known = hostkeys.known_keys(config, with_openssh=openssh.available())
    explicit = login.explicit_keys(host)
    identities = Identities(config, explicit, login.passphrase)
    target = f"{config.hostname}:{config.port}"
    authentication = Authentication(
        target, config.user, identities, password=login.password, by_hand=_by_hand(host, config, explicit)
    )
    route = Route(config, timeout)
    try:
        # Fabric trusts any host key by itself, and knows none.
        connection.client.set_missing_host_key_policy(_Judge(known))
        connection.host, connection.port, connection.user = config.hostname, config.port, config.user
        connection.gateway = None
        connection.connect_timeout = None
        connection.connect_kwargs = {
            "sock": route.socket,
            "timeout": timeout,
            "banner_timeout": timeout,
            "auth_timeout": timeout,
            "auth_strategy": authentication,
            "transport_factory": partial(_transport, known),
        }
        connection.open()
    except (OSError, SSHException, EOFError) as error:
        failure = _in_words(error, route, target, timeout)
        _close(connection, route)
        raise failure from error
    except BaseException:
        _close(connection, route)
        raise
    return route


def _close(connection: Connection, route: Route) -> None:
    connection.client.close()
    route.close()


def _transport(known: KnownKeys, sock: Any, **settings: Any) -> paramiko.Transport:
    """A transport that speaks the algorithms of the configuration, in its order; first those of the known keys."""
    transport = paramiko.Transport(sock, **settings)
    options = transport.get_security_options()
    for attribute, keyword in _LISTS.items():
        ours, allowed = tuple(getattr(options, attribute)), known.config.algorithms(keyword)
        names = tuple(name for name in allowed if name in ours) if allowed else ours
        if not names:
            raise IncompatiblePeer(f"your ssh configuration allows only {', '.join(allowed)} as {keyword}")
        if attribute == "key_types":
            first = tuple(name for name in known.algorithms if name in names)
            names = (*first, *(name for name in names if name not in first))
        setattr(options, attribute, names)
    return transport


def _in_words(error: Exception, route: Route, target: str, timeout: float) -> Unreachable:
    """The error for a login that failed before a key was offered."""
    if isinstance(error, IncompatiblePeer):
        return login_errors.no_common_algorithm(target, str(error))
    # Paramiko says all kinds of things when nothing comes back, "No existing session" among them.
    late = isinstance(error, TimeoutError) or route.age >= timeout
    failure = route.failure(silent=not late)
    if failure:
        return failure
    if late:
        return login_errors.timed_out(str(route), timeout)
    if "banner" in str(error):
        return login_errors.no_ssh(target)
    return login_errors.refused_connection(target, str(error) or type(error).__name__)


def _by_hand(host: Host, config: SshConfig, keys: Sequence[Path]) -> str:
    """The command that logs in with ssh as this tool does."""
    files = [word for key in keys for word in ("-i", str(key))]
    return shlex.join(["ssh", "-p", str(config.port), *files, f"{config.user}@{host.address}"])


def _refuse_example(host: Host, address: str) -> None:
    try:
        numeric = ipaddress.ip_address(address)
    except ValueError:
        return  # a name
    if any(numeric in net for net in _EXAMPLES):
        raise UsageError(
            f"hosts.{host.name}.address is {host.address}, which is an example's and no VPS's",
            next_step="Write your VPS's address there, or name your own inventory: -i FILE, or ISLANDFLOW_INVENTORY.",
        )


class _Judge(paramiko.MissingHostKeyPolicy):
    """Judges each host key: Paramiko itself is given no known ones."""

    def __init__(self, known: KnownKeys) -> None:
        self._known = known

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raises Unreachable unless the key is known."""
        self._known.judge(key)

"""Getting in over SSH: which keys are offered, which host keys are trusted, and every way to fail in words."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import logging
from pathlib import Path
from typing import Any

import paramiko
from paramiko.ssh_exception import (
    AuthenticationException,
    BadHostKeyException,
    NoValidConnectionsError,
    PasswordRequiredException,
    SSHException,
)

from fabfile.errors import Unreachable, UsageError
from fabfile.inventory import Host

# Addresses for documentation (RFC 5737, RFC 3849): nobody's VPS.
_EXAMPLES = [
    ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]

# Paramiko's threads print tracebacks of what is raised to us anyway.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def options(host: Host, timeout: float) -> dict[str, Any]:
    """What Paramiko is told: the inventory's key, or whatever it finds, and the SSH agent; `timeout` in seconds."""
    settings: dict[str, Any] = {"banner_timeout": timeout, "auth_timeout": timeout}
    if host.key:
        settings.update(key_filename=str(host.key), look_for_keys=False)
    return settings


def refuse_example(host: Host) -> None:
    """Raises UsageError for an address that stands in an inventory only as an example."""
    try:
        address = ipaddress.ip_address(host.address)
    except ValueError:
        return  # a name
    if any(address in net for net in _EXAMPLES):
        raise UsageError(
            f"hosts.{host.name}.address is {host.address}, which is an example's and no VPS's",
            next_step="Write your VPS's address there, or name your own inventory: -i FILE, or ISLANDFLOW_INVENTORY.",
        )


def trust_known(client: paramiko.SSHClient, host: Host) -> None:
    """Trust the keys of the known_hosts file and no others; nothing is ever added to it. Raises OSError."""
    client.set_missing_host_key_policy(_Refuse())
    if _known_hosts(host).exists():
        client.load_system_host_keys(str(_known_hosts(host)))


def connection_error(error: Exception, host: Host, timeout: float, seconds: float) -> Unreachable:
    """The error for an attempt to connect that failed after `seconds`, with `timeout` for each of its parts."""
    address, port, known = host.address, host.port, str(_known_hosts(host))
    key = str(host.key) if host.key else None
    if isinstance(error, _UnknownKey):
        return Unreachable.unknown_host_key(address, port, error.fingerprint, known)
    if isinstance(error, BadHostKeyException):
        return Unreachable.changed_host_key(address, port, _fingerprint(error.key), known)
    if isinstance(error, PasswordRequiredException) and key:
        return Unreachable.locked_key(key)
    if isinstance(error, AuthenticationException) or "No authentication methods" in str(error):
        return Unreachable.refused_key(host.user, address, port, key)
    if isinstance(error, OSError) and error.filename:
        return Unreachable.unreadable(str(error.filename), error.strerror or type(error).__name__)
    if isinstance(error, NoValidConnectionsError):
        error = next(iter(error.errors.values()))
    # Paramiko says all kinds of things when nothing comes back, "No existing session" among them.
    if isinstance(error, TimeoutError) or seconds >= timeout:
        return Unreachable.timed_out(address, port, timeout)
    return Unreachable.refused_connection(address, port, str(error) or type(error).__name__)


class _UnknownKey(SSHException):
    def __init__(self, fingerprint: str) -> None:
        super().__init__(f"unknown host key {fingerprint}")
        self.fingerprint = fingerprint


class _Refuse(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise _UnknownKey(_fingerprint(key))


def _known_hosts(host: Host) -> Path:
    return host.known_hosts or Path("~/.ssh/known_hosts").expanduser()


def _fingerprint(key: paramiko.PKey) -> str:
    """As ssh prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"

"""Logging in with a key: each is offered once, and what the server says to it decides the words of a failure."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import paramiko
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    SSHException,
)

from fabfile.errors import Unreachable
from fabfile.remote import login_errors
from fabfile.remote.identities import AgentKey, Identities, Identity

_DISCONNECT = re.compile(r"Disconnect \(code \d+\): (.*)")


class Authentication:
    """What Paramiko calls an auth_strategy: logs `user` in over a transport."""

    def __init__(self, target: str, user: str, identities: Identities, *, password: str | None, by_hand: str) -> None:
        self._target = target
        self._user = user
        self._identities = identities
        self._password = password
        self._by_hand = by_hand  # the command that does the same with ssh
        self._offers: list[str] = []

    def authenticate(self, transport: paramiko.Transport) -> list[str]:
        """Log in; what is left to do then, which is nothing. Raises Unreachable."""
        reason = _DisconnectReason(transport)
        for identity in self._identities:
            if self._is_accepted(transport, identity, reason):
                return []
        self._without_key(transport)
        return []

    def _is_accepted(self, transport: paramiko.Transport, identity: Identity, reason: _DisconnectReason) -> bool:
        try:
            methods = transport.auth_publickey(self._user, identity.key)
        except BadAuthenticationType as error:
            raise login_errors.other_methods(self._target, self._user, error.allowed_types) from error
        except (AuthenticationException, SSHException, EOFError) as error:
            if "Authentication timeout" in str(error):
                raise self._no_answer(transport, identity) from error
            refusal = identity.key.refusal if isinstance(identity.key, AgentKey) else ""
            if refusal:
                self._identities.omissions.append(f"{identity.name}, with which the SSH agent did not sign ({refusal})")
            else:
                self._offers.append(identity.name)
            if transport.is_active():
                return False
            raise self._closed(reason) from error
        if methods:
            raise login_errors.second_factor(self._target, self._user, identity.name, methods)
        return True

    def _without_key(self, transport: paramiko.Transport) -> None:
        """Log in with the password that `fab` prompted for, or with nothing, where a server wants nothing."""
        omissions = self._identities.omissions
        try:
            if self._password is not None:
                transport.auth_password(self._user, self._password)
            else:
                transport.auth_none(self._user)
        except BadAuthenticationType as error:
            if "publickey" not in error.allowed_types:
                raise login_errors.other_methods(self._target, self._user, error.allowed_types) from error
            raise self._refused(omissions) from error
        except (AuthenticationException, SSHException, EOFError) as error:
            raise self._refused(omissions) from error

    def _refused(self, omissions: Sequence[str]) -> Unreachable:
        files = self._identities.locked_files
        if files and not self._offers:
            others = [text for text in omissions if not text.startswith(f"{files[0]},")]
            return login_errors.locked_key(files[0], others)
        return login_errors.refused_keys(self._target, self._user, self._offers, omissions, self._by_hand)

    def _closed(self, reason: _DisconnectReason) -> Unreachable:
        why = reason.text or "without a word"
        omissions = self._identities.omissions
        return login_errors.too_many_keys(self._target, self._user, self._offers, omissions, why)

    def _no_answer(self, transport: paramiko.Transport, identity: Identity) -> Unreachable:
        return login_errors.no_answer_to_key(self._target, identity.name, transport.auth_timeout)


class _DisconnectReason(logging.Handler):
    """Why the server closes a connection: Paramiko writes that to its log and nowhere else."""

    def __init__(self, transport: paramiko.Transport) -> None:
        super().__init__(logging.INFO)
        self.text = ""
        name = f"paramiko.islandflow.{id(transport)}"
        transport.set_log_channel(name)
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = [self]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason."""
        match = _DISCONNECT.match(record.getMessage())
        self.text = match[1] if match else self.text

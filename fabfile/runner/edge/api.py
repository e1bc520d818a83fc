"""Nginx Proxy Manager's own HTTP API, as far as a change of a proxy host needs it.

A token is a secret: it is kept in memory, and no message of this module has it.
"""

from __future__ import annotations

import json

from ..system import http
from ..system.machine import Machine, StepFailed
from ..wire.edge import EdgeLogin
from .change import HostChange
from .database import COLUMNS
from .server import container

TIMEOUT = 60.0  # seconds for a whole answer; NPM tests and reloads nginx before it answers, which takes it up to 2


class ApiError(StepFailed):
    """NPM's API said no; `status` is HTTP's, 0 when it did not answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """The API at address:port, with a token for everything but getting one."""

    def __init__(self, address: str, port: int, token: str = "") -> None:
        self._address = address
        self._port = port
        self._token = token

    def call(self, method: str, path: str, body: object = None) -> object:
        """What the API answers, as JSON data. Raises ApiError."""
        what = f"NPM's API: {method} {path}"
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        payload = None if body is None else json.dumps(body).encode()
        try:
            answer = http.request(
                self._address, self._port, path, seconds=TIMEOUT, method=method, headers=headers, payload=payload
            )
        except http.BadAnswer as error:
            raise ApiError(f"{what}: no usable answer from {self._address}:{self._port}: {error}", 0) from error
        except OSError as error:
            reason = str(error) or type(error).__name__
            raise ApiError(f"{what}: no answer from {self._address}:{self._port}: {reason}", 0) from error
        try:
            content = json.loads(answer.body or b"null")
        except ValueError:
            raise ApiError(f"{what} answers {answer.status} and no JSON: is that NPM's API?", answer.status) from None
        if answer.status not in (200, 201):
            raise ApiError(f"{what} answers {answer.status}: {_message(content)}", answer.status)
        return content


def log_in(api: Api, identity: str, secret: str) -> dict[str, str]:
    """A `token`, or the `challenge` that a two-factor code must answer. Raises ApiError."""
    return _token(api.call("POST", "/api/tokens", {"identity": identity, "secret": secret}))


def answer_challenge(api: Api, challenge: str, code: str) -> dict[str, str]:
    """A `token` for a two-factor code. Raises ApiError."""
    return _token(api.call("POST", "/api/tokens/2fa", {"challenge_token": challenge, "code": code}))


def token(machine: Machine, login: EdgeLogin) -> dict[str, str]:
    """What a log-in brings: a `token`, a `challenge` for a two-factor code, or why it is `refused`."""
    box = container(machine, login.edge.container)
    address = box.addresses.get(login.edge.network)
    if not address:
        return {"refused": box.problem or f"container {box.name} is not on the network {login.edge.network}"}
    api = Api(address, login.edge.api_port)
    try:
        if login.challenge:
            return answer_challenge(api, login.challenge, login.code)
        return log_in(api, login.identity, login.secret)
    except ApiError as error:
        return {"refused": str(error)}


def apply(api: Api, change: HostChange) -> bool:
    """Have NPM make a host what the change says; returns whether it has reloaded nginx for it.

    Raises ApiError, and StepFailed when NPM has taken the change offline since nginx refuses it. Either may have
    changed the database, and have deleted the host's file.
    """
    place, row, wanted = f"/api/nginx/proxy-hosts/{change.row.id}", change.row, change.values
    _same_host(api.call("GET", place), change)
    enabled = row.enabled
    if not enabled and change.fact.text and not wanted.enabled:
        api.call("POST", f"{place}/enable")  # only disabling deletes the file that is still there
        enabled = True
    if enabled and not wanted.enabled:
        # First of all, so that what follows is written into the database alone.
        api.call("POST", f"{place}/disable")
    if wanted.enabled and not row.enabled:
        # Before the rest: the file that enabling makes lacks a host's access list, and updating makes it again.
        api.call("POST", f"{place}/enable")
    # Only what differs: read-only fields are refused. One that does not differ makes NPM write the file again.
    fields = {column: getattr(wanted, name) for name, column in COLUMNS.items() if _differs(change, name)}
    if fields or wanted.enabled:
        api.call("PUT", place, fields or {COLUMNS["host"]: wanted.host})
    if wanted.enabled:
        _online(api.call("GET", place), change)
    return enabled or wanted.enabled


def _differs(change: HostChange, name: str) -> bool:
    """Whether a PUT must have the field; whether a host is enabled has calls of its own."""
    return name != "enabled" and bool(getattr(change.row.values, name) != getattr(change.values, name))


def _same_host(answer: object, change: HostChange) -> None:
    names = answer.get("domain_names") if isinstance(answer, dict) else None
    if not isinstance(names, list) or change.host.domain not in names:
        raise StepFailed(f"NPM's API has {names} as host {change.row.id}, its database {change.host.domain}")


def _online(answer: object, change: HostChange) -> None:
    """NPM answers 200 to what nginx refuses as well; only this tells."""
    meta = answer.get("meta") if isinstance(answer, dict) else None
    if not isinstance(meta, dict) or meta.get("nginx_online") is not True:
        why = (meta or {}).get("nginx_err") or "it does not say why"
        raise StepFailed(f"NPM has taken {change.host.domain} offline: nginx refuses its file", said=str(why))


def _token(answer: object) -> dict[str, str]:
    reply = answer if isinstance(answer, dict) else {}
    if reply.get("requires_2fa") and reply.get("challenge_token"):
        return {"challenge": str(reply["challenge_token"])}
    if reply.get("token"):
        return {"token": str(reply["token"])}
    raise ApiError("NPM's API answers without a token", 200)


def _message(answer: object) -> str:
    """NPM's own words for an error."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return str(error.get("message") or error.get("code")) if isinstance(error, dict) else "without a reason"

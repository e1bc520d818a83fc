"""A client of Nginx Proxy Manager's own HTTP API, as far as a change of a proxy host needs it.

A token is a secret: it is kept in memory, and no message of this module has it.
"""

from __future__ import annotations

import json

from ..system import http
from ..system.machine import Machine, StepFailed
from ..wire import shape
from ..wire.edge import EdgeLogin, has_name
from .change import HostChange
from .database import COLUMNS
from .server import container

TIMEOUT_SECONDS = 60.0  # for a whole answer; NPM tests and reloads nginx before it answers, which takes it up to 2


class ApiError(StepFailed):
    """NPM's API refused a request or gave no usable answer; `status` is HTTP's, 0 when there was no answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """The API at address:port; every request but the log-in needs a token."""

    def __init__(self, address: str, port: int, token: str = "") -> None:
        self._address = address
        self._port = port
        self._token = token

    def call(self, method: str, path: str, body: object = None) -> object:
        """Send a request and return the answer's JSON data. Raises ApiError."""
        request = f"NPM's API: {method} {path}"
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        payload = None if body is None else json.dumps(body).encode()
        try:
            answer = http.request(
                self._address,
                self._port,
                path,
                seconds=TIMEOUT_SECONDS,
                method=method,
                headers=headers,
                payload=payload,
            )
        except http.BadAnswer as error:
            raise ApiError(f"{request}: no usable answer from {self._address}:{self._port}: {error}", 0) from error
        except OSError as error:
            reason = str(error) or type(error).__name__
            raise ApiError(f"{request}: no answer from {self._address}:{self._port}: {reason}", 0) from error
        try:
            content = shape.parse(answer.body or b"null")
        except ValueError:
            text = f"{request}: status {answer.status} and no JSON; is {self._address}:{self._port} NPM's API?"
            raise ApiError(text, answer.status) from None
        if answer.status not in (200, 201):
            raise ApiError(f"{request}: status {answer.status}: {_message(content)}", answer.status)
        return content


def log_in(api: Api, identity: str, secret: str) -> dict[str, str]:
    """Log in; returns a `token`, or the `challenge` for a two-factor code. Raises ApiError."""
    return _token_or_challenge(api.call("POST", "/api/tokens", {"identity": identity, "secret": secret}))


def answer_challenge(api: Api, challenge: str, code: str) -> dict[str, str]:
    """Send a two-factor code; returns a `token`. Raises ApiError."""
    return _token_or_challenge(api.call("POST", "/api/tokens/2fa", {"challenge_token": challenge, "code": code}))


def token(machine: Machine, login: EdgeLogin) -> dict[str, str]:
    """Log in to NPM's API; returns a `token`, a `challenge` for a two-factor code, or why it is `refused`."""
    npm = container(machine, login.edge.container)
    address = npm.addresses.get(login.edge.network)
    if not address:
        return {"refused": npm.problem or f"container {npm.name} is not on the network {login.edge.network}"}
    api = Api(address, login.edge.api_port)
    try:
        if login.challenge:
            return answer_challenge(api, login.challenge, login.code)
        return log_in(api, login.identity, login.secret)
    except ApiError as error:
        return {"refused": str(error)}


def apply(api: Api, change: HostChange) -> bool:
    """Change a host by NPM's API; returns whether NPM has reloaded nginx for it.

    Raises ApiError, and StepFailed when NPM has taken the change offline since nginx refuses it. Either may have
    changed the database, and have deleted the host's file.
    """
    path, row, values = f"/api/nginx/proxy-hosts/{change.row.id}", change.row, change.values
    _require_same_host(api.call("GET", path), change)
    enabled = row.enabled
    if not enabled and change.fact.text and not values.enabled:
        api.call("POST", f"{path}/enable")  # only disabling deletes the file that is still there
        enabled = True
    if enabled and not values.enabled:
        # First of all, so that what follows is written into the database alone.
        api.call("POST", f"{path}/disable")
    if values.enabled and not row.enabled:
        # Before the rest: the file that enabling makes lacks a host's access list, and updating makes it again.
        api.call("POST", f"{path}/enable")
    # Only what differs: read-only fields are refused. One that does not differ makes NPM write the file again.
    fields = {column: getattr(values, name) for name, column in COLUMNS.items() if _field_differs(change, name)}
    if fields or values.enabled:
        api.call("PUT", path, fields or {COLUMNS["host"]: values.host})
    if values.enabled:
        _require_online(api.call("GET", path), change)
    return enabled or values.enabled


def _field_differs(change: HostChange, name: str) -> bool:
    """Whether a PUT must have the field; whether a host is enabled has calls of its own."""
    return name != "enabled" and bool(getattr(change.row.values, name) != getattr(change.values, name))


def _require_same_host(answer: object, change: HostChange) -> None:
    names = answer.get("domain_names") if isinstance(answer, dict) else None
    if not isinstance(names, list) or not has_name(map(str, names), change.host.domain):
        raise StepFailed(f"NPM's API has {names} as host {change.row.id}, its database {change.host.domain}")


def _require_online(answer: object, change: HostChange) -> None:
    """Raise StepFailed where nginx refuses the host's file: NPM answers 200 in that case, too."""
    meta = answer.get("meta") if isinstance(answer, dict) else None
    if not isinstance(meta, dict) or meta.get("nginx_online") is not True:
        why = (meta or {}).get("nginx_err") or "it does not say why"
        raise StepFailed(f"NPM has taken {change.host.domain} offline: nginx refuses its file", said=str(why))


def _token_or_challenge(answer: object) -> dict[str, str]:
    fields = answer if isinstance(answer, dict) else {}
    if fields.get("requires_2fa") and fields.get("challenge_token"):
        return {"challenge": str(fields["challenge_token"])}
    if fields.get("token"):
        return {"token": str(fields["token"])}
    raise ApiError("NPM's API returned neither a token nor a two-factor challenge", 200)


def _message(answer: object) -> str:
    """Return NPM's text for an error."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return str(error.get("message") or error.get("code")) if isinstance(error, dict) else "without a reason"

"""What must hold outside, and how the checks get there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator

from fabfile.inventory import fields
from fabfile.inventory.base import Table


def _json(value: str) -> str:
    try:
        json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    return value


def _days(value: int) -> int:
    if not 0 <= value <= 3650:
        raise ValueError("is not a number of days (0 to 3650)")
    return value


Days = Annotated[int, AfterValidator(_days)]
Json = Annotated[fields.Text, AfterValidator(_json)]


class Lookup(Table):
    """What the app's own hostname must answer with JSON that has the keys in `expect`.

    With a `body`, which is JSON as text, it is asked by POST, without one by GET.
    """

    name: fields.Name
    path: fields.Route
    body: Json | None = None
    expect: fields.Words = ()

    @property
    def method(self) -> str:
        """How it is asked."""
        return "GET" if self.body is None else "POST"


class Public(Table):
    """What must hold outside. The names are found by DNS if `resolve` says so, and at `address`, the VPS's own.

    The websocket gets `websocket_hello`, if there is one; a message that holds `websocket_event` is an event.
    """

    app_url: fields.Url
    api_health_url: fields.Url
    websocket: fields.UrlPath
    websocket_hello: fields.Text | None = None
    websocket_event: fields.OneLine = ""
    event_within: fields.Seconds | None = None
    https_port: fields.Port = 443
    http_port: fields.Port = 80
    resolve: bool = True
    address: fields.Address | None = None
    raw_api: Literal["open", "closed"] = "open"
    routes: Mapping[str, fields.Route] = {}
    lookups: Mapping[str, Lookup] = {}
    closed_ports: Mapping[str, fields.Port] | None = None
    certificate_days: Days = 21
    ca: fields.LocalPath | None = None
    verify_tls: bool = True

"""What must hold outside, and how the checks get there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fabfile.inventory import fields
from fabfile.inventory.base import Table


def _json(value: str) -> str:
    try:
        json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    return value


Json = Annotated[fields.Text, AfterValidator(_json), Field(json_schema_extra={"title": "JSON as text"})]


class Lookup(Table):
    """What the app's own hostname must answer with 200 and JSON."""

    name: fields.Name
    path: fields.Route
    """Path, with or without a query."""
    body: Json | None = None
    """JSON as text: then the request is a POST of it, else a GET."""
    expect: fields.Words = ()
    """Keys that the JSON must have."""

    @property
    def method(self) -> str:
        """How it is asked."""
        return "GET" if self.body is None else "POST"


class Public(Table):
    """What must hold outside: `public.check` asks it, and so does each hand-over before it is confirmed."""

    app_url: fields.Url
    """The page."""
    api_health_url: fields.Url
    """The API's health on its own hostname."""
    websocket: fields.UrlPath
    """Path on the app's hostname that must upgrade to a websocket."""
    websocket_hello: fields.Text | None = None
    """Sent first over the websocket, as in a ping."""
    websocket_event: fields.OneLine = ""
    """What a message must hold to count as the answer. Without it any message counts."""
    event_within: fields.Seconds | None = None
    """Seconds within which such a message must come. Without it the upgrade is enough."""
    https_port: fields.Port = 443
    """Port of the VPS's public address for HTTPS."""
    http_port: fields.Port = 80
    """Port of the VPS's public address for HTTP."""
    resolve: bool = True
    """Whether the names are in DNS. Then everything is asked twice: through DNS, and at the VPS's own address."""
    address: fields.Address | None = None
    """The VPS's public address, if it is not that of the default host."""
    raw_api: Literal["open", "closed"] = "open"
    """What you have decided for the API's own hostname: "closed" answers neither JSON nor a websocket."""
    routes: Mapping[str, fields.Route] = {}
    """What a prefix of `edge.api_prefixes` is asked for, below it. A prefix without a line is asked bare."""
    lookups: Mapping[str, Lookup] = {}
    closed_ports: Mapping[str, fields.Port] | None = None
    """Ports that must not answer from outside, by what listens there. Without it: web, API, NPM's admin page and the
    servers."""
    certificate_days: fields.Days = 21
    """Warn where a certificate has fewer days left."""
    ca: fields.LocalPath | None = None
    """File of a certificate authority to trust instead of the usual ones."""
    verify_tls: bool = True
    """Whether certificates must be valid."""

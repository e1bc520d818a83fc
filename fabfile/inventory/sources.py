"""The inventory's tables of what flows through the app: JetStream's streams, and where option prints come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fabfile.inventory import fields
from fabfile.inventory.base import Conflict, Table


class Stream(Table):
    """A JetStream stream, named as it is there, for `streams.check`. The variables' values are in the env file."""

    name: fields.StreamName
    max_age_env: fields.EnvName
    """Variable that sets max_age, in milliseconds (JetStream itself counts nanoseconds)."""
    max_bytes_env: fields.EnvName | None = None
    """Variable that sets max_bytes."""
    max_bytes: fields.ByteCount
    """What the app takes where that variable is not set."""


class Adapter(Table):
    """A source of option prints, by the name that `adapter_env` holds. Without `url_env` it asks nobody."""

    name: fields.Name
    url_env: fields.EnvName | None = None
    """Variable that holds the provider's address."""
    url: fields.Url | None = None
    """The app's own address, where that variable is not set."""
    path: fields.Route | None = None
    """What `provider.check` asks for there."""
    headers: Mapping[fields.Header, fields.HeaderValue] = {}
    """Headers of that request. Each names in braces the variable that holds the key; of {NEW|OLD} the first counts that
    is set."""
    unchecked: fields.Text | None = None
    """Why this adapter can't be asked by HTTP."""

    @classmethod
    def conflicts(cls, written: dict[str, Any]) -> Iterator[Conflict]:
        """A key and a path are for an address."""
        if "url_env" in written:
            return
        for key, are in (("headers", "headers are"), ("path", "path is"), ("url", "url is")):
            if written.get(key):
                yield Conflict(("url_env",), f"is missing: the {are} for a request to the address it holds")


class Provider(Table):
    """Where option prints come from; `provider.check` asks whether the provider accepts the key."""

    adapter_env: fields.EnvName
    """Variable that chooses one of the adapters."""
    service: fields.Name | None = None
    """Service that asks the provider: its settings count. Without it those of the first service that has the
    variable."""
    adapters: Mapping[str, Adapter]

"""The inventory's tables of what flows through the app: JetStream's streams, and where option prints come from."""

from __future__ import annotations

from collections.abc import Mapping

from fabfile.inventory import fields
from fabfile.inventory.base import Table


class Stream(Table):
    """A JetStream stream: the variable that sets its max_age, in milliseconds, and its max_bytes.

    Where there is a variable for these too, `max_bytes` is what the app takes when it is not set.
    """

    name: fields.StreamName
    max_age_env: fields.EnvName
    max_bytes_env: fields.EnvName | None = None
    max_bytes: fields.ByteCount


class Adapter(Table):
    """A source of option prints. Without `url_env` it asks nobody.

    `url_env` is the variable with the address, `url` the app's own where that is not set, and `path`, if there is one,
    what is asked for there. `headers` name in braces the variable with the key, or several: {NEW|OLD} is the first one
    that is set and not empty. `unchecked` says why it can't be asked by HTTP.
    """

    name: fields.Name
    url_env: fields.EnvName | None = None
    url: fields.Url | None = None
    path: fields.Route | None = None
    headers: Mapping[fields.Header, fields.HeaderValue] = {}
    unchecked: fields.Text | None = None


class Provider(Table):
    """Where option prints come from: the variable that chooses the adapter, and how each one asks."""

    adapter_env: fields.EnvName
    adapters: Mapping[str, Adapter]

"""Which host a command works on: the one that `fab -H` connected to, or the inventory's."""

from __future__ import annotations

import getpass
from typing import Any

from fabric import Connection

from fabfile import inventory
from fabfile.remote.host import Host
from fabfile.remote.link import Link
from fabfile.remote.ssh import Login

_PORT = 22  # Fabric's default


def select_host(context: Any, site: inventory.Site, name: str | None) -> Host:
    """The host that a task works on: the one `fab -H` connected to, else the inventory's.

    A connection's key and known_hosts come from the inventory where that knows the address.
    """
    timeout = site.timeouts.connect
    if not isinstance(context, Connection) or name:
        return Host(site.host(name), timeout)
    listed = site.hosts.get(context.original_host)
    if listed:
        return Host(listed, timeout, link=Link(listed, timeout, login=Login.of(context)))
    same = next((h for h in site.hosts.values() if (h.address, h.port) == (context.host, context.port)), None)
    return host_for(context, _entry(context, same), timeout)


def host_for(context: Any, entry: inventory.Host, timeout: float) -> Host:
    """A host that no inventory needs to know, over the connection that `fab -H` made where there is one."""
    if not isinstance(context, Connection):
        return Host(entry, timeout)
    seconds = context.connect_timeout or context.connect_kwargs.get("timeout") or timeout
    return Host(entry, float(seconds), context)


def _entry(context: Connection, same: inventory.Host | None) -> inventory.Host:
    """What `fab -H` says, as an inventory would.

    It names an alias of the ssh configuration like any address, so nothing is validated here. Where it names no user
    or port, Fabric has put in its own defaults, and the ssh configuration decides.
    """
    values = {"name": "fab", "address": context.original_host, "user": "", "key": None, "known_hosts": None}
    if context.user != getpass.getuser():
        values["user"] = context.user
    if context.port != _PORT:
        values["port"] = context.port
    if same:
        values.update(key=same.key, known_hosts=same.known_hosts)
    return inventory.Host.model_construct(_fields_set=set(values), **values)

"""Which host a command works on: the one that `fab -H` connected to, or the inventory's."""

from __future__ import annotations

from typing import Any

from fabric import Connection

from fabfile import inventory
from fabfile.remote import ssh
from fabfile.remote.host import Host


def select_host(context: Any, site: inventory.Site, name: str | None) -> Host:
    """The host that a task works on: the one `fab -H` connected to, else the inventory's.

    A connection's key and known_hosts come from the inventory where that knows the address.
    """
    timeout = site.timeouts.connect
    if not isinstance(context, Connection) or name:
        return Host(site.host(name), timeout)
    listed = site.hosts.get(context.original_host)
    if listed:
        return Host(listed, timeout)
    same = next((h for h in site.hosts.values() if (h.address, h.port) == (context.host, context.port)), None)
    entry = inventory.Host(
        name="fab",
        address=context.host,
        port=context.port,
        user=context.user,
        key=same.key if same else None,
        known_hosts=same.known_hosts if same else None,
    )
    return host_for(context, entry, timeout)


def host_for(context: Any, entry: inventory.Host, timeout: float) -> Host:
    """A host that no inventory needs to know, over the connection that `fab -H` made where there is one."""
    if not isinstance(context, Connection):
        return Host(entry, timeout)
    context.connect_timeout = context.connect_timeout or timeout
    # Fabric's own are kept, but for the empty list of keys that it starts with.
    context.connect_kwargs = {**ssh.options(entry, timeout), **{k: v for k, v in context.connect_kwargs.items() if v}}
    return Host(entry, timeout, context)

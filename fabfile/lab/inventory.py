"""Writes the lab's inventory: the project's own with the lab's values."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fabfile import resources
from fabfile.lab.choices import Choices

# What is different in the lab's own app. Its tables stand in place of the project's, but for those in _CHANGED: there
# only the keys that it has are others.
OWN_APP = Path(__file__).parent / "assets" / "site.toml"
_CHANGED = {(), ("app",), ("runtimes",), ("runtimes", "native"), ("runtimes", "docker"), ("edge",), ("public",)}

# The VPS's port behind each forwarder on 127.0.0.1. Not all are open: they lead to the public address.
VPS_PORTS = {"ssh": 22, "http": 80, "npm": 81, "https": 443, "web": 3000, "api": 4000}

# Who may log in to the edge's own API.
NPM_IDENTITY, NPM_SECRET = "lab@islandflow.test", "only-in-the-lab"

IMAGES = {"nats": "islandflow-lab/nats", "redis": "islandflow-lab/redis", "clickhouse": "islandflow-lab/clickhouse"}


def write_inventory(folder: Path, ports: Mapping[str, int] = VPS_PORTS, choices: Choices | None = None) -> Path:
    """Write inventory.toml for the lab whose key, known_hosts and ca.pem lie in `folder`; returns its path.

    With an app of the operator's own it is his inventory, or the project's, with the lab's addresses.
    """
    choices = choices or Choices()
    inventory = tomllib.loads(Path(choices.inventory or resources.INVENTORY).read_text())
    _set_addresses(inventory, folder, ports)
    if not choices.nats_monitoring:
        inventory["infra"]["nats"].pop("monitor_port", None)
    if choices.app:
        _adapt_to_lab(inventory)
    else:
        _use_labs_app(inventory)
    path = folder / "inventory.toml"
    path.write_text("# Written by lab.up for this lab alone.\n" + "\n".join(_toml(inventory)) + "\n")
    return path


def _set_addresses(inventory: dict[str, Any], folder: Path, ports: Mapping[str, int]) -> None:
    """Set host and public addresses to the lab's."""
    inventory["default_host"] = "lab"
    inventory["hosts"] = {
        "lab": {
            "address": "127.0.0.1", "port": ports["ssh"], "user": "delta",
            "key": str(folder / "key"), "known_hosts": str(folder / "known_hosts"),
        }
    }  # fmt: skip
    inventory["public"] |= {
        "resolve": False, "address": "127.0.0.1", "https_port": ports["https"], "http_port": ports["http"],
        "ca": str(folder / "ca.pem"), "closed_ports": {name: ports[name] for name in ("web", "api")},
    }  # fmt: skip


def _adapt_to_lab(inventory: dict[str, Any]) -> None:
    """Set the lab's user, Bun and edge for an app of the operator's own."""
    for key in ("dns", "backup"):
        inventory.pop(key, None)
    inventory["app"] |= {
        "user": "delta", "group": "delta", "bun": "/home/delta/.bun/bin/bun",
        "unit_directory": "/home/delta/.config/systemd/user",
    }  # fmt: skip
    inventory["edge"] |= {
        "root": "/home/delta/nginx-proxy-manager", "database": "data/database.sqlite",
        "container": "nginx-proxy-manager", "network": "npm-shared",
        "https_port": 443, "admin_port": 81, "api_port": 81,
    }  # fmt: skip


def _use_labs_app(inventory: dict[str, Any]) -> None:
    """Set the values of the lab's own app."""
    _merge(inventory, tomllib.loads(OWN_APP.read_text()))
    del inventory["public"]["websocket_hello"]
    for server, image in IMAGES.items():
        inventory["infra"][server]["image"] = image


def _merge(inventory: dict[str, Any], own: Mapping[str, Any], at: tuple[str, ...] = ()) -> None:
    """Put the lab's own values into a table of the inventory."""
    for key, value in own.items():
        if (*at, key) in _CHANGED:
            _merge(inventory[key], value, (*at, key))
        else:
            inventory[key] = value


def _toml(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """The lines of a table: its values first, then its tables, as TOML wants it."""
    if path:
        yield f"\n[{'.'.join(path)}]"
    for key, value in table.items():
        if not isinstance(value, dict):
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _toml(value, (*path, key))

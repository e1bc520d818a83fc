"""What each server of a runtime holds, counted by asking it: the proof that a hand-over lost nothing.

ClickHouse and NATS are asked with the app's login where it has one: whoever they let in without any may see less.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

from ...system import docker
from ...system.machine import CommandFailed, Machine, StepFailed, failure_detail
from ...wire.app import NatsRef, Stream
from ...wire.data import Count, DataRef, Holding
from ...wire.facts import Container
from ..credentials import credentials, own_login
from ..nats.client import Unanswered
from ..nats.greeting import max_payload
from ..nats.jetstream import read_streams
from . import clickhouse
from .redis import LoginRefused, Redis, RedisError, Refused, not_shared
from .redis_folder import has_append_only_file, working_directory

_LOCAL = "127.0.0.1"


def holdings(machine: Machine, refs: Iterable[DataRef]) -> dict[str, Holding]:
    """What each server holds, by "runtime/name", all asked side by side. Never raises."""
    chosen = list(refs)
    try:
        containers = _containers(machine, chosen)
    except StepFailed as error:
        return {f"{ref.runtime}/{ref.name}": Holding(problem=failure_detail(error)) for ref in chosen}
    with ThreadPoolExecutor(max_workers=3) as pool:
        found = pool.map(lambda ref: _holding(ref, containers.get(ref.name)), chosen)
        return {f"{ref.runtime}/{ref.name}": holding for ref, holding in zip(chosen, found)}


def read_logins(refs: Iterable[DataRef]) -> None:
    """Read the app's logins ahead of time: in Docker, Compose takes its own for it, and they are kept. Never raises."""
    for ref in refs:
        own_login(ref.environment, _VARIABLES[ref.name])


def _containers(machine: Machine, refs: list[DataRef]) -> dict[str, Container]:
    projects = {ref.project for ref in refs if ref.project}
    found: dict[str, Container] = {}
    for project in projects:
        found.update(docker.containers(machine, project))
    return found


def _holding(ref: DataRef, container: Container | None) -> Holding:
    if ref.project and (container is None or not container.running):
        return Holding(problem=f"{_name(ref)} does not run", down=True)
    container = container if ref.project else None
    address = container.address if container else _LOCAL
    if not address:
        return Holding(problem=f"{_name(ref)} is on no network")
    try:
        return _KINDS[ref.name](ref, address, container)
    except (LoginRefused, clickhouse.LoginRefused) as error:
        login = credentials(ref.environment, _VARIABLES[ref.name])
        what = f"refuses the login of {_VARIABLES[ref.name]}" if login else "wants a login, and there is none"
        return Holding(problem=f"{_name(ref)} {what} ({error}): {login.origin}")
    except (RedisError, clickhouse.ClickHouseError) as error:
        return Holding(problem=f"{_name(ref)} {error}")
    except Unanswered as error:
        return Holding(problem=str(error))
    except ConnectionRefusedError:
        where = f"{address}:{ref.port}"
        text = f"nothing listens at {where}: it does not run, or {ref.port_key} is not its port"
        return Holding(problem=text, down=not ref.project)  # a container that runs is not down
    except (OSError, ValueError, CommandFailed) as error:
        return Holding(problem=f"{_name(ref)} at {address}:{ref.port} does not answer: {error or type(error).__name__}")


def _redis(ref: DataRef, address: str, container: Container | None) -> Holding:
    with Redis(address, ref.port) as server:
        try:
            persistence = server.persistence()
        except LoginRefused:
            server.log_in(credentials(ref.environment, "REDIS_URL"))
            persistence = server.persistence()
        counts = server.keys()
        product, used = server.product(), server.used_bytes()
        try:
            settings = server.settings()
        except Refused:  # CONFIG may be renamed or forbidden: what INFO says must do
            settings = {}
    mounts = _mounts(container)
    folder = settings.get("dir") or (working_directory(container.pid) if container else "")
    held = _on_vps(folder, mounts) if folder else ref.folder
    reasons = not_shared({**persistence, **settings}, _real(ref.folder), _real(held))
    if not settings and not reasons and not has_append_only_file(ref.folder):
        reasons.append(f"there is no append-only file of the usual name in {ref.folder}")
    return Holding(counts, settings, tuple(reasons), product=product, used=used)


def _clickhouse(ref: DataRef, address: str, container: Container | None) -> Holding:
    login = own_login(ref.environment, "CLICKHOUSE_URL")
    try:
        tables = clickhouse.tables(address, ref.port, login)
    except clickhouse.LoginRefused:
        if login:
            raise
        login = credentials(ref.environment, "CLICKHOUSE_URL")
        tables = clickhouse.tables(address, ref.port, login)
    parts = clickhouse.parts(address, ref.port, login)
    path = clickhouse.path(address, ref.port, login)
    held = _on_vps(path, _mounts(container))
    where = held or "a directory of its container"
    other = () if _real(held) == _real(ref.folder) else (f"it keeps its data in {where}, and not in {ref.folder}",)
    volatile = tuple(f"table {name}" for name, table in sorted(tables.items()) if table.in_memory)
    beside = ", ".join(clickhouse.on_other_disks(tables, parts))
    unreadable = (
        (f"these tables are on other disks, or have a storage policy of their own: {beside}",) if beside else ()
    )
    return Holding(clickhouse.counts(tables, parts), {"path": path}, other if path else (), unreadable, volatile)


def _nats(ref: DataRef, address: str, container: Container | None) -> Holding:
    streams = read_streams(address, NatsRef(ref.port, ref.environment, ref.monitor), as_app=True)
    counts: dict[str, Count] = {}
    for name, stream in streams.items():
        counts.update(_stream(name, stream))
    largest = max_payload(address, ref.port)
    settings = {"max_payload": str(largest)} if largest else {}
    volatile = tuple(f"stream {name}" for name, stream in sorted(streams.items()) if stream.in_memory)
    elsewhere, unreadable = tuple(_stored_elsewhere(streams, ref.folder)), tuple(_encrypted(ref.folder))
    return Holding(counts, settings, elsewhere, unreadable, volatile)


def _stream(name: str, stream: Stream) -> dict[str, Count]:
    """A stream by its last sequence, which no message that goes lowers, and each durable by what it has done.

    A durable that may go by itself need not even be there.
    """
    if stream.in_memory:
        return {}
    messages = Count(stream.messages, _staying(stream))
    found = {f"stream {name}": Count(stream.last, stream.last), f"messages of {name}": messages}
    for durable, consumer in stream.consumers.items():
        least = consumer.floor if consumer.lasting else 0
        found[f"durable {name}/{durable}"] = Count(consumer.floor, least, may_vanish=not consumer.lasting)
    return found


def _staying(stream: Stream) -> int:
    """How many of a stream's messages nothing takes while nobody publishes or acknowledges.

    By interest and workqueue NATS drops, at its start as well, what no consumer needs; ephemeral consumers go with
    their clients. What a lasting durable has not even delivered is needed.
    """
    if stream.max_age or stream.expiring:
        return 0
    if stream.retention == "limits":
        return stream.messages
    needed = (consumer.pending for consumer in stream.consumers.values() if consumer.lasting)
    return min(stream.messages, max(needed, default=0))


def _stored_elsewhere(streams: Mapping[str, Stream], folder: str) -> list[str]:
    """Streams in files that are not where the other runtime will look for them."""
    stored = {path.name for path in Path(folder, "jetstream").glob("*/streams/*")}
    missing = sorted(name for name, stream in streams.items() if name not in stored and not stream.in_memory)
    if not missing:
        return []
    if not stored:
        return [f"it keeps its streams in another directory than {folder}"]
    return [f"these streams are not in {folder}, but elsewhere: {', '.join(missing)}"]


def _encrypted(folder: str) -> list[str]:
    """Whether the store is one that only a NATS with its key opens: each of its streams has a key of its own then."""
    if any(Path(folder, "jetstream").glob("*/streams/*/meta.key")):
        return ["its store is encrypted (jetstream.key in its configuration)"]
    return []


def _on_vps(path: str, mounts: Mapping[str, str] | None) -> str:
    """A server's directory as the VPS knows it; empty where a container has it for itself. None: no container's."""
    clean = os.path.normpath(path) if path else ""
    if mounts is None or not clean:
        return clean
    for target in sorted(mounts, key=len, reverse=True):
        if clean == target or clean.startswith(target.rstrip("/") + "/"):
            return os.path.normpath(mounts[target] + clean[len(target.rstrip("/")) :])
    return ""


def _mounts(container: Container | None) -> Mapping[str, str] | None:
    return container.mounts if container else None


def _real(path: str) -> str:
    """Where a link leads; a server may know its directory by that name."""
    return os.path.realpath(path) if path else ""


def _name(ref: DataRef) -> str:
    return f"{ref.runtime}'s {ref.name}"


_KINDS: dict[str, Callable[[DataRef, str, Container | None], Holding]] = {
    "redis": _redis,
    "nats": _nats,
    "clickhouse": _clickhouse,
}
_VARIABLES = {"redis": "REDIS_URL", "nats": "NATS_URL", "clickhouse": "CLICKHOUSE_URL"}

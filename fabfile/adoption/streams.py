"""JetStream's streams, the provider of option prints, and what the public side is asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from fabfile.adoption.draft import Draft
from fabfile.adoption.scene import Scene
from fabfile.adoption.services import durables_by_service
from fabfile.inventory import paths
from fabfile.runner.wire.app import JetStream, Stream

_NANOSECONDS = 1_000_000  # in a millisecond
_GREATEST = 2**63 - 1
_STORES = ("KV_", "OBJ_")


def fill(draft: Draft, scene: Scene) -> None:
    """The tables streams, provider, public and dns."""
    _streams(draft, scene)
    _provider(draft, scene)
    _public(draft, scene)


def events(found: JetStream) -> dict[str, Stream]:
    """The streams that the app's events flow through: JetStream's own key-value and object stores are none."""
    return {name: stream for name, stream in found.streams.items() if not name.startswith(_STORES)}


def limited(stream: Stream) -> bool:
    """Whether it has a limit of bytes, which the inventory would say."""
    return 1 <= stream.max_bytes <= _GREATEST


def _streams(draft: Draft, scene: Scene) -> None:
    found = scene.project.jetstream
    if found.problem:
        where = "as shipped" if scene.known else "left out"
        if not scene.known:
            draft.drop(("streams",))
        draft.note("streams", f"JetStream could not be asked ({found.problem}): its streams are {where}.")
        return
    shipped = dict(scene.shipped.get("streams", {})) if scene.known else {}
    draft.drop(("streams",))
    draft.note("streams", f"As the running NATS ({found.runtime}) has them. Which variable sets an age is as shipped.")
    order = [*shipped, *sorted(found.streams)]
    for name, stream in sorted(events(found).items(), key=lambda item: order.index(item[0])):
        _stream(draft, scene, name, stream, shipped)
    gone = [name for name in shipped if name not in found.streams]
    if gone:
        draft.note("streams", f"Left out, since JetStream does not have them yet: {', '.join(gone)}.")
    loose = durables_by_service(scene).get("", [])
    if loose:
        draft.note(
            "services", f"Durables that begin with no service's name, and are nobody's here: {', '.join(loose)}."
        )


def _stream(draft: Draft, scene: Scene, name: str, stream: Stream, shipped: Mapping[str, Mapping[str, object]]) -> None:
    at, known = ("streams", name), shipped.get(name, {})
    if not limited(stream):
        draft.note("streams", f"{name} is left out: it has no limit of bytes to compare.")
        return
    variable = known.get("max_age_env") or _variable(scene, stream)
    if variable and known:
        draft.ship((*at, "max_age_env"), variable)
    elif variable:
        draft.propose((*at, "max_age_env"), variable, "the only variable with that age")
    else:
        hours = stream.max_age / 3.6e12
        draft.ask((*at, "max_age_env"), f"the variable that sets its max_age in milliseconds; it is {hours:g} h now")
    _limit(draft, scene, at, stream.max_bytes, known)


def _limit(draft: Draft, scene: Scene, at: paths.Path, there: int, known: Mapping[str, object]) -> None:
    """The app's own limit of bytes: what the running NATS has, unless a variable of the containers sets that."""
    variable, own = known.get("max_bytes_env"), known.get("max_bytes")
    if variable:
        draft.ship((*at, "max_bytes_env"), variable)
    if own and any(variable in container.variables for container in scene.services.values()):
        draft.ship((*at, "max_bytes"), own, f"{variable} is set, and the running NATS has {there}")
    else:
        said = "" if own in (None, there) else f"; {own} bytes as shipped"
        draft.found((*at, "max_bytes"), there, f"the running NATS{said}")


def _variable(scene: Scene, stream: Stream) -> str:
    """The one variable whose value, in milliseconds, is the stream's age."""
    shown = {name: value for file in scene.project.env_files for name, value in file.shown.items()}
    same = [name for name, value in shown.items() if value.isdigit() and int(value) * _NANOSECONDS == stream.max_age]
    return same[0] if len(same) == 1 else ""


def _provider(draft: Draft, scene: Scene) -> None:
    if draft.get("provider.service") not in scene.services:
        draft.drop(("provider", "service"))
    if not scene.known:
        draft.ask("provider.adapter_env", "the variable that chooses where the app's data comes from")
        draft.ask("provider.adapters", "a table for each of its values; one that asks nobody is empty")
        return
    variable = str(scene.shipped.get("provider", {}).get("adapter_env", ""))
    has = {container.shown[variable] for container in scene.services.values() if variable in container.shown}
    reason = f"in Docker's containers it is {', '.join(sorted(has))}" if has else "no container has it"
    draft.ship("provider.adapter_env", variable, reason)


def _public(draft: Draft, scene: Scene) -> None:
    prefixes = draft.get("edge.api_prefixes") or []
    for path in list(draft.below(("public", "routes"))):
        if prefixes and path[-1] not in prefixes:
            draft.drop(path)
    if not scene.known:
        draft.ask("public.websocket", "the path of the app's websocket")
    _dns(draft, scene)


def _dns(draft: Draft, scene: Scene) -> None:
    """Who keeps the zone can't be seen from the VPS: only where it is the shipped one is its table kept."""
    zone, address = str(scene.shipped.get("dns", {}).get("zone", "")), str(draft.get("hosts.vps.address") or "")
    domains = [str(draft.get(f"edge.{key}") or "") for key in ("app_domain", "api_domain")]
    ours = bool(zone) and all(domain.endswith(f".{zone}") for domain in domains)
    if not (ours and scene.known and _public_ipv4(address)):
        draft.drop(("dns",))
        draft.note("public", "The dns tasks need a [dns] table; who keeps the zone can't be seen from the VPS.")
        return
    for path in list(draft.below(("dns", "records"))):
        if path[-1] == "content":
            draft.propose(path, address, "the address that was surveyed")


def _public_ipv4(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_global
    except ValueError:
        return False

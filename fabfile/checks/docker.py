"""What the next call of Compose would run, against the app's own file, the inventory, and the containers."""

from __future__ import annotations

from collections.abc import Iterator

from fabfile import survey
from fabfile.inventory import Site
from fabfile.plans import docker
from fabfile.runner.wire.app import ComposeDifference
from fabfile.runner.wire.facts import Facts

Row = tuple[str, bool, str]  # what, good or not, evidence

_ENVIRONMENT = "environment"


def checks(site: Site, facts: Facts) -> Iterator[Row]:
    """Rows: the Compose file, our overlay, what it changes, images, containers, the images' workspace snapshot."""
    side = site.runtimes.docker
    yield f"{side.file} is valid", not facts.compose_error, facts.compose_error or "docker compose takes it"
    (step,) = docker.render(site, facts)
    noop_reason = step.action.noop_reason(facts)
    yield "overlay is as rendered", bool(noop_reason), noop_reason or "it differs: inv docker.render --dry shows how"
    if not facts.compose_error:
        yield from _view(site, facts)
        yield from _images(site, facts)
    yield from _snapshot(site, facts)


def _view(site: Site, facts: Facts) -> Iterator[Row]:
    view = facts.compose_view
    if view is None:
        return
    if view.problem:
        yield "what Compose would run", False, view.problem
        return
    if not view.differences:
        yield "what Compose would run", True, "the app's own file, and nothing else"
    for what, group in _by_change(view.differences).items():
        yield what, *_verdict(site, group)
    yield "containers", *((False, view.untold) if view.untold else _containers(site, facts, view.renewed))


def _by_change(differences: tuple[ComposeDifference, ...]) -> dict[str, list[ComposeDifference]]:
    """By what is different, whichever services it is different in."""
    groups: dict[str, list[ComposeDifference]] = {}
    for difference in differences:
        rest = difference.path[2:] if difference.path[0] == "services" else difference.path
        groups.setdefault(f"{'.'.join(rest)} is {difference.change}", []).append(difference)
    return groups


def _verdict(site: Site, group: list[ComposeDifference]) -> tuple[bool, str]:
    """Whether the inventory means it, and by which key; no value is told."""
    side, (first, *_) = site.runtimes.docker, group
    names = ", ".join(difference.path[1] for difference in group if difference.path[0] == "services")
    where = f" in {names}" if names else ""
    if first.change == "lacking":
        return False, f"runtimes.docker.overrides sets it{where}, and {side.overlay_file} does not: inv docker.render"
    key = first.path[3] if len(first.path) == 4 and first.path[2] == _ENVIRONMENT else ""
    if key in side.overrides and all(difference.planned for difference in group):
        return True, f"intended{where}: runtimes.docker.overrides.{key}"
    return False, f"not intended{where}: {side.overlay_file} does it, and the inventory does not; inv docker.render"


def _containers(site: Site, facts: Facts, renewed: tuple[str, ...]) -> tuple[bool, str]:
    """Whether they are as the files say. While Docker owns, one that is not serves with what was true once."""
    if not renewed:
        return True, "as the files say"
    names = ", ".join(renewed)
    if survey.owner(facts) == "docker":
        return False, f"not as the files say: {names}; inv docker.stop and inv docker.up make them anew"
    return True, f"{names} will be made anew by the next rollback: they are not as the files say"


def _images(site: Site, facts: Facts) -> Iterator[Row]:
    services = list(facts.compose.values())
    absent = sorted({f"{service.image} ({service.name})" for service in services if not service.there})
    text = f"not on the VPS: {', '.join(absent)}; docker compose build or pull brings them"
    yield "images", not absent, text if absent else f"{len({service.image for service in services})} are on the VPS"
    lacking = sorted({path for service in services for path in service.lacking})
    text = f"not on the VPS: {', '.join(lacking)}"
    yield "what images are built from", not lacking, text if lacking else "all contexts and Dockerfiles are there"


def _snapshot(site: Site, facts: Facts) -> Iterator[Row]:
    side = site.runtimes.docker
    for name in side.snapshot_files if side.snapshot else ():
        copy, original = (facts.files[f"{folder}/{name}"] for folder in (side.snapshot, site.app.checkout))
        missing = next((fact.path for fact in (copy, original) if fact.kind == "missing"), "")
        if missing:
            yield f"snapshot of {name}", False, f"{missing} is missing"
            continue
        same = copy.sha256 == original.sha256
        yield (
            f"snapshot of {name}",
            same,
            "same as the checkout's" if same else f"{copy.path} differs from the checkout's",
        )

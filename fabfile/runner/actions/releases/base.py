"""The base classes of actions on releases: the facts that they judge by, and what was known of a release before."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ...releases import register
from ...system import git
from ...system.machine import Machine
from ...wire.codec import decode, encode
from ...wire.facts import Facts, FactsRequest
from ...wire.release import GOOD, Release, ReleasesRef
from ...wire.terms import Runtime
from ..base import Action
from ..before import Before, table, text


@dataclass(frozen=True)
class ReleaseAction(Action):
    """An action that judges by the releases on the VPS."""

    releases: ReleasesRef

    def required_facts(self) -> FactsRequest:
        return FactsRequest(releases=self.releases)

    def unreadable_reason(self, facts: Facts) -> str:
        return facts.releases.problem


@dataclass(frozen=True)
class Adoption(ReleaseAction):
    """Notes what services run already, and no deploy has built, as a release: that of the checkout's commit."""

    services: tuple[str, ...]
    deployed: str

    def required_facts(self) -> FactsRequest:
        return FactsRequest(releases=self.releases, checkout=self.releases.checkout, user=self.releases.user)

    def unreadable_reason(self, facts: Facts) -> str:
        return facts.releases.problem or ("" if facts.checkout else facts.checkout_error)

    def _snapshot(self, facts: Facts, runtime: Runtime, missing: list[str]) -> Before:
        assert facts.checkout is not None
        head = facts.checkout.head
        return {"missing": missing, "head": head, "known": as_plain(facts.releases.find(runtime, head))}

    def _adopted(self, machine: Machine, before: Before, runtime: Runtime, services: Iterable[str]) -> Release:
        """The release of the checkout's commit, with these services among those that it runs well."""
        ref, head = self.releases, text(before, "head")
        known = release_before(before, "known") or Release(runtime, head, GOOD, ref="the checkout")
        subject = git.subject(machine, ref.checkout, ref.user, head)
        names = tuple(dict.fromkeys((*known.services, *services)))
        return replace(known, state=GOOD, subject=subject, since=time.time(), services=names)

    def _restore(self, machine: Machine, before: Before, runtime: Runtime) -> None:
        register.restore(machine.ops, runtime, text(before, "head"), release_before(before, "known"))


def as_plain(release: Release | None) -> dict[str, object]:
    """Return what is known of a release as plain JSON for a snapshot; empty where nothing is."""
    return {"release": encode(release)} if release else {}


def release_before(before: Before, key: str) -> Release | None:
    """Return the release that a snapshot has under this name; None where nothing was known. Raises StepFailed."""
    plain = table(before, key).get("release")
    release = decode(plain) if plain else None
    return release if isinstance(release, Release) else None

"""What the register says of a release: begun, good or bad; and what is removed of old ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from ...journal_reader import read_journal
from ...releases import register
from ...releases.reading import unbuilt
from ...system import git
from ...system.machine import Evidence, Machine
from ...wire.codec import wire
from ...wire.facts import Facts
from ...wire.release import BAD, BUILDING, GOOD, Release, Releases
from ...wire.terms import Runtime
from ..before import Before, texts
from .base import ReleaseAction, as_plain, release_before
from .build import discard


@dataclass(frozen=True)
class _OfRelease(ReleaseAction):
    runtime: Runtime
    commit: str

    def _known(self, facts: Facts) -> Release:
        """What is known of the release; where nothing is, it has just begun."""
        return facts.releases.find(self.runtime, self.commit) or Release(self.runtime, self.commit, BUILDING)

    def _former(self, facts: Facts, *commits: str) -> Before:
        return {commit: as_plain(facts.releases.find(self.runtime, commit)) for commit in commits}

    def _restore(self, machine: Machine, before: Before) -> None:
        for commit in before:
            register.restore(machine.ops, self.runtime, commit, release_before(before, commit))


@wire
@dataclass(frozen=True)
class BeginRelease(_OfRelease):
    """Notes that a release is being deployed, by whom and as what.

    Its undo notes that the release is bad where the deploy failed by it, with the reason from the plan's journal, and
    else what was known before: a reboot in the middle says nothing about the release.
    """

    ref: str
    who: str
    services: tuple[str, ...]

    def noop_reason(self, facts: Facts) -> str:
        found = facts.releases
        serves = all(found.runs(self.releases, self.runtime, name) == self.commit for name in self.services)
        good = self._known(facts).state == GOOD
        return f"{self.commit[:12]} is live" if good and serves else ""

    def snapshot(self, facts: Facts) -> Before:
        return self._former(facts, self.commit)

    def apply(self, machine: Machine, before: Before) -> Evidence:
        former = release_before(before, self.commit) or Release(self.runtime, self.commit, BUILDING)
        again = former.built and former.state != BAD
        plan = machine.backups.parent.name
        ref = self.releases
        subject = git.subject(machine, ref.checkout, ref.user, self.commit)
        named = replace(former, state=BUILDING, ref=self.ref, subject=subject, who=self.who, plan=plan, reason="")
        register.write(machine.ops, named if again else unbuilt(named))
        return {"begun": self.commit}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        reason, known = _failure(machine), register.read(machine.ops, self.runtime, self.commit)
        if not reason or known is None:
            self._restore(machine, before)
            return {"restored": self.commit}
        register.write(machine.ops, replace(known, state=BAD, since=known.since or time.time(), reason=reason))
        return {"bad": self.commit, "why": reason}

    def describe(self) -> str:
        return f"note that {self.commit[:12]} is being deployed"


@wire
@dataclass(frozen=True)
class FinishRelease(_OfRelease):
    """Notes that a release runs these services well, and that those in `left` are bad: somebody went back from them."""

    services: tuple[str, ...]
    left: tuple[str, ...] = ()
    who: str = ""

    def noop_reason(self, facts: Facts) -> str:
        known = self._known(facts)
        good = known.state == GOOD and set(self.services) <= set(known.services)
        return f"{self.commit[:12]} is known to be good" if good and not self.left else ""

    def snapshot(self, facts: Facts) -> Before:
        return self._former(facts, self.commit, *self.left)

    def apply(self, machine: Machine, before: Before) -> Evidence:
        known = release_before(before, self.commit) or Release(self.runtime, self.commit, BUILDING)
        services = tuple(dict.fromkeys((*known.services, *self.services)))
        good = replace(known, state=GOOD, since=time.time(), services=services, reason="")
        for commit in self.left:
            former = release_before(before, commit)
            if former:
                register.write(machine.ops, replace(former, state=BAD, reason=f"{self.who} went back from it"))
        register.write(machine.ops, good)
        return {"good": self.commit, "bad": list(self.left)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        self._restore(machine, before)
        return {"restored": list(before)}

    def describe(self) -> str:
        return f"note that {self.commit[:12]} is good"


@wire
@dataclass(frozen=True)
class PruneReleases(ReleaseAction):
    """Removes the directories of old releases, of bad ones and of half-built ones.

    It keeps the latest `keep` good ones, whatever a service runs from, at least one to go back to, and the `former`
    ones, which the plan's own undo may need.
    """

    keep: int
    former: tuple[str, ...] = ()

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._superfluous(facts.releases) else "there is nothing to remove"

    def snapshot(self, facts: Facts) -> Before:
        return {"remove": self._superfluous(facts.releases)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        for commit in texts(before, "remove"):
            discard(machine, self.releases, commit)
            known = register.read(machine.ops, "native", commit)
            if known:
                half = known.state == BUILDING
                rest = None if half else unbuilt(known)
                register.restore(machine.ops, "native", commit, rest)
        register.forget_old(machine.ops, "native")
        return {"removed": texts(before, "remove")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return {"removed": texts(before, "remove")}

    def _superfluous(self, releases: Releases) -> list[str]:
        live = set(releases.live.values())
        native = [release for release in releases.known if release.runtime == "native"]
        good = [release.commit for release in native if release.state == GOOD and release.built]
        back = [commit for commit in good if self.releases.directory(commit) not in live][:1]
        kept = {*good[: self.keep], *back, *self.former}
        return [c for c in releases.directories if c not in kept and self.releases.directory(c) not in live]

    def describe(self) -> str:
        return f"remove releases but the latest {self.keep} good ones"


def _failure(machine: Machine) -> str:
    """Why this plan's deploy failed by the release itself; empty where it did not, or did so for another reason."""
    events = read_journal(machine.backups.parent)
    for event in events:
        if event["kind"] == "failed" and str(event["step"]).startswith("app: "):
            return f"{event['step']}: {event['evidence'].get('error', '')}".partition("\n")[0]
    waited = any(event["kind"] == "waiting" for event in events)
    return "it was not confirmed: a public check failed, or nobody confirmed it in time" if waited else ""

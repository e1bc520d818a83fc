"""Whose the app and its data are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..system import paths, systemd
from ..system.files import clear, put, remove, sync_folder
from ..system.machine import Evidence, Machine, StepFailed
from ..wire.codec import wire
from ..wire.facts import Facts, FactsRequest
from ..wire.terms import Owner, Runtime, runtime_named
from .base import Action
from .before import Before, table, text, texts


@wire
@dataclass(frozen=True)
class SetOwner(Action):
    """Writes which runtime owns the app; native units refuse to start unless it says native.

    They ask that only as they start. So before it says anything else those that run are stopped, whoever started
    them: a reboot in the middle of a plan starts what is enabled, and no step of the plan knows of it.
    """

    path: str
    runtime: Runtime
    units: tuple[str, ...] = ()
    user: str = ""
    user_units: tuple[str, ...] = ()
    timeout: float = 60.0  # seconds until they have stopped

    def required_facts(self) -> FactsRequest:
        return FactsRequest(owner_file=self.path)

    def noop_reason(self, facts: Facts) -> str:
        return f"the owner is {self.runtime}" if facts.owner == self.runtime else ""

    def unreadable_reason(self, facts: Facts) -> str:
        return facts.owner_error

    def snapshot(self, facts: Facts) -> Before:
        return {"owner": facts.owner}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._write(machine, self.runtime)
        return {"owner": self.runtime}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        clear(Path(self.path))
        self._write(machine, runtime_named(text(before, "owner")))
        return {"owner": text(before, "owner")}

    def _write(self, machine: Machine, runtime: Owner) -> None:
        path = Path(self.path)
        if runtime != "native":
            for user, units in (("", self.units), (self.user, self.user_units)):
                systemd.stop(machine, units, user, self.timeout, ok=(0, 5))  # 5: not installed
        if runtime:
            # Readable by all: the app user's units ask it too.
            put(path, f"{runtime}\n".encode(), 0o644, "root", "root")
        else:
            remove(path)

    def describe(self) -> str:
        return f"set the owner to {self.runtime}"


@wire
@dataclass(frozen=True)
class ChangeOwnership(Action):
    """Gives data directories to the new owner's users, each by name or as "uid:gid".

    Only trees in which something belongs to somebody else are touched. On the way back a tree goes to whom its top
    belonged, then whatever was somebody else's in it goes there, by a list that is kept in the backups.
    """

    trees: tuple[str, ...]
    owners: tuple[str, ...]

    def required_facts(self) -> FactsRequest:
        return FactsRequest(trees=self.trees, accounts=tuple(o for o in self.owners if ":" not in o))

    def noop_reason(self, facts: Facts) -> str:
        unknown = [owner for owner in self.owners if not _pair(facts, owner)]
        return "" if unknown or self._foreign(facts) else "the data belongs to its servers already"

    def snapshot(self, facts: Facts) -> Before:
        foreign = self._foreign(facts)
        return {
            "owners": {path: facts.trees[path].owner for path in foreign},
            "mixed": [path for path in foreign if facts.trees[path].others],
        }

    def apply(self, machine: Machine, before: Before) -> Evidence:
        pairs, owners = dict(zip(self.trees, map(_numbers, self.owners))), table(before, "owners")
        for path in texts(before, "mixed"):
            self._record(machine, path, str(owners[path]))
        for path in owners:
            _give(machine, path, pairs[path])
        return {"given": {path: pairs[path] for path in owners}}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        restored = {}
        for path, pair in table(before, "owners").items():
            others = self._recorded(machine, path) if path in texts(before, "mixed") else {}
            # A list that was never finished means that nothing was given away.
            if others is None or not os.path.lexists(path):
                continue
            _give(machine, path, str(pair))
            for other, entries in others.items():
                _give_each(machine, entries, other)
            restored[path] = pair
        return {"restored": restored}

    def _foreign(self, facts: Facts) -> list[str]:
        pairs = zip(self.trees, self.owners)
        return [path for path, owner in pairs if set(facts.trees[path].owners) - {_pair(facts, owner)}]

    def _record(self, machine: Machine, path: str, owner: str) -> None:
        """Keep a list of what belongs to others than the tree's top does: all of it, or none."""
        record = self._list(machine, path)
        part = record.with_name(f"{record.name}.part")
        words = [*paths.other_owners(owner), "-fprintf", str(part), "%U:%G\\t%P\\0"]
        machine.run(["find", path, *words], timeout=paths.WALK_TIMEOUT_SECONDS)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.rename(part, record)
        sync_folder(record.parent)

    def _recorded(self, machine: Machine, path: str) -> dict[str, list[bytes]] | None:
        """The kept list, by owner; None when there is none."""
        record = self._list(machine, path)
        if not record.exists():
            return None
        found: dict[str, list[bytes]] = {}
        for line in record.read_bytes().split(b"\0")[:-1]:
            pair, _, name = line.partition(b"\t")
            found.setdefault(pair.decode(), []).append(os.path.join(os.fsencode(path), name))
        return found

    def _list(self, machine: Machine, path: str) -> Path:
        return machine.backups / ("owners" + path.replace("/", "-"))

    def describe(self) -> str:
        return "hand over " + ", ".join(f"{path} to {owner}" for path, owner in zip(self.trees, self.owners))


def _give(machine: Machine, path: str, pair: str) -> None:
    """Give a whole tree away: for chown(1) that is faster than to spare the entries that are right already."""
    machine.run(["chown", "-Rh", _numeric(pair), "--", path], timeout=paths.WALK_TIMEOUT_SECONDS)


def _give_each(machine: Machine, entries: list[bytes], pair: str) -> None:
    """Give single entries away, but for those that the new owner has deleted since."""
    there = [entry for entry in entries if os.path.lexists(entry)]
    argv = ["xargs", "--null", "--no-run-if-empty", "chown", "-h", _numeric(pair), "--"]
    machine.run(argv, stdin=b"\0".join(there), timeout=paths.WALK_TIMEOUT_SECONDS)


def _numeric(pair: str) -> str:
    """ "uid:gid" for chown, which would else look for users of such names first."""
    uid, gid = pair.split(":")
    return f"+{uid}:+{gid}"


def _pair(facts: Facts, owner: str) -> str:
    """An owner's "uid:gid" by the facts; empty when there is no such user."""
    return owner if ":" in owner else facts.accounts.get(owner, "")


def _numbers(owner: str) -> str:
    """The same by the VPS itself. Raises StepFailed."""
    pair = owner if ":" in owner else paths.account(owner)
    if not pair:
        raise StepFailed(f"there is no user {owner} on the VPS")
    return pair

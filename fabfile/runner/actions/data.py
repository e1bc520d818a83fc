"""Sets the app's owner and the owners of its data."""

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
    """Writes which runtime owns the app; native units do not start unless the file has `native`.

    That condition counts only at their start. So before the file gets another value, units that run are stopped,
    whatever started them: a reboot in the middle of a plan starts what is enabled, and no step of the plan stops it.
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
            # Readable by all: the app user's units read it, too.
            put(path, f"{runtime}\n".encode(), 0o644, "root", "root")
        else:
            remove(path)

    def describe(self) -> str:
        return f"set the owner to {self.runtime}"


@wire
@dataclass(frozen=True)
class ChangeOwnership(Action):
    """Changes the owner of data directories to the new runtime's users, each by name or as "uid:gid".

    Changes only trees that have an entry of another owner. Its undo gives a tree the former owner of its top folder,
    then each entry that had another owner that one, by a list in the backups.
    """

    trees: tuple[str, ...]
    owners: tuple[str, ...]

    def required_facts(self) -> FactsRequest:
        return FactsRequest(trees=self.trees, accounts=tuple(o for o in self.owners if ":" not in o))

    def noop_reason(self, facts: Facts) -> str:
        unknown = [owner for owner in self.owners if not _uid_gid(facts, owner)]
        return "" if unknown or self._to_change(facts) else "the data belongs to its servers already"

    def snapshot(self, facts: Facts) -> Before:
        trees = self._to_change(facts)
        return {
            "owners": {path: facts.trees[path].owner for path in trees},
            "mixed": [path for path in trees if facts.trees[path].others],
        }

    def apply(self, machine: Machine, before: Before) -> Evidence:
        pairs, owners = dict(zip(self.trees, map(_uid_gid_on_vps, self.owners))), table(before, "owners")
        for path in texts(before, "mixed"):
            self._save_other_owners(machine, path, str(owners[path]))
        for path in owners:
            _change_owner(machine, path, pairs[path])
        return {"given": {path: pairs[path] for path in owners}}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        restored = {}
        for path, pair in table(before, "owners").items():
            others = self._other_owners(machine, path) if path in texts(before, "mixed") else {}
            # Without a complete list no owner was changed.
            if others is None or not os.path.lexists(path):
                continue
            _change_owner(machine, path, str(pair))
            for other, entries in others.items():
                _change_owners(machine, entries, other)
            restored[path] = pair
        return {"restored": restored}

    def _to_change(self, facts: Facts) -> list[str]:
        pairs = zip(self.trees, self.owners)
        return [path for path, owner in pairs if set(facts.trees[path].owners) - {_uid_gid(facts, owner)}]

    def _save_other_owners(self, machine: Machine, path: str, owner: str) -> None:
        """Write a list of the entries with another owner than the tree's top folder: all of them, or none."""
        list_file = self._list_file(machine, path)
        part = list_file.with_name(f"{list_file.name}.part")
        arguments = [*paths.other_owners(owner), "-fprintf", str(part), "%U:%G\\t%P\\0"]
        machine.run(["find", path, *arguments], timeout=paths.WALK_TIMEOUT_SECONDS)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.rename(part, list_file)
        sync_folder(list_file.parent)

    def _other_owners(self, machine: Machine, path: str) -> dict[str, list[bytes]] | None:
        """Return the list's entries by owner; None when there is no list."""
        list_file = self._list_file(machine, path)
        if not list_file.exists():
            return None
        by_owner: dict[str, list[bytes]] = {}
        for line in list_file.read_bytes().split(b"\0")[:-1]:
            pair, _, name = line.partition(b"\t")
            by_owner.setdefault(pair.decode(), []).append(os.path.join(os.fsencode(path), name))
        return by_owner

    def _list_file(self, machine: Machine, path: str) -> Path:
        return machine.backups / ("owners" + path.replace("/", "-"))

    def describe(self) -> str:
        return "hand over " + ", ".join(f"{path} to {owner}" for path, owner in zip(self.trees, self.owners))


def _change_owner(machine: Machine, path: str, pair: str) -> None:
    """Change the owner of a whole tree: for chown(1) that is faster than to skip entries that are right already."""
    machine.run(["chown", "-Rh", _numeric(pair), "--", path], timeout=paths.WALK_TIMEOUT_SECONDS)


def _change_owners(machine: Machine, entries: list[bytes], pair: str) -> None:
    """Change the owner of single entries, without those that the new owner has deleted meanwhile."""
    existing = [entry for entry in entries if os.path.lexists(entry)]
    argv = ["xargs", "--null", "--no-run-if-empty", "chown", "-h", _numeric(pair), "--"]
    machine.run(argv, stdin=b"\0".join(existing), timeout=paths.WALK_TIMEOUT_SECONDS)


def _numeric(pair: str) -> str:
    """Return "uid:gid" in chown's numeric form: without the plus it looks for users of such names first."""
    uid, gid = pair.split(":")
    return f"+{uid}:+{gid}"


def _uid_gid(facts: Facts, owner: str) -> str:
    """Return an owner's "uid:gid" by the facts; empty when there is no such user."""
    return owner if ":" in owner else facts.accounts.get(owner, "")


def _uid_gid_on_vps(owner: str) -> str:
    """Return an owner's "uid:gid", read on the VPS. Raises StepFailed when there is no such user."""
    pair = owner if ":" in owner else paths.account(owner)
    if not pair:
        raise StepFailed(f"there is no user {owner} on the VPS")
    return pair

"""Whose the app and its data are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from .. import paths
from ..atomic import put, remove
from ..codec import wire
from ..facts import Facts, Wanted
from ..machine import Evidence, Machine, StepFailed
from ..model import Action


@wire
@dataclass(frozen=True)
class SetOwner(Action):
    """Writes which runtime owns the app; native units refuse to start unless it says native."""

    path: str
    runtime: str

    def wants(self) -> Wanted:
        return Wanted(owner_file=self.path)

    def settled(self, facts: Facts) -> str:
        return f"the owner is {self.runtime}" if facts.owner == self.runtime else ""

    def unknown(self, facts: Facts) -> str:
        return facts.owner_error

    def before(self, facts: Facts) -> Dict[str, Any]:
        return {"owner": facts.owner}

    def do(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        self._write(self.runtime)
        return {"owner": self.runtime}

    def restore(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        self._write(before["owner"])
        return {"owner": before["owner"]}

    def _write(self, runtime: str) -> None:
        path = Path(self.path)
        if runtime:
            # Readable by all: the app user's units ask it too.
            put(path, f"{runtime}\n".encode(), 0o644, "root", "root")
        else:
            remove(path)

    def describe(self) -> str:
        return f"set the owner to {self.runtime}"


@wire
@dataclass(frozen=True)
class Handing(Action):
    """Gives data directories to the new owner's users, each by name or as "uid:gid".

    Only entries that belong to somebody else are changed. Former owners are recorded by number: one pair for
    a directory where they were all the same, a list in the backups for one where they were not.
    """

    trees: Tuple[str, ...]
    owners: Tuple[str, ...]

    def wants(self) -> Wanted:
        return Wanted(trees=self.trees, accounts=tuple(o for o in self.owners if ":" not in o))

    def settled(self, facts: Facts) -> str:
        for path, owner in zip(self.trees, self.owners):
            wanted = owner if ":" in owner else facts.accounts.get(owner, "")
            if not wanted or set(facts.trees[path].owners) - {wanted}:
                return ""
        return "the data belongs to its servers already"

    def before(self, facts: Facts) -> Dict[str, Any]:
        pairs = {path: facts.trees[path].owners for path in self.trees}
        return {
            "uniform": {path: next(iter(owners)) for path, owners in pairs.items() if len(owners) == 1},
            "mixed": [path for path, owners in pairs.items() if len(owners) > 1],
        }

    def do(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        for path in before["mixed"]:
            self._record(machine, path)
        changed = {}
        for path, owner in zip(self.trees, self.owners):
            uid, gid = _numbers(owner)
            changed[path] = sum(_give(entry, status, uid, gid) for entry, status in paths.walk(path))
        return {"changed": changed}

    def restore(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        changed = {}
        for path in self.trees:
            uniform = before["uniform"].get(path)
            former = {path: uniform} if uniform else self._former(machine, path)
            if path in former:  # otherwise the record was never finished, so nothing was handed over
                changed[path] = sum(
                    _give(entry, status, *_pair(former.get(entry, former[path])))  # new files as their directory
                    for entry, status in paths.walk(path)
                )
        return {"restored": changed}

    def _record(self, machine: Machine, path: str) -> None:
        lines: List[str] = []
        for entry, status in paths.walk(path):
            lines.append(f"{status.st_uid}:{status.st_gid}\t{os.path.relpath(entry, path)}\0")
        put(self._list(machine, path), "".join(lines).encode(errors="surrogateescape"), 0o600, "root", "root")

    def _former(self, machine: Machine, path: str) -> Dict[str, str]:
        record = self._list(machine, path)
        if not record.exists():
            return {}
        entries = record.read_bytes().decode(errors="surrogateescape").split("\0")[:-1]
        pairs = (entry.split("\t", 1) for entry in entries)
        return {os.path.normpath(os.path.join(path, name)): pair for pair, name in pairs}

    def _list(self, machine: Machine, path: str) -> Path:
        return machine.backups / ("owners" + path.replace("/", "-"))

    def describe(self) -> str:
        return "hand over " + ", ".join(f"{path} to {owner}" for path, owner in zip(self.trees, self.owners))


def _give(entry: str, status: os.stat_result, uid: int, gid: int) -> int:
    if (status.st_uid, status.st_gid) == (uid, gid):
        return 0
    os.chown(entry, uid, gid, follow_symlinks=False)
    return 1


def _numbers(owner: str) -> Tuple[int, int]:
    pair = owner if ":" in owner else paths.account(owner)
    if not pair:
        raise StepFailed(f"there is no user {owner} on the VPS")
    return _pair(pair)


def _pair(text: str) -> Tuple[int, int]:
    uid, _, gid = text.partition(":")
    return int(uid), int(gid)

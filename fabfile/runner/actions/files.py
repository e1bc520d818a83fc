"""Writes and removes files, makes folders and system users, each with its undo."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, cast

from ..system import diffs, paths, systemd
from ..system.files import clear, put, remove
from ..system.machine import Evidence, Machine, StepFailed
from ..wire.codec import wire
from ..wire.facts import Facts, FactsRequest, FileFact
from .base import Action, Inspection
from .before import Before, rows, texts


@wire
@dataclass(frozen=True)
class File:
    """The target state of a file. The contents travel beside the plan, named by their SHA-256."""

    path: str
    sha256: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    content: bytes = field(default=b"", metadata={"wire": False}, repr=False, compare=False)

    def differs(self, fact: FileFact | None) -> str:
        """Return how the file on the VPS differs; empty when it does not."""
        if fact is None or fact.kind == "missing":
            return "missing"
        if fact.kind != "file":
            return fact.kind
        if fact.sha256 != self.sha256:
            return "contents"
        if (fact.mode, fact.owner, fact.group) != (self.mode, self.owner, self.group):
            return f"{fact.owner}:{fact.group} {fact.mode:o}"
        return ""


@wire
@dataclass(frozen=True)
class Files(Action):
    """Writes files, and reloads systemd's units if they are such.

    Former files are kept in the plan's backups, and `undo` restores them.
    """

    files: tuple[File, ...]
    reload: bool = False
    user: str = ""  # whose manager reads them; empty: the system's

    def required_facts(self) -> FactsRequest:
        return FactsRequest(files=tuple(file.path for file in self.files))

    def inspect(self, machine: Machine) -> Inspection:
        inspection = super().inspect(machine)
        parents = {
            str(parent) for former in _former_files(inspection.before) for parent in Path(former["path"]).parents
        }
        missing = sorted(path for path in parents if not os.path.lexists(path))
        return Inspection(inspection.noop_reason, {**inspection.before, "folders": missing})

    def noop_reason(self, facts: Facts) -> str:
        if any(file.differs(facts.files.get(file.path)) for file in self.files):
            return ""
        return f"{len(self.files)} files are up to date"

    def snapshot(self, facts: Facts) -> Before:
        differing = [file for file in self.files if file.differs(facts.files.get(file.path))]
        return {"files": [_former_file(facts.files[file.path]) for file in differing]}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        by_path = {file.path: file for file in self.files}
        for former in _former_files(before):
            _back_up(machine, former)
        changes = []
        for former in _former_files(before):
            file = by_path[former["path"]]
            content = machine.content(file.sha256)
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise StepFailed(f"the shipped contents of {file.path} are damaged", sha256=file.sha256)
            _make_parents(file)
            changes.append(diffs.diff(file.path, _text_before(machine, former), content.decode(errors="replace")))
            put(Path(file.path), content, file.mode, file.owner, file.group)
        self._reload(machine)
        written = [former["path"] for former in _former_files(before)]
        return {"written": written, "folders": texts(before, "folders"), "diffs": changes}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        for former in _former_files(before):
            _restore(machine, former)
        for path in reversed(texts(before, "folders")):
            _remove_empty(path)
        self._reload(machine)
        return {"restored": [former["path"] for former in _former_files(before)]}

    def _reload(self, machine: Machine) -> None:
        if self.reload:
            machine.run([*systemd.systemctl(self.user), "daemon-reload"], user=self.user or None)

    def describe(self) -> str:
        return "write " + ", ".join(file.path for file in self.files)


@wire
@dataclass(frozen=True)
class Gone(Action):
    """Removes files of ours that nothing reads any more; `undo` restores them as they were."""

    paths: tuple[str, ...]
    why: str  # what is so without them

    def required_facts(self) -> FactsRequest:
        return FactsRequest(files=self.paths)

    def noop_reason(self, facts: Facts) -> str:
        return "" if _former_files(self.snapshot(facts)) else self.why

    def snapshot(self, facts: Facts) -> Before:
        files = [facts.files[path] for path in self.paths]
        return {"files": [_former_file(fact) for fact in files if fact.kind != "missing"]}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        for former in _former_files(before):
            _back_up(machine, former)
            remove(Path(former["path"]))
        return {"removed": [former["path"] for former in _former_files(before)]}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        for former in _former_files(before):
            _restore(machine, former)
        return {"restored": [former["path"] for former in _former_files(before)]}

    def describe(self) -> str:
        return "remove " + ", ".join(self.paths)


@wire
@dataclass(frozen=True)
class Folder:
    """The target state of a folder."""

    path: str
    mode: int
    owner: str
    group: str


@wire
@dataclass(frozen=True)
class Folders(Action):
    """Makes folders; existing ones are left as they are, since the hand-over changes their owner."""

    folders: tuple[Folder, ...]

    def required_facts(self) -> FactsRequest:
        return FactsRequest(files=tuple(folder.path for folder in self.folders))

    def noop_reason(self, facts: Facts) -> str:
        missing = [f for f in self.folders if facts.files[f.path].kind != "directory"]
        return "" if missing else f"{len(self.folders)} folders are there"

    def snapshot(self, facts: Facts) -> Before:
        return {"missing": [f.path for f in self.folders if facts.files[f.path].kind == "missing"]}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        for folder in self.folders:
            if folder.path in texts(before, "missing"):
                os.makedirs(folder.path, mode=0o755, exist_ok=True)
                shutil.chown(folder.path, folder.owner, folder.group)
                os.chmod(folder.path, folder.mode)
            elif paths.file_fact(folder.path).kind != "directory":
                raise StepFailed(f"{folder.path} is in the way: it is not a folder")
        return {"made": texts(before, "missing")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        removed = [path for path in reversed(texts(before, "missing")) if _remove_empty(path)]
        return {"removed": removed}

    def describe(self) -> str:
        return "make folders " + ", ".join(folder.path for folder in self.folders)


@wire
@dataclass(frozen=True)
class Accounts(Action):
    """Makes system users without a login, for the native servers."""

    names: tuple[str, ...]
    homes: tuple[str, ...]

    def required_facts(self) -> FactsRequest:
        return FactsRequest(accounts=self.names)

    def noop_reason(self, facts: Facts) -> str:
        missing = [name for name in self.names if not facts.accounts.get(name)]
        return "" if missing else "system users " + ", ".join(self.names) + " exist"

    def snapshot(self, facts: Facts) -> Before:
        return {"missing": [name for name in self.names if not facts.accounts.get(name)]}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        for name, home in zip(self.names, self.homes):
            if name in texts(before, "missing"):
                machine.run(
                    ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", home]
                    + ["--shell", "/usr/sbin/nologin", name]
                )
        return {"made": texts(before, "missing")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return {"kept": texts(before, "missing")}

    def describe(self) -> str:
        return "make system users " + ", ".join(self.names)


class _FormerFile(TypedDict):
    """What `undo` needs of a file; its backup is named by the hash of its contents."""

    path: str
    kind: str
    mode: int
    owner: str
    group: str
    sha256: str


def _former_files(before: Before) -> list[_FormerFile]:
    """Return the files as they were. Raises StepFailed when none were recorded."""
    return cast("list[_FormerFile]", rows(before, "files"))


def _former_file(fact: FileFact) -> _FormerFile:
    """Return what `undo` needs of a file."""
    return {
        "path": fact.path,
        "kind": fact.kind,
        "mode": fact.mode,
        "owner": fact.owner,
        "group": fact.group,
        "sha256": fact.sha256,
    }


def _back_up(machine: Machine, former: _FormerFile) -> None:
    if former["kind"] == "missing":
        return
    if former["kind"] != "file":
        raise StepFailed(f"{former['path']} is in the way: {former['kind']}, not a plain file")
    backup = machine.backups / former["sha256"]
    if not backup.exists():
        put(backup, Path(former["path"]).read_bytes(), 0o600, "root", "root")


def _text_before(machine: Machine, former: _FormerFile) -> str:
    """Return a file's former contents, from its backup."""
    if former["kind"] == "missing":
        return ""
    backup: Path = machine.backups / former["sha256"]
    return backup.read_text(errors="replace")


def _restore(machine: Machine, former: _FormerFile) -> None:
    clear(Path(former["path"]))
    if former["kind"] == "missing":
        remove(Path(former["path"]))
        return
    if former["kind"] != "file":  # it was in the way, and stayed there
        return
    backup = machine.backups / former["sha256"]
    if backup.exists():  # without a backup the write never began
        put(Path(former["path"]), backup.read_bytes(), former["mode"], former["owner"], former["group"])


def _make_parents(file: File) -> None:
    """Make the file's missing parent folders, owned as the file is."""
    missing = [parent for parent in Path(file.path).parents if not parent.exists()]
    for path in reversed(missing):
        os.mkdir(path, 0o755)
        shutil.chown(path, file.owner, file.group)


def _remove_empty(path: str) -> bool:
    try:
        os.rmdir(path)
    except OSError:  # it has contents meanwhile, which are not ours
        return False
    return True

"""The checkout that a Compose project runs from: whose it is, where it came from, who could run it natively."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from ..system import git, systemd
from ..system.machine import Machine, StepFailed, said
from ..system.paths import group_name, user_name
from ..wire.adoption import AdoptionRequest, Work
from ..wire.facts import Unit

_LOGIN = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/@]*@", re.IGNORECASE)
_BUNS = ("{home}/.bun/bin/bun", "/usr/local/bin/bun", "/usr/bin/bun", "/opt/bun/bin/bun")


def root_of(directory: str) -> tuple[Path | None, str]:
    """The checkout around a directory, and why it is no git checkout.

    Without git it is the topmost directory with a package.json, so that at least the rest can be found.
    """
    place = Path(directory)
    above = [folder for folder in (place, *place.parents) if folder != Path("/")]
    for folder in above:
        if (folder / ".git").exists():
            return folder, ""
    bare = [folder for folder in above if (folder / "package.json").is_file()]
    if bare:
        return bare[-1], f"{bare[-1]} has a package.json but no .git, there or above"
    return None, f"there is no .git in {directory} or above"


def work(machine: Machine, root: Path | None, problem: str, wanted: AdoptionRequest) -> Work:
    """What can be told of a checkout; git is asked as its owner, who alone may trust it."""
    if root is None:
        return Work(problem=problem)
    try:
        status = root.stat()
    except OSError as error:
        return Work(problem=f"{root} can't be read: {error.strerror}")
    user = user_name(status.st_uid)
    known = _account(user)
    home = known.pw_dir if known else ""
    group = group_name(status.st_gid)
    bun = _bun(home)
    found = Work(
        root=str(root),
        user=user,
        group=group,
        home=home,
        lingering=Path("/var/lib/systemd/linger", user).exists(),
        bun=bun,
        bun_version=_version(machine, bun, user) if bun and known else "",
        units=_units(machine, user, wanted.names) if known and wanted.names else (),
        paths=tuple(path for path in wanted.paths if (root / path).exists()),
        problem=problem,
    )
    return found if problem or known is None else _with_git(machine, found)


def _with_git(machine: Machine, bare: Work) -> Work:
    def ask(*words: str) -> str:
        return git.run(machine, bare.root, bare.user, *words, timeout=15).strip()

    try:
        head, branch = ask("rev-parse", "HEAD"), ask("branch", "--show-current")
    except StepFailed as error:
        return _replaced(bare, problem=f"git says: {said(error)}")
    try:
        remote = ask("remote", "get-url", "origin")
    except StepFailed:
        remote = ""  # an operator may well have none
    return _replaced(bare, head=head, branch=branch, remote=_LOGIN.sub(r"\1", remote))


def _replaced(work: Work, **values: str) -> Work:
    return Work(**{**work.__dict__, **values})


def _account(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None


def _bun(home: str) -> str:
    places: list[str] = [place.format(home=home) for place in _BUNS if home or "{home}" not in place]
    return next((place for place in places if os.access(place, os.X_OK)), "")


def _version(machine: Machine, bun: str, user: str) -> str:
    try:
        return machine.run([bun, "--version"], user=user, timeout=10).out.strip()
    except StepFailed:
        return ""


def _units(machine: Machine, user: str, names: tuple[str, ...]) -> tuple[Unit, ...]:
    try:
        return tuple(unit for unit in systemd.show(machine, names, user).values() if unit.load != "not-found")
    except StepFailed:
        return ()  # without lingering there is no manager to ask

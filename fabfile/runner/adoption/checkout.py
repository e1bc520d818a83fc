"""Reads the checkout that a Compose project runs from: its owner, its remote, and Bun and units of that user."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from ..system import git, systemd
from ..system.machine import Machine, StepFailed, failure_detail
from ..system.paths import group_name, user_name
from ..wire.adoption import AdoptionRequest, Work
from ..wire.facts import Unit

_LOGIN = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/@]*@", re.IGNORECASE)
_BUNS = ("{home}/.bun/bin/bun", "/usr/local/bin/bun", "/usr/bin/bun", "/opt/bun/bin/bun")


def root_of(directory: str) -> tuple[Path | None, str]:
    """The root of the checkout around a directory, and why it is no git checkout.

    Without git it is the topmost directory with a package.json, so that the rest can still be read.
    """
    start = Path(directory)
    candidates = [folder for folder in (start, *start.parents) if folder != Path("/")]
    for folder in candidates:
        if os.path.exists(folder / ".git"):  # whatever Docker calls the directory
            return folder, ""
    packages = [folder for folder in candidates if os.path.isfile(folder / "package.json")]
    if packages:
        return packages[-1], f"{packages[-1]} has a package.json but no .git, there or above"
    return None, f"there is no .git in {directory} or above"


def work(machine: Machine, root: Path | None, problem: str, request: AdoptionRequest) -> Work:
    """The facts of a checkout. git runs as its owner: it refuses a checkout of another user."""
    if root is None:
        return Work(problem=problem)
    try:
        status = root.stat()
    except OSError as error:
        return Work(problem=f"{root} can't be read: {error.strerror}")
    user = user_name(status.st_uid)
    account = _account(user)
    home = account.pw_dir if account else ""
    group = group_name(status.st_gid)
    bun = _find_bun(home)
    result = Work(
        root=str(root),
        user=user,
        group=group,
        home=home,
        lingering=Path("/var/lib/systemd/linger", user).exists(),
        bun=bun,
        bun_version=_version(machine, bun, user) if bun and account else "",
        units=_units(machine, user, request.names) if account and request.names else (),
        paths=tuple(path for path in request.paths if (root / path).exists()),
        problem=problem,
    )
    return result if problem or account is None else _with_git_facts(machine, result)


def _with_git_facts(machine: Machine, plain: Work) -> Work:
    def run_git(*arguments: str) -> str:
        return git.run(machine, plain.root, plain.user, *arguments, timeout=15).strip()

    try:
        head, branch = run_git("rev-parse", "HEAD"), run_git("branch", "--show-current")
    except StepFailed as error:
        return _with(plain, problem=f"git says: {failure_detail(error)}")
    try:
        remote = run_git("remote", "get-url", "origin")
    except StepFailed:
        remote = ""  # an operator may well have none
    return _with(plain, head=head, branch=branch, remote=_LOGIN.sub(r"\1", remote))


def _with(work: Work, **values: str) -> Work:
    return Work(**{**work.__dict__, **values})


def _account(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None


def _find_bun(home: str) -> str:
    candidates: list[str] = [candidate.format(home=home) for candidate in _BUNS if home or "{home}" not in candidate]
    return next((candidate for candidate in candidates if os.access(candidate, os.X_OK)), "")


def _version(machine: Machine, bun: str, user: str) -> str:
    try:
        return machine.run([bun, "--version"], user=user, timeout=10).out.strip()
    except StepFailed:
        return ""


def _units(machine: Machine, user: str, names: tuple[str, ...]) -> tuple[Unit, ...]:
    try:
        return tuple(unit for unit in systemd.show(machine, names, user).values() if unit.load != "not-found")
    except StepFailed:
        return ()  # without lingering the user has no manager

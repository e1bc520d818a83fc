"""Runs git in the app's checkout, always as the user it belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..wire.release import Checkout
from .machine import CommandFailed, Machine, Result

_COMMIT = re.compile("[0-9a-f]{40}")


def checkout(machine: Machine, path: str, user: str) -> Checkout:
    """The commit, branch, changed and untracked files of a work tree. Raises CommandFailed."""
    head = run(machine, path, user, "rev-parse", "HEAD").strip()
    branch = run(machine, path, user, "branch", "--show-current").strip()
    lines = run(machine, path, user, "-c", "core.quotePath=false", "status", "--porcelain").splitlines()
    changed = tuple(line[3:] for line in lines if not line.startswith("??"))
    return Checkout(head, branch, changed, tuple(line[3:] for line in lines if line.startswith("??")))


def remote(machine: Machine, path: str, user: str) -> str:
    """The remote that the current branch says, else origin, else the only one; empty without one.

    Raises CommandFailed.
    """
    names = run(machine, path, user, "remote").split()
    branch = run(machine, path, user, "branch", "--show-current").strip()
    said = _config(machine, path, user, f"branch.{branch}.remote") if branch else ""
    preferred = [name for name in (said, "origin") if name in names]
    return preferred[0] if preferred else names[0] if len(names) == 1 else ""


def resolve(machine: Machine, path: str, user: str, ref: str) -> tuple[str, bool]:
    """The commit that a branch, a tag or a commit is, and whether the checkout has it; fetches nothing.

    A branch or tag of the remote wins over one of the checkout's own, which may be older. A whole commit that the
    checkout lacks may still be the remote's. Raises CommandFailed where there is no such commit, or no answer.
    """
    whole = bool(_COMMIT.fullmatch(ref))
    commit = "" if whole else _at_remote(machine, path, user, ref)
    here = _commit(machine, path, user, commit or ref)
    if here or commit:
        return here or commit, bool(here)
    if whole and remote(machine, path, user):
        return ref, False
    raise CommandFailed(f"{ref} is no branch or tag of the remote, and no commit that {path} has")


def fetch(machine: Machine, path: str, user: str, commit: str, timeout: float) -> None:
    """Fetch a commit from the remote: with all branches and tags, else by itself. Raises CommandFailed."""
    name = remote(machine, path, user)
    run(machine, path, user, "fetch", "--quiet", "--tags", name, timeout=timeout)
    if not _commit(machine, path, user, commit):
        run(machine, path, user, "fetch", "--quiet", name, commit, timeout=timeout)


def subject(machine: Machine, path: str, user: str, commit: str) -> str:
    """The first line of a commit's message. Raises CommandFailed."""
    return run(machine, path, user, "show", "--no-patch", "--format=%s", commit).strip()


def _at_remote(machine: Machine, path: str, user: str, ref: str) -> str:
    """The commit of a branch or a tag of the remote; empty where it has none of that name."""
    name = remote(machine, path, user)
    if not name or _run(machine, path, user, "check-ref-format", f"refs/heads/{ref}").code:
        return ""
    patterns = [f"refs/heads/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}"]
    listed = run(machine, path, user, "ls-remote", "--quiet", name, *patterns).splitlines()
    commits = {full: commit for line in listed for commit, _, full in [line.partition("\t")]}
    return next((commits[pattern] for pattern in patterns if pattern in commits), "")


def _commit(machine: Machine, path: str, user: str, ref: str) -> str:
    """The commit that the checkout has under a name; empty where it has none."""
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    result = _run(machine, path, user, *words)
    return result.out.strip() if result.code == 0 else ""


def _config(machine: Machine, path: str, user: str, key: str) -> str:
    return _run(machine, path, user, "config", "--get", key).out.strip()


def discard(machine: Machine, path: str, user: str, files: Sequence[str]) -> None:
    """Check out tracked files as the commit has them; untracked ones are left alone. Raises CommandFailed."""
    tracked = run(machine, path, user, "ls-files", "-z", "--", *files).split("\0") if files else []
    present = [name for name in tracked if name]
    if present:
        run(machine, path, user, "checkout", "--quiet", "--", *present)


def run(machine: Machine, path: str, user: str, *arguments: str, timeout: float = 60.0) -> str:
    """The output of a git command; it never asks for a password. Raises CommandFailed."""
    return _run(machine, path, user, *arguments, timeout=timeout, ok=(0,)).out


def _run(
    machine: Machine, path: str, user: str, *arguments: str, timeout: float = 60.0, ok: tuple[int, ...] | None = None
) -> Result:
    # BatchMode: ssh would wait for somebody to type a passphrase, or to accept a host key.
    env = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    return machine.run(["git", "-C", path, *arguments], user=user, timeout=timeout, env=env, ok=ok)

"""Runs git in the app's checkout, always as the user it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from ..wire.facts import Checkout
from .machine import Machine


def checkout(machine: Machine, path: str, user: str) -> Checkout:
    """The commit, branch and changed files of a work tree; untracked files are no change. Raises CommandFailed."""
    head = run(machine, path, user, "rev-parse", "HEAD").strip()
    branch = run(machine, path, user, "branch", "--show-current").strip()
    changed = run(machine, path, user, "status", "--porcelain", "--untracked-files=no").splitlines()
    return Checkout(head, branch, tuple(line[3:] for line in changed))


def discard(machine: Machine, path: str, user: str, files: Sequence[str]) -> None:
    """Check out tracked files as the commit has them; untracked ones are left alone. Raises CommandFailed."""
    tracked = run(machine, path, user, "ls-files", "-z", "--", *files).split("\0") if files else []
    present = [name for name in tracked if name]
    if present:
        run(machine, path, user, "checkout", "--quiet", "--", *present)


def run(machine: Machine, path: str, user: str, *arguments: str, timeout: float = 60.0) -> str:
    """The output of a git command; it never asks for a password. Raises CommandFailed."""
    env = {"GIT_TERMINAL_PROMPT": "0"}
    return machine.run(["git", "-C", path, *arguments], user=user, timeout=timeout, env=env).out

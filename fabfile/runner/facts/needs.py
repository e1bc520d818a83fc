"""Whether what a unit needs to start is there, and may be used by whom the unit runs as."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..system.machine import CommandFailed, Machine, said
from ..wire.facts import Need

READ, RUN, ENTER = "read", "run", "enter"
_FLAGS = {READ: "r", RUN: "x", ENTER: "x"}
# One process for all: each argument is a flag of test(1), a colon and a path; what does not pass is printed.
_SCRIPT = 'for need do test "-${need%%:*}" "${need#*:}" || printf "%s\\n" "$need"; done'


def lacking(machine: Machine, needs: Sequence[Need]) -> dict[str, str]:
    """Path → why it can't be used, in words; what can be is left out."""
    found = {need.path: problem for need in needs for problem in [_not_there(need)] if problem}
    there = [need for need in needs if need.path not in found]
    for user in sorted({need.user for need in there}):
        found.update(_denied(machine, user, [need for need in there if need.user == user]))
    return found


def _not_there(need: Need) -> str:
    if not os.path.exists(need.path):
        return f"there is no {need.path}"
    if (need.how == ENTER) != os.path.isdir(need.path):
        return f"{need.path} is {'no' if need.how == ENTER else 'a'} directory"
    return ""


def _denied(machine: Machine, user: str, needs: list[Need]) -> dict[str, str]:
    """What the user may not use: that user is asked, since the folders above count as well."""
    words = [f"{_FLAGS[need.how]}:{need.path}" for need in needs]
    try:
        bad = machine.run(["sh", "-c", _SCRIPT, "sh", *words], user=user or None, timeout=10).out.splitlines()
    except CommandFailed as error:
        return {need.path: f"{need.path} could not be looked at: {said(error)}" for need in needs}
    who = user or "root"
    return {need.path: f"{who} cannot {need.how} {need.path}" for need, word in zip(needs, words) if word in bad}

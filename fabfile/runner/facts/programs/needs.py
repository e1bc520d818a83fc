"""Checks that the files and folders that a unit needs exist and that its user may use them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...system.machine import CommandFailed, Machine, failure_detail
from ...wire.app import Need

READ, RUN, ENTER = "read", "run", "enter"
_FLAGS = {READ: "r", RUN: "x", ENTER: "x"}
# One process for all: each argument is a flag of test(1), a colon and a path; what does not pass is printed.
_SCRIPT = 'for need do test "-${need%%:*}" "${need#*:}" || printf "%s\\n" "$need"; done'


def lacking(machine: Machine, needs: Sequence[Need]) -> dict[str, str]:
    """Path → why it can't be used, in words; usable ones are left out."""
    problems = {need.path: problem for need in needs for problem in [_missing(need)] if problem}
    present = [need for need in needs if need.path not in problems]
    for user in sorted({need.user for need in present}):
        problems.update(_denied(machine, user, [need for need in present if need.user == user]))
    return problems


def _missing(need: Need) -> str:
    if not os.path.exists(need.path):
        return f"there is no {need.path}"
    if (need.how == ENTER) != os.path.isdir(need.path):
        return f"{need.path} is {'no' if need.how == ENTER else 'a'} directory"
    return ""


def _denied(machine: Machine, user: str, needs: list[Need]) -> dict[str, str]:
    """Path → why the user may not use it, tested as that user, since the folders above count as well."""
    arguments = [f"{_FLAGS[need.how]}:{need.path}" for need in needs]
    try:
        refused = machine.run(["sh", "-c", _SCRIPT, "sh", *arguments], user=user or None, timeout=10).out.splitlines()
    except CommandFailed as error:
        return {need.path: f"{need.path} could not be checked: {failure_detail(error)}" for need in needs}
    who = user or "root"
    return {
        need.path: f"{who} cannot {need.how} {need.path}"
        for need, argument in zip(needs, arguments)
        if argument in refused
    }

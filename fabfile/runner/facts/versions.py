"""Versions of the servers on both sides, and the format of the data they left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..system.machine import CommandFailed, Machine, said
from ..wire.facts import Program
from . import image_versions

_VERSION = re.compile(r"(\d+(?:\.\d+)+)")


def ask_all(machine: Machine, programs: Sequence[Program]) -> tuple[dict[str, str], dict[str, str]]:
    """Versions, and why one could not be read, each by the programs' names."""
    identifiers, known = image_versions.identifiers(machine, programs), image_versions.kept(machine.ops)

    def ask(program: Program) -> tuple[str, str]:
        identifier = identifiers.get(program.image, "")
        version = known.get(image_versions.key(program, identifier), "") if identifier else ""
        # By its identifier, since its name may have come to mean another image meanwhile.
        return (version, "") if version else _ask(machine, replace(program, image=identifier or program.image))

    with ThreadPoolExecutor(max_workers=6) as pool:
        answers = list(pool.map(ask, programs))
    answered = zip(programs, answers)
    image_versions.keep(
        machine.ops,
        {
            image_versions.key(program, identifiers[program.image]): version
            for program, (version, _) in answered
            if version and program.image in identifiers
        },
    )
    named = list(zip((program.name for program in programs), answers))
    return {name: version for name, (version, _) in named}, {name: error for name, (_, error) in named if error}


def _ask(machine: Machine, program: Program) -> tuple[str, str]:
    try:
        result = machine.run(_command(program), timeout=30)
    except CommandFailed as error:
        return "", said(error)
    match = _VERSION.search(result.out + result.err)
    return (match.group(1), "") if match else ("", f"no version in {result.said[:100]!r}")


def _command(program: Program) -> Sequence[str]:
    if not program.image:
        return program.argv
    entry, *rest = program.argv
    # --pull never: a version must not be asked of an image that this host does not have.
    return [
        "docker",
        "run",
        "--rm",
        "--pull",
        "never",
        "--network",
        "none",
        "--entrypoint",
        entry,
        program.image,
        *rest,
    ]


def rdb_format(folder: Path) -> int:
    """The highest RDB format in a Redis data directory; 0 when it holds none.

    A Redis refuses files of a newer format: 8.0 writes 12, 7.2 reads up to 11, 7.0 up to 10.
    """
    files = [*folder.glob("*.rdb"), *folder.glob("appendonlydir/*.rdb")]
    return max((_format(path) for path in files), default=0)


def _format(path: Path) -> int:
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError:
        return 0
    return int(head[5:]) if head[:5] == b"REDIS" and head[5:].isdigit() else 0

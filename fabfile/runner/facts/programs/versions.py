"""Versions of the servers on both sides, and the format of the data that they have written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ...system.machine import CommandFailed, Machine, failure_detail
from ...wire.app import Program
from ..data.redis import product_in
from . import image_versions

_VERSION = re.compile(r"(\d+(?:\.\d+)+)")


def read_versions(machine: Machine, programs: Sequence[Program]) -> tuple[dict[str, str], dict[str, str]]:
    """Versions by program, a fork of Redis with its name before it; and errors where one could not be read."""
    identifiers, cached = image_versions.identifiers(machine, programs), image_versions.load(machine.ops)

    def read(program: Program) -> tuple[str, str]:
        identifier = identifiers.get(program.image, "")
        version = cached.get(image_versions.key(program, identifier), "") if identifier else ""
        # By its identifier, since its name may have come to mean another image meanwhile.
        return (version, "") if version else _read_version(machine, program, identifier or program.image)

    with ThreadPoolExecutor(max_workers=6) as pool:
        results = list(pool.map(read, programs))
    by_program = zip(programs, results)
    image_versions.save(
        machine.ops,
        {
            image_versions.key(program, identifiers[program.image]): version
            for program, (version, _) in by_program
            if version and program.image in identifiers
        },
    )
    named = list(zip((program.name for program in programs), results))
    return {name: version for name, (version, _) in named}, {name: error for name, (_, error) in named if error}


def _read_version(machine: Machine, program: Program, image: str) -> tuple[str, str]:
    try:
        result = machine.run(_command(replace(program, image=image)), timeout=30)
    except CommandFailed as error:
        return "", failure_detail(error)
    match = _VERSION.search(result.out + result.err)
    if not match:
        return "", f"no version in {result.excerpt[:100]!r}"
    fork = product_in(" ".join([program.image, *program.argv, result.out])) if program.name.endswith("/redis") else ""
    return (f"{fork} {match[1]}" if fork not in ("", "Redis") else match[1]), ""


def _command(program: Program) -> Sequence[str]:
    if not program.image:
        return program.argv
    entry, *rest = program.argv
    # --pull never: reading a version must not download an image.
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

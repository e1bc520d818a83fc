"""Reads from a Dockerfile how its image is based and started, without building it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ARGUMENT = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
START_INSTRUCTIONS = ("ENV", "ENTRYPOINT", "CMD", "EXPOSE", "USER", "STOPSIGNAL")
"""Instructions of the last stage that determine how the image is started, not what is in it."""


@dataclass(frozen=True)
class Stage:
    """The last stage: the bases of all stages, its working directory, and how it is started."""

    bases: tuple[str, ...]
    workdir: str
    start_instructions: tuple[str, ...]


def last_stage(text: str, arguments: Mapping[str, str] | None = None) -> Stage:
    """Read a Dockerfile. `arguments` are the build's own; those before the first FROM may stand in its bases."""
    values: dict[str, str] = {}
    names: set[str] = set()
    bases: list[str] = []
    workdir = "/"
    start_instructions: list[str] = []
    for instruction, rest in _instructions(text):
        if instruction == "ARG" and not bases:
            name, _, default = rest.partition("=")
            values[name] = (arguments or {}).get(name, default.strip("\"'"))
        elif instruction == "FROM":
            words = [word for word in rest.split() if not word.startswith("--")]
            base = _expanded(words[0], values)
            bases += [] if base in names or base in bases else [base]
            names |= {words[2]} if len(words) > 2 else set()
            workdir, start_instructions = "/", []
        elif instruction == "WORKDIR":
            workdir = rest if rest.startswith("/") else f"{workdir.rstrip('/')}/{rest}"
        elif instruction in START_INSTRUCTIONS:
            start_instructions.append(f"{instruction} {rest}")
        elif instruction == "ARG":  # ENV may use it
            start_instructions.append(f"ARG {rest}")
    return Stage(tuple(bases), workdir, tuple(start_instructions))


def _instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction with its arguments, without comments, with continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\s*\n", " ", "\n".join(lines))
    words = [line.strip().partition(" ") for line in joined.splitlines()]
    return [(instruction.upper(), rest.strip()) for instruction, _, rest in words]


def _expanded(text: str, values: Mapping[str, str]) -> str:
    return _ARGUMENT.sub(lambda match: values.get(match[1] or match[3]) or match[2] or "", text)

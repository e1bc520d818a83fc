"""The last lines that a unit or a container logged, for the message of what failed; secrets masked.

What an app logs may quote its keys, so the values of what looks like a secret in its own environment are masked, as
is what stands behind such a name, or before the @ of an address. The environment is read here and goes nowhere else.
"""

from __future__ import annotations

import itertools
import json
import pwd
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..system import docker, systemd
from ..system.diffs import SECRET_NAMES
from ..system.envfile import read_env
from ..system.machine import Machine, StepFailed
from ..wire.facts import Workload

LINES = 5  # of each one that failed
_WIDTH = 300  # characters of a line
_SHORTEST = 4  # characters: a shorter value is no secret, and would mask half of every line
_MASK = "•••"
_PLAIN = {"true", "false", "none", "null"}  # said by many, and secret to nobody
_QUOTED = 3  # of those that failed; the rest stands in the evidence

_SECRET_NAME = re.compile(rf"{SECRET_NAMES}|auth|(?:^|_)key", re.IGNORECASE)
_NAMED = re.compile(
    rf"((?:{SECRET_NAMES}|[\w-]*key[\w-]*id|x-api-key)[\w-]*[\"']?\s*[=:]\s*[\"']?(?:bearer\s+)?)[^\s,;\"'&]+",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"(://)[^/\s@]+(?=@)")
_BEARER = re.compile(r"\b(bearer\s+)\S+", re.IGNORECASE)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_ENV_FILE = re.compile(r"^EnvironmentFiles=(.*) \(ignore_errors=\w+\)$", re.MULTILINE)


def last_lines(machine: Machine, workloads: Sequence[Workload], since: float) -> dict[str, list[str]]:
    """The last lines of each since a time (epoch, seconds), by "runtime/name"; those that logged nothing are left out.

    Never raises: it is asked where something failed already.
    """
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(lambda workload: _last(machine, workload, since), workloads))
    return {f"{w.runtime}/{w.name}": lines for w, lines in zip(workloads, found) if lines}


def failed(machine: Machine, workloads: Sequence[Workload]) -> list[Workload]:
    """Those of native workloads whose unit has failed, or is about to be started again. Never raises."""
    found: list[Workload] = []
    for user in sorted({w.user for w in workloads if w.runtime == "native"}):
        ours = [w for w in workloads if w.runtime == "native" and w.user == user]
        try:
            units = systemd.show(machine, [w.unit for w in ours], user)
        except StepFailed:
            continue
        found += [w for w in ours if units[w.unit].active == "failed" or units[w.unit].sub == "auto-restart"]
    return found


def quoted(lines: dict[str, list[str]]) -> str:
    """The last lines for a message, a block for each of the first ones."""
    blocks = [f"{key} logged last:" + "".join(f"\n  {line}" for line in said) for key, said in lines.items()]
    return "\n".join(blocks[:_QUOTED])


def masked(line: str, secrets: Iterable[str]) -> str:
    """A line as it may be shown: no secret, no control character, no longer than people read."""
    text = _CONTROL.sub("", line)
    for secret in secrets:
        text = text.replace(secret, _MASK)
    text = _BEARER.sub(rf"\g<1>{_MASK}", _IN_ADDRESS.sub(rf"\g<1>{_MASK}", _NAMED.sub(rf"\g<1>{_MASK}", text)))
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _last(machine: Machine, workload: Workload, since: float) -> list[str]:
    try:
        logged = _native if workload.runtime == "native" else _docker
        lines = [line for line in logged(machine, workload, since) if line.strip()][-LINES:]
        secrets = sorted(_secrets(machine, workload), key=len, reverse=True) if lines else []
    except (StepFailed, OSError, ValueError, LookupError):
        return []
    return _once([masked(line, secrets) for line in lines])


def _once(lines: list[str]) -> list[str]:
    """The same line again and again, as of a unit that ends at once, only once."""
    runs = [(line, len(list(same))) for line, same in itertools.groupby(lines)]
    return [f"{line} (× {count})" if count > 1 else line for line, count in runs]


def _native(machine: Machine, workload: Workload, since: float) -> list[str]:
    """What the unit's processes logged; where that is nothing, what systemd logged about it."""
    kind = "USER_UNIT" if workload.user else "UNIT"
    who = [f"_UID={pwd.getpwnam(workload.user).pw_uid}"] if workload.user else []
    options = ["--no-pager", "--quiet", "--all", "--output=cat", f"--lines={LINES}", f"--since=@{since:.0f}"]
    for field in (f"_SYSTEMD_{kind}", kind):
        found = machine.run(["journalctl", *options, f"{field}={workload.unit}", *who], timeout=5).out.splitlines()
        if found:
            return found
    return []


def _docker(machine: Machine, workload: Workload, since: float) -> list[str]:
    """Both streams in one, as they were logged."""
    argv = ["docker", "logs", "--timestamps", "--tail", str(LINES), "--since", f"{since:.0f}", _box(machine, workload)]
    result = machine.run(argv, timeout=5)
    return [line.partition(" ")[2] for line in sorted(result.out.splitlines() + result.err.splitlines())]


def _box(machine: Machine, workload: Workload) -> str:
    """The name of the workload's container. Raises LookupError."""
    names = {box.service: box.name for box in docker.standing(machine, workload.project)}
    return names[workload.name]


def _secrets(machine: Machine, workload: Workload) -> set[str]:
    values = _unit_values if workload.runtime == "native" else _box_values
    found = values(machine, workload).items()
    named = {value for name, value in found if _SECRET_NAME.search(name)}
    return {value for value in named if len(value) >= _SHORTEST and value.lower() not in _PLAIN}


def _unit_values(machine: Machine, workload: Workload) -> dict[str, str]:
    """The variables in the env files of a unit; a file that can't be read gave it none."""
    argv = [*systemd.systemctl(workload.user), "show", "--property=EnvironmentFiles", "--", workload.unit]
    found: dict[str, str] = {}
    for path in _ENV_FILE.findall(machine.run(argv, user=workload.user or None, timeout=5).out):
        try:
            found.update(read_env(Path(path)))
        except (OSError, ValueError):
            continue
    return found


def _box_values(machine: Machine, workload: Workload) -> dict[str, str]:
    argv = ["docker", "inspect", "--type", "container", "--format", "{{json .Config.Env}}", _box(machine, workload)]
    found: list[str] = json.loads(machine.run(argv, timeout=5).out) or []
    return dict(entry.partition("=")[::2] for entry in found)

"""The last lines that a unit or a container logged, for the message of what failed; secrets masked.

What an app logs may quote its keys, so the values of what looks like a secret in its own environment are masked, as
is what stands behind such a name, or before the @ of an address. The environment is read here and goes nowhere else.
"""

from __future__ import annotations

import itertools
import pwd
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..system import docker, systemd
from ..system.diffs import SECRET_NAMES
from ..system.envfile import read_systemd
from ..system.machine import Machine, StepFailed
from ..wire import shape
from ..wire.facts import Workload

MAX_LINES = 5  # of each one that failed
_MAX_WIDTH = 300  # characters of a line
_MIN_SECRET_LENGTH = 4  # characters: a shorter value is no secret, and would mask half of every line
_MASK = "•••"
_COMMON_VALUES = {"true", "false", "none", "null"}  # frequent in logs, and secret to nobody
_MAX_BLOCKS = 3  # of those that failed; the rest stands in the evidence

_SECRET_NAME = re.compile(rf"{SECRET_NAMES}|auth|(?:^|_)key", re.IGNORECASE)
_NAMED = re.compile(
    rf"((?:{SECRET_NAMES}|[\w-]*key[\w-]*id|x-api-key)[\w-]*[\"']?\s*[=:]\s*[\"']?(?:bearer\s+)?)[^\s,;\"'&]+",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"(://)[^/\s@]+(?=@)")
_BEARER = re.compile(r"\b(bearer\s+)\S+", re.IGNORECASE)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def last_lines(machine: Machine, workloads: Sequence[Workload], since: float) -> dict[str, list[str]]:
    """The last lines of each since a time (epoch, seconds), by "runtime/name"; those that logged nothing are left out.

    Never raises: it is called where something failed already.
    """
    with ThreadPoolExecutor(max_workers=8) as pool:
        logged = list(pool.map(lambda workload: _last_lines(machine, workload, since), workloads))
    return {f"{w.runtime}/{w.name}": lines for w, lines in zip(workloads, logged) if lines}


def failed(machine: Machine, workloads: Sequence[Workload]) -> list[Workload]:
    """Those of native workloads whose unit has failed, or is about to be started again. Never raises."""
    failing: list[Workload] = []
    for user in sorted({w.user for w in workloads if w.runtime == "native"}):
        of_user = [w for w in workloads if w.runtime == "native" and w.user == user]
        try:
            units = systemd.show(machine, [w.unit for w in of_user], user)
        except StepFailed:
            continue
        failing += [w for w in of_user if units[w.unit].active == "failed" or units[w.unit].sub == "auto-restart"]
    return failing


def excerpt(lines: dict[str, list[str]]) -> str:
    """The last lines for a message, a block for each of the first ones."""
    blocks = [f"{key} logged last:" + "".join(f"\n  {line}" for line in logged) for key, logged in lines.items()]
    return "\n".join(blocks[:_MAX_BLOCKS])


def masked(line: str, secrets: Iterable[str], width: int = _MAX_WIDTH) -> str:
    """A line as it may be shown: without secrets and control characters, at most `width` characters long."""
    text = _CONTROL.sub("", line)
    for secret in secrets:
        text = text.replace(secret, _MASK)
    text = _BEARER.sub(rf"\g<1>{_MASK}", _IN_ADDRESS.sub(rf"\g<1>{_MASK}", _NAMED.sub(rf"\g<1>{_MASK}", text)))
    return text if len(text) <= width else text[: width - 1] + "…"


def _last_lines(machine: Machine, workload: Workload, since: float) -> list[str]:
    try:
        read = _native if workload.runtime == "native" else _docker
        lines = [line for line in read(machine, workload, since) if line.strip()][-MAX_LINES:]
        secrets = secrets_of(machine, workload) if lines else []
    except (StepFailed, OSError, ValueError, LookupError):
        return []
    return _collapsed([masked(line, secrets) for line in lines])


def _collapsed(lines: list[str]) -> list[str]:
    """The lines with repetitions, as of a unit that ends at once, as one line and their count."""
    runs = [(line, len(list(same))) for line, same in itertools.groupby(lines)]
    return [f"{line} (× {count})" if count > 1 else line for line, count in runs]


def _native(machine: Machine, workload: Workload, since: float) -> list[str]:
    """The log lines of the unit's processes; without any, systemd's own lines about the unit."""
    kind = "USER_UNIT" if workload.user else "UNIT"
    who = [f"_UID={pwd.getpwnam(workload.user).pw_uid}"] if workload.user else []
    options = ["--no-pager", "--quiet", "--all", "--output=cat", f"--lines={MAX_LINES}", f"--since=@{since:.0f}"]
    for field in (f"_SYSTEMD_{kind}", kind):
        logged = machine.run(["journalctl", *options, f"{field}={workload.unit}", *who], timeout=5).out.splitlines()
        if logged:
            return logged
    return []


def _docker(machine: Machine, workload: Workload, since: float) -> list[str]:
    """Both streams in one, as they were logged."""
    options = ["--timestamps", "--tail", str(MAX_LINES), "--since", f"{since:.0f}"]
    argv = ["docker", "logs", *options, _container_name(machine, workload)]
    result = machine.run(argv, timeout=5)
    return [line.partition(" ")[2] for line in sorted(result.out.splitlines() + result.err.splitlines())]


def _container_name(machine: Machine, workload: Workload) -> str:
    """The name of the workload's container. Raises LookupError."""
    names = {container.service: container.name for container in docker.list_containers(machine, workload.project)}
    return names[workload.name]


def secrets_of(machine: Machine, workload: Workload) -> list[str]:
    """The values that must not be shown of a workload's environment, the longest first: one may hold another.

    Raises StepFailed, ValueError, LookupError where there is no such container.
    """
    read = _unit_values if workload.runtime == "native" else _container_values
    variables = read(machine, workload).items()
    secrets = {value for name, value in variables if _SECRET_NAME.search(name)}
    shown = {value for value in secrets if len(value) < _MIN_SECRET_LENGTH or value.lower() in _COMMON_VALUES}
    return sorted(secrets - shown, key=len, reverse=True)


def _unit_values(machine: Machine, workload: Workload) -> dict[str, str]:
    """The variables in the env files of a unit; a file that can't be read gave it none."""
    unit = systemd.environments(machine, (workload.unit,), workload.user)[workload.unit]
    variables = dict(unit.values)
    for path, _ in unit.files:
        try:
            variables.update(read_systemd(Path(path)))
        except (OSError, ValueError):
            continue
    return variables


def _container_values(machine: Machine, workload: Workload) -> dict[str, str]:
    options = ["--type", "container", "--format", "{{json .Config.Env}}"]
    argv = ["docker", "inspect", *options, _container_name(machine, workload)]
    entries = shape.parse(machine.run(argv, timeout=5).out)
    texts = [entry for entry in entries if isinstance(entry, str)] if isinstance(entries, list) else []
    return dict(entry.partition("=")[::2] for entry in texts)

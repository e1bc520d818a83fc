"""Reads, stops and verifies units of systemd: the system's, or those of a user's own manager."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..wire import shape
from ..wire.facts import Unit
from .machine import CommandFailed, Machine, Observation, StepFailed, os_error_text

_PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,MainPID,Result,ControlGroup,NeedDaemonReload"

_VERIFY_SECONDS = 30.0  # for all units of one manager
RUNTIME = "/run/systemd/system"  # what stands there is gone with the next boot

# What a manager has because somebody logs in: of who it is, of its desktop, and of its bus.
_OF_SESSION = re.compile(
    r"(?:XDG|DBUS|SYSTEMD|SSH|GPG|LC)_.*|HOME|PATH|USER|LOGNAME|SHELL|MAIL|TERM|COLORTERM|PWD|OLDPWD|SHLVL|_|LANG|LANGUAGE"
    r"|INVOCATION_ID|JOURNAL_STREAM|MANAGERPID|MANAGERPIDFDID|NOTIFY_SOCKET|CREDENTIALS_DIRECTORY|MEMORY_PRESSURE_.*"
    r"|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY"
)
_ENV_FILE = re.compile(r"^EnvironmentFiles=(.*) \(ignore_errors=(yes|no)\)$", re.MULTILINE)
_UNIT_NAME = re.compile(r"[\w.:@\\-]+\.(?:service|socket|target|mount|automount|swap|timer|path|slice|scope|device)\b")

_OTHER_FILE = re.compile(r"/\S+:\d+: ")  # the complaint's place, as systemd has it
_EXPOSURE = re.compile(r"Overall exposure level for (\S+): (\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class UnitEnvironment:
    """What a unit's settings give its process, its drop-ins' included. Environment files win over `values`."""

    values: dict[str, str] = field(default_factory=dict, repr=False)  # Environment=
    files: tuple[tuple[str, bool], ...] = ()  # EnvironmentFile=, in order, and whether it may be missing
    unset: tuple[str, ...] = ()


def systemctl(user: str) -> list[str]:
    """The first arguments of every systemctl call: to the system manager, or to the manager of `user`."""
    return ["systemctl", "--user"] if user else ["systemctl"]


def show(machine: Machine, units: Sequence[str], user: str = "") -> dict[str, Unit]:
    """Facts of units, known to systemd or not, by name; one call for all. Raises StepFailed."""
    if not units:
        return {}
    argv = [*systemctl(user), "show", f"--property={_PROPERTIES}", "--", *units]
    result = machine.run(argv, user=user or None, timeout=30)
    blocks = [_properties(block) for block in result.out.strip().split("\n\n")]
    if len(blocks) != len(units):
        raise StepFailed(f"systemctl answered for {len(blocks)} units of {len(units)}", said=result.excerpt)
    try:
        return {name: _unit(name, fields) for name, fields in zip(units, blocks)}
    except ValueError as error:
        raise StepFailed(f"systemctl describes a unit as systemd does not: {error}", said=result.excerpt) from error


def properties(machine: Machine, unit: str, names: Sequence[str], user: str = "") -> dict[str, str]:
    """Properties of a unit as systemctl prints them; of one that is not installed their defaults. Raises StepFailed."""
    argv = [*systemctl(user), "show", f"--property={','.join(names)}", "--", unit]
    return _properties(machine.run(argv, user=user or None, timeout=30).out)


def environments(machine: Machine, units: Sequence[str], user: str = "") -> dict[str, UnitEnvironment]:
    """What each unit's settings give its process, by unit; of one that is not installed nothing. Raises StepFailed."""
    if not units:
        return {}
    argv = [*systemctl(user), "show", "--property=Id,Environment,EnvironmentFiles,UnsetEnvironment", "--", *units]
    blocks = machine.run(argv, user=user or None, timeout=30).out.strip().split("\n\n")
    if len(blocks) != len(units):
        raise StepFailed(f"systemctl answered for {len(blocks)} units of {len(units)}")
    return {unit: _unit_environment(machine, unit, user, block) for unit, block in zip(units, blocks)}


def _unit_environment(machine: Machine, unit: str, user: str, block: str) -> UnitEnvironment:
    properties = _properties(block)
    # systemctl does not print every value so that it could be read again.
    values = _assignments(machine, unit, user) if properties.get("Environment") else {}
    files = tuple((path, ignored == "yes") for path, ignored in _ENV_FILE.findall(block))
    return UnitEnvironment(values, files, tuple(properties.get("UnsetEnvironment", "").split()))


def manager_environment(machine: Machine, user: str) -> dict[str, str]:
    """What the manager of `user` gives each of its units, without what is about that user's session. Raises StepFailed.

    It comes from /etc/environment, environment.d, and whoever sets or imports variables by systemctl.
    """
    values = _environment(machine, "", "Manager", user)
    return {name: value for name, value in values.items() if not _OF_SESSION.fullmatch(name)}


def _assignments(machine: Machine, unit: str, user: str) -> dict[str, str]:
    """A unit's Environment=. Raises StepFailed."""
    name = "".join(char if char.isalnum() and char.isascii() else f"_{ord(char):02x}" for char in unit)
    return _environment(machine, f"/unit/{name}", "Service", user)


def _environment(machine: Machine, place: str, interface: str, user: str) -> dict[str, str]:
    """The property of that name, from systemd's own bus. Raises StepFailed."""
    argv = ["busctl", *(["--user"] if user else []), "--json=short", "get-property", "org.freedesktop.systemd1"]
    argv += [f"/org/freedesktop/systemd1{place}", f"org.freedesktop.systemd1.{interface}", "Environment"]
    result = machine.run(argv, user=user or None)
    try:
        return dict(entry.partition("=")[::2] for entry in shape.parse(result.out)["data"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandFailed(f"busctl did not answer with the environment of {place or 'the manager'}") from None


def stop(
    machine: Machine, units: Sequence[str], user: str = "", timeout: float = 60.0, ok: tuple[int, ...] = (0,)
) -> dict[str, str]:
    """Stop units and reset those that systemd then calls failed; returns these, with systemd's result.

    An app may end with 1 on its stop signal, or be killed for not ending in time: it is stopped in any case. `ok` are
    systemctl's good exit codes. Raises CommandFailed for others.
    """
    if not units:
        return {}
    machine.run([*systemctl(user), "stop", "--", *units], user=user or None, timeout=timeout, ok=ok)
    failed = _failed(machine, units, user)
    if failed:
        machine.run([*systemctl(user), "reset-failed", "--", *failed], user=user or None, timeout=30, ok=None)
        left = _failed(machine, list(failed), user)
        failed = {
            name: f"{result}, and systemd still calls it failed" if name in left else result
            for name, result in failed.items()
        }
    return failed


def kill(machine: Machine, units: Sequence[str], timeout: float = 60.0) -> None:
    """Kill units of the system at once, so that they write nothing while they end, and keep them down.

    By itself systemd would restart a killed unit, and a plain stop would let it save first. Raises StepFailed.
    """
    if not units:
        return
    drop_ins = [Path(RUNTIME, f"{unit}.d", "zzz-islandflow-kill.conf") for unit in units]
    try:
        for drop_in in drop_ins:
            drop_in.parent.mkdir(parents=True, exist_ok=True)
            drop_in.write_text("[Service]\nRestart=no\n")
        machine.run(["systemctl", "daemon-reload"], timeout=timeout)
        machine.run(["systemctl", "kill", "--signal=SIGKILL", "--", *units], timeout=timeout, ok=None)
        machine.until(lambda: _all_down(machine, units), timeout)
        stop(machine, units, timeout=timeout)
    except OSError as error:
        raise StepFailed(f"{', '.join(units)} can't be killed: {os_error_text(error)}") from error
    finally:
        for drop_in in drop_ins:
            with contextlib.suppress(OSError):  # the folder may hold what an operator put there
                drop_in.unlink()
                drop_in.parent.rmdir()
        machine.run(["systemctl", "daemon-reload"], timeout=timeout, ok=None)


def _all_down(machine: Machine, units: Sequence[str]) -> Observation:
    up = [name for name, unit in show(machine, units).items() if unit.pid]
    return Observation(not up, f"still running although they were killed: {', '.join(up)}")


def _failed(machine: Machine, units: Sequence[str], user: str) -> dict[str, str]:
    """Those of the units that systemd calls failed, with its result; empty where systemd does not answer."""
    try:
        units_by_name = show(machine, units, user)
    except StepFailed:
        return {}
    return {name: unit.result for name, unit in units_by_name.items() if unit.active == "failed"}


def manager_error(machine: Machine, user: str) -> str:
    """Why the user's own systemd manager cannot be used; empty when it can.

    Without lingering it exists only while the user is logged in, and the units would stop at logout.
    """
    if not Path("/var/lib/systemd/linger", user).exists():
        return f"lingering is off for {user}: run `loginctl enable-linger {user}` on the VPS"
    result = machine.run([*systemctl(user), "is-system-running"], user=user, timeout=30, ok=None)
    if result.out.strip() in ("running", "degraded", "starting"):
        return ""
    return f"the user manager of {user} does not answer: {result.excerpt or 'no output'}"


def verify(machine: Machine, files: Sequence[str], user: str = "") -> list[str]:
    """The complaints of systemd, or of `user`'s own manager, about unit files; empty when it accepts them.

    Any line counts, since systemd may exit with 0 on a bad unit. It also loads the units' dependencies: a line that
    names only other units, or a file that is no unit, is left out. Raises StepFailed when systemd cannot be run.
    """
    argv = ["systemd-analyze", "--user" if user else "--system", "--man=no", "verify", *files]
    result = machine.run(argv, user=user or None, timeout=_VERIFY_SECONDS, ok=None)
    own = {Path(file).name for file in files}
    lines = [line.strip() for line in (result.err + result.out).splitlines() if line.strip()]
    if result.code and not lines:
        return [f"systemd-analyze ended with {result.code}"]
    return [line for line in lines if own & _unit_names(line) or not (_unit_names(line) or _OTHER_FILE.match(line))]


def exposures(machine: Machine, files: Sequence[str]) -> dict[str, float]:
    """Unit → how exposed it would run, by `systemd-analyze security`: 0 is sealed off, 10 is open. Runs none of them.

    The system's manager judges users' units as well, as if root ran them: a user's manager need not be up for that.
    Raises StepFailed when systemd cannot be run, or (before version 250) not on units that are not installed.
    """
    if not files:
        return {}
    argv = ["systemd-analyze", "security", "--offline=yes", "--no-pager", *files]
    result = machine.run(argv, timeout=_VERIFY_SECONDS, ok=None)
    scores = {unit: float(score) for unit, score in _EXPOSURE.findall(result.out)}
    lacking = sorted({Path(file).name for file in files} - set(scores))
    if lacking:
        why = result.excerpt if result.code else "it prints none"
        raise StepFailed(f"systemd-analyze security has no score for {', '.join(lacking)}: {why}")
    return scores


def _unit_names(line: str) -> set[str]:
    return set(_UNIT_NAME.findall(line))


def _properties(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _unit(name: str, fields: dict[str, str]) -> Unit:
    return Unit(
        name=name,
        load=fields.get("LoadState", ""),
        active=fields.get("ActiveState", ""),
        sub=fields.get("SubState", ""),
        enabled=fields.get("UnitFileState", ""),
        restarts=int(fields.get("NRestarts") or 0),
        pid=int(fields.get("MainPID") or 0),
        result=fields.get("Result", ""),
        cgroup=fields.get("ControlGroup", ""),
        stale=fields.get("NeedDaemonReload") == "yes",
    )

"""Which hosts a command works on where its options name several, and how many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fabfile.errors import UsageError
from fabfile.lazy import lazily

with lazily():
    from fabfile.commands import session

OPTIONS: Final[Mapping[str, bool | str]] = {"all": False, "tag": "", "parallel": "", "no_fail_fast": False}
"""The parameters that choose several hosts, and what they are if left out."""

HELP: Final[Mapping[str, str]] = {
    "all": "on all hosts of the inventory",
    "tag": "on the hosts with this tag; of several with commas, those with any of them",
    "parallel": "on how many hosts at a time; where something changes, one if left out, else all",
    "no_fail_fast": "begin with the next host though one has failed",
}

_MOST: Final = 32  # hosts at a time, unless --parallel says more: each is a process with its connection

Function = Callable[..., None]


@dataclass(frozen=True)
class Choice:
    """The names of the hosts in their order, how many are worked on at a time, and whether a failure is the end."""

    hosts: tuple[str, ...]
    parallel: int
    fail_fast: bool


def one_host(function: Function) -> Function:
    """Have a task work on one host at most; goes below `task`."""
    function.__dict__["one_host"] = True
    return function


def asks_once(ask: Callable[[Mapping[str, Any]], None]) -> Callable[[Function], Function]:
    """Have a task call `ask` with its arguments before the first of several hosts; goes below `task`."""

    def mark(function: Function) -> Function:
        function.__dict__["asks_once"] = ask
        return function

    return mark


def options_of(function: Function, parameters: list[str]) -> Mapping[str, bool | str]:
    """Those of OPTIONS that a task has."""
    return OPTIONS if "host" in parameters and not getattr(function, "one_host", False) else {}


def several(
    context: Any, function: Function, arguments: Mapping[str, Any], options: Mapping[str, Any]
) -> Choice | None:
    """The hosts that the options name; None where they name one, or none. Raises UsageError, InventoryError."""
    at_a_time = _count(options["parallel"]) if options.get("parallel") else 0
    named = arguments.get("host", "")
    given = [f"--{name}" for name in ("all", "tag") if options.get(name)]
    if not options or not (given or "," in named):
        return None
    _refuse_two_ways(["--host"] * bool(named) + given)
    if hasattr(context, "original_host"):  # Fabric's own connection: it runs the task for each host by itself
        raise UsageError(
            f"fab -H chooses the hosts already, and so does {given[0] if given else '--host'}",
            next_step="Leave one of them out.",
        )
    hosts = tuple(dict.fromkeys(_names(named, options["tag"])))
    # What may change something: a plan, and a command of the operator's own.
    changes = ("dry" in arguments and not arguments["dry"]) or getattr(function, "takes_rest", False)
    return Choice(
        hosts,
        at_a_time or (1 if changes else min(len(hosts), _MOST)),
        fail_fast=changes and not options["no_fail_fast"],
    )


def looking(choice: Choice) -> Choice:
    """The same hosts, all looked at, as many at a time as where nothing changes."""
    return Choice(choice.hosts, min(len(choice.hosts), _MOST), fail_fast=False)


def _refuse_two_ways(given: list[str]) -> None:
    if len(given) > 1:
        raise UsageError(
            f"{' and '.join(given)} exclude each other", next_step="Choose the hosts by one of --host, --tag and --all."
        )


def _names(named: str, tags: str) -> Iterator[str]:
    site = session.load_site()
    if named:
        yield from (site.host(name).name for name in _split("--host", named))
    elif tags:
        known = sorted({tag for host in site.hosts.values() for tag in host.tags})
        chosen = _split("--tag", tags)
        for tag in chosen:
            if tag not in known:
                raise _unknown_tag(tag, known)
        yield from (host.name for host in site.hosts.values() if set(chosen) & set(host.tags))
    else:
        yield from site.hosts


def _unknown_tag(tag: str, known: list[str]) -> UsageError:
    if known:
        return UsageError(
            f'no host has the tag "{tag}"',
            next_step=f"Choose the tag from: {', '.join(known)}; or give it to a host: hosts.NAME.tags.",
        )
    return UsageError(
        f'no host has the tag "{tag}", nor any other',
        next_step=f'Give it to a host in the inventory, as in tags = ["{tag}"] below [hosts.NAME].',
    )


def _split(flag: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UsageError(
            f"{flag} {text} has an empty name in it", next_step="Put one comma between two names, and none elsewhere."
        )
    return names


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9])):
        raise UsageError(
            f"--parallel {text} is no number of hosts", next_step="Give a whole number above 0, as in --parallel 2."
        )
    return int(text[:9])

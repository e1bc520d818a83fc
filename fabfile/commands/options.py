"""The options that tasks share, declared once: `inv`, `fab` and `islandflow` validate and complete from here."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import invoke.exceptions
import invoke.tasks

from fabfile import bug, output
from fabfile.commands.hosts import choice
from fabfile.errors import CutoverError, Interrupted, UsageError
from fabfile.lazy import lazily
from fabfile.terms import POSTURES, RUNTIMES, SCOPES

with lazily():
    import fabfile.commands.apply
    import fabfile.commands.hosts.run
    import fabfile.console

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"scope": SCOPES, "to": RUNTIMES}
"""Parameter name → what it may be, for every task that has such a parameter."""

# What the values are, where a parameter is not called after it.
_VALUE_NAMES: Final[Mapping[tuple[str, ...], str]] = {RUNTIMES: "runtime", POSTURES: "posture"}

HELP: Final[Mapping[str, str]] = {
    "host": "which host of the inventory, several with commas; the default one if left out",
    **choice.HELP,
    "dry": "show what would change, and change nothing",
    "wait": "if another plan runs, wait until it has ended, instead of ending with exit code 4",
    "json": "print JSON lines instead of text",
    "quiet": "print only warnings, errors and the result",
    "verbose": "print details and how long things take, too",
    "scope": "which part of the app",
    "to": "what to switch to",
    "name": "which lab; several can run side by side",
    "cpus": "how many of this machine's processors it gets, 0.5 as well; all of them if left out",
    "web_warmup": "seconds of processor time that the web app's first pages take, after each start",
    "web_cost": "milliseconds of processor time that a page of the web app takes",
    "no_nats_monitoring": "the native NATS has no port for monitoring, either",
    "app": "a checkout of your own to run in place of the lab's app, its dependencies installed and its web app built",
    "env": "with --app: the env file to put into the checkout; the one that lies there if left out",
    "docker_env": "with --app: the env file to put beside the Compose file; the one that lies there if left out",
    "inventory": "with --app: the inventory that describes it; the one of this repository if left out",
    "image": "with --app: what stands in for an image that the lab can't download: NAME=LAB_IMAGE, several with commas",
    "ref": "commit, tag or branch",
    "pieces": "which services, by name, separated by commas",
    "fast": "without --pieces and --scope only the workers (in Docker the API too); no wait for the public checks",
    "no_build": "only a release that is built already",
    "force_recreate": "make containers anew, even of the image that they have; for Docker",
    "runtime": "where to deploy; refused unless it owns",
    "full": "hand the whole app back to Docker",
    "no_confirm": "don't wait for the public checks; gives up the automatic revert if they would fail",
    "accept_downgrade": "let older servers open data of newer ones; gives up the certainty that nothing of it is lost",
    "seconds": "for how long; until Ctrl-C if left out",
    "hours": "start one for so many hours, 0.5 as well; if left out, show the one that runs, or the last",
    "stop": "end the one that runs, with what it has seen",
    "way": "who changes rows and files; auto: NPM's API where NPM_IDENTITY and NPM_SECRET are set",
    "raw_api": "whether the public has the API's own hostname",
    "backup": "a backup's identifier, as `inv npm.restore` lists them",
    "last": "take the newest one",
    "output": "the file to write; inventory.toml in this directory if left out",
    "force": "overwrite the file that is there",
    "key": "the private key to log in with; your SSH agent's, and your own, if left out",
    "project": "the Compose project that is the app, where several could be",
    "interactive": "at a terminal, as a shell needs one",
    "yes": "begin without a question; where there is no terminal to answer at, it begins no other way",
    "watch": "look again every other second, until Ctrl-C",
    "follow": "go on with what is logged from now on, until Ctrl-C",
    "since": "only what is not older than this: 90s, 10m, 1h30m, 2d",
    "grep": "only lines that contain this regular expression (Python's)",
    "lines": "the last so many lines, of all services together",
    "plan": "a plan's identifier, as `inv history` shows it; the last one if left out",
}


_OUTPUT: Final = ("quiet", "verbose")  # parameters that every task has beside its own
_SHORT: Final[Mapping[str, str]] = {
    "host": "H",
    "quiet": "q",
    "verbose": "v",
    "follow": "f",
    "lines": "n",
    "interactive": "i",
    "yes": "y",
}


class _Task(invoke.tasks.Task[Any]):
    """A task whose parameters have a short flag where `_SHORT` has one, and only there."""

    def arg_opts(self, name: str, default: str, taken_names: set[str]) -> dict[str, Any]:
        """What Invoke's parser shall know of a parameter."""
        settings = super().arg_opts(name, default, taken_names)
        return {**settings, "names": (*settings["names"], *short_flag(name))}


def task(function: Callable[..., None]) -> Any:
    """Make a task of a function: no positional arguments, choices checked, errors printed with their exit code.

    The task has two parameters more than the function, quiet and verbose; what the function prints follows them. One
    with a host has those of `choice.OPTIONS`, too: then the function is called for each of several hosts.

    Positional arguments are off because Invoke would take `--dry` for the value of a required one. Where the
    choices of a parameter are not the usual ones the function carries them as `choices`.
    """
    allowed, signature = choices_of(function), inspect.signature(function)
    parameters = list(signature.parameters)[1:]
    of_hosts = choice.options_of(function, parameters)

    @functools.wraps(function)
    def guarded(context: Any, *args: Any, quiet: bool = False, verbose: bool = False, **kwargs: Any) -> None:
        output.print_in_any_encoding()
        hosts = {name: kwargs.pop(name, default) for name, default in of_hosts.items()}
        bound = signature.bind(context, *args, **kwargs)
        bound.apply_defaults()
        with output.outlive_readers(), output.using(quiet=quiet, verbose=verbose), _ending_in_words(bound.arguments):
            _refuse_core_dry(context, "dry" in parameters)
            _refuse_both(quiet, verbose)
            _check({**bound.arguments, **hosts}, allowed)
            several = choice.several(context, function, bound.arguments, hosts)
            if several:
                _on_hosts(several, function, bound)
            else:
                function(*bound.args, **bound.kwargs)

    guarded.__dict__["__signature__"] = _with_more(signature, {**of_hosts, **dict.fromkeys(_OUTPUT, False)})
    everything = [*parameters, *of_hosts, *_OUTPUT]
    helps = {name: ": ".join([help_of(function, name), *_choice_list(allowed.get(name))]) for name in everything}
    return invoke.tasks.task(guarded, klass=_Task, positional=[], help=helps, auto_shortflags=False)


def short_flag(name: str) -> tuple[str, ...]:
    """The one letter that stands for a parameter, if there is one."""
    return (_SHORT[name],) if name in _SHORT else ()


@contextlib.contextmanager
def _ending_in_words(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Print whatever error ends the block, and leave with its exit code."""
    try:
        yield
    except CutoverError as error:
        _exit(error, arguments)
    except invoke.exceptions.Exit:  # with an exit code that is not ours
        raise
    except KeyboardInterrupt:
        _exit(Interrupted(), arguments)
    except Exception as error:  # noqa: BLE001  whatever it is, nobody gets to see a traceback
        _exit(bug.report(error), arguments)


def _on_hosts(several: choice.Choice, function: Callable[..., None], bound: inspect.BoundArguments) -> None:
    """Call the function for each host, in a process of its own, and leave with the worst one's exit code."""

    def act(host: str) -> tuple[int, str]:
        bound.arguments["host"] = host
        try:
            with output.using(host=host), _ending_in_words(bound.arguments):
                function(*bound.args, **bound.kwargs)
        except invoke.exceptions.Exit as leaving:
            return leaving.code, str(getattr(leaving.__cause__, "message", "")).partition("\n")[0]
        return 0, ""

    arguments = bound.arguments
    if not (arguments.get("yes", True) or arguments.get("dry")):
        _agree(several, act, arguments)
    getattr(function, "asks_once", lambda arguments: None)(arguments)
    code = fabfile.commands.hosts.run.run(several, act, json=bool(arguments.get("json")))
    if code:
        raise invoke.exceptions.Exit(code=code)


def _agree(several: choice.Choice, act: Callable[[str], tuple[int, str]], arguments: dict[str, Any]) -> None:
    """Look at all hosts, show what would be done on each, and ask once; a yes goes for all, and is noted.

    Leaves with the worst host's exit code where one could not begin. Raises UsageError where nobody can be asked,
    Interrupted for a no.
    """
    fabfile.commands.apply.require_terminal(json=bool(arguments.get("json")))
    arguments["dry"] = True
    with fabfile.commands.apply.summed_up():
        code = fabfile.commands.hosts.run.run(choice.looking(several), act, json=False, looks=True)
    if code and several.fail_fast:
        raise invoke.exceptions.Exit(code=code)
    order = "one after the other" if several.parallel == 1 else f"{several.parallel} at a time"
    question = f"Begin on {', '.join(several.hosts)}, {order}?"
    if not fabfile.console.Console().confirms((), question):
        raise Interrupted(
            "it has not begun on any host, since nobody said yes", next_step="Run the same command again."
        )
    arguments.update(dry=False, yes=True)


def _with_more(signature: inspect.Signature, more: Mapping[str, Any]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    added = [inspect.Parameter(name, kind, default=value, annotation=type(value)) for name, value in more.items()]
    return signature.replace(parameters=[*signature.parameters.values(), *added])


def duration(text: str) -> float:
    """The value of --seconds; 0, for no end, when it is left out. Raises UsageError."""
    seconds = _positive(text or "inf", "seconds", "--seconds 30")
    return 0.0 if math.isinf(seconds) else seconds


def seconds_of_hours(text: str) -> float:
    """The value of --hours in seconds; 0 when it is left out. Raises UsageError."""
    count = _positive(text, "hours", "--hours 24") if text else 0.0
    if math.isinf(count):
        raise UsageError(f"--hours {text} has no end", next_step="Give hours, as in --hours 24.")
    return count * 3600


def _positive(text: str, unit: str, example: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise UsageError(f"--{unit} {text} is no duration", next_step=f"Give {unit} above 0, as in {example}.")
    return value


def choices(**by_name: tuple[str, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a task's parameters choices of their own; goes below `task`."""

    def mark(function: Callable[..., None]) -> Callable[..., None]:
        function.__dict__["choices"] = by_name
        return function

    return mark


def help_texts(**by_name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a task's parameters texts of their own for --help; goes below `task`."""

    def mark(function: Callable[..., None]) -> Callable[..., None]:
        function.__dict__["help_texts"] = by_name
        return function

    return mark


def help_of(function: Callable[..., None], name: str) -> str:
    """What --help says of a task's parameter."""
    text: str = getattr(function, "help_texts", {}).get(name) or HELP[name]
    return text


def choices_of(function: Callable[..., None]) -> dict[str, tuple[str, ...]]:
    """What the parameters of a task, or of the function it is made of, may be."""
    return {**CHOICES, **getattr(function, "choices", {})}


def _check(arguments: Mapping[str, Any], choices: Mapping[str, tuple[str, ...]]) -> None:
    missing = []
    for name, value in arguments.items():
        allowed, flag = choices.get(name, ()), name.replace("_", "-")
        if allowed and not value:
            missing.append((flag, allowed))
        elif allowed and value not in allowed:
            raise UsageError.unknown(_VALUE_NAMES.get(allowed, flag), value, allowed)
        # Both front doors take the next word for the value, whatever it is: `--ref --dry` must not run for real.
        if isinstance(value, str) and value.startswith("-"):
            raise UsageError(f"--{flag} has no value: {value} stands in its place", next_step=f"Say --{flag} VALUE.")
    for flag, allowed in missing:
        value_name = _VALUE_NAMES.get(allowed, flag)
        raise UsageError(f"--{flag} is missing", next_step=f"Choose the {value_name} from: {', '.join(allowed)}.")


def _refuse_core_dry(context: Any, has_dry: bool) -> None:
    """Invoke has a --dry of its own, which would let the task run: it stops only what `context.run` runs."""
    if context.config.run.dry:
        where = "put --dry behind the task's name" if has_dry else "leave --dry out: this task has none"
        raise UsageError("this is Invoke's own --dry, which shows nothing here", next_step=f"{where.capitalize()}.")


def _refuse_both(quiet: bool, verbose: bool) -> None:
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other", next_step="Leave one of them out.")


def _choice_list(allowed: tuple[str, ...] | None) -> list[str]:
    return [", ".join(allowed)] if allowed else []


def _exit(error: CutoverError, arguments: Mapping[str, Any]) -> None:
    output.error(error, as_json=bool(arguments.get("json")))
    raise invoke.exceptions.Exit(code=error.exit_code) from error

"""The console script `islandflow`: Click commands made from the very tasks that `inv` and `fab` run.

Click adds what Invoke lacks: choices that the shell completes, and wrong usage that ends with code 2.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class
from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from fabfile import bug, namespace, output, resources
from fabfile.commands import locate
from fabfile.commands.options import choices_of, help_of, short_flag
from fabfile.commands.services.rest import rest_is
from fabfile.errors import CutoverError
from fabfile.lazy import lazily

with lazily():
    from fabfile.commands import session


PROGRAM: Final = "islandflow"
_COMPLETE: Final = "_ISLANDFLOW_COMPLETE"  # the variable by which a shell requests completions of Click
_SHELLS: Final = ("bash", "zsh", "fish")


class DottedGroup(click.Group):
    """A group that takes `npm.switch` for `npm switch`: it is how `inv` spells it."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, dotted or not; None when there is none."""
        first, _, rest = cmd_name.partition(".")
        command = super().get_command(ctx, first)
        if not rest:
            return command
        return command.get_command(ctx, rest) if isinstance(command, click.Group) else None


def main() -> None:
    """Run the command line and leave with the exit code that errors.py lists."""
    output.print_in_any_encoding()
    try:
        cli(_arguments(sys.argv[1:]))
    except Exception as error:  # noqa: BLE001  whatever it is, nobody gets to see a traceback
        failure = bug.report(error)
        output.error(failure, as_json=False)
        sys.exit(failure.exit_code)


def _arguments(typed: list[str]) -> list[str]:
    """What was typed; where that is nothing, and there is a terminal, the operator is guided."""
    return typed if typed or not output.has_terminal() else ["guide"]


def _set_inventory(context: click.Context, parameter: click.Parameter, file: str | None) -> None:
    # Set while parsing, so that completing --host reads the chosen inventory too.
    if file is not None:
        os.environ[locate.VARIABLE] = file


@click.group(cls=DottedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-i",
    "--inventory",
    type=click.Path(),
    expose_value=False,
    is_eager=True,
    callback=_set_inventory,
    help="the inventory, instead of ISLANDFLOW_INVENTORY or the nearest inventory.toml here or above",
)
@click.version_option(package_name=resources.DISTRIBUTION, prog_name="islandflow")
def cli() -> None:
    """Hands the Islandflow app from Docker Compose to native systemd and back, safely."""


@cli.command(short_help="Print the completion of this command for a shell.")
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the completion of this command for a shell.

    \b
    bash: eval "$(islandflow completion bash)" in ~/.bashrc
    zsh:  eval "$(islandflow completion zsh)" in ~/.zshrc, behind compinit
    fish: islandflow completion fish > ~/.config/fish/completions/islandflow.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "Click has one for each of the choices"
    # Not its own source(), which for bash runs bash first.
    click.echo(ShellComplete.source(kind(cli, {}, PROGRAM, _COMPLETE)))


def _add(group: click.Group, collection: Collection) -> None:
    for name, task in collection.tasks.items():
        group.add_command(_command(name, task))
    for name, inner in collection.collections.items():
        text = inspect.cleandoc(inner.__doc__ or "")
        sub = click.Group(name, help=text, short_help=text.partition("\n")[0])
        _add(sub, inner)
        group.add_command(sub)


def _command(name: str, task: Task[Any]) -> click.Command:
    text = _named(inspect.cleandoc(task.__doc__ or ""))
    return click.Command(
        name,
        params=[*(_option(task, parameter) for parameter in _parameters(task)), *_rest(task)],
        callback=_callback(task),
        help=text,
        short_help=text.partition("\n")[0],
    )


def _parameters(task: Task[Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(task.body).parameters.values())[1:]


def _option(task: Task[Any], parameter: inspect.Parameter) -> click.Option:
    default, choices = parameter.default, choices_of(task.body).get(parameter.name)
    required = bool(choices) and not default  # the empty default of a choice is none of the choices
    return click.Option(
        [f"--{parameter.name.replace('_', '-')}", *(f"-{letter}" for letter in short_flag(parameter.name))],
        type=click.Choice(choices) if choices else type(default),
        is_flag=isinstance(default, bool) or None,  # False would mean that the value may be left out
        required=required,
        show_default=bool(default),
        help=_named(help_of(task.body, parameter.name)),
        shell_complete=_hosts if parameter.name == "host" else None,
        **({} if required else {"default": default}),
    )


def _rest(task: Task[Any]) -> list[click.Argument]:
    """What takes the words behind --, of a task that does."""
    takes = getattr(task.body, "takes_rest", False)
    return [click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND …")] if takes else []


def _callback(task: Task[Any]) -> Callable[..., None]:
    def run(**arguments: Any) -> None:
        try:
            with output.using(program=PROGRAM), rest_is(arguments.pop("rest", ())):
                task(Context(), **arguments)
        except Exit as leaving:
            click.get_current_context().exit(leaving.code)

    return run


def _named(text: str) -> str:
    with output.using(program=PROGRAM):
        return output.with_program(text)


def _hosts(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        hosts = session.load_site().hosts.values()
    except CutoverError:  # whoever runs the command is told; a shell that completes is not
        return []
    before, comma, name = incomplete.rpartition(",")
    return [
        CompletionItem(before + comma + host.name, help=host.address) for host in hosts if host.name.startswith(name)
    ]


_add(cli, namespace)

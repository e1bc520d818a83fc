"""Gets a token for NPM's API by the operator's credentials. It is a secret, which only the plan is sent."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from fabfile import bug
from fabfile.errors import PreflightRefused, UsageError
from fabfile.runner.actions.edge_switch import API, FILES, SECRET
from fabfile.runner.wire.edge import EdgeLogin, EdgeRef

IDENTITY_VARIABLE, SECRET_VARIABLE = "NPM_IDENTITY", "NPM_SECRET"
Prompt = Callable[[str], str]

_typed: dict[str, str] = {}  # once for several hosts, by variable


class NpmLogin(Protocol):
    """Whoever can ask NPM's API on the VPS."""

    def log_in(self, login: EdgeLogin) -> dict[str, str]:
        """A `token`, a `challenge`, or why it was `refused`."""
        ...


def resolve_way(option: str, environ: Mapping[str, str]) -> str:
    """The way that is meant by `auto`: the API where the environment has both credentials."""
    if option != "auto":
        return option
    return API if environ.get(IDENTITY_VARIABLE) and environ.get(SECRET_VARIABLE) else FILES


def needs_token(way: str) -> bool:
    """Whether a switch by that way needs a token."""
    return way == API


def npm_token(host: NpmLogin, edge: EdgeRef, environ: Mapping[str, str], *, prompt: Prompt = input) -> dict[str, str]:
    """A token for NPM's API, by the name under which a plan looks for it; good for 24 hours.

    What the environment lacks is asked for, and a two-factor code where NPM wants one. Raises UsageError where
    nobody can be asked, PreflightRefused when NPM refuses, Unreachable.
    """
    identity, secret = _credentials(environ, prompt)
    login = EdgeLogin(edge, identity=identity, secret=secret)
    answer = host.log_in(login)
    if "challenge" in answer:
        code = _answer_to("NPM two-factor code: ", "", prompt)
        answer = host.log_in(replace(login, secret="", challenge=answer["challenge"], code=code.strip()))
    if "token" not in answer:
        raise PreflightRefused([answer.get("refused", "NPM's API wants a two-factor code once more")])
    return {SECRET: answer["token"]}


def ask_once(option: str, environ: Mapping[str, str], *, prompt: Prompt = input) -> None:
    """Have the operator type what the way needs and the environment lacks, before the first of several hosts.

    Raises UsageError where nobody can be asked.
    """
    if needs_token(resolve_way(option, environ)):
        _typed[IDENTITY_VARIABLE], _typed[SECRET_VARIABLE] = _credentials(environ, prompt)


def _credentials(environ: Mapping[str, str], prompt: Prompt) -> tuple[str, str]:
    known = {**_typed, **{name: value for name, value in environ.items() if value}}
    identity = known.get(IDENTITY_VARIABLE) or _answer_to("NPM identity (e-mail): ", IDENTITY_VARIABLE, prompt)
    secret = known.get(SECRET_VARIABLE) or _answer_to("NPM secret: ", SECRET_VARIABLE, getpass.getpass)
    return identity, secret


def _answer_to(question: str, variable: str, prompt: Prompt) -> str:
    if not sys.stdin.isatty():
        what = f"{variable} is not set" if variable else "NPM's API wants a two-factor code"
        fix = f"Set {IDENTITY_VARIABLE} and {SECRET_VARIABLE}" if variable else "Run it at a terminal"
        raise UsageError(f"{what}, and there is no terminal to ask at", next_step=f"{fix}, or say --way files.")
    try:
        return bug.mask(prompt(question))
    except EOFError:
        raise UsageError("no answer was given", next_step="Run it again, or say --way files.") from None

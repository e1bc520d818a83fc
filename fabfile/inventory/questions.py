"""Questions in an inventory: values that `init` could not find, and that somebody has to answer.

A question is the text "?" or a text that begins with "?: ", the reason behind it. It may stand for any value, and the
file is valid TOML with it. Loading the file lists all of them at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fabfile.inventory import paths
from fabfile.inventory.messages import Problem

_MARK = "?"
_UNANSWERED = "not answered yet"


def question(why: str) -> str:
    """The placeholder of an unknown value; `why` says what is needed, and why it could not be found."""
    return f"{_MARK}: {' '.join(why.split())}"


def is_question(value: object) -> bool:
    """Whether a value is a question."""
    return isinstance(value, str) and (value.strip() == _MARK or value.startswith(f"{_MARK}:"))


def take(raw: dict[str, Any]) -> list[Problem]:
    """Remove every question from the tables and return them as problems, in the file's order."""
    questions = list(_questions(raw, ()))
    for problem in reversed(questions):
        del paths.get(raw, problem.path[:-1])[problem.path[-1]]
    return questions


def asks(problem: Problem) -> bool:
    """Whether a problem is a question."""
    return problem.text.startswith(_UNANSWERED)


def unexplained(problems: Iterable[Problem], questions: Iterable[Problem]) -> list[Problem]:
    """The problems that no question explains: those that lie neither at one, nor above nor below it."""
    places = [question.path for question in questions]
    return [problem for problem in problems if not any(_related(problem.path, path) for path in places)]


def _questions(value: Any, at: paths.Path) -> Iterable[Problem]:
    if isinstance(value, dict):
        entries: Iterable[tuple[str | int, Any]] = value.items()
    else:
        entries = enumerate(value)
    for key, item in entries:
        if is_question(item):
            why = item.strip()[len(_MARK) :].lstrip(":").strip()
            yield Problem((*at, key), f"{_UNANSWERED}: {why}" if why else _UNANSWERED)
        elif isinstance(item, (dict, list)):
            yield from _questions(item, (*at, key))


def _related(one: paths.Path, other: paths.Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]

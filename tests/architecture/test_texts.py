"""What the texts name exists: paths, tasks, exit codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile import errors, namespace

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
EXIT_CODES = REPOSITORY / "docs" / "exit-codes.md"
TEXTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
ROOMS = ("fabfile", "tests", "templates", "bench", "docs")

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
_ANCHOR = re.compile(r"\]\(#([^)\s]+)\)")
_TASK = re.compile(r"\binv\s+([a-z][a-z0-9.-]*[a-z0-9])")
_ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)


def named(text: str) -> Iterator[str]:
    """The paths of this repository that a text has in backticks; those of the VPS begin with / or …"""
    for word in _CODE.findall(_FENCED.sub("", text)):
        plain = "/" in word and re.fullmatch(r"[\w.][\w./-]*", word)
        if plain and (word.endswith((".py", ".md", ".toml", ".j2")) or word.split("/")[0] in ROOMS):
            yield word


def missing(text: str, folder: Path = REPOSITORY) -> list[str]:
    """The paths in backticks that neither the repository nor the package has, and the links that lead nowhere.

    README shortens paths of the package: plans/cutover.py.
    """
    lost = [p for p in named(text) if not (REPOSITORY / p).exists() and not (REPOSITORY / "fabfile" / p).exists()]
    links = [link for link in _LINK.findall(text) if "://" not in link]
    return lost + [link for link in links if not (folder / link).exists()]


def unknown_tasks(text: str) -> list[str]:
    """The tasks that a text calls by `inv` and that the collection lacks."""
    return [name for name in _TASK.findall(text) if name not in namespace.task_names]


def lost_anchors(text: str) -> list[str]:
    """The links inside a text that lead to no heading of its own."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    return [anchor for anchor in _ANCHOR.findall(text) if anchor not in anchors]


def codes_of(kind: type[errors.CutoverError]) -> set[int]:
    """The exit codes of an error and of everything below it."""
    return {kind.exit_code}.union(*(codes_of(below) for below in kind.__subclasses__() if _ours(below)))


def _ours(kind: type[errors.CutoverError]) -> bool:
    return kind.__module__ == errors.__name__


def listed_codes(text: str) -> set[int]:
    """The exit codes that a table lists, in its first column."""
    return {int(code) for code in _ROW.findall(text)}


every_text = pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)


@every_text
def test_every_path_exists(path: Path) -> None:
    assert missing(path.read_text(), path.parent) == []


@every_text
def test_every_task_exists(path: Path) -> None:
    assert unknown_tasks(path.read_text()) == []


@every_text
def test_every_heading_that_is_linked_exists(path: Path) -> None:
    assert lost_anchors(path.read_text()) == []


@pytest.mark.parametrize("path", [README, EXIT_CODES], ids=lambda path: path.name)
def test_exit_codes_are_those_of_the_errors(path: Path) -> None:
    assert listed_codes(path.read_text()) == {0} | codes_of(errors.CutoverError)


def test_the_texts_were_read() -> None:
    names = {path.name for path in TEXTS}
    assert names >= {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "exit-codes.md", "what-if.md"}
    architecture = (REPOSITORY / "ARCHITECTURE.md").read_text()
    assert len(set(named(architecture))) > 40 and "revert" in _TASK.findall(architecture)


# ── The checker itself: a planted mistake is found ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see `fabfile/plans/cutovers.py`", ["fabfile/plans/cutovers.py"]),
        ("`fabfile/plan/` and `fabfile/plans/`", ["fabfile/plan/"]),
        ("`plans/cutover.py`, `checks/nothing.py`", ["checks/nothing.py"]),
        ("[more](docs/nowhere.md#here)", ["docs/nowhere.md"]),
        ("`/var/lib/islandflow/ops`, `…/plans/<id>/`, `npm.switch`, `main.py`, `and/or`", []),
        ("[form](https://example.org/a.md)", []),
    ],
)
def test_a_path_that_is_not_there_is_found(text: str, found: list[str]) -> None:
    assert missing(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`inv cutovers --dry`", ["cutovers"]),
        ("    inv npm.swich --to native", ["npm.swich"]),
        ("run inv status, then `inv dns.verify-token`. `inv --list`, inv.", []),
    ],
)
def test_a_task_that_is_not_there_is_found(text: str, found: list[str]) -> None:
    assert unknown_tasks(text) == found


def test_a_code_that_is_not_listed_and_a_heading_that_is_not_there_are_found() -> None:
    assert listed_codes("| code |\n| 0 | done |\n| 130 | interrupted |\nexit code 7\n") == {0, 130}
    assert lost_anchors("## The hold\n[a](#the-hold) [b](#the-holds)") == ["the-holds"]

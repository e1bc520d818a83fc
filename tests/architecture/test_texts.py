"""What the texts name exists: paths, functions, tasks, options, exit codes."""

from __future__ import annotations

import ast
import functools
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
_CALL = re.compile(r"\binv\s+(?P<task>[a-z][a-z0-9.-]*[a-z0-9])(?P<rest>[^\n`#&;│|]*)")
_OPTION = re.compile(r"(?<!\S)\[?--([a-z][a-z-]*[a-z])")
_FUNCTION = re.compile(r"`(?:(\w+)\.)?(\w+)\(\)`(?:\s+(?:in|of)\s+`([\w./]+\.py)`)?")
_MODULE = re.compile(r"`(\w+\.py)`")
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


def missing_functions(text: str) -> list[str]:
    """The functions and methods in backticks that are nowhere, or not in the module that the text names with them."""
    return [
        ".".join(filter(None, (owner, name))) + "()" + (f" in {path}" if path else "")
        for owner, name, path in _FUNCTION.findall(text)
        if not any(_defines(file, owner, name) for file in _files(path))
    ]


def missing_modules(text: str) -> list[str]:
    """The names of modules in backticks, without a folder, that no module has."""
    names = {path.name for path in _files("")}
    return [name for name in _MODULE.findall(text) if name not in names]


def _defines(file: Path, owner: str, name: str) -> bool:
    """Whether a module has the function; `owner` is a class or the module itself."""
    return ("" if file.stem == owner else owner, name) in functions(file)


@functools.cache
def functions(path: Path) -> set[tuple[str, str]]:
    """The functions that a module defines, each with its class and without one."""
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    methods = {
        (each.name, node.name)
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef)
        for node in each.body
        if isinstance(node, kinds)
    }
    return methods | {("", node.name) for node in ast.walk(tree) if isinstance(node, kinds)}


def _files(path: str) -> list[Path]:
    """The module at a path, or without one all of them."""
    if path:
        return [place for place in (REPOSITORY / path, REPOSITORY / "fabfile" / path) if place.exists()]
    return [file for room in ROOMS for file in (REPOSITORY / room).rglob("*.py")] + list(REPOSITORY.glob("*.py"))


def unknown_tasks(text: str) -> list[str]:
    """The tasks that a text calls by `inv` and that the collection lacks."""
    return [name for name in _TASK.findall(text) if name not in namespace.task_names]


def unknown_options(text: str) -> list[str]:
    """The options in calls by `inv` that their tasks lack; what follows a # is a comment."""
    calls = [(call["task"], option) for call in _CALL.finditer(text) for option in _OPTION.findall(call["rest"])]
    return [f"{task} --{name}" for task, name in calls if name not in options_of(task)]


def options_of(task: str) -> set[str]:
    """The long options of a task; empty where there is no such task."""
    if task not in namespace.task_names:
        return set()
    return {name.replace("_", "-") for argument in namespace[task].get_arguments() for name in argument.names}


def mapped(text: str) -> Iterator[tuple[str, str]]:
    """The tasks in the second column of the README's map, each with the options that stand behind it."""
    table = text[text.index("| script | task |") :].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        for call in _CODE.findall(row.split(" | ")[1]):
            task, *words = call.removeprefix("inv ").split()
            yield task, " ".join(words)


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
def test_every_function_and_module_exists(path: Path) -> None:
    assert missing_functions(path.read_text()) == []
    assert missing_modules(path.read_text()) == []


@every_text
def test_every_task_exists(path: Path) -> None:
    assert unknown_tasks(path.read_text()) == []


@every_text
def test_every_heading_that_is_linked_exists(path: Path) -> None:
    assert lost_anchors(path.read_text()) == []


@every_text
def test_every_option_exists(path: Path) -> None:
    assert unknown_options(path.read_text()) == []


def test_the_map_names_tasks_and_options_that_exist() -> None:
    rows = list(mapped(README.read_text()))
    assert len(rows) > 45 and ("cutover", "--scope") in rows
    assert [task for task, _ in rows if task not in namespace.task_names] == []
    assert unknown_options("\n".join(f"inv {task} {words}" for task, words in rows)) == []


def test_the_map_names_every_task_of_the_vps() -> None:
    """The lab's own are in docs/lab.md."""
    known = {task for task, _ in mapped(README.read_text())}
    tasks = {name for name in namespace.task_names if not name.startswith("lab.")}
    assert tasks - known == set()


def test_exit_codes_are_those_of_the_errors() -> None:
    assert listed_codes(EXIT_CODES.read_text()) == {0} | codes_of(errors.CutoverError)


def test_readme_links_every_page() -> None:
    pages = {f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")}
    assert pages <= set(_LINK.findall(README.read_text()))


def test_readme_stays_short() -> None:
    assert len(README.read_text().splitlines()) <= 125


def test_the_texts_were_read() -> None:
    names = {path.name for path in TEXTS}
    assert names >= {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "exit-codes.md", "what-if.md"}
    architecture = (REPOSITORY / "ARCHITECTURE.md").read_text()
    assert len(_FUNCTION.findall(architecture)) > 20
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
        ("`findings()` in `fabfile/checks/preflight.py`, `Machine.run()`, `healthy()`", []),
        ("`findings()` in\n`fabfile/checks/parts.py`", ["findings() in fabfile/checks/parts.py"]),
        ("`session.begin()` and `session.ends()`", ["session.ends()"]),
        ("`Operation._refuse()` and `Operation.refuse()`", ["Operation.refuse()"]),
        ("`no_function_has_this_name()` of `checks/edge.py`", ["no_function_has_this_name() in checks/edge.py"]),
    ],
)
def test_a_function_that_is_not_there_is_found(text: str, found: list[str]) -> None:
    assert missing_functions(text) == found


def test_a_module_that_is_not_there_is_found() -> None:
    assert missing_modules("`preflight.py`, `preflights.py`, `fabfile/x.py`") == ["preflights.py"]


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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`inv cutover --dri`", ["cutover --dri"]),
        ("    inv lab.up --app DIR [--inventor FILE]", ["lab.up --inventor"]),
        ("`inv status` and `--nothing`; inv status && inv npm.switch --to native # --nothing", []),
        ("inv soak --hours 24 --scope web", ["soak --scope"]),
    ],
)
def test_an_option_that_is_not_there_is_found(text: str, found: list[str]) -> None:
    assert unknown_options(text) == found


def test_a_code_that_is_not_listed_and_a_heading_that_is_not_there_are_found() -> None:
    assert listed_codes("| code |\n| 0 | done |\n| 130 | interrupted |\nexit code 7\n") == {0, 130}
    assert lost_anchors("## The hold\n[a](#the-hold) [b](#the-holds)") == ["the-holds"]

"""What the runner's functions take and return has types of its own: a wrong key is mypy's to find, not the VPS's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_layers import PACKAGE, Module, modules, plant

# Where values of any type are the subject.
ANYTHING = ("fabfile.runner.wire.codec", "fabfile.runner.wire.shape")
# A journal's line is written and read as the JSON that it is. The operator's side gives it a type, wire's Event, whose
# evidence is another with each kind of event and action.
LINES = {
    "fabfile.runner.engine": {"revert", "started_steps"},
    "fabfile.runner.store": {"write_plan", "read_plan", "history"},
    "fabfile.runner.journal_reader": {"read_journal", "new_events", "newly_shown", "outcome"},
    "fabfile.runner.stdio": {"emit"},
    "fabfile.runner.wire.events": {"evidence", "line", "event"},
}


def untyped(package: Path) -> list[str]:
    """Every public function, method, field and alias of the runner that says Any, as module:line: name."""
    runner = [module for module in modules(package) if module.name.startswith("fabfile.runner")]
    return [
        f"{module.name}:{line}: {name}"
        for module in runner
        if module.name not in ANYTHING
        for line, name in _public(module)
        if name not in LINES.get(module.name, ())
    ]


def _public(module: Module) -> Iterator[tuple[int, str]]:
    aliases = _aliases(module.tree)
    bodies = [module.tree.body, *(node.body for node in _public_classes(module.tree))]
    for body in bodies:
        for node in body:
            name, hints = _signature(node)
            names = {part.id for hint in hints for part in ast.walk(_read(hint)) if isinstance(part, ast.Name)}
            if not _private(name) and names & {"Any", *aliases}:
                yield node.lineno, name


def _public_classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef) and not _private(node.name)]


def _private(name: str) -> bool:
    return name.startswith("_") and name != "__init__"


def _aliases(tree: ast.Module) -> set[str]:
    """Names of the module that stand for a type with Any in it."""
    return {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)
        for target in node.targets
        if isinstance(target, ast.Name)
        and any(isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(node.value))
    }


def _signature(node: ast.stmt) -> tuple[str, list[ast.expr]]:
    """A statement's name and annotations; an empty name where it declares nothing."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        every = node.args
        some = [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]
        hints = [arg.annotation for arg in some if arg] + [node.returns]
        return node.name, [hint for hint in hints if hint is not None]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, [node.annotation]
    return "", []


def _read(hint: ast.expr) -> ast.expr:
    """The annotation itself where it stands in quotes."""
    if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
        return ast.parse(hint.value, mode="eval").body
    return hint


def test_no_public_signature_of_the_runner_says_any() -> None:
    assert untyped(PACKAGE) == []


def test_every_exception_is_still_one() -> None:
    names = {module.name: {name for _, name in _public(module)} for module in modules(PACKAGE)}
    assert {module: found - names[module] for module, found in LINES.items() if found - names[module]} == {}


@pytest.mark.parametrize(
    "text",
    [
        "def f(a: Any) -> None: ...",
        "def f(a: dict[str, Any]) -> None: ...",
        "def f(*, a: 'list[Any]') -> None: ...",
        "def f(**a: Any) -> None: ...",
        "def f() -> dict[str, Any]: ...",
        "class A:\n    b: dict[str, Any]",
        "class A:\n    def f(self, a: Any) -> None: ...",
        "class A:\n    def __init__(self, a: Any) -> None: ...",
        "Told = dict[str, Any]\ndef f(a: Told) -> None: ...",
        "Told = dict[str, Any]\ndef f() -> list[Told]: ...",
    ],
)
def test_a_planted_any_is_found(text: str, tmp_path: Path) -> None:
    package = plant(tmp_path, "fabfile.runner.x", f"from typing import Any\n{text}\n")
    assert len(untyped(package)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fabfile.runner.x", "def f() -> dict[str, object]:\n    found: dict[str, Any] = {}\n    return found"),
        ("fabfile.runner.x", "def _f(a: Any) -> None: ..."),
        ("fabfile.runner.x", "class _A:\n    b: Any"),
        ("fabfile.runner.wire.codec", "def encode(value: Any) -> Any: ..."),
        ("fabfile.plans.x", "def f(a: Any) -> None: ..."),
    ],
)
def test_what_may_say_any_is_left_alone(name: str, text: str, tmp_path: Path) -> None:
    assert untyped(plant(tmp_path, name, f"from typing import Any\n{text}\n")) == []

"""What the tests owe to a slow day: no time is worked out while they are collected, which may be minutes too early."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLOCK = {
    ("time", "time"),
    ("time", "monotonic"),
    ("time", "perf_counter"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("date", "today"),
    ("datetime", "today"),
}
LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def asks_the_clock(node: ast.AST, helpers: frozenset[str]) -> bool:
    """Whether this very node is a call of the clock, or of a function here that calls it."""
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute):
        owner = node.func.value
        name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        return (name, node.func.attr) in CLOCK
    return isinstance(node.func, ast.Name) and node.func.id in helpers


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below this one that are run as the module is imported: no bodies, but decorators and defaults."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "__name__" in ast.dump(child.test):
            continue
        yield child
        if not isinstance(child, LATER):
            yield from at_import(child)
            continue
        early = [*child.args.defaults, *filter(None, child.args.kw_defaults)]
        for expression in [*early, *getattr(child, "decorator_list", [])]:
            yield expression
            yield from at_import(expression)


def helpers(module: ast.Module) -> frozenset[str]:
    """The module's own functions that ask the clock, by themselves or through each other."""
    found: frozenset[str] = frozenset()
    while True:
        functions = [node for node in module.body if isinstance(node, LATER[:2])]
        more = {f.name for f in functions if any(asks_the_clock(node, found) for node in ast.walk(f))}
        if more == found:
            return found
        found = frozenset(more)


def early_looks(source: str) -> list[int]:
    """The lines on which a module asks what time it is as it is imported."""
    module = ast.parse(source)
    own = helpers(module)
    return sorted({node.lineno for node in at_import(module) if asks_the_clock(node, own)})  # type: ignore[attr-defined]  # calls have lines


def test_no_time_is_worked_out_while_tests_are_collected() -> None:
    looks = {str(path.relative_to(TESTS)): early_looks(path.read_text()) for path in TESTS.rglob("*.py")}
    assert {name: lines for name, lines in looks.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("NOW = time.monotonic()", [1]),
        ("class A:\n    now: datetime = datetime.datetime.now(UTC)", [2]),
        ("def f(now=time.time()): ...", [1]),
        ("def soon(): return ahead()\ndef ahead(): return datetime.now(UTC)\n@mark(soon())\ndef test(): ...", [3]),
        ("@mark([lambda: time.time()])\ndef test():\n    return time.time()", []),
    ],
)
def test_a_look_at_import_is_found_wherever_it_hides(source: str, lines: list[int]) -> None:
    assert early_looks(source) == lines

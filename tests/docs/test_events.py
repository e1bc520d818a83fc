"""docs/events.md lists the evidence that the runner writes: all of it, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile import runner
from fabfile.runner.wire import events
from tests.support import json_lines

RUNNER = Path(runner.__file__).parent
WRITERS = ("engine.py", "main.py", "availability.py", "traffic.py", "soak/sampler.py")
ELSEWHERE = {
    "failed": ("error", "logs", "argv", "code", "said"),  # of a StepFailed, a CommandFailed, and Engine._quote
    "stuck": ("error", "logs", "argv", "code", "said"),
    "finished": ("missing", "left_by_the_others"),  # what an undo reports, as `Engine._back` passes it on
    "waiting": ("decided", "left"),  # by `as_of_now`, in what is sent and not in the journal
}


class Evidence:
    """The keys that a module's calls of a journal write, as far as the module itself names them."""

    def __init__(self, source: str) -> None:
        tree = ast.parse(source)
        self._functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        self._calls = [(scope, node) for scope in self._functions.values() for node in _own_calls(scope)]

    def written(self) -> set[tuple[str, str]]:
        """Each kind of event with each key of its evidence; a kind without any has an empty one."""
        found = set()
        for scope, call in self._calls:
            kind = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
            if _method(call) in ("write", "try_write", "show") and kind in events.KINDS:
                found |= {(str(kind), key) for key in ("", *self._keywords(scope, call))}
        return found

    def _keywords(self, scope: ast.FunctionDef, call: ast.Call) -> Iterator[str]:
        for word in call.keywords:
            yield from [word.arg] if word.arg else self._keys(scope, word.value)

    def _keys(self, scope: ast.FunctionDef, value: ast.expr) -> Iterator[str]:
        """The keys of a mapping: a literal, what a method of the module makes, or a variable with all put into it."""
        if isinstance(value, ast.Name):
            yield from self._keys_of_variable(scope, value.id)
        elif isinstance(value, ast.Call) and _method(value) in self._functions:
            for node in ast.walk(self._functions[_method(value)]):
                yield from _literal_keys(node)
        for node in ast.walk(value):
            yield from _literal_keys(node)

    def _keys_of_variable(self, scope: ast.FunctionDef, name: str) -> Iterator[str]:
        for node in ast.walk(scope):
            for target in node.targets if isinstance(node, ast.Assign) else ():
                for part in ast.walk(target):
                    if isinstance(part, ast.Name) and part.id == name and isinstance(node, ast.Assign):
                        if isinstance(target, ast.Subscript):
                            yield str(ast.literal_eval(target.slice))
                        else:
                            yield from self._keys(scope, node.value)
        if scope.args.kwarg and scope.args.kwarg.arg == name:
            for caller, call in self._calls:
                if _method(call) == scope.name:
                    yield from self._keywords(caller, call)


def _own_calls(scope: ast.FunctionDef) -> list[ast.Call]:
    return [node for node in ast.walk(scope) if isinstance(node, ast.Call)]


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _literal_keys(node: ast.AST) -> list[str]:
    keys = node.keys if isinstance(node, ast.Dict) else []
    return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def written(kind: str) -> set[str]:
    """The evidence of a kind of event that the runner itself writes; what single actions report is not in it."""
    pairs = {pair for name in WRITERS for pair in Evidence((RUNNER / name).read_text()).written()}
    return {key for which, key in pairs if which == kind and key} | set(ELSEWHERE.get(kind, ()))


def listed(kind: str) -> set[str]:
    """The evidence of a kind of event that the page's table names."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \|([^|]*)\|$", json_lines.PAGE.read_text(), re.MULTILINE)
    (text,) = [text for name, text in rows if name == kind]
    return set(re.findall(r"`(\w+)`", text))


@pytest.mark.parametrize("kind", events.KINDS)
def test_table_and_schema_have_what_the_runner_writes(kind: str) -> None:
    schema = json_lines.schemas()[kind]["properties"]["evidence"]
    assert listed(kind) == written(kind)
    assert set(schema.get("properties", {})) == written(kind)


def test_evidence_is_read_from_calls_of_every_form() -> None:
    """The reader itself: keywords, mappings, variables, and what a method passes on."""
    source = """
class Engine:
    def run(self):
        more = {"b": 1} if self.x else {}
        more["c"] = 2
        self.journal.write("start", None, a=1, **more, **self.heading())
        self.end(e=1, **more)

    def heading(self):
        return {"d": 1}

    def end(self, **evidence):
        self.journal.try_write("finished", None, **evidence)
        self.file.write("text", end="")
"""
    expected = {("start", key) for key in ("", *"abcd")} | {("finished", key) for key in ("", *"bce")}
    assert Evidence(source).written() == expected

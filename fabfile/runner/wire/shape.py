"""Checks values against the types that a dataclass or a TypedDict declares: what comes as JSON may be anything.

The annotations are read as text, since Python 3.9 cannot evaluate all of them.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
import math
import sys
import typing
from collections.abc import Mapping
from typing import Any, Callable

Check = Callable[[Any], str]  # what does not fit, by its place; empty where all fits
_PLAIN: Mapping[str, tuple[type, ...]] = {"str": (str,), "bytes": (bytes,), "int": (int,), "float": (int, float)}
_ANYTHING = ("Any", "object")
_TABLES, _LISTS = ("dict", "Mapping"), ("list", "Sequence")


def parse(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for any other, as for one that is nested too deeply."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def misfit(value: object, declared: type) -> str:
    """What does not fit a dataclass (whose inner ones were checked before) or a TypedDict; empty where all does."""
    return _check_of(declared)(value)


def parse_as(text: str | bytes, declared: type) -> Any:
    """The value of a JSON text that fits a TypedDict. Raises ValueError."""
    value = parse(text)
    problem = misfit(value, declared)
    if problem:
        raise ValueError(problem)
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number in it is too large")
    return number


@functools.cache
def _check_of(declared: type) -> Check:
    if dataclasses.is_dataclass(declared):
        fields = [field for field in dataclasses.fields(declared) if field.metadata.get("wire", True)]
        return _fields({field.name: _compiled(field.type, declared) for field in fields}, getattr)
    types = {name: _compiled(given, declared) for name, given in declared.__annotations__.items()}
    required = sorted(getattr(declared, "__required_keys__", ()))
    inner = _fields(types, lambda value, name: value[name])

    def check(value: Any) -> str:
        if not isinstance(value, dict):
            return _no(value, "table")
        lacking = next((name for name in required if name not in value), "")
        return f"{lacking} is missing" if lacking else inner({name: value[name] for name in types if name in value})

    return check


def _fields(checks: Mapping[str, Check], read: Callable[[Any, str], Any]) -> Check:
    def check(value: Any) -> str:
        names = value if isinstance(value, dict) else checks
        return _first((name, checks[name](read(value, name))) for name in names)

    return check


def _first(problems: Any) -> str:
    """The first problem, with its place before it."""
    for place, problem in problems:
        if problem:
            return f"{place} {problem}" if problem.startswith("is ") else f"{place}.{problem}"
    return ""


def _no(value: object, what: str) -> str:
    text = repr(value)
    return f"is no {what}: {text if len(text) < 50 else text[:49] + '…'}"


def _compiled(annotation: object, owner: type) -> Check:
    text = getattr(annotation, "__forward_arg__", annotation)  # a TypedDict wraps it
    node = ast.parse(str(getattr(text, "__name__", text)), mode="eval").body
    return _check(node, vars(sys.modules[owner.__module__]))


def _check(node: ast.expr, names: Mapping[str, Any]) -> Check:
    if isinstance(node, ast.Constant):
        return lambda value: "" if value is node.value else _no(value, str(node.value))
    if isinstance(node, ast.BinOp):
        left, right = _check(node.left, names), _check(node.right, names)
        return lambda value: left(value) if left(value) and right(value) else ""
    if isinstance(node, ast.Subscript):
        return _subscripted(node, names)
    name = node.id if isinstance(node, ast.Name) else ""
    if name in _ANYTHING:
        return lambda value: ""
    if name == "bool":
        return lambda value: "" if isinstance(value, bool) else _no(value, "bool")
    if name in _PLAIN:
        kinds = _PLAIN[name]
        return lambda value: "" if isinstance(value, kinds) and not isinstance(value, bool) else _no(value, name)
    return _named(name, names.get(name))


def _named(name: str, found: Any) -> Check:
    """The check of a class, or of a name for something else: one of some texts, or what only type checkers import."""
    if typing.get_origin(found) is typing.Literal:
        return lambda value: "" if value in typing.get_args(found) else _no(value, name)
    if isinstance(found, type) and hasattr(found, "__total__"):
        return lambda value: _check_of(found)(value)  # at the first value, since it may hold itself
    kind = typing.get_origin(found) or found
    if not isinstance(kind, type):
        return lambda value: "" if dataclasses.is_dataclass(value) else _no(value, name)
    kind = tuple if issubclass(kind, tuple) else kind  # a named one arrives without its name
    return lambda value: "" if isinstance(value, kind) else _no(value, name)


def _subscripted(node: ast.Subscript, names: Mapping[str, Any]) -> Check:
    base = node.value.id if isinstance(node.value, ast.Name) else ""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if base == "Literal":
        allowed = [part.value for part in parts if isinstance(part, ast.Constant)]
        return lambda value: "" if value in allowed else _no(value, f"one of {allowed}")
    inner = [_check(part, names) for part in parts if not _is_ellipsis(part)]
    if base in _TABLES:
        return _table(*inner)
    if len(inner) == len(parts) and base == "tuple":
        return _row(inner)
    kinds = (list, tuple) if base == "Sequence" else (list,) if base in _LISTS else (tuple,)

    def check(value: Any) -> str:
        if not isinstance(value, kinds):
            return _no(value, "list")
        return _first((f"[{number}]", inner[0](item)) for number, item in enumerate(value))

    return check


def _table(key: Check, item: Check) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, dict):
            return _no(value, "table")
        return _first((name, key(name) or item(entry)) for name, entry in value.items())

    return check


def _row(inner: list[Check]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, (tuple, list)) or len(value) != len(inner):  # in plain JSON it is a list
            return _no(value, f"row of {len(inner)}")
        return _first((f"[{number}]", part(value[number])) for number, part in enumerate(inner))

    return check


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis

"""Arrows that must never exist, read from every module's imports; and what the runner owes to old Pythons."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "fabfile"
LONGEST = 330  # lines

# Below Python 3.9, or newer than it: no part of its standard library.
STANDARD_LIBRARY = sys.stdlib_module_names - {"tomllib", "distutils", "imp", "asyncore", "asynchat", "smtpd"}
NEWER_KEYWORDS = {"zip": {"strict"}, "dataclass": {"slots", "kw_only"}, "field": {"kw_only"}}
NEWER_NAMES = {
    "UTC",
    "pairwise",
    "EllipsisType",
    "NoneType",
    "ExceptionGroup",
    "StrEnum",
    "TypeAlias",
    "ParamSpec",
    "Self",
}
BUILT_IN_TYPES = {"bool", "bytes", "dict", "float", "int", "list", "set", "str", "tuple", "type"}


@dataclass(frozen=True)
class Module:
    """A module of the package, by its full name."""

    name: str
    path: Path

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), str(self.path))

    @property
    def imports(self) -> set[str]:
        """Everything it imports, wherever it does so: modules, and the names it takes from them, in full."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                found.add(base)
                found.update(f"{base}.{alias.name}" for alias in node.names)
        return found

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".") if self.path.name == "__init__.py" else self.name.split(".")[:-1]
        parts = parts[: len(parts) - node.level + 1]
        return ".".join([*parts, node.module] if node.module else parts)


@dataclass(frozen=True)
class Arrow:
    """Modules below `of` (but `exempt`) must import nothing below any of `to`."""

    of: str
    to: tuple[str, ...]
    exempt: tuple[str, ...] = ()

    def crossed_by(self, module: Module) -> set[str]:
        if not below(module.name, self.of) or any(below(module.name, other) for other in self.exempt):
            return set()
        return {name for name in module.imports if any(below(name, forbidden) for forbidden in self.to)}


NEVER = (
    Arrow("fabfile.plans", ("fabfile.host", "fabfile.login", "fabfile.operation", "fabfile.following")),
    Arrow(
        "fabfile.plans", ("fabfile.report", "fabfile.public", "fabfile.status", "fabfile.preview", "fabfile.cloudflare")
    ),
    Arrow("fabfile.plans", ("fabric", "paramiko", "invoke", "click", "requests", "subprocess", "socket")),
    Arrow(
        "fabfile.adoption", ("fabfile.host", "fabfile.login", "fabfile.operation", "fabfile.plans", "fabfile.report")
    ),
    Arrow("fabfile.adoption", ("fabric", "paramiko", "invoke", "click", "requests", "subprocess", "socket")),
    Arrow("fabfile.tasks", ("paramiko", "jinja2", "subprocess", "fabric")),
    Arrow("fabfile", ("fabric",), exempt=("fabfile.host",)),
    Arrow("fabfile", ("paramiko",), exempt=("fabfile.host", "fabfile.login")),
    Arrow("fabfile", ("invoke",), exempt=("fabfile.options", "fabfile.cli", "fabfile.tasks")),
    Arrow("fabfile", ("click",), exempt=("fabfile.cli",)),
    Arrow("fabfile", ("fabfile.tasks", "fabfile.cli", "fabfile.namespace"), exempt=("fabfile.tasks", "fabfile.cli")),
    Arrow("fabfile.tasks", ("fabfile.cli", "fabfile.namespace")),
    Arrow("fabfile.cli", ("fabfile.tasks",)),
    Arrow("fabfile.cloudflare", ("fabfile.host", "fabfile.following", "fabfile.plans", "fabfile.runner")),
    Arrow("fabfile", ("fabfile.lab",), exempt=("fabfile.lab", "fabfile.tasks.lab")),
)


def below(name: str, other: str) -> bool:
    """Whether `name` is `other` or inside it."""
    return name == other or name.startswith(f"{other}.")


def modules(package: Path) -> list[Module]:
    """Every module of a package; the lab's assets are files for another machine."""
    paths = [path for path in sorted(package.rglob("*.py")) if "assets" not in path.parts]
    return [Module(_name(package, path), path) for path in paths]


def _name(package: Path, path: Path) -> str:
    parts = list(path.relative_to(package.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def crossed(package: Path) -> list[str]:
    """Every arrow that is there and must not be; the package's own __init__ collects the tasks."""
    found = [
        f"{module.name} imports {name}"
        for module in modules(package)
        if module.name != package.name
        for arrow in NEVER
        for name in arrow.crossed_by(module)
    ]
    for module in modules(package):
        if below(module.name, f"{package.name}.runner"):
            found += [f"{module.name} imports {name}" for name in _beyond_runner(package, module)]
    return sorted(set(found))


def _beyond_runner(package: Path, module: Module) -> Iterator[str]:
    for name in module.imports:
        own = below(name, f"{package.name}.runner")
        if not own and name.partition(".")[0] not in STANDARD_LIBRARY:
            yield name


def too_new(module: Module) -> list[str]:
    """What a module uses that Python 3.9 does not have: syntax, unions at run time, keywords, names."""
    text = module.path.read_text()
    try:
        tree = ast.parse(text, str(module.path), feature_version=(3, 9))
    except SyntaxError as error:
        return [f"{module.name}:{error.lineno}: {error.msg}"]
    found = [] if not tree.body[1:] or _postpones(tree) else [f"{module.name}: annotations are evaluated"]
    annotations = {id(inner) for node in ast.walk(tree) for inner in _annotations(node)}
    for node in ast.walk(tree):
        what = _newer(node) if id(node) not in annotations else ""
        if what:
            found.append(f"{module.name}:{getattr(node, 'lineno', 0)}: {what}")
    return found


def _postpones(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    for name in ("annotation", "returns"):
        inner = getattr(node, name, None)
        if inner is not None:
            yield from ast.walk(inner)


def _newer(node: ast.AST) -> str:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and (_type(node.left) or _type(node.right)):
        return "a union of types at run time"
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {word.arg for word in node.keywords} & NEWER_KEYWORDS.get(called, set())
        return f"{called}({', '.join(sorted(map(str, given)))}=)" if given else ""
    if isinstance(node, ast.Attribute) and node.attr in NEWER_NAMES:
        return node.attr
    if isinstance(node, ast.ImportFrom):
        return ", ".join(alias.name for alias in node.names if alias.name in NEWER_NAMES)
    return ""


def _type(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is None
    if isinstance(node, ast.Subscript):
        return _type(node.value)
    return isinstance(node, ast.Name) and (
        node.id in BUILT_IN_TYPES or (node.id[:1].isupper() and not node.id.isupper())
    )


# ── The package ─────────────────────────────────────────────────────────────────────────────────────────────────────

every_module = pytest.mark.parametrize("module", modules(PACKAGE), ids=lambda module: module.name)


def test_no_arrow_is_crossed() -> None:
    assert crossed(PACKAGE) == []


@every_module
def test_no_module_is_too_long(module: Module) -> None:
    assert len(module.path.read_text().splitlines()) <= LONGEST


RUNNER = [module for module in modules(PACKAGE) if below(module.name, "fabfile.runner")]


@pytest.mark.parametrize("module", RUNNER, ids=lambda module: module.name)
def test_the_runner_runs_on_python_3_9(module: Module) -> None:
    assert too_new(module) == []


def test_all_of_it_was_read() -> None:
    names = {module.name for module in modules(PACKAGE)}
    assert names >= {"fabfile", "fabfile.cli", "fabfile.plans.cutover", "fabfile.tasks.top", "fabfile.lab"}
    assert names >= {"fabfile.runner", "fabfile.runner.main", "fabfile.runner.actions.files"}


# ── The checker itself: a planted violation is found ────────────────────────────────────────────────────────────────


def plant(folder: Path, name: str, text: str) -> Path:
    """A package called fabfile with one module in it."""
    package = folder / "fabfile"
    path = package.joinpath(*name.split(".")[1:]).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return package


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fabfile.plans.x", "from fabfile import host"),
        ("fabfile.plans.x", "from fabfile.host import Host"),
        ("fabfile.adoption.x", "from fabfile.host import Host"),
        ("fabfile.adoption.x", "import socket"),
        ("fabfile.plans.x", "from ..host import Host"),
        ("fabfile.plans.x", "from .. import host"),
        ("fabfile.plans.x", "def later():\n    import requests.adapters"),
        ("fabfile.plans.x", "if False:\n    import click"),
        ("fabfile.plans.sub.x", "from invoke.tasks import task"),
        ("fabfile.runner.x", "import yaml"),
        ("fabfile.runner.x", "from fabfile.errors import Failed"),
        ("fabfile.runner.x", "from ..errors import Failed"),
        ("fabfile.runner.actions.x", "from ... import errors"),
        ("fabfile.runner.x", "import tomllib"),
        ("fabfile.tasks.x", "import subprocess"),
        ("fabfile.tasks.x", "from jinja2 import Template"),
        ("fabfile.tasks.x", "import paramiko"),
        ("fabfile.report", "from fabfile.tasks import top"),
        ("fabfile.report", "from fabfile import cli"),
        ("fabfile.report", "from fabfile import namespace"),
        ("fabfile.cli", "from fabfile.tasks.top import cutover"),
        ("fabfile.survey", "from fabric import Connection"),
        ("fabfile.survey", "import paramiko.client"),
        ("fabfile.survey", "from fabfile.lab import machine"),
    ],
)
def test_a_planted_arrow_is_found(name: str, text: str, tmp_path: Path) -> None:
    assert [line.split()[0] for line in crossed(plant(tmp_path, name, text))] != []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fabfile.plans.x", "from fabfile import hosts, survey\nfrom fabfile.plan import Step"),
        ("fabfile.runner.x", "import json\nfrom . import paths\nfrom .actions import files"),
        ("fabfile.runner.actions.x", "from .. import paths\nfrom ..machine import Machine"),
        ("fabfile.cli", "from fabfile import namespace\nimport click"),
        ("fabfile.host", "from fabric import Connection\nimport paramiko"),
        ("fabfile.tasks.lab", "from fabfile.lab import machine"),
        ("fabfile.__init__", "from fabfile.tasks import top"),
    ],
)
def test_what_may_be_is_left_alone(name: str, text: str, tmp_path: Path) -> None:
    assert crossed(plant(tmp_path, name, text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "match 1:\n    case 1: pass",
        "Maybe = str | None",
        "isinstance(1, int | str)",
        "Pair = dict[str, int] | Other",
        "zip([1], [2], strict=True)",
        "import dataclasses\n@dataclasses.dataclass(slots=True)\nclass A: pass",
        "from datetime import UTC",
        "import datetime\nnow = datetime.UTC",
    ],
)
def test_what_is_too_new_is_found(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(f"from __future__ import annotations\n{text}\n")
    assert len(too_new(Module("x", path))) == 1


def test_evaluated_annotations_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("import os\ndef f(a: int) -> None: ...\n")
    assert too_new(Module("x", path)) == ["x: annotations are evaluated"]


def test_unions_in_annotations_and_flags_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "from __future__ import annotations\nimport os\n"
        "def f(a: int | None = None) -> str | None: ...\nb: int | None = None\n"
        "FLAGS = os.O_RDWR | os.O_CREAT\nMORE = FLAGS | 1\nsets = {1} | {2}\n"
    )
    assert too_new(Module("x", path)) == []

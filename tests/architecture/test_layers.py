"""Arrows that must never exist, read from every module's imports; and what the runner owes to old Pythons."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "fabfile"
LONGEST = 300  # lines of a module
MOST = 16  # modules a package

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


@dataclass
class Module:
    """A module of the package, by its full name."""

    name: str
    path: Path

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), str(self.path))

    @property
    def imports(self) -> set[str]:
        """Everything it imports, wherever it does so: modules, and the names it takes from them, in full.

        What only the type checker reads is left out: it is not there when the module runs.
        """
        found: set[str] = set()
        unread = {id(inner) for node in ast.walk(self.tree) if _for_types_only(node) for inner in ast.walk(node)}
        for node in ast.walk(self.tree):
            if id(node) in unread:
                continue
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


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


# From the ground up, a room a line: a module imports from its own line and from those above it, never from below.
LAYERS = (
    # The runner, which travels to the VPS.
    ("runner.wire",),
    ("runner.system",),
    (
        *("runner.journal_reader", "runner.store", "runner.journal", "runner.stdio", "runner.bytecode"),
        *("runner.recovery", "runner.plan_secrets"),
    ),
    ("runner.parking",),
    ("runner.parking_server",),
    ("runner.edge", "runner.releases"),
    ("runner.facts",),
    ("runner.adoption", "runner.availability", "runner.traffic", "runner.actions"),
    ("runner.engine",),
    ("runner.soak", "runner.seal", "runner.services"),
    ("runner.main",),
    # The operator's side.
    ("errors", "resources", "terms", "lazy"),
    ("output", "bug"),
    ("inventory",),
    ("workloads", "rendering"),
    ("survey",),
    ("plans", "adoption"),
    ("checks",),
    ("public",),
    ("record",),
    ("remote", "event_text", "progress", "console"),
    ("cloudflare",),
    ("commands",),
    ("lab",),
    ("tasks",),
    ("cli",),
)

# Libraries and programs that only these rooms touch. Judging is pure: what a plan or a check concludes needs no host.
ONLY_IN = {
    "fabric": ("remote",),
    "paramiko": ("remote",),
    "invoke": ("commands.options", "tasks", "cli"),
    "click": ("cli",),
    "jinja2": ("rendering", "record", "lab"),
    "requests": ("public", "cloudflare", "commands", "lab", "errors"),
    "subprocess": ("remote", "commands", "lab", "runner"),
    "http": ("runner.system.http", "lab"),  # in the runner one client has the deadlines and the limits for all
    "socket": ("public", "remote", "lab", "runner", "commands"),
}


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


def level(name: str) -> int:
    """How high a module stands, by the longest entry that names it; -1 for what has no place in the list."""
    inner = name.removeprefix("fabfile.")
    places = [(len(room), number) for number, row in enumerate(LAYERS) for room in row if below(inner, room)]
    return max(places)[1] if places else -1


def crossed(package: Path) -> list[str]:
    """Every import that points up, and every library outside its rooms; only the package itself collects the tasks."""
    found: set[str] = set()
    everything = modules(package)
    names = {module.name for module in everything}
    for module in everything:
        found.update(f"{module.name} imports {name}" for name in _foreign(module))
        if module.name != package.name:
            found.update(f"{module.name} imports {name}" for name in _up(module, names))
        if below(module.name, f"{package.name}.runner"):
            found.update(f"{module.name} imports {name}" for name in _beyond_runner(package, module))
    return sorted(found)


def _up(module: Module, names: set[str]) -> Iterator[str]:
    """What it imports from a higher layer, or from the package's own __init__, which stands above all."""
    for name in module.imports:
        if not below(name, "fabfile") or name == module.name:
            continue
        higher = level(name) > level(module.name)
        root = name.count(".") == 1 and name not in names and level(name) < 0 and module.name != "fabfile.cli"
        if higher or root:
            yield name


def _foreign(module: Module) -> Iterator[str]:
    inner = module.name.removeprefix("fabfile").lstrip(".") or "__init__"
    for name in module.imports:
        rooms = ONLY_IN.get(name.partition(".")[0])
        if rooms is not None and not any(below(inner, room) for room in rooms):
            yield name


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


def aliases(tree: ast.Module) -> list[str]:
    """The imports that give what they import another name."""
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return [f"{each.name} as {each.asname}" for node in imports for each in node.names if each.asname]


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
    assert names >= {"fabfile", "fabfile.cli", "fabfile.plans.cutover", "fabfile.tasks.handover", "fabfile.lab"}
    assert names >= {"fabfile.runner", "fabfile.runner.main", "fabfile.runner.actions.files"}


@every_module
def test_every_module_has_its_layer(module: Module) -> None:
    assert module.name in ("fabfile", "fabfile.runner") or level(module.name) >= 0


def test_no_package_is_crowded() -> None:
    sizes: dict[Path, int] = {}
    for module in modules(PACKAGE):
        sizes[module.path.parent] = sizes.get(module.path.parent, 0) + (module.path.name != "__init__.py")
    assert {folder.name: size for folder, size in sizes.items() if size > MOST} == {}


def test_no_import_gives_another_name() -> None:
    """A module and a function have the name under which everybody looks for them; `st` is Hypothesis' own custom."""
    files = [path for room in ("fabfile", "tests", "bench") for path in sorted((PACKAGE.parent / room).rglob("*.py"))]
    renamed = {f"{path}: {name}" for path in files for name in aliases(ast.parse(path.read_text()))}
    assert {name for name in renamed if not name.endswith(": strategies as st")} == set()
    assert aliases(ast.parse("import a as b\nfrom c import d as e, f")) == ["a as b", "d as e"]


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
        ("fabfile.plans.x", "from fabfile.remote import host"),
        ("fabfile.plans.x", "from fabfile.remote.host import Host"),
        ("fabfile.runner.edge.x", "import http.client"),
        ("fabfile.plans.x", "from fabfile.checks.result import Finding"),
        ("fabfile.plans.x", "from ..remote.host import Host"),
        ("fabfile.plans.x", "from .. import remote"),
        ("fabfile.plans.x", "def later():\n    import requests.adapters"),
        ("fabfile.plans.x", "with lazily():\n    from fabfile.remote import host"),
        ("fabfile.plans.x", "if False:\n    import click"),
        ("fabfile.plans.sub.x", "from invoke.tasks import task"),
        ("fabfile.adoption.x", "from fabfile.remote.host import Host"),
        ("fabfile.adoption.x", "import socket"),
        ("fabfile.checks.x", "import subprocess"),
        ("fabfile.inventory.x", "from fabfile.survey import wanted"),
        ("fabfile.survey", "from fabfile.plans import cutover"),
        ("fabfile.remote.x", "from fabfile.commands import follow"),
        ("fabfile.runner.x", "import yaml"),
        ("fabfile.runner.x", "from fabfile.errors import Failed"),
        ("fabfile.runner.x", "from ..errors import Failed"),
        ("fabfile.runner.actions.x", "from ... import errors"),
        ("fabfile.runner.actions.x", "from ..engine import Engine"),
        ("fabfile.runner.wire.x", "from ..system import machine"),
        ("fabfile.runner.wire.x", "from ..facts.gather import gather"),
        ("fabfile.runner.system.x", "from ..edge import nginx"),
        ("fabfile.runner.edge.x", "from ..facts import health"),
        ("fabfile.runner.facts.x", "from ..actions.base import Action"),
        ("fabfile.runner.x", "import tomllib"),
        ("fabfile.tasks.x", "import subprocess"),
        ("fabfile.tasks.x", "from jinja2 import Template"),
        ("fabfile.tasks.x", "import paramiko"),
        ("fabfile.tasks.x", "from fabfile import cli"),
        ("fabfile.commands.x", "from fabfile.tasks import handover"),
        ("fabfile.commands.x", "from fabfile import namespace"),
        ("fabfile.commands.x", "import fabric"),
        ("fabfile.survey", "from fabric import Connection"),
        ("fabfile.survey", "import paramiko.client"),
        ("fabfile.survey", "from fabfile.lab import lab"),
    ],
)
def test_a_planted_arrow_is_found(name: str, text: str, tmp_path: Path) -> None:
    assert [line.split()[0] for line in crossed(plant(tmp_path, name, text))] != []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fabfile.plans.x", "from fabfile import survey\nfrom fabfile.plans.plan import Step"),
        ("fabfile.checks.x", "from fabfile.plans import edge"),
        ("fabfile.runner.x", "import json"),
        ("fabfile.runner.edge.x", "from ..system import http"),
        ("fabfile.runner.system.http", "import http.client"),
        ("fabfile.runner.actions.x", "from ..facts import health\nfrom ..system.machine import Machine"),
        ("fabfile.cli", "from fabfile import namespace\nimport click"),
        ("fabfile.cli", "from fabfile.tasks.handover import cutover"),
        ("fabfile.remote.host", "from fabric import Connection\nimport paramiko"),
        ("fabfile.tasks.lab", "from fabfile.lab import lab"),
        ("fabfile.__init__", "from fabfile.tasks import handover"),
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

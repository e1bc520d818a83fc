"""Modules that are loaded when they are first used: listing the tasks and completing them needs hardly any.

    with lazily():
        from fabfile.commands import session

The names stand at the top of the file, where type checkers and readers look for them, but `session` is an empty module
until the first `session.…`. So a block imports modules, and nothing from inside them: that would look into the module
at once. The main thread must be the first to use one; `load()` uses some of them while it would wait anyway.
`import fabfile.plans.cutover` is for a module whose name something else in the file has.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, Final


class _Unloaded(ModuleType):
    """A module until its first use.

    importlib's own LazyLoader would load it at its second `import a.b`, which reads `__spec__` of what is there.
    """

    def __getattribute__(self, name: str) -> Any:
        spec = super().__getattribute__("__spec__")
        if name == "__spec__":
            return spec
        object.__setattr__(self, "__class__", ModuleType)
        spec.loader.load(self)
        return getattr(self, name)


class _Later(SourceFileLoader):
    """Loads a module when it is first used, and then with everything that it imports.

    An `__init__` may import modules for what they register.
    """

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _Unloaded

    def load(self, module: ModuleType) -> None:
        """Run the module's code."""
        with _switched(on=False):
            super().exec_module(module)


class _Finder:
    """Finds this package's modules where Python does, and puts their loading off. Libraries are left alone."""

    on = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of this package, while a block imports."""
        if not self.on or not fullname.startswith(f"{__package__}."):
            return None  # the next finder is asked
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Later(fullname, spec.loader.path)
        return spec


_FINDER: Final = _Finder()
sys.meta_path.insert(0, _FINDER)


def lazily() -> contextlib.AbstractContextManager[None]:
    """What is imported within the block is loaded when it is first used."""
    return _switched(on=True)


def load(*modules: ModuleType) -> None:
    """Load those of the modules that have not been used yet."""
    for module in modules:
        module.__doc__  # noqa: B018  any attribute's use loads it


@contextlib.contextmanager
def _switched(*, on: bool) -> Iterator[None]:
    before, _FINDER.on = _FINDER.on, on
    try:
        yield
    finally:
        _FINDER.on = before

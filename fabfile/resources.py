"""The files beside the code: templates, the shipped inventory and its schema, and the runner that is sent to the VPS.

A checkout has templates and inventory at its root, the schema in docs/. A wheel carries them inside the package:
setup.py puts them there.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "islandflow-cutover"
_PACKAGE: Final = Path(__file__).parent
_INSTALLED: Final = _PACKAGE / "_data"
IN_CHECKOUT: Final = not _INSTALLED.is_dir()
_ROOT: Final = _PACKAGE.parent if IN_CHECKOUT else _INSTALLED
TEMPLATES: Final = _ROOT / "templates"
INVENTORY: Final = _ROOT / "inventory.toml"
SCHEMA: Final = _ROOT / "docs" / "inventory.schema.json"
RUNNER: Final = _PACKAGE / "runner"


def version() -> str:
    """The tool's version. A checkout is asked itself: what was noted when it was installed may be old."""
    if IN_CHECKOUT:
        return str(tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"])
    from importlib import metadata  # only here: each command would pay for it

    return metadata.version(DISTRIBUTION)

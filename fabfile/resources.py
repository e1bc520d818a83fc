"""The files beside the code: templates, the shipped inventory, and the runner that is sent to the VPS."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parent
ROOT: Final = _PACKAGE.parent
TEMPLATES: Final = ROOT / "templates"
INVENTORY: Final = ROOT / "inventory.toml"
RUNNER: Final = _PACKAGE / "runner"

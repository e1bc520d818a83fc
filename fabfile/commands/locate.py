"""Which inventory a command reads: the one that is named, else the nearest inventory.toml, as git finds its root."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fabfile import resources
from fabfile.errors import InventoryError, UsageError

VARIABLE: Final = "ISLANDFLOW_INVENTORY"  # -i sets it too
NAME: Final = "inventory.toml"
_OURS: Final = "runtimes"  # every inventory has this table, and no other tool's file is likely to


def inventory_file(env: Mapping[str, str], folder: Path | None = None) -> Path:
    """The file that -i or ISLANDFLOW_INVENTORY names, else the nearest in `folder` or above, else a checkout's own.

    `folder` is the working directory unless it is given. Raises UsageError where there is none, and InventoryError
    where the nearest one is another tool's or another user's.
    """
    explicit = env.get(VARIABLE)
    if explicit:
        return Path(explicit)
    here = folder or _working_directory()
    for parent in (here, *here.parents) if here else ():
        file = parent / NAME
        if os.path.isfile(file):  # unlike Path.is_file, it says no where a folder may not be entered
            if file != resources.INVENTORY:
                _refuse_somebody_elses(file)
            _refuse_another_tools(file)
            return file
    if resources.IN_CHECKOUT:
        return resources.INVENTORY
    where = f"there is no {NAME} in {here} or in any folder above it" if here else "the working directory is gone"
    raise UsageError(
        f"no inventory was found: neither -i nor {VARIABLE} names one, and {where}",
        next_step=f"Name yours: islandflow -i FILE …, or export {VARIABLE}=FILE.\n"
        "Or write one from your VPS into this folder: inv init --host USER@ADDRESS",
    )


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # somebody removed it
        return None


def _refuse_somebody_elses(file: Path) -> None:
    """Anybody may write into /tmp, and what an inventory names runs as root on a VPS: git draws the line here too."""
    owner = file.stat().st_uid
    if str(owner) not in ("0", str(os.getuid()), os.environ.get("SUDO_UID")):
        raise InventoryError(
            str(file),
            [
                f"it belongs to another user (uid {owner}), and was found only because it is the nearest {NAME} above "
                f"the working directory. If it is the one you mean, name it with -i FILE or {VARIABLE}"
            ],
        )


def _refuse_another_tools(file: Path) -> None:
    """Ansible, for one, has files of this name; a list of all that ours would need does not help there."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # whoever loads it says what is wrong with it
        return
    if _OURS not in tables:
        raise InventoryError(
            str(file),
            [
                f"{_OURS}: is missing, so this is not an inventory of islandflow. The file was taken because it is the "
                f"nearest {NAME} above the working directory; if it is another tool's, name yours with -i FILE or "
                f"{VARIABLE}"
            ],
        )

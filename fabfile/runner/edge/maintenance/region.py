"""Maintenance in a host's generated file, between markers, and the note of what was switched on.

NPM's row knows nothing of it, so a save of the host in NPM's page writes the file without it. The note in the runner's
folder is how that is noticed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...system import files
from ...wire import shape
from ...wire.codec import decode, encode
from ...wire.edge import HostFact, Maintenance
from ..hostfile import server_block
from ..routes import Drift
from . import page

BEGIN, END = "# islandflow: maintenance begin", "# islandflow: maintenance end"
NOTE = "maintenance.json"

_REGION = re.compile(rf"\n  {BEGIN} (?P<note>[^\n]*)\n(?:[^\n]*\n)*?  {END}(?=\r?\n|\Z)")


def split(text: str) -> tuple[str, str]:
    """Return a file without maintenance, as it was before it, and what was left out; empty where there is none."""
    match = _REGION.search(text)
    return (text[: match.start()] + text[match.end() :], match[0]) if match else (text, "")


def joined(text: str, domain: str, statements: str) -> str:
    """Return a file with these statements of `split` or `written`, which may be none.

    Raises Drift as `server_block` does, and where they would not stand on lines of their own.
    """
    at = server_block(text, domain).inner[0]
    if not text[at:].startswith(("\n", "\r\n")):
        raise Drift(f"{domain}: its file goes on behind `server {{`, other than NPM writes it")
    return text[:at] + statements + text[at:]


def written(maintenance: Maintenance, prefixes: Sequence[str], program: bool) -> str:
    """Return the statements for a host's file, markers included."""
    return f"\n  {BEGIN} {_encoded(maintenance)}\n{page.statements(maintenance, prefixes, program)}\n  {END}"


def of(fact: HostFact) -> Maintenance | None:
    """Return the maintenance in a host's file; None where there is none, or none that we have written."""
    match = _REGION.match(fact.maintenance)
    return _decoded(match["note"]) if match else None


def intended(ops: Path) -> Maintenance | None:
    """Return what was last switched on; None where it is off, or its note can't be read."""
    try:
        return _decoded((ops / NOTE).read_text(errors="replace"))
    except OSError:
        return None


def note(ops: Path, maintenance: Maintenance | None) -> None:
    """Note what is switched on; None: nothing. Raises OSError."""
    path = ops / NOTE
    files.clear(path)
    if maintenance is None:
        files.remove(path)
    else:
        files.put(path, _encoded(maintenance).encode(), 0o600, str(os.geteuid()), str(os.getegid()))


def _encoded(maintenance: Maintenance) -> str:
    return json.dumps(encode(maintenance))


def _decoded(text: str) -> Maintenance | None:
    try:
        value = decode(shape.parse(text))
    except ValueError:
        return None
    return value if isinstance(value, Maintenance) else None

"""Compiles the runner once on a VPS: a plan starts a dozen short processes, and each would compile it anew.

Python caches nothing that it imports from a zip file. So a copy of the zipapp has each module's bytecode beside its
source, which zipimport takes first, and passes over where it is another Python's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import marshal
import sys
import zipfile
from pathlib import Path

from .system.files import put

_UNCHECKED = (1).to_bytes(4, "little")  # flags of a .pyc by its source's hash, which is not looked at (PEP 552)


def compiled(root: Path, runner: Path) -> Path:
    """A copy of this zipapp with its bytecode, made if it is not there; the zipapp itself where none can be written.

    Its name has the zipapp's hash, the Python's tag and its own hash, so that nobody runs one that was cut off.
    """
    prefix = f"bytecode-{runner.stem.partition('-')[2]}-{sys.implementation.cache_tag}-"
    try:
        for path in root.glob(f"{prefix}*.pyz"):
            if path.name == _name(prefix, path.read_bytes()):
                return path
        content = _with_bytecode(runner.read_bytes())
        path = root / _name(prefix, content)
        put(path, content, 0o600, "root", "root")
    except OSError:
        return runner
    return path


def _name(prefix: str, content: bytes) -> str:
    return f"{prefix}{hashlib.sha256(content).hexdigest()}.pyz"


def _with_bytecode(zipapp: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(zipapp)) as sources, zipfile.ZipFile(buffer, "w") as archive:
        for entry in sources.infolist():
            source = sources.read(entry)
            code = marshal.dumps(compile(source, entry.filename, "exec", dont_inherit=True))
            header = importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source)
            archive.writestr(zipfile.ZipInfo(f"{entry.filename}c", entry.date_time), header + code)
            archive.writestr(entry, source)
    return buffer.getvalue()

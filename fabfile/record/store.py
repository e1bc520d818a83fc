"""Stores records on the operator's machine: a page, Markdown and data of each plan, by its identifier."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fabfile.record import page
from fabfile.record.model import FORMAT, Document
from fabfile.runner.wire import shape

_DATA: TypeAdapter[Document] = TypeAdapter(Document)


class RecordStore:
    """A folder of records, readable by the operator alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> RecordStore:
        """The operator's own store: ISLANDFLOW_RECORDS, else in XDG's folder for the user's state."""
        state = environ.get("XDG_STATE_HOME") or "~/.local/state"
        return cls(Path(os.path.expanduser(environ.get("ISLANDFLOW_RECORDS") or f"{state}/islandflow/records")))

    def put(self, document: Document) -> Path:
        """Write a record, over one of the same plan; returns its page. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        texts = {
            "json": _DATA.dump_json(document, indent=1).decode(),
            "md": page.markdown(document),
            "html": page.html(document),
        }
        for ending, text in texts.items():
            _replace(self.folder / f"{document.id}.{ending}", text)
        return self.page_of(document.id)

    def page_of(self, plan: str) -> Path:
        """Where the page of a plan's record is, if there is one."""
        return self.folder / f"{plan}.html"

    def get(self, plan: str) -> Document | None:
        """The record of a plan; None when it is not here. Raises ValueError for what is no record."""
        path = self.folder / f"{plan}.json"
        if Path(plan).name != plan or not os.path.isfile(path):
            return None
        try:
            text = path.read_bytes()
            version = _version(text)
        except OSError as error:
            raise ValueError(f"{path} can't be read: {error.strerror or error}") from error
        if version > FORMAT:
            raise ValueError(f"{path} has format {version}, and this islandflow reads up to {FORMAT}: use a newer one")
        try:
            return _DATA.validate_json(text)
        except ValidationError as error:
            raise ValueError(f"{path} is no record that this version can read") from error

    def plans(self) -> list[str]:
        """The plans that have a record, oldest first: their identifiers begin with the time."""
        return sorted(path.stem for path in self.folder.glob("*.json"))


def _version(text: bytes) -> float:
    """The format that a record says it has; the first one where it says none, which any other check finds out."""
    try:
        version = shape.parse(text).get("version", 1)
    except (ValueError, AttributeError):
        return 1
    return version if isinstance(version, (int, float)) else 1


def _replace(path: Path, text: str) -> None:
    """Write the file, or leave the one that was there."""
    new = path.with_suffix(f"{path.suffix}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)

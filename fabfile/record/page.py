"""Renders a record as one self-contained page, and as Markdown."""

from __future__ import annotations

import datetime
from functools import cache
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from fabfile.output import with_program
from fabfile.record import charts
from fabfile.record.model import Document
from fabfile.resources import TEMPLATES

ENDINGS: Final = {
    "done": "This plan was carried out.",
    "nothing": "This plan had nothing to do.",
    "reverted": "This plan was reverted: every step of it is undone.",
    "stuck": "This plan stopped half-way: manual intervention required.",
    "locked": "This plan did not begin: another one held the lock.",
    "unfinished": "This plan has not ended.",
}


def html(document: Document) -> str:
    """The page, self-contained."""
    return with_program(
        _jinja(True).get_template("record.html.j2").render(doc=document, charts=charts, ended=_ending(document))
    )


def markdown(document: Document) -> str:
    """The same as Markdown."""
    return with_program(_jinja(False).get_template("record.md.j2").render(doc=document, ended=_ending(document)))


def outline(document: Document) -> str:
    """The first part of that: how it ended, its steps, and what users got."""
    return with_program(_jinja(False).get_template("outline.md.j2").render(doc=document, ended=_ending(document)))


def _ending(document: Document) -> str:
    lost = f" Healthy before it, and not after it: {', '.join(document.lost)}." if document.lost else ""
    missing = f" Data is missing: {'; '.join(document.missing)}." if document.missing else ""
    return ENDINGS[document.outcome] + lost + missing


@cache
def _jinja(escaping: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES / "record"),
        undefined=StrictUndefined,
        autoescape=escaping,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=_seconds, when=_when, cell=_cell, fence=_fence, code=_code)
    return environment


def _seconds(value: float) -> str:
    """A duration as text: 0.06 s, 14.1 s, 3 min 20 s."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value // 60:.0f} min {value % 60:.0f} s"


def _when(iso: str) -> str:
    return datetime.datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M:%S UTC")


def _code(text: str) -> Markup:
    """Text as HTML, with code elements for what is between backticks."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(p) if n % 2 else p for n, p in enumerate(parts))


def _cell(text: str) -> str:
    """Text in a cell of a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _fence(lines: tuple[str, ...]) -> str:
    """A fence that no line among `lines` ends."""
    longest = max((len(line) - len(line.lstrip("`")) for line in (text.lstrip("+- ") for text in lines)), default=0)
    return "`" * max(3, longest + 1)

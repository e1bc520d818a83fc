"""Words that are gone from code and texts alike, so that they stay gone: one thing has one name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GONE = {
    r"tak(?:e|en|es|ing) (?:it |them |the plan )?back": "a plan is reverted, a step is undone, the app is rolled back",
    r"hands (?:are )?needed": "manual intervention required",
    r"inv resume": "inv revert --plan ID",
    r"edge\.check": "public.check",
    r"(?<![a-z])(?:cure[sd]?|mend(?:s|ed|ing)?)(?![a-z])": "a finding, and an error, has a fix",
    r"users felt|\bfelt=|\.felt\b|`felt`|'felt'": "the impact on users, or what users got",
    r"\b(?:for|with)[ _]box\b|(?<!a )\bbox: |\bboxes\b|(?-i:\bBox\b)": "a container; only the lab is a VPS in a box",
    r"\bsettled=|\.settled\b(?!\()|`settled`": "no_ops: a step whose result is there is a no-op",
}
TEXTS = sorted(path for pattern in ("*.md", "docs/*.md", "templates/**/*.j2") for path in ROOT.glob(pattern))
MODULES = sorted(
    path
    for room in ("fabfile", "tests", "bench", "docs")
    for path in (ROOT / room).rglob("*.py")
    if "lab/app" not in path.as_posix() and path != Path(__file__)
)


def found(text: str) -> list[str]:
    """The words in a text that are gone, each with what to write instead."""
    return [
        f"{match[0]!r}: {instead}" for word, instead in GONE.items() for match in re.finditer(word, text, re.IGNORECASE)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_has_a_word_that_is_gone(path: Path) -> None:
    """Neither in a message nor in a name: who reads one looks for it in the other."""
    assert found(path.read_text()) == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_text_has_a_word_that_is_gone(path: Path) -> None:
    text = path.read_text()
    if path.name == "CHANGELOG.md":  # which says what had the name before
        text = re.sub("`(?:edge.check|felt|settled)`", "", text)
    assert found(text) == []


@pytest.mark.parametrize(
    "text", ["it was taken back", "taking it back", "hands needed", "inv resume --plan x", "_mended"]
)
def test_a_word_that_is_gone_is_found(text: str) -> None:
    assert len(found(text)) == 1

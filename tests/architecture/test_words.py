"""Words that are gone from what operators read, so that they stay gone: one thing has one name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GONE = {
    r"tak(?:e|en|es|ing) (?:it |them |the plan )?back": "a plan is reverted, a step is undone, the app is rolled back",
    r"hands (?:are )?needed": "manual intervention required",
    r"inv resume": "inv revert --plan ID",
    r"edge\.check": "public.check",
}
TEXTS = sorted(path for pattern in ("*.md", "docs/*.md", "templates/**/*.j2") for path in ROOT.glob(pattern))
MODULES = sorted(path for path in (ROOT / "fabfile").rglob("*.py") if "lab/app" not in path.as_posix())
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))


def found(text: str) -> list[str]:
    """The words in a text that are gone, each with what to write instead."""
    return [f"{match[0]!r}: {instead}" for word, instead in GONE.items() for match in re.finditer(word, text)]


def strings(path: Path) -> Iterator[str]:
    """Everything that a module can print: its strings and docstrings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_message_has_a_word_that_is_gone(path: Path) -> None:
    assert [word for text in strings(path) for word in found(text)] == []


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_test_has_a_word_that_is_gone(path: Path) -> None:
    assert found(path.read_text()) == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_text_has_a_word_that_is_gone(path: Path) -> None:
    text = path.read_text()
    assert found(text.replace("`edge.check`", "") if path.name == "CHANGELOG.md" else text) == []


@pytest.mark.parametrize("text", ["it was taken back", "taking it back", "hands needed", "inv resume --plan x"])
def test_a_word_that_is_gone_is_found(text: str) -> None:
    assert len(found(text)) == 1

"""The app's env file, as systemd and Compose read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.system.envfile import parse_env, read_env


def test_lines_of_all_kinds() -> None:
    text = """
# a comment
; another
PLAIN=value
SPACES = around
EMPTY=
QUOTED="a b # c"
SINGLE='x=y'
EQUALS=a=b=c
HALF="open
no assignment
  INDENTED=1
PLAIN=last wins
"""
    assert parse_env(text) == {
        "PLAIN": "last wins",
        "SPACES": "around",
        "EMPTY": "",
        "QUOTED": "a b # c",
        "SINGLE": "x=y",
        "EQUALS": "a=b=c",
        "HALF": '"open',
        "INDENTED": "1",
    }


def test_only_line_feeds_end_lines() -> None:
    assert parse_env("A=1\r\nB=x\u2028y\x0cz\n") == {"A": "1", "B": "x\u2028y\x0cz"}


NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True)
VALUES = st.from_regex(r"[a-z0-9:/=._-]{0,12}", fullmatch=True)


@given(st.dictionaries(NAMES, VALUES), st.sampled_from(["", '"', "'"]))
def test_what_was_written_is_read(values: dict[str, str], quote: str) -> None:
    assert parse_env("\n".join(f"{name}={quote}{value}{quote}" for name, value in values.items())) == values


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert all(name and "=" not in name for name in parse_env(text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        read_env(tmp_path / ".env")
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    with pytest.raises(ValueError, match="utf-8"):
        read_env(tmp_path / ".env")

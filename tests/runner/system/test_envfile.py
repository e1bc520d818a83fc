"""Env files as Compose and as systemd read them; tests/system/test_envfile.py holds both against the programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.system.envfile import (
    EnvFileError,
    parse_compose,
    parse_systemd,
    passed_on,
    read_compose,
    read_systemd,
    systemd_text,
)

# line → what Compose reads, and what systemd does; each was tried on the program
LINES: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("A=1", {"A": "1"}, {"A": "1"}),
    ("A = 1 ", {"A": "1"}, {"A": "1"}),
    ("A=", {"A": ""}, {"A": ""}),
    ("# A=1", {}, {}),
    ("export A=1", {"A": "1"}, {}),
    ("A=1 # a comment", {"A": "1"}, {"A": "1 # a comment"}),
    ("A=1#2", {"A": "1#2"}, {"A": "1#2"}),
    ('A="1" # a comment', {"A": "1"}, {"A": "1# a comment"}),
    ("A=pa$word", {"A": "pa"}, {"A": "pa$word"}),
    ("A='pa$word'", {"A": "pa$word"}, {"A": "pa$word"}),
    ("A=pa$$word", {"A": "pa$word"}, {"A": "pa$$word"}),
    (r'A="pa\$word"', {"A": "pa$word"}, {"A": "pa$word"}),
    ("A=${B:-else}", {"A": "else"}, {"A": "${B:-else}"}),
    ("B=x\nA=${B}y", {"B": "x", "A": "xy"}, {"B": "x", "A": "${B}y"}),
    ("A=${OUTER}", {"A": "known"}, {"A": "${OUTER}"}),
    ("A=${OUTER:+yes}${B+no}", {"A": "yes"}, {"A": "${OUTER:+yes}${B+no}"}),
    ("OUTER", {"": "OUTER"}, {}),
    ("OUTER\n", {"OUTER": "known"}, {}),
    (r'A="a\nb"', {"A": "a\nb"}, {"A": r"a\nb"}),
    (r"A='it\'s'", {"A": "it's"}, {"A": "it\\s'"}),
    (r"A=C:\dir", {"A": r"C:\dir"}, {"A": "C:dir"}),
    ('A="x\ny"', {"A": "x\ny"}, {"A": "x\ny"}),
    ("A=x\\\ny", {"A": "x\\", "": "y"}, {"A": "xy"}),
    ("A: 1", {"A": "1"}, {}),
    ("A.B=1", {"A.B": "1"}, {}),
    ("1A=2", {"1A": "2"}, {}),
    ("\ufeffA=1", {"A": "1"}, {}),
    ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}, {"A": "1", "B": "2"}),
    ('A="x" B=2', {"A": "x", "B": "2"}, {"A": "xB=2"}),
    ("A=1\nA=2", {"A": "2"}, {"A": "2"}),
]


@pytest.mark.parametrize(("text", "compose", "systemd"), LINES)
def test_each_program_reads_a_line_in_its_own_way(text: str, compose: dict[str, str], systemd: dict[str, str]) -> None:
    assert parse_compose(text, {"OUTER": "known"}.get) == compose
    assert parse_systemd(text) == systemd


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A=1\nB='open", "line 2: B: a quote that is not closed"),
        ("A B=s3cret", "line 1: a variable's name cannot contain a space"),
        ("; s3cret", "line 1: a character that no variable's name can have"),
        ("A=s3cret${", "line 1: A: ${ that begins no variable; $$ is a plain $"),
        ("A=${B:?s3cret}", "line 1: A: B must have a value"),
        ("export ", "line 1: nothing to export"),
    ],
)
def test_what_compose_does_not_take_is_named_without_a_value(text: str, why: str) -> None:
    with pytest.raises(EnvFileError) as error:
        parse_compose(text)
    assert str(error.value) == why


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20)))
def test_what_is_written_for_systemd_is_read_by_it(values: dict[str, str]) -> None:
    there = {name: value for name, value in values.items() if passed_on(name, value)}
    assert parse_systemd(systemd_text(values)) == there


@given(st.text(alphabet="AB=\n\r\t \"'\\$`{}#;:-+?.é\u2028x0"))
def test_no_text_breaks_a_reader(text: str) -> None:
    assert all(passed_on(name, value) for name, value in parse_systemd(text).items())
    try:
        values = parse_compose(text)
    except EnvFileError as error:
        assert str(error).startswith("line ")
    else:
        assert all("=" not in name for name in values)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for read in (read_compose, read_systemd):
        with pytest.raises(OSError, match="No such file"):
            read(tmp_path / ".env")
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    for read in (read_compose, read_systemd):
        with pytest.raises(ValueError, match="utf-8"):
            read(tmp_path / ".env")

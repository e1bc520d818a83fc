"""What a record shows of a change, and what it never shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.system.diffs import MAX_DIFF_LINES, diff, masked


def test_a_change_is_diff_with_a_few_lines_around_it() -> None:
    lines = [str(number) for number in range(9)]
    found = diff("/etc/x", "\n".join(lines), "\n".join([*lines[:4], "new", *lines[5:]]))
    assert found == {"path": "/etc/x", "lines": ["@@ -3,5 +3,5 @@", " 2", " 3", "-4", "+new", " 5", " 6"]}
    assert diff("/etc/x", "\n".join(lines), "\n".join(lines))["lines"] == []


@pytest.mark.parametrize(
    "line",
    [
        "-API_TOKEN=s3cret",
        '-  "password": "s3cret"',
        " proxy_set_header Authorization s3cret;",
        '-Environment="NPM_SECRET=s3cret"',
        "-PROVIDER_API_KEY = s3cret",
        "-requirepass-password s3cret",
    ],
)
def test_what_stood_there_before_may_be_secret(line: str) -> None:
    assert "s3cret" not in masked(line) and "•••" in masked(line)


@pytest.mark.parametrize(
    "line", ["+ExecStart=/usr/bin/bun src/index.ts", "-proxy_pass http://web:3000;", "+PrivateTmp=yes", "@@ -1 +1 @@"]
)
def test_everything_else_is_shown(line: str) -> None:
    assert masked(line) == line


@given(st.lists(st.text(max_size=5), max_size=3 * MAX_DIFF_LINES))
def test_it_is_no_longer_than_people_read(lines: list[str]) -> None:
    assert len(diff("/etc/x", "", "\n".join(lines))["lines"]) <= MAX_DIFF_LINES + 1

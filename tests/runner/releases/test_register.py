"""What lies in the register of releases, written by another tool or half of it lost, is a problem in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fabfile.runner.releases import reading, register
from fabfile.runner.wire import formats
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.release import GOOD, Release, ReleasesRef
from tests.runner.support.recorder import Recorder

COMMIT = "a" * 40
REF = ReleasesRef(checkout="/checkout", folder="/releases", user="", services=())
ANOTHER = {"version": formats.RELEASE, **encode(REF)}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "[" * 100_000, '{"version": 1, "type": "Tomorrow"}', json.dumps(ANOTHER), "\xff"],
    ids=["empty", "cut off", "a list", "a number", "nested", "of no type", "of another type", "no UTF-8"],
)
def test_a_release_that_can_not_be_read_is_a_problem(text: str, tmp_path: Path) -> None:
    register.write(tmp_path, Release("native", COMMIT, GOOD))
    (path,) = (tmp_path / "releases").iterdir()
    path.write_bytes(text.encode("latin-1"))
    assert reading.releases(Recorder(tmp_path), REF).problem.startswith("the releases can't be read: ")

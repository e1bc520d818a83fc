"""An inventory may ask for a newer tool than this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile import resources
from tests.support.inventories import problems, site


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The tool's own version is 0.2.1, or as a test says."""
    monkeypatch.setattr(resources, "version", lambda: getattr(request, "param", "0.2.1"))


@pytest.mark.parametrize("wanted", ["0.2.1", "0.2.1.0", "0.2", "0", "0.0.0", "0.1.99"])
def test_a_tool_that_is_new_enough_reads_it(wanted: str, tmp_path: Path) -> None:
    assert site(tmp_path, {"min_version": wanted}).min_version == wanted


@pytest.mark.parametrize("own", ["0.3", "0.3.0", "0.3.0.dev4", "0.10.0", "1"], indirect=True)
def test_versions_are_compared_as_numbers(tmp_path: Path) -> None:
    site(tmp_path, {"min_version": "0.3.0"})


@pytest.mark.parametrize("wanted", ["0.2.2", "0.2.1.1", "0.3", "0.10", "1"])
def test_an_older_tool_names_the_key_and_nothing_else(wanted: str, tmp_path: Path) -> None:
    """What looks wrong to it may be right for the tool that is asked for."""
    (problem,) = problems(tmp_path, {"min_version": wanted, "app.surprise": 1, "services.api.port": "?"})
    assert problem.startswith(f'min_version: "{wanted}" is needed, and this tool is 0.2.1. Upgrade it: pipx upgrade ')


@pytest.mark.parametrize("wanted", ["", "9x", "v9", "9.", "9.0rc1", ">=9", "9\n", "٩"])
def test_what_is_no_version_is_a_problem_like_any_other(wanted: str, tmp_path: Path) -> None:
    found = problems(tmp_path, {"min_version": wanted, "app.surprise": 1})
    assert [line.split(":")[0] for line in found] == ["app.surprise", "min_version"]


def test_a_number_needs_quotes(tmp_path: Path) -> None:
    assert problems(tmp_path, {"min_version": 9.1}) == (
        "min_version: 9.1 is a number with a point, and text in quotes is needed",
    )

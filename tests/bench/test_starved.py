"""The table of a starved lab, from plans that were made up."""

from __future__ import annotations

from typing import Any

import pytest

from bench import show, starved
from bench.client import Request, Sample
from bench.figures import tally
from bench.starved import Attempt, Level

PAGE = Request("page", "flow.deltaisland.io", "/")


def attempt(way: str, problem: str = "", wait: float = 3.0, failure: str = "") -> Attempt:
    samples = [Sample(PAGE, 1.0, wait), Sample(PAGE, 2.0, 0.1, failure)]
    return Attempt(way, problem, 30.0, 12.0, tally(samples))


def table(*attempts: Attempt, bare: dict[str, float] | None = None, capsys: Any) -> tuple[bool, list[str]]:
    given = {"cutover": 6.0, "rollback": 4.0} if bare is None else bare
    good = starved.table(show.wide_console(), [Level(0.5, attempts, given)])
    return good, [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_run_without_reverts_and_failures_is_successful(capsys: pytest.CaptureFixture[str]) -> None:
    good, told = table(attempt("cutover"), attempt("cutover", wait=9.0), attempt("rollback"), capsys=capsys)
    assert good
    assert "0.5 cutover 2 0 4 0 30.0 s 12.0 s 12.0 s 9.0 s 6.0 s 2.00 1.50" in told
    assert "0.5 rollback 1 0 2 0 30.0 s 12.0 s 12.0 s 3.0 s 4.0 s 3.00 0.75" in told


def test_a_reverted_plan_makes_a_run_fail_and_its_reason_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    good, told = table(attempt("cutover", "it was reverted"), attempt("rollback"), capsys=capsys)
    assert not good and "0.5 CPUs, cutover: it was reverted" in told


def test_a_failed_request_makes_a_run_fail_and_its_kind_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    good, told = table(attempt("cutover"), attempt("rollback", failure="answered 502"), capsys=capsys)
    assert not good and any(line.endswith("1 × answered 502") for line in told)


def test_a_way_that_was_never_gone_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    good, told = table(attempt("cutover"), bare={}, capsys=capsys)
    assert not good and any(line.startswith("0.5 cutover 1 0 2 0") and line.endswith("? ?") for line in told)


def test_the_numbers_of_processors_are_read() -> None:
    assert starved.levels("2,1,0.5") == [2.0, 1.0, 0.5]
    with pytest.raises(ValueError):
        starved.levels("1,0")

"""The table of deploys, from plans that were made up."""

from __future__ import annotations

from typing import Any

import pytest

from bench import deploy, show
from bench.client import Request, Sample
from bench.deploy import Deploy
from bench.figures import Hold, tally

PAGE = Request("page", "flow.deltaisland.io", "/")
QUIET = tally([Sample(PAGE, 0.0, 0.02)])


def made(pieces: str, wait: float = 2.0, failure: str = "", building: float | None = 0.03) -> Deploy:
    impact = tally([Sample(PAGE, 1.0, wait), Sample(PAGE, 2.0, 0.1, failure)])
    return Deploy(
        pieces, 20.0, Hold(1.5, ()), impact, None if building is None else tally([Sample(PAGE, 1.0, building)])
    )


def table(*deploys: Deploy, bare: dict[str, float], capsys: Any) -> tuple[bool, list[str]]:
    good = deploy.table(show.wide_console(), deploys, QUIET, bare)
    return good, [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_deploys_in_which_nobody_failed_or_waited_for_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    good, lines = table(
        made("api"), made("api", wait=2.5), made("web", building=None), bare={"api": 2.0, "web": 2.0}, capsys=capsys
    )
    assert good
    assert "api 2 20.0 s 4 0 0 1.50 s 1.50 s 2.50 s 2.00 s 1.25" in lines
    assert "web 1 20.0 s 2 0 0 1.50 s 1.50 s 2.00 s 2.00 s 1.00" in lines
    assert "A request took 20 ms, and 20 ms at the 99th percentile of 1, while nothing happened;" in lines
    built = [line for line in lines if line.endswith("was built")]
    assert built == ["30 ms, and 30 ms at the 99th percentile of 1, while a release of api was built"] * 2


def test_a_failed_request_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    good, lines = table(made("api", failure="answered 502"), bare={"api": 2.0}, capsys=capsys)
    assert not good and "api: 1 × answered 502" in lines


def test_who_waits_for_longer_than_half_as_long_again_makes_it_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert not table(made("web", wait=3.1), bare={"web": 2.0}, capsys=capsys)[0]

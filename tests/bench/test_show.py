"""The tables, from a run that was made up."""

from __future__ import annotations

import math
import ssl
from typing import Any

import pytest

from bench import show
from bench.client import EdgeAddress, Request, Sample
from bench.crowd import Crowd, Cut, Pace
from bench.methods import Timing
from fabfile.inventory import load
from tests.bench.test_figures import PARKING
from tests.support.inventories import INVENTORY

PAGE = Request("page", "flow.deltaisland.io", "/")
API = Request("API", "api.flow.deltaisland.io", "/health")


def found(*samples: Sample, cuts: tuple[Cut, ...] = (), events: Any = ()) -> show.Results:
    """A run of 10 s each: nothing, our cutover, our rollback, the original's two."""
    crowd = Crowd(EdgeAddress("127.0.0.1", 1, ssl.create_default_context()), [PAGE], PAGE, Pace(0, 0, 1))
    crowd.samples.extend(samples)
    crowd.cuts.extend(cuts)
    names = ("nothing happens", "cutover 1", "rollback 1", "original's cutover", "original's rollback")
    parts = [show.Part(name, 10.0 * n, 10.0 * n + 10, 5.0) for n, name in enumerate(names)]
    parts[-1] = show.Part(names[-1], 40.0, math.inf, 10.0)
    bare = {"bare, to native": Timing(1.0, 0.5, 0.5), "bare, to docker": Timing(1, 1, 1)}
    plans = [show.Plan(name, events) for name in ("cutover 1", "rollback 1")]
    return show.Results(crowd, parts, plans, bare, 9, True, 0.25)


def impact(failures: int, outage_ms: int) -> dict[str, Any]:
    figures = {"requests": 99, "failures": failures, "longest_wait_ms": 3000, "outage_ms": outage_ms}
    return {"kind": "finished", "step": None, "evidence": {"impact": {PAGE.domain: figures, API.domain: figures}}}


def lines(run: show.Results, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show.report_all(run, load(INVENTORY, {}))
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_run_without_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    samples = [Sample(question, at, 0.05) for at in range(50) for question in (PAGE, API)]
    samples += [Sample(PAGE, 15.5, 3.0, repeated=True), Sample(API, 35.5, 0.1, "answered 502"), Sample(API, 99, 0.1)]
    cut = Cut(16.0, 0.4, 2, "native")
    told = lines(found(*samples, cuts=(cut,), events=[*PARKING[:-1], impact(0, 0)]), capsys)
    assert "cutover 1 5.00 s 21 0 1 GET 3.00 s 50 ms 3000 ms 0.00 s in 0" in told
    assert "original's cutover: 1 × answered 502" in told
    assert "original's cutover: away from 5.50 s to 6.00 s" in told
    assert "cutover 1 1 2 0.40 s 0.40 s 1 × native" in told
    assert "cutover: held for 3.65 s, at most 3.65 s" in told
    assert "docker: app stopped 1.50 s 1.50 s in the hold" in told
    assert "cutover 1 flow.deltaisland.io 99 11 0 0 3.00 s 3.00 s 0.00 s 0.00 s agree" in told
    assert "cutover 1 0.00 0.00 30.00 1.00 1 : 0 1.50" in told
    assert "2 requests/s while nothing happened; the load generator took 25% of one processor." in told
    assert "9 websockets were open at the end." in told


def test_a_record_that_tells_something_else_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    samples = [Sample(question, at, 0.05) for at in range(50) for question in (PAGE, API)]
    told = lines(found(*samples, events=[impact(60, 4000)]), capsys)
    assert "rollback: nothing is parked in these plans" in told
    assert len([line for line in told if line.endswith("DIFFER")]) == 4

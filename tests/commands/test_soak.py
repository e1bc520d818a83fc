"""Starting, following, showing and ending a soak: what the operator sees, and how the command ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import fabfile.commands.soak
from fabfile.commands import session
from fabfile.commands.session import load_site
from fabfile.errors import CutoverError, Failed, Interrupted, SoakAlreadyRunning
from fabfile.inventory import Site
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.edge import EdgeFacts, HostFact, ProxyHost
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.facts import Facts, Health
from fabfile.runner.wire.soak import Sample, Soak, WorkloadSample
from tests.checks.test_soak import DAY, ID, sample
from tests.support import inventories
from tests.support.events import event
from tests.support.fake_host import GOOD_HOST, FakeHost

SHORT = replace(DAY, seconds=1200.0)
HOLDER = {"who": "ana@laptop", "what": "a soak of 24 h", "since": "2026-01-01 12:00:00 UTC", "soak": ID}
Change = Callable[[Sample], Sample]


OUTAGE = event("outage", watch="flow", lasted_ms=900, errors={"answered 502": 2}, over=True)


def lines(why: str = "time", change: Change = lambda s: s, count: int = 21) -> list[Event]:
    """The file of a soak; without `why` it has not ended."""
    seen = [event("sample", sample=encode(change(sample(n)))) for n in range(count)]
    start = replace(event("start", who="ana@laptop", began=1.0, soak=encode(SHORT)), plan=ID)
    return [start, *seen, *([event("finished", why=why)] if why else [])]


def ill(one: Sample) -> Sample:
    return replace(one, workloads={"api": WorkloadSample(False, "nothing listens on port 4000")})


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    made = FakeHost()
    made.soak = lines()
    made.stand_in(monkeypatch)
    return made


@pytest.fixture
def site(host: FakeHost) -> Site:
    return load_site()


def soaked(seconds: float = 0.0, stop: bool = False, json_lines: bool = False) -> None:
    fabfile.commands.soak.soak(session.begin(object(), json=json_lines), seconds, stop)


def started(host: FakeHost) -> Soak:
    (soak,) = [call[1] for call in host.calls if call[0] == "soak_start"]
    assert isinstance(soak, Soak)
    return soak


# ── Starting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_soak_looks_at_everything_of_both_runtimes_each_minute(host: FakeHost, site: Site) -> None:
    soaked(86400.0)
    soak = started(host)
    assert (soak.seconds, soak.every) == (86400.0, 60.0) and "-soak-" in soak.id and "@" in soak.who
    for runtime in ("native", "docker"):
        names = {workload.name for workload in soak.workloads if workload.runtime == runtime}
        assert names == {"nats", "redis", "clickhouse", *(service.name for service in site.scope("full"))}
    assert [watch.domain for watch in soak.watch] == [site.edge.app_domain, site.edge.api_domain]
    assert {watch.timeout for watch in soak.watch} == {10.0}


def test_a_short_one_looks_more_often(host: FakeHost) -> None:
    soaked(36.0)
    assert started(host).every == 1.8


def test_a_hostname_that_is_closed_on_purpose_is_not_asked_for(host: FakeHost, site: Site) -> None:
    row = ProxyHost(2, (site.edge.api_domain,), False, "http", "api", 4000, "", "", "{}")
    closed = HostFact(site.edge.api_domain, row=row)
    host.facts = Facts(host=GOOD_HOST, edge=EdgeFacts(hosts={site.edge.api_domain: closed}))
    soaked(36.0)
    assert [watch.domain for watch in started(host).watch] == [site.edge.app_domain]


@pytest.mark.parametrize("was_well", [True, False])
def test_an_optional_service_that_is_ill_already_is_not_held_against_a_runtime(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_well: bool
) -> None:
    inventories.site(tmp_path, {"services.candles.optional": True})
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(tmp_path / "inventory.toml"))
    health = Health("candles", "native", was_well, "it restarts again and again")
    host.facts = Facts(host=GOOD_HOST, health={"native/candles": health})
    soaked(36.0)
    assert ("candles" in {workload.name for workload in started(host).workloads}) == was_well


def test_a_second_one_is_told_who_runs_the_first_and_ends_with_4(host: FakeHost) -> None:
    host.soaker = HOLDER
    with pytest.raises(SoakAlreadyRunning) as caught:
        soaked(36.0)
    assert caught.value.exit_code == 4
    assert "ana@laptop runs a soak of 24 h since 2026-01-01 12:00:00 UTC" in caught.value.message


# ── Following ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_sample_is_a_line_and_the_end_a_table_and_a_sentence(
    host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    soaked(1200.0)
    out, err = capsys.readouterr()
    assert err.count("native: 1 of 1 healthy · 200 MB · lag 3 · 0 of 60 requests failed") == 21
    assert "21 of 21" in out and out.splitlines()[-1].startswith("keep native: all was healthy in 21 samples")


def test_what_is_wrong_is_said_at_once_and_in_the_end(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.soak = lines(change=ill)
    with pytest.raises(Failed) as caught:
        soaked(1200.0)
    out, err = capsys.readouterr()
    assert "0 of 1 healthy" in err and "api: nothing listens on port 4000" in err and "✗  api" in out
    assert "go back: api was not healthy in 21 of 21 samples" in caught.value.message
    assert caught.value.next_step == "inv rollback --full" and "changed nothing" in caught.value.state


def test_an_outage_is_told_as_it_comes(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.soak = [*lines(why=""), OUTAGE, lines()[-1]]
    with pytest.raises(Failed):
        soaked(1200.0)
    assert "! flow was away for 0.90 s (2 × answered 502)" in capsys.readouterr().err


def test_json_has_a_line_for_each_sample_and_one_recommendation(
    host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    for seconds in (1200.0, 0.0):
        soaked(seconds, json_lines=True)
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert told[:22] == [event.line() for event in lines()[:22]]
        seen = [line["evidence"]["sample"] for line in told if line["kind"] == "sample"]
        assert len(seen) == 21 and seen[3]["workloads"]["api"]["memory"]["held"] == 200_000_000
        assert seen[3]["durables"]["api-alerts"]["pending"] == 2
        (said,) = [line for line in told if line["kind"] == "recommendation"]
        assert (said["verdict"], said["ended"], said["soak"], said["command"]) == ("keep native", "time", ID, "")
        assert said["reasons"] and told[-1] == said
        (flow,) = [line for line in told if line["kind"] == "address"]
        assert flow == {
            **{"version": 2, "kind": "address", "what": "flow", "ok": True},
            **{"requests": 1260, "failures": 0, "answers": 6300, "answers_5xx": 0},
        }


def test_ctrl_c_only_stops_watching_and_says_how_to_come_back(host: FakeHost) -> None:
    host.interrupted_at = 5
    with pytest.raises(Interrupted) as caught:
        soaked(1200.0)
    assert "the soak goes on" in caught.value.message and "inv soak" in caught.value.next_step
    assert host.verbs == ["soak_start"], "nobody told it to end"


def test_one_that_is_cut_off_is_never_told_as_running(host: FakeHost) -> None:
    host.soak = lines(why="")
    for seconds in (1200.0, 0.0):
        with pytest.raises(CutoverError) as caught:
            soaked(seconds)
        assert "look first: it was cut off" in caught.value.message and caught.value.exit_code == 1


def test_once_the_owner_changed_it_says_where_to_look(host: FakeHost) -> None:
    rolled = event("sample", sample=encode(replace(sample(21), owner="docker")))
    host.soak = [*lines(why=""), rolled, event("finished", why="owner")]
    with pytest.raises(Failed) as caught:
        soaked(1200.0)
    assert "look first: the owner changed from native to docker" in caught.value.message
    assert "inv history" in caught.value.next_step


# ── Showing and ending ──────────────────────────────────────────────────────────────────────────────────────────────


def test_without_hours_the_running_one_is_shown_without_a_recommendation(
    host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    host.soaker, host.soak = HOLDER, lines(why="", count=3)
    soaked()
    out = capsys.readouterr().out
    assert host.verbs == ["soak_show"]
    assert "3 of 3" in out and "keep" not in out and out.splitlines()[-1].startswith("It goes on, for 0.33 h in all")


def test_the_last_one_is_shown_with_what_it_recommends(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    soaked()
    assert capsys.readouterr().out.splitlines()[-1].startswith("keep native")


def test_where_none_ever_ran_it_says_how_to_start_one(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.soak = []
    soaked()
    assert "inv soak --hours 24" in capsys.readouterr().out


def test_stopping_ends_it_with_what_it_has_seen(host: FakeHost) -> None:
    host.soaker, host.soak = HOLDER, lines(why="stopped", count=13)
    with pytest.raises(Failed) as caught:
        soaked(stop=True)
    assert (
        host.verbs == ["soak_stop"] and "look first: it was stopped early, after 0.2 of 0.33 h" in caught.value.message
    )


def test_stopping_where_none_runs_does_nothing(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    soaked(stop=True)
    assert "none runs" in capsys.readouterr().out

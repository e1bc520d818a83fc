"""Streams and durables against the environment: what is as it should be, and every way in which it is not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from fabfile.checks import streams
from fabfile.checks.streams import age
from fabfile.inventory import Site
from fabfile.runner.wire.app import Consumer, JetStream, Setting, Settings, Stream
from fabfile.runner.wire.facts import Facts, Health
from fabfile.terms import Runtime

ENV, OVERRIDES = "/home/delta/islandflow/.env", "/etc/islandflow/native.env"
AGES = {"STREAM_RAW_MAX_AGE_MS": "3600000", "STREAM_DERIVED_MAX_AGE_MS": "43200000"}
BOUND = Consumer(True, 0, 2, 0, 30, 30, 28, "2026-01-01T00:00:00Z")
HOUR = 3_600_000_000_000  # nanoseconds


def facts(site: Site, runtime: Runtime = "native", **settings: str) -> Facts:
    """Streams and durables as the project's inventory has them, all well; with other values in the env file."""
    found = {
        name: Stream(int(AGES[wanted.max_age_env]) * 1_000_000, wanted.max_bytes, 7, 30)
        for name, wanted in site.streams.items()
    }
    durables = {name: BOUND for service in site.scope("full") for name in service.durables}
    found["ALERTS"] = dataclasses.replace(found["ALERTS"], consumers=durables)
    values = {name: Setting(value, ENV) for name, value in {**AGES, **settings}.items() if value}
    return Facts(
        jetstream=JetStream(runtime, found),
        settings={runtime: Settings(values)},
        health={f"{runtime}/{s.name}": Health(s.name, runtime, True, "healthy") for s in site.scope("full")},
    )


def stream(facts: Facts, name: str, **values: Any) -> Facts:
    """The facts with a stream that is otherwise."""
    changed = dataclasses.replace(facts.jetstream.streams[name], **values)
    return _with(facts, {**facts.jetstream.streams, name: changed})


def durable(facts: Facts, name: str, **values: Any) -> Facts:
    """The facts with a durable that is otherwise."""
    consumers = {**facts.jetstream.streams["ALERTS"].consumers, name: dataclasses.replace(BOUND, **values)}
    return stream(facts, "ALERTS", consumers=consumers)


def _with(facts: Facts, found: dict[str, Stream]) -> Facts:
    return dataclasses.replace(facts, jetstream=dataclasses.replace(facts.jetstream, streams=found))


def bad(site: Site, facts: Facts) -> dict[str, str]:
    """What is not good, with its text."""
    return {what: text for what, ok, text in streams.checks(site, facts) if not ok}


@pytest.mark.parametrize("runtime", ["native", "docker"])
def test_all_is_well(site: Site, runtime: Runtime) -> None:
    rows = {what: text for what, ok, text in streams.checks(site, facts(site, runtime)) if ok}
    assert bad(site, facts(site, runtime)) == {}
    assert len(rows) == 1 + len(site.streams) + sum(len(service.durables) for service in site.scope("full"))
    assert rows["OPTIONS_PRINTS"] == "max_age 1 h, max_bytes 512 MiB, 7 messages"
    assert rows["api-alerts"] == "bound, 0 pending, 2 unacknowledged, 0 redelivered"


@pytest.mark.parametrize(
    ("live", "env", "said"),
    [
        (604_800_000, "604800000", "1,000,000 times too short: milliseconds taken for nanoseconds"),
        (HOUR, "3600000000000", "1,000,000 times too short: milliseconds taken for nanoseconds, or {} holds nano"),
        (3_600_000_000, "3600000", "1,000 times too short: milliseconds taken for microseconds"),
        (HOUR, "3600", "1,000 times too long: milliseconds taken for seconds, or {} holds seconds"),
        (HOUR * 1000, "3600000", "1,000 times too long: milliseconds taken for seconds"),
        (HOUR * 10**6, "3600000", "1,000,000 times too long: milliseconds turned into nanoseconds twice"),
    ],
)
def test_a_unit_mistake_is_named_as_one(site: Site, live: int, env: str, said: str) -> None:
    found = stream(facts(site, STREAM_RAW_MAX_AGE_MS=env), "OPTIONS_PRINTS", max_age=live)
    text = bad(site, found)["OPTIONS_PRINTS"]
    assert said.format("STREAM_RAW_MAX_AGE_MS") in text and f"in {ENV} says" in text


def test_another_max_age_is_no_unit_mistake(site: Site) -> None:
    found = stream(facts(site), "OPTIONS_PRINTS", max_age=2 * HOUR)
    assert bad(site, found) == {"OPTIONS_PRINTS": f"max_age is 2 h, and STREAM_RAW_MAX_AGE_MS in {ENV} says 1 h"}
    assert "max_age is unlimited" in bad(site, stream(found, "OPTIONS_PRINTS", max_age=0))["OPTIONS_PRINTS"]


@pytest.mark.parametrize("value", ["1h", "-5", "0", "3.6", "٣"])
def test_what_is_no_number_of_milliseconds_is_told(site: Site, value: str) -> None:
    found = bad(site, facts(site, STREAM_DERIVED_MAX_AGE_MS=value))
    assert len(found) == 8 and f"{value!r} in {ENV}: no whole number of milliseconds" in found["ALERTS"]


def test_a_variable_that_is_not_set_is_said_to_be_nothing_to_compare_with(site: Site) -> None:
    rows = {what: text for what, _, text in streams.checks(site, facts(site, STREAM_RAW_MAX_AGE_MS=""))}
    assert "STREAM_RAW_MAX_AGE_MS is not set, so that there is nothing to compare" in rows["OPTIONS_NBBO"]
    assert bad(site, facts(site, STREAM_RAW_MAX_AGE_MS="")) == {}


def test_another_size_and_a_missing_stream_are_told(site: Site) -> None:
    found = stream(facts(site), "EQUITY_JOINS", max_bytes=-1)
    found = stream(found, "EQUITY_QUOTES", max_bytes=1000)
    rest = {name: value for name, value in found.jetstream.streams.items() if name != "FLOW_PACKETS"}
    assert bad(site, _with(found, rest)) == {
        "EQUITY_JOINS": "max_bytes is unlimited, and the inventory says 256 MiB",
        "EQUITY_QUOTES": "max_bytes is 1000 bytes, and the inventory says 512 MiB",
        "FLOW_PACKETS": "there is no such stream",
    }


@pytest.mark.parametrize(
    ("runtime", "name", "fix"),
    [
        ("native", "api-alerts", "inv app.restart --scope api"),
        ("native", "candles-equity-prints", "inv app.restart --scope workers"),
        ("docker", "compute-equity-quotes", "docker compose -p islandflow-vps restart compute"),
    ],
)
def test_a_stolen_durable_is_named_with_the_fix(site: Site, runtime: Runtime, name: str, fix: str) -> None:
    found = bad(site, durable(facts(site, runtime), name, bound=False, pending=175, grew=19))
    assert list(found) == [name]
    assert found[name].startswith("not bound, 175 pending (+19 in a second), 2 unacknowledged, 0 redelivered: stolen")
    assert found[name].endswith(fix)


def test_a_durable_made_for_fetching_is_told_in_its_own_words(site: Site) -> None:
    rows = {what: text for what, _, text in streams.checks(site, durable(facts(site), "api-alerts", pull=True))}
    assert rows["api-alerts"] == "fetched from, 0 pending, 2 unacknowledged, 0 redelivered"
    text = bad(site, durable(facts(site), "api-alerts", pull=True, bound=False))["api-alerts"]
    assert text.startswith("nobody fetches from it, 0 pending") and "stolen" not in text
    assert text.endswith("though api runs and looks well: inv app.restart --scope api")


def test_a_durable_whose_service_is_down_is_not_called_stolen(site: Site) -> None:
    found = durable(facts(site), "api-alerts", bound=False)
    health = {**found.health, "native/api": Health("api", "native", False, "unit is inactive/dead")}
    text = bad(site, dataclasses.replace(found, health=health))["api-alerts"]
    assert "stolen" not in text and text.endswith("api: unit is inactive/dead")
    assert bad(site, dataclasses.replace(found, health={}))["api-alerts"].endswith("api: could not be asked")


def test_a_durable_that_was_never_made_is_told(site: Site) -> None:
    found = facts(site)
    consumers = dict(found.jetstream.streams["ALERTS"].consumers)
    del consumers["api-flow-packets"]
    text = bad(site, stream(found, "ALERTS", consumers=consumers))["api-flow-packets"]
    assert text == "there is no such durable; api runs and has not made it"


def test_a_jetstream_that_does_not_answer_is_all_there_is_to_say(site: Site) -> None:
    silent = Facts(jetstream=JetStream("native", problem="Connection refused"))
    assert list(streams.checks(site, silent)) == [("native's JetStream", False, "Connection refused")]
    nobody = Facts(jetstream=JetStream(problem="the owner file holds 'both'"))
    assert list(streams.checks(site, nobody)) == [("JetStream", False, "the owner file holds 'both'")]


def test_an_environment_that_cannot_be_read_is_told(site: Site) -> None:
    found = dataclasses.replace(facts(site), settings={"native": Settings(problem=f"{ENV}: Permission denied")})
    assert bad(site, found) == {"environment": f"{ENV}: Permission denied"}


def test_a_variable_sets_the_size_where_the_app_has_one(site: Site) -> None:
    half = facts(site, STREAM_RAW_MAX_BYTES=str(2**28))
    assert bad(site, stream(half, "OPTIONS_NBBO", max_bytes=2**28)) == {}, "the other streams have no such variable"
    assert bad(site, half) == {"OPTIONS_NBBO": f"max_bytes is 512 MiB, and STREAM_RAW_MAX_BYTES in {ENV} says 256 MiB"}
    assert bad(site, facts(site, STREAM_RAW_MAX_BYTES="1e9")) == {
        "OPTIONS_NBBO": f"STREAM_RAW_MAX_BYTES is '1e9' in {ENV}: no whole number of bytes"
    }


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "unlimited"), (999, "999 ns"), (3_600_000, "3.6 ms"), (90 * 10**9, "1.5 min"), (HOUR * 36, "1.5 d")],
)
def test_ages_are_told_in_their_own_unit(nanoseconds: int, text: str) -> None:
    assert age(nanoseconds) == text

"""What the provider's answer means, with where the key comes from."""

from __future__ import annotations

import pytest

from fabfile import survey, workloads
from fabfile.checks import preflight, provider
from fabfile.inventory import Site
from fabfile.runner.wire.app import Provided
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime
from tests.support.facts import changed, container

ENV = "/home/delta/islandflow/.env"


def answered(status: int = 0, problem: str = "", asked: str = "provider.test:443") -> Provided:
    return Provided("alpaca", ENV, asked, {"OPTIONS_PROVIDER_KEY": ENV}, status, problem)


CASES = {
    "accepted": (answered(200), True, f"answers 200: it accepts the key (OPTIONS_PROVIDER_KEY in {ENV})"),
    "refused": (answered(401), False, f"answers 401: it refuses the key (OPTIONS_PROVIDER_KEY in {ENV})"),
    "forbidden": (answered(403), False, "answers 403: it refuses the key"),
    "broken": (answered(503), False, "provider.test:443 answers 503, which tells nothing of the key"),
    "moved": (answered(302), False, "answers 302, which tells nothing of the key"),
    "away": (answered(problem="no answer: timed out"), False, "provider.test:443: no answer: timed out"),
    "no address": (answered(problem="OPTIONS_PROVIDER_URL is not set", asked=""), False, "OPTIONS_PROVIDER_URL is not"),
    "dark": (
        Provided("ibkr", ENV, unchecked="it speaks no HTTP"),
        None,
        "the adapter ibkr can't be checked: it speaks no",
    ),
    "synthetic": (Provided("synthetic", "/etc/islandflow/native.env"), True, "the adapter synthetic asks nobody"),
    "no adapter": (Provided(), True, "nobody was asked: OPTIONS_INGEST_ADAPTER is not set"),
}
every_case = pytest.mark.parametrize(("said", "ok", "text"), CASES.values(), ids=CASES)


@every_case
def test_an_answer_in_words(site: Site, said: Provided, ok: bool | None, text: str) -> None:
    found = provider.verdict(site, said)
    assert found.ok == ok and text in found.text
    assert found.refused == (said.status in (401, 403))


@every_case
def test_preflight_refuses_only_what_is_certain(
    site: Site, docker_serves: Facts, said: Provided, ok: bool | None, text: str
) -> None:
    facts = changed(docker_serves, providers={"native": said, "docker": Provided()})
    found = preflight.findings(site, facts, "native")
    assert len(found) == (1 if ok is False else 0)
    for finding in found:
        claims = f"the adapter {said.adapter} would not work in native" in finding.text
        assert claims == (said.status in (401, 403)), "what was not seen is not claimed"
        assert text in finding.text and finding.warning == (said.status not in (401, 403))
        assert 'runtimes.native.overrides.OPTIONS_INGEST_ADAPTER = "…"' in finding.fix
    assert preflight.findings(site, changed(facts, owner="native"), "docker") == [], "the other one's is not its own"


def test_the_owners_adapter_is_checked_and_where_it_comes_from_is_told(site: Site) -> None:
    both = {"native": answered(401), "docker": Provided("synthetic", "docker.env")}
    (adapter, asked) = provider.checks(site, Facts(owner="native", providers=both))
    assert adapter == ("native's adapter", True, f"alpaca, by OPTIONS_INGEST_ADAPTER in {ENV}")
    assert not asked[1]
    up = {"web": container(workloads.everything(site, "docker")[0], True)}
    (adapter, asked) = provider.checks(site, Facts(owner="", containers=up, providers=both))
    assert adapter[0] == "docker's adapter" and asked[1]
    (row,) = provider.checks(site, Facts(owner_error="the owner file holds 'both'", providers=both))
    assert row == ("owner", False, "the owner file holds 'both'")


def test_before_a_hand_over_the_overrides_are_those_that_it_will_write(site: Site) -> None:
    assert survey.request(site).providers == (), "other tasks leave the provider alone"
    environments = {ref.environment.runtime: ref.environment for ref in survey.request(site, versions=True).providers}
    places: dict[Runtime, str] = {"native": "nats://127.0.0.1:4222", "docker": "nats://nats:4222"}
    for runtime, nats in places.items():
        overrides = {**(environments[runtime].planned or {}), **environments[runtime].places}
        assert (overrides["OPTIONS_INGEST_ADAPTER"], overrides["NATS_URL"]) == ("synthetic", nats)
    assert [ref.environment.planned for ref in survey.provider(site).providers] == [None, None], "as they are"


def test_the_settings_of_the_service_that_asks_the_provider_count(site: Site) -> None:
    own = site.model_copy(update={"provider": site.provider.model_copy(update={"service": "ingest-options"})})
    for request in (survey.provider(own), survey.request(own, versions=True)):
        native, docker = (ref.environment for ref in request.providers)
        assert (native.services, native.units) == (("ingest-options",), ("islandflow-ingest-options.service",))
        assert docker.services == ("ingest-options",)
    native, docker = (ref.environment for ref in survey.provider(site).providers)
    assert len(native.units) == len(docker.services) == len(site.services)

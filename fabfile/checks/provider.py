"""Whether the app's provider accepts the app's own key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fabfile import survey
from fabfile.inventory import Site
from fabfile.runner.system.owner import NOBODY
from fabfile.runner.wire.app import Provided
from fabfile.runner.wire.facts import Facts

_REFUSALS = (401, 403)


@dataclass(frozen=True)
class Verdict:
    """What an answer of the provider means; `refused`: it is certain that the key is not accepted.

    `ok` is None where nobody can be asked.
    """

    ok: bool | None
    text: str
    refused: bool = False


def checks(site: Site, facts: Facts) -> Iterator[tuple[str, bool | None, str]]:
    """Rows (what, good or not, evidence): the adapter that the owner's environment chooses, and its provider."""
    runtime = survey.owner(facts)
    if not runtime:
        yield "owner", False, facts.owner_error or facts.docker_error or NOBODY
        return
    answer = facts.providers[runtime]
    adapter = f"{answer.adapter}, by {site.provider.adapter_env} in {answer.adapter_origin}"
    yield f"{runtime}'s adapter", True, adapter if answer.adapter else "none is chosen: the app takes its own default"
    result = verdict(site, answer)
    yield "provider", result.ok, result.text


def verdict(site: Site, answer: Provided) -> Verdict:
    """The provider's answer in words, with where the key comes from and never the key itself."""
    keys = ", ".join(f"{name} in {origin}" for name, origin in answer.keys.items()) or "no key"
    if answer.problem:
        return Verdict(False, f"{answer.asked + ': ' if answer.asked else ''}{answer.problem}")
    if not answer.adapter:
        return Verdict(True, f"nobody was asked: {site.provider.adapter_env} is not set")
    if answer.unchecked:
        return Verdict(None, f"the adapter {answer.adapter} can't be checked: {answer.unchecked}")
    if not answer.asked:
        return Verdict(True, f"the adapter {answer.adapter} asks nobody")
    if answer.status in _REFUSALS:
        return Verdict(False, f"{answer.asked} answers {answer.status}: it refuses the key ({keys})", refused=True)
    if 200 <= answer.status < 300:
        return Verdict(True, f"{answer.asked} answers {answer.status}: it accepts the key ({keys})")
    return Verdict(False, f"{answer.asked} answers {answer.status}, which tells nothing of the key ({keys})")

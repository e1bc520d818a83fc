"""A deploy without --ref: what it asks on a terminal, and what the answers choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile.commands.deploy import CURRENT, Choice
from fabfile.commands.guide import deploying
from fabfile.console import Console
from fabfile.errors import Interrupted, UsageError
from fabfile.inventory import Site
from tests.runner.support.app_repository import AppRepository
from tests.support.terminal import typed

NOTHING = Choice()  # chosen by options


def answered(text: str, site: Site, monkeypatch: pytest.MonkeyPatch, chosen: Choice = NOTHING) -> tuple[str, Choice]:
    typed(text, monkeypatch)
    return deploying.ask(Console(), site, chosen)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is in no repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.mark.parametrize(
    ("text", "ref", "choice"),
    [
        ("1\n1\n", "main", Choice("full")),
        ("1\n2\n", "main", Choice("web")),
        ("2\nv1.2\n5\n", "v1.2", Choice("workers")),
        ("1\n6\n api,compute \n", "main", Choice(pieces="api,compute")),
    ],
)
def test_the_answers_say_what_the_options_would(
    text: str, ref: str, choice: Choice, site: Site, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answered(text, site, monkeypatch) == (ref, choice)


def test_the_branch_here_can_be_deployed_as_it_is_or_pushed_first(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = AppRepository(tmp_path)
    monkeypatch.chdir(flow.desk)
    assert answered("2\n1\n", site, monkeypatch)[0] == CURRENT
    flow.git("switch", "--quiet", "--create", "feature", at=flow.desk)
    assert answered("2\n1\n", site, monkeypatch)[0] == "feature"
    assert answered("3\n1\n", site, monkeypatch)[0] == CURRENT
    assert answered("4\nmain\n1\n", site, monkeypatch)[0] == "main"


@pytest.mark.parametrize("choice", [Choice("web"), Choice(pieces="api"), Choice(fast=True)])
def test_what_options_say_is_not_asked(
    choice: Choice, site: Site, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answered("1\n", site, monkeypatch, choice) == ("main", choice)


@pytest.mark.parametrize("text", ["", "\n", "2\n\n", "1\n\n", "1\n6\n\n"])
def test_who_chooses_nothing_begins_nothing(
    text: str, site: Site, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted, match="nothing was chosen"):
        answered(text, site, monkeypatch)


def test_a_name_that_is_none_is_refused_as_the_option_would_be(
    site: Site, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, choice = answered("1\n6\nnobody\n", site, monkeypatch)
    with pytest.raises(UsageError, match='unknown service "nobody"'):
        choice.services(site)

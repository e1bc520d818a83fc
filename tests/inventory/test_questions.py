"""Questions that `init` left in an inventory: a file that loads, or names every one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabfile.inventory import questions
from tests.support.inventories import WRITTEN, leaves, problems, site, toml


def test_a_question_is_told_with_its_place_and_its_reason(tmp_path: Path) -> None:
    said = problems(tmp_path, {"services.api.port": "?: which of 4000 and 4001 is it"})
    assert said == ("services.api.port: not answered yet: which of 4000 and 4001 is it",)


def test_a_bare_question_mark_asks_as_well(tmp_path: Path) -> None:
    assert problems(tmp_path, {"edge.app_domain": "?"}) == ("edge.app_domain: not answered yet",)


def test_all_questions_come_at_once_with_whatever_else_is_wrong(tmp_path: Path) -> None:
    said = problems(
        tmp_path,
        {
            "edge.root": "?: where is it",
            "services.web.kind": "?: web, api or worker",
            "services.api.durables": ["api-alerts", "?: and which else"],
            "app.user": "not a user",
        },
    )
    assert [line.partition(":")[0] for line in said] == [
        "app.user",
        "edge.root",
        "services.api.durables[1]",
        "services.web.kind",
    ]
    assert [" not answered yet" in line for line in said] == [False, True, True, True]


def test_a_variable_answers_a_question(tmp_path: Path) -> None:
    answered = site(tmp_path, {"edge.container": "?: which one"}, {"NPM_CONTAINER_NAME": "edge"})
    assert answered.edge.container == "edge"


@pytest.mark.parametrize("value", ["?no", "what?", "", "-?: x"])
def test_other_texts_ask_nothing(value: str) -> None:
    assert not questions.is_question(value)


@pytest.mark.parametrize("why", ["two\nlines", "a 'quote' and a \"double\"", "ü\t—", ""])
def test_what_is_asked_is_a_question_of_one_line(why: str) -> None:
    asked = questions.question(why)
    assert questions.is_question(asked) and "\n" not in asked


PLACES = sorted(
    {path for path in leaves(WRITTEN) if not any(isinstance(key, int) for key in path)} - {("default_host",)}
)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(PLACES), min_size=1, max_size=12))
def test_any_values_may_be_asked_for(tmp_path_factory: pytest.TempPathFactory, places: set[str]) -> None:
    folder = tmp_path_factory.mktemp("asked")
    asked = dict.fromkeys(places, "?: what is it")
    said = problems(folder, asked)
    assert len(said) == len(places)
    assert all("not answered yet: what is it" in line for line in said)


def test_a_file_with_questions_is_toml_all_the_same(tmp_path: Path) -> None:
    assert "?: why" in toml({"edge": {"root": questions.question("why")}})

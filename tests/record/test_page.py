"""The page and the Markdown of every kind of record, and how they look in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.record import page
from fabfile.record.charts import position, span, ticks
from fabfile.record.followups import Decision
from fabfile.record.model import Document, document
from tests.record import browser, journals

DECISIONS = [Decision("Keep native as the default runtime, or go back", "`inv soak --hours 24` says.")]


def made(name: str) -> Document:
    return document(journals.ENDED[name], journals.CHECKS, (), DECISIONS)


@pytest.mark.parametrize("name", journals.ENDED)
def test_page_and_markdown_have_the_ending_and_the_failures(name: str) -> None:
    doc = made(name)
    for text in (page.html(doc), page.markdown(doc)):
        assert doc.id in text and page.ENDINGS[doc.outcome] in text
        assert all(stage.name in text for course in doc.courses for stage in course.stages)
        assert "Keep native" in text and "a second Compose project" in text


def test_the_page_needs_nothing_but_itself_and_runs_nothing() -> None:
    text = page.html(made("done"))
    assert "<script" not in text and "&lt;script&gt;" in text, "evidence is text, whatever it holds"
    assert not re.search(r"(?:src|href)=|url\(|@import", text)
    assert "<code>inv soak --hours 24</code>" in text


def test_both_forms_have_what_was_handed_over() -> None:
    rows = [["redis", "db0", 500, 490], ["nats", "stream A|B", 7, 7]]
    doc = document([*journals.DONE[:2], journals.at(3, "done", "data: all there", handed_over=rows)])
    assert "| redis | db0 | 500 | 490 |" in page.markdown(doc) and r"stream A\|B" in page.markdown(doc)
    assert "<td>db0</td>" in page.html(doc) and "500, 490" not in page.html(doc), "the timeline has it not once more"
    assert "What was handed over" not in page.html(made("done")) + page.markdown(made("done"))


def test_both_forms_have_the_exposure_of_each_unit() -> None:
    heading = {**journals.HEADING, "exposures": {"islandflow-redis.service": 1.3, "islandflow-api.service": 6.0}}
    doc = document([journals.at(0, "start", **heading)])
    assert "- islandflow-api.service: 6.0\n- islandflow-redis.service: 1.3\n" in page.markdown(doc)
    assert "<dt>islandflow-redis.service</dt><dd>1.3</dd>" in page.html(doc)
    assert "Exposure" not in page.html(made("done")) + page.markdown(made("done"))


def test_markdown_stands_what_evidence_holds() -> None:
    doc = document([*journals.DONE[:3], journals.at(1, "failed", "app: units", error="a | b\nc")])
    (line,) = [line for line in page.markdown(doc).splitlines() if "app: units" in line]
    assert line.endswith(r"| app: units | failed: a \| b c |")


def test_a_reverted_step_is_listed_with_its_failure_and_its_undo() -> None:
    text = page.markdown(made("reverted"))
    failed, undone = (line for line in text.splitlines() if "| docker: app stopped |" in line)
    assert "| failed: exit 1: no such container" in failed
    assert undone.endswith("| undone: web and api are up again |")
    stuck = page.markdown(made("stuck")).splitlines()
    failed, again = (line for line in stuck if "| docker: app stopped |" in line)
    assert "failed: exit 1" in failed and again.endswith("| stuck: port 4000 is held by a stranger |")


def test_what_was_lost_by_a_plan_that_was_taken_back_is_in_the_first_lines() -> None:
    last = replace(journals.REVERTED[-1], evidence={**journals.REVERTED[-1].evidence, "lost": ["docker/web"]})
    doc = document([*journals.REVERTED[:-1], last])
    for text in (page.html(doc), page.markdown(doc)):
        assert "every step of it is undone. Healthy before it, and not after it: docker/web." in text


def test_data_that_a_way_back_did_not_bring_is_in_the_first_lines() -> None:
    missing = {"missing": ["redis: db0: 5 before, 4 now"]}
    doc = document(
        [
            *journals.REVERTED[:-1],
            replace(journals.REVERTED[-1], evidence={**journals.REVERTED[-1].evidence, **missing}),
        ]
    )
    for text in (page.html(doc), page.markdown(doc)):
        assert "Data is missing: redis: db0: 5 before, 4 now." in text


@given(st.lists(st.text(alphabet="`+- ax", max_size=12), max_size=6).map(tuple))
def test_no_line_of_a_diff_ends_its_fence(lines: tuple[str, ...]) -> None:
    fence = page._fence(lines)
    assert not any(line.lstrip(" ").startswith(fence) for line in lines)


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0.001, 1e5))
def test_every_bar_lies_on_its_axis_and_can_be_seen(began: float, seconds: float, whole: float) -> None:
    course = document(journals.DONE).courses[0]
    left, width = span(course, began, seconds)
    assert 0 <= left < 100 and width >= 0.4
    assert 0 <= position(began, whole) <= 100
    marks = ticks(whole)
    assert marks[0] == 0 and marks[-1] <= whole and 1 <= len(marks) <= 9


@pytest.fixture(scope="module")
def tab() -> Iterator[browser.Page]:
    with browser.page() as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("name", journals.ENDED)
def test_nothing_overflows_narrow_or_wide_folded_or_not(
    tab: browser.Page, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    file = tmp_path / "record.html"
    file.write_text(page.html(made(name)))
    tab.open(file.as_uri(), width, scheme)
    assert tab.value(browser.OVERFLOW) == []
    tab.value("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert tab.value(browser.OVERFLOW) == []
    assert tab.value("document.documentElement.scrollWidth") <= width
    tab.screenshot(tmp_path / "record.png")
    assert (tmp_path / "record.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("width", [360, 1200])
def test_both_colour_schemes_can_be_read(tab: browser.Page, tmp_path: Path, width: int) -> None:
    """Ink on paper, of either scheme, differs by far more than the 4.5 : 1 that WCAG 2 asks for."""
    file = tmp_path / "record.html"
    file.write_text(page.html(made("done")))
    seen = set()
    for scheme in ("light", "dark"):
        tab.open(file.as_uri(), width, scheme)
        ink, paper = (tab.value(f"getComputedStyle(document.body).{key}") for key in ("color", "backgroundColor"))
        lighter, darker = sorted((_luminance(ink), _luminance(paper)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) > 4.5
        seen.add(paper)
    assert len(seen) == 2


def _luminance(colour: str) -> float:
    """Relative luminance of rgb(…), WCAG 2."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

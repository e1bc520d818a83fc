"""A plan as --dry shows it: every step, why some have nothing to do, and diffs of what would be written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fabfile.commands import preview
from fabfile.plans.plan import NothingToUndo, Plan, Step, Undo, as_json, contents, judge
from fabfile.runner.actions.base import Probe
from fabfile.runner.actions.edge_point import PointEdge
from fabfile.runner.actions.files import File, Files
from fabfile.runner.actions.settings import WriteSettings
from fabfile.runner.edge.change import EdgeHost
from fabfile.runner.facts.gather import gather
from fabfile.runner.system.machine import Machine, Observation
from fabfile.runner.wire.facts import Facts, FileFact
from fabfile.runner.wire.settings import SettingsFile, SettingsFileFact
from tests.runner.support.commands import Run
from tests.runner.support.fake_edge import FakeEdge, stand_in
from tests.runner.support.npm_shape import DOMAIN


@dataclass(frozen=True)
class Answers(Probe):
    """Something that would be waited for."""

    def check(self, machine: Machine) -> Observation:
        raise AssertionError("a preview asks nothing")

    def describe(self) -> str:
        return "the api answers"


def file(path: str, text: str, mode: int = 0o644) -> File:
    content = text.encode()
    return File(path, hashlib.sha256(content).hexdigest(), mode, content=content)


def fact(path: str, text: str, mode: int = 0o644) -> FileFact:
    return FileFact(path, "file", mode, "root", "root", hashlib.sha256(text.encode()).hexdigest(), text)


def shown(plan: Plan, **files: FileFact) -> list[str]:
    return list(preview.lines(judge(plan, Facts(files={found.path: found for found in files.values()}))))


def writing(*files: File) -> Plan:
    return Plan("app.install", (Step("app: files", Files(files), Undo()),))


def test_a_new_file_is_shown_whole() -> None:
    lines = shown(writing(file("/etc/new.conf", "a = 1\nb = 2\n")))
    assert lines == [
        "app.install: 1 of 1 steps would change something",
        "  1. app: files: write /etc/new.conf",
        "       --- /etc/new.conf (now)",
        "       +++ /etc/new.conf (then)",
        "       @@ -0,0 +1,2 @@",
        "       +a = 1",
        "       +b = 2",
    ]


def test_a_changed_file_is_shown_as_a_diff() -> None:
    lines = shown(writing(file("/etc/x", "a\nb = 2\nc\n")), x=fact("/etc/x", "a\nb = 1\nc\n"))
    assert lines[-4:] == ["        a", "       -b = 1", "       +b = 2", "        c"]


def test_changed_rights_are_told_in_words() -> None:
    lines = shown(writing(file("/etc/x", "same\n", 0o600)), x=fact("/etc/x", "same\n", 0o644))
    assert lines[2:] == ["       /etc/x: root:root 644 becomes root:root 600"]


def test_a_file_that_is_as_wanted_has_no_diff_beside_one_that_is_not() -> None:
    lines = shown(writing(file("/etc/same", "same\n"), file("/etc/new", "new\n")), same=fact("/etc/same", "same\n"))
    assert [line for line in lines if "/etc/same" in line] == ["  1. app: files: write /etc/same, /etc/new"]
    assert any("+++ /etc/new" in line for line in lines)


def test_a_step_with_nothing_to_do_says_why() -> None:
    lines = shown(writing(file("/etc/same", "same\n")), same=fact("/etc/same", "same\n"))
    assert lines == [
        "app.install: 0 of 1 steps would change something",
        "  1. app: files: nothing to do, 1 files are up to date",
    ]


def test_steps_keep_their_order_verification_and_undo() -> None:
    run = Step("app: build", Run(("bun", "install")), NothingToUndo("it can be built again"), (Answers(),), 12)
    plan = replace(writing(file("/etc/new", "new\n")), confirm_within=90)
    lines = shown(replace(plan, steps=(run, *plan.steps)))
    assert lines[:4] == [
        "app.install: 2 of 2 steps would change something",
        "  1. app: build: run `bun install`",
        "       then, within 12 s, the api answers",
        "       no undo: it can be built again",
    ]
    assert lines[4].startswith("  2. app: files")
    assert lines[-1] == "Then the public checks run from here; unless they pass within 90 s, all is undone."


def test_nobody_waits_for_checks_when_nothing_changes() -> None:
    plan = replace(writing(file("/etc/same", "same\n")), confirm_within=90)
    assert "public checks" not in " ".join(shown(plan, same=fact("/etc/same", "same\n")))


def test_contents_travel_beside_the_plan_and_each_once() -> None:
    plan = writing(file("/etc/a", "same\n"), file("/etc/b", "same\n"), file("/etc/c", "other\n"))
    assert sorted(contents(plan).values()) == [b"other\n", b"same\n"]
    assert "other" not in str(as_json(plan))


# ── The edge ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    made = FakeEdge(tmp_path)
    stand_in(made, monkeypatch)
    return made


ROUTES = ("ws", "replay", "prints", "flow", "quotes")


def switch(edge: FakeEdge) -> list[str]:
    """What pointing the app's name at native would do, as things are."""
    action = PointEdge(edge.ref, (EdgeHost(DOMAIN, "172.18.0.1", 3000, ROUTES, "172.18.0.1", 4000),))
    plan = Plan("npm.switch", (Step("edge: point to native", action, Undo()),))
    return [line.strip() for line in preview.lines(judge(plan, gather(edge, action.required_facts())))]


def test_a_switch_shows_rows_and_files_before_and_after(edge: FakeEdge) -> None:
    lines = switch(edge)
    titles = [line for line in lines if line.startswith("---")]
    assert titles == [f"--- proxy_host row 1 ({DOMAIN}) (now)", f"--- {edge.conf / '1.conf'} (now)"]
    assert "-forward_host: web" in lines and "+forward_host: 172.18.0.1" in lines
    assert lines.count("+location ~ ^/(ws|replay|prints|flow|quotes)(/|$) {") == 2


def test_a_switch_that_would_be_refused_says_why(edge: FakeEdge) -> None:
    edge.refuses = lambda text: True
    lines = switch(edge)
    assert "refused as things are: nginx -t already fails in nginx-proxy-manager: nginx: [emerg] test failed" in lines
    assert not [line for line in lines if line.startswith("---")]


def test_a_switch_of_an_edge_that_cannot_be_read_says_why(edge: FakeEdge) -> None:
    Path(edge.ref.database).unlink()
    assert [line for line in switch(edge) if line.startswith("refused as things are: ") and "database" in line]


def test_settings_are_shown_by_the_names_that_change() -> None:
    action = WriteSettings(SettingsFile("/etc/settings.env", "/app/.env", "delta", "delta"))
    plan = Plan("app.install", (Step("app: settings", action, Undo()),))
    facts = Facts(settings_file=SettingsFileFact("file", differs="it says something else in KEY"))
    assert "       /etc/settings.env: it says something else in KEY" in preview.lines(judge(plan, facts))

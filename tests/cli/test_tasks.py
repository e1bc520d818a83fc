"""What holds for every task of the collection, whichever door it is called through."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.tasks import Task

from fabfile import namespace
from fabfile.commands import options, session
from fabfile.inventory import POSTURES, RUNTIMES, SCOPES, load
from tests.support import inventories
from tests.support.entry_points import DOORS, TASKS, Recorder, Run, inv, recorded
from tests.support.fake_host import FakeHost

# Tasks called so, in whatever group, change nothing.
LOOKS_ONLY = {"status", "history", "attach", "check", "audit", "diff", "static", "environment", "watch", "verify-token"}
LOOKS_ONLY |= {"record", "soak", "init", "doctor", "releases", "logs", "exec"}
SERVES_THE_LAB = {name for name in TASKS if name.startswith("lab.")}  # they change this machine, not a VPS
ON_THIS_MACHINE = {"record", "followup", "init"}  # they need no inventory, unless a record has to be made
ON_A_TERMINAL = {"guide"}  # it asks, and runs other tasks
OF_ALL_HOSTS = {name for name in TASKS if name.startswith("dns.")} | {"followup"}  # DNS is one for all
CHANGES = {name for name in TASKS if name.rpartition(".")[2] not in LOOKS_ONLY} - SERVES_THE_LAB - ON_A_TERMINAL

every_task = pytest.mark.parametrize("name", sorted(TASKS))
both_doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


def parameters(task: Task[Any]) -> dict[str, inspect.Parameter]:
    return dict(list(inspect.signature(task.body).parameters.items())[1:])


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def of(name: str, kind: type) -> list[str]:
    """The flags of a task whose value is of that type."""
    return [flag(p.name) for p in parameters(TASKS[name]).values() if type(p.default) is kind]


def needed(name: str) -> list[str]:
    """The options without which a task is bad usage."""
    given = {"to": ["--to", options.choices_of(TASKS[name].body)["to"][0]], "full": ["--full"]}
    words = [word for parameter, words in given.items() if parameter in parameters(TASKS[name]) for word in words]
    words += ["--yes"] if "yes" in parameters(TASKS[name]) else []  # there is no terminal to answer at
    return words + {"revert": ["--last"], "deploy": ["--ref", "main"], "edge.maintenance": ["--off"]}.get(name, [])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """All tasks' bodies replaced by one that notes the call."""
    with recorded(monkeypatch) as recorder:
        yield recorder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The connections that were attempted; attempting one is all that a task gets to do."""
    attempts: list[Any] = []

    def attempt(context: Any, site: Any, name: str | None) -> Any:
        attempts.append(site.host(name))
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "select_host", attempt)
    return attempts


# ── What each task says of itself ───────────────────────────────────────────────────────────────────────────────────


def test_the_collection_has_a_task_for_every_script() -> None:
    assert set(TASKS) >= {
        *("infra.bootstrap", "infra.install", "infra.start", "infra.stop", "infra.check"),
        *("app.install", "app.start", "app.stop", "app.restart", "app.check"),
        *("docker.render", "docker.up", "docker.stop", "docker.check"),
        *("npm.switch", "npm.status", "npm.diff", "npm.backup", "npm.restore", "public.check"),
        "edge.maintenance",
        *("firewall.allow", "firewall.status", "firewall.audit", "firewall.close"),
        *("dns.status", "dns.posture", "dns.verify-token"),
        *("streams.check", "streams.watch", "provider.check", "check.static", "check.environment"),
        *("init", "doctor", "cutover", "rollback", "status", "record", "followup", "soak"),
    }


@every_task
def test_a_task_says_what_it_does_in_one_line(name: str) -> None:
    first, _, rest = inspect.cleandoc(TASKS[name].__doc__ or "").partition("\n")
    assert 20 <= len(first) <= 100
    assert first[0].isupper() and first.endswith(".")
    assert not re.search(r"todo|fixme|stub|not implemented|placeholder|xxx", first + rest, re.IGNORECASE)


def test_the_list_shows_every_task_with_its_line() -> None:
    said = " ".join(inv("--list").out.split())
    for name, task in TASKS.items():
        assert f"{name} {inspect.cleandoc(task.__doc__ or '').splitlines()[0]}" in said


@every_task
def test_no_task_takes_positional_arguments(name: str) -> None:
    assert list(TASKS[name].positional) == []
    assert all(p.default is not p.empty for p in parameters(TASKS[name]).values())


@every_task
def test_flags_are_off_unless_given(name: str) -> None:
    assert not [p.name for p in parameters(TASKS[name]).values() if p.default is True]


@every_task
@both_doors
def test_help_names_every_parameter_with_a_text_and_runs_nothing(
    name: str, door: Callable[..., Run], calls: Recorder
) -> None:
    run = door(name, "--help")
    said = " ".join(run.out.split())
    assert run.code == 0 and calls.calls == []
    for parameter in parameters(TASKS[name]):
        text = options.help_of(TASKS[name].body, parameter).replace("inv ", "inv " if door is inv else "islandflow ")
        assert flag(parameter) in said and text in said


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_task_that_changes_something_can_be_tried_dry_and_speaks_json(name: str) -> None:
    assert {"dry", "json"} <= set(parameters(TASKS[name]))
    # What is done on a VPS holds its lock.
    for parameter in ("host", "wait"):
        assert (parameter in parameters(TASKS[name])) is (name not in OF_ALL_HOSTS)


@pytest.mark.parametrize("name", sorted(set(TASKS) - CHANGES - SERVES_THE_LAB - ON_A_TERMINAL))
def test_a_task_that_only_looks_applies_no_plan(name: str) -> None:
    source = inspect.getsource(inspect.unwrap(TASKS[name].body))
    assert ".apply(" not in source and not {"dry", "wait"} & set(parameters(TASKS[name]))
    assert "json" in parameters(TASKS[name])


# ── Nothing runs for real by mistake ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(CHANGES))
@both_doors
def test_dry_arrives_as_dry(name: str, door: Callable[..., Run], calls: Recorder) -> None:
    assert door(name, *needed(name), "--dry").code == 0
    [(called, with_)] = calls.calls
    assert called == name and with_["dry"] is True


@every_task
@both_doors
def test_a_value_left_out_is_never_taken_from_the_next_option(
    name: str, door: Callable[..., Run], opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in of(name, str):
        run = door(name, text, *(of(name, bool)[:1] or ["--help"]))
        assert run.code != 0, text
        assert opened == []


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"public.check"} - SERVES_THE_LAB))
def test_invokes_own_dry_run_runs_nothing(name: str, opened: list[Any]) -> None:
    """It stops what `context.run` runs, which is nothing here: the task would run for real."""
    run = inv("--dry", name)
    assert run.code == 2 and "Invoke's own --dry" in run.err and opened == []


@pytest.mark.parametrize("name", sorted(set(TASKS) - CHANGES - SERVES_THE_LAB))
def test_dry_on_a_task_that_has_none_says_so(name: str, opened: list[Any]) -> None:
    run = inv(name, "--dry")
    assert run.code == 2 and "this task has none" in run.err and opened == []


@both_doors
def test_an_unknown_option_runs_nothing(door: Callable[..., Run], calls: Recorder) -> None:
    assert door("cutover", "--bogus").code != 0
    assert door("cutover", "full").code != 0
    assert calls.calls == []


# ── Choices and hosts ───────────────────────────────────────────────────────────────────────────────────────────────

WITH_CHOICES = [
    (name, parameter, choices)
    for name, task in sorted(TASKS.items())
    for parameter, choices in options.choices_of(task.body).items()
    if parameter in parameters(task)
]


@pytest.mark.parametrize(("name", "parameter", "choices"), WITH_CHOICES)
@both_doors
def test_a_wrong_choice_lists_the_right_ones(
    name: str, parameter: str, choices: tuple[str, ...], door: Callable[..., Run], opened: list[Any]
) -> None:
    run = door(name, flag(parameter), "wrong")
    assert run.code == 2 and opened == []
    assert all(choice in run.err for choice in choices) and "wrong" in run.err


@pytest.mark.parametrize(("name", "parameter", "choices"), WITH_CHOICES)
@both_doors
def test_a_right_choice_arrives(
    name: str, parameter: str, choices: tuple[str, ...], door: Callable[..., Run], calls: Recorder
) -> None:
    to = ["--to", "native"] if "to" in parameters(TASKS[name]) and parameter != "to" else []
    for choice in choices:
        assert door(name, *to, flag(parameter), choice).code == 0
    assert [given[parameter] for _, given in calls.calls] == list(choices)


@both_doors
def test_a_choice_that_must_be_made_is_asked_for(door: Callable[..., Run], opened: list[Any]) -> None:
    run = door("npm.switch")
    assert run.code == 2 and opened == []
    assert "--to" in run.err and all(runtime in run.err for runtime in RUNTIMES)


def test_choices_are_where_they_should_be() -> None:
    kinds = {(name, parameter): choices for name, parameter, choices in WITH_CHOICES}
    assert kinds["cutover", "scope"] == SCOPES
    assert kinds["app.install", "scope"] == ("none", *SCOPES)
    assert kinds["npm.switch", "to"] == RUNTIMES
    assert kinds["npm.switch", "way"] == ("auto", "files", "api")
    assert kinds["npm.switch", "raw_api"] == ("keep", "open", "closed")
    assert kinds["dns.posture", "to"] == POSTURES


@pytest.mark.parametrize("name", sorted(n for n in set(TASKS) - ON_THIS_MACHINE if "host" in parameters(TASKS[n])))
@both_doors
def test_an_unknown_host_lists_the_hosts(name: str, door: Callable[..., Run], opened: list[Any]) -> None:
    run = door(name, *needed(name), "--host", "nowhere")
    assert run.code == 2 and opened == []
    assert 'unknown host "nowhere"' in run.err and "Choose the host from: vps." in run.err


@pytest.mark.parametrize("given", ["soon", "0", "-3", "nan"])
@both_doors
def test_what_is_no_duration_is_refused(given: str, door: Callable[..., Run], opened: list[Any]) -> None:
    run = door("streams.watch", f"--seconds={given}")
    assert run.code == 2 and opened == []
    assert "--seconds" in run.err


@pytest.mark.parametrize("given", ["long", "0", "-3", "nan", "inf"])
@both_doors
def test_a_soak_takes_hours_that_end(given: str, door: Callable[..., Run], opened: list[Any]) -> None:
    run = door("soak", f"--hours={given}")
    assert run.code == 2 and opened == []
    assert "--hours" in run.err


@both_doors
def test_a_soak_is_started_or_stopped(door: Callable[..., Run], opened: list[Any]) -> None:
    run = door("soak", "--hours", "1", "--stop")
    assert run.code == 2 and opened == []


@pytest.mark.parametrize(
    "words", [("cutover",), ("rollback", "--full"), ("rollback", "--ref", "main"), ("deploy", "--ref", "main")]
)
@both_doors
def test_where_nobody_can_be_asked_nothing_begins_without_a_yes(
    words: tuple[str, ...], door: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost()
    host.stand_in(monkeypatch)
    for more in ((), ("--json",)):
        run = door(*words, *more)
        assert run.code == 2 and "nobody can be asked" in run.err and host.calls == []
    door(*words, "--yes")
    assert host.calls == [("survey",)]


@both_doors
def test_rollback_has_one_way_back(door: Callable[..., Run], opened: list[Any]) -> None:
    for words in (["--full", "--ref", "main"], ["--full", "--pieces", "api"], ["--full", "--scope", "api"]):
        run = door("rollback", *words)
        assert run.code == 2 and "--full" in run.err and opened == []


# ── One collection behind both doors ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(set(TASKS) - SERVES_THE_LAB))
def test_both_doors_call_the_same_function_with_the_same_arguments(name: str, calls: Recorder) -> None:
    words = [name]
    for parameter in parameters(TASKS[name]).values():
        choice = options.choices_of(TASKS[name].body).get(parameter.name, ("some",))[-1]
        words += [flag(parameter.name)] if parameter.default is False else [flag(parameter.name), choice]
    for door in DOORS.values():
        assert door(*words).code == 0
    assert len(calls.calls) == 2 and calls.calls[0] == calls.calls[1]
    assert set(calls.calls[0][1]) == set(parameters(TASKS[name]))


@both_doors
def test_ctrl_c_ends_with_130(door: Callable[..., Run], opened: list[Any]) -> None:
    run = door("status")
    assert len(opened) == 1
    assert run.code == 130 and "Nothing was changed on the VPS" in run.err


# ── Inventories ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """An inventory with three errors in it."""
    changes = {"services.api.port": 70000, "edge.app_domain": "no domain", "app.surprise": 1}
    file = tmp_path / "broken.toml"
    file.write_text(inventories.toml(inventories.changed(changes)))
    return file


@pytest.mark.parametrize("name", sorted(set(TASKS) - SERVES_THE_LAB - ON_THIS_MACHINE))
@both_doors
def test_a_broken_inventory_stops_every_task_with_all_its_errors(
    name: str, door: Callable[..., Run], broken: Path, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(broken))

    run = door(name, *needed(name))

    assert run.code == 2 and opened == []
    assert f"{broken} has 3 errors" in run.err
    assert all(f"  - {path}: " in run.err for path in ("services.api.port", "edge.app_domain", "app.surprise"))


@both_doors
def test_the_environment_chooses_the_inventory(
    door: Callable[..., Run], tmp_path: Path, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(inventories.toml(inventories.changed({"hosts.vps.address": "192.0.2.7"})))
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(file))
    door("status")
    assert [host.address for host in opened] == ["192.0.2.7"]


@both_doors
def test_without_a_choice_it_is_the_repositorys_own(
    door: Callable[..., Run], tmp_path: Path, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ISLANDFLOW_INVENTORY", raising=False)
    monkeypatch.chdir(tmp_path)
    door("status")
    assert [host.address for host in opened] == [load(inventories.SHIPPED, {}).host().address]


def test_a_task_can_be_called_as_a_function(opened: list[Any]) -> None:
    """As code does that composes tasks: the guard is the task's own, not the door's."""
    from invoke.exceptions import Exit

    with pytest.raises(Exit) as left:
        namespace["app.start"](Context(), scope="wrong")
    assert left.value.code == 2 and opened == []

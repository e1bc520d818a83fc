"""What is loaded before a task runs: hardly more than Invoke and Click, so that listing and completing are quick."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = ("cryptography", "fabric", "jinja2", "markupsafe", "paramiko", "pydantic", "requests", "rich", "websockets")
OWN = (
    *("fabfile.inventory", "fabfile.rendering", "fabfile.record", "fabfile.remote", "fabfile.cloudflare"),
    *("fabfile.runner.actions", "fabfile.runner.edge", "fabfile.runner.engine", "fabfile.runner.system"),
)

# What is imported lazily stands in sys.modules as well, empty; type() tells it without loading it.
TELL = """
import atexit, sys, types
atexit.register(lambda: print("LOADED", *(n for n, m in list(sys.modules.items()) if type(m) is types.ModuleType)))
"""
LISTING = "import invoke.main; invoke.main.program.run(['inv', '--list'])"
COMPLETING = "import invoke.main; invoke.main.program.run(['inv', '--complete', '--', 'inv cut'])"
DOOR = "import fabfile.cli; fabfile.cli.cli({words!r}, prog_name='islandflow')"
WORD = {"_ISLANDFLOW_COMPLETE": "bash_complete", "COMP_WORDS": "islandflow cut", "COMP_CWORD": "1"}


def run(code: str, **environ: str) -> tuple[str, set[str]]:
    """What a Python of its own prints, and the modules that it has loaded when it ends."""
    told = subprocess.run(
        [sys.executable, "-c", TELL + code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    printed, _, loaded = told.rpartition("LOADED ")
    return printed, set(loaded.split())


def heavy(loaded: set[str]) -> set[str]:
    """Those of the modules that only a running task needs."""
    parts = {name for name in loaded for slow in (*LIBRARIES, *OWN) if name == slow or name.startswith(f"{slow}.")}
    return parts | (loaded & {"fabfile.commands.session", "fabfile.console", "fabfile.lab.lab", "fabfile.survey"})


@pytest.mark.parametrize(
    ("code", "environ", "expected"),
    [
        ("import fabfile", {}, ""),
        (LISTING, {}, "npm.switch"),
        (COMPLETING, {}, "cutover"),
        (DOOR.format(words=["--help"]), {}, "cutover"),
        (DOOR.format(words=["cutover", "--help"]), {}, "[full|web|api|services|workers]"),
        (DOOR.format(words=["npm", "switch", "--help"]), {}, "[native|docker]"),
        (DOOR.format(words=[]), WORD, "cutover"),
        *((DOOR.format(words=["completion", shell]), {}, "_ISLANDFLOW_COMPLETE") for shell in ("bash", "zsh", "fish")),
    ],
    ids=[
        *("import", "inv --list", "inv's completion", "--help", "cutover --help", "npm switch --help", "completion"),
        *("completion bash", "completion zsh", "completion fish"),
    ],
)
def test_nothing_heavy_is_loaded_before_a_task_runs(code: str, environ: dict[str, str], expected: str) -> None:
    printed, loaded = run(code, **environ)
    assert expected in printed
    assert "fabfile.tasks.handover" in loaded
    assert heavy(loaded) == set()


@pytest.mark.parametrize(("forbidden", "cached"), [("", True), ("1", False)])
def test_inv_compiles_this_package_once_and_not_for_each_command(tmp_path: Path, forbidden: str, cached: bool) -> None:
    run(LISTING, PYTHONPYCACHEPREFIX=str(tmp_path), PYTHONDONTWRITEBYTECODE=forbidden)
    assert bool(list(tmp_path.rglob("handover.*.pyc"))) is cached


@pytest.mark.parametrize("words", [["cutover", "--scope", "all"], ["deploy"], ["npm", "switch", "--to", "moon"]])
def test_a_wrong_option_is_refused_before_anything_heavy_is_loaded(words: list[str]) -> None:
    code = DOOR.format(words=words)
    _, loaded = run(f"try:\n    {code}\nexcept SystemExit as leaving:\n    assert leaving.code == 2")
    assert heavy(loaded) == set()


def test_the_first_use_loads_a_module_with_all_that_it_needs() -> None:
    _, loaded = run("import fabfile.tasks.app as tasks; tasks.session.Session")
    assert {"fabfile.commands.session", "fabfile.inventory.model", "paramiko", "rich"} <= loaded


def test_what_judges_facts_is_not_loaded_before_the_connection_is_begun() -> None:
    code = (
        "import fabfile.tasks.app as tasks\n"
        "tasks.session.Host.connect = lambda host: sys.exit('begun')\n"
        "try:\n    tasks.session.begin(None).survey()\n"
        "except SystemExit as leaving:\n    assert leaving.code == 'begun'"
    )
    _, loaded = run(code, ISLANDFLOW_INVENTORY=str(ROOT / "tests/site.toml"))
    assert {"fabfile.inventory.model", "paramiko"} <= loaded
    judging = {
        "fabfile.plans.plan",
        "fabfile.checks.preflight",
        "fabfile.runner.actions.base",
        "fabfile.runner.edge.facts",
    }
    assert loaded & {*judging, "fabfile.public.suite", "fabfile.record.model", "jinja2", "requests", "sqlite3"} == set()


def test_a_package_on_the_way_to_a_lazy_module_is_whole() -> None:
    lazily = "from fabfile.lazy import lazily\nwith lazily():\n    from fabfile.runner import actions\n"
    _, loaded = run(lazily)
    assert "fabfile.runner.actions" not in loaded
    _, loaded = run(f"{lazily}    from fabfile.runner.actions import units")
    assert {"fabfile.runner.actions", "fabfile.runner.actions.units", "fabfile.runner.actions.data"} <= loaded


def test_a_second_import_loads_no_lazy_module() -> None:
    twice = (
        "    from fabfile.plans import cutover\n    import fabfile.plans.cutover\n    import fabfile.plans.cutover\n"
    )
    lazily = f"from fabfile.lazy import lazily\nwith lazily():\n{twice}"
    _, loaded = run(lazily)
    assert "fabfile.plans.cutover" not in loaded
    printed, loaded = run(f"{lazily}print(fabfile.plans.cutover.cutover is cutover.cutover)")
    assert printed.strip() == "True" and "fabfile.plans.cutover" in loaded


def test_a_module_that_is_not_there_is_missed_at_once() -> None:
    run(
        "from fabfile.lazy import lazily\n"
        "try:\n    with lazily():\n        from fabfile.plans import nowhere\n"
        "except ImportError as error:\n    assert 'nowhere' in str(error)\n"
        "else:\n    raise AssertionError"
    )

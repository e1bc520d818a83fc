"""`islandflow completion`: what it prints completes in a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.entry_points import islandflow

ROOT = Path(__file__).parents[2]
COMMAND = f"#!{sys.executable}\nimport fabfile.cli\nfabfile.cli.main()\n"
COMPLETING = """
eval "$(islandflow completion bash)"
COMP_WORDS=({words})
COMP_CWORD={last}
_islandflow_completion islandflow
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("islandflow cut", ["cutover"]),
        ("islandflow npm sw", ["switch"]),
        ("islandflow npm switch --to ''", ["native", "docker"]),
        ("islandflow completion f", ["fish"]),
        ("islandflow logs --foll", ["--follow"]),
    ],
)
def test_bash_completes(tmp_path: Path, words: str, expected: list[str]) -> None:
    command = tmp_path / "islandflow"
    command.write_text(COMMAND)
    command.chmod(0o755)
    bash = shutil.which("bash") or pytest.fail("this test needs bash")
    script = COMPLETING.format(words=words, last=len(words.split()) - 1)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    said = subprocess.run([bash, "-c", script], env=environ, capture_output=True, text=True, cwd=ROOT, check=True)
    assert said.stdout.split() == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_their_own(shell: str) -> None:
    run = islandflow("completion", shell)
    assert run.code == 0 and f"{shell}_complete" in run.out


def test_an_unknown_shell_is_bad_usage() -> None:
    run = islandflow("completion", "tcsh")
    assert run.code == 2 and "bash" in run.err

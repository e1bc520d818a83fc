"""Facts that a survey brings home, from real files and from what programs say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.facts.gather import gather
from fabfile.runner.system.machine import Machine, Result
from fabfile.runner.wire.facts import FactsRequest, Need
from tests.runner.support.recorder import Recorder


def test_free_space_is_told_once_for_each_file_system(tmp_path: Path, small_disk: Path) -> None:
    folders = (str(tmp_path / "ops"), str(tmp_path), str(small_disk / "not/there/yet"))
    found = gather(Machine(tmp_path), FactsRequest(disks=folders)).disks
    assert list(found) == [folders[0], folders[2]]
    assert 0 < found[folders[2]] <= 3 << 20 < found[folders[0]]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("folder", "file", "denied"), [(0o755, 0o644, False), (0o755, 0o600, True), (0o700, 0o644, True)]
)
def test_the_env_file_must_be_readable_for_the_apps_user_too(
    tmp_path: Path, folder: int, file: int, denied: bool
) -> None:
    place = Path("/run") / f"islandflow-test-{os.getpid()}"  # not below a folder that is private to root
    place.mkdir(mode=0o755)
    try:
        (place / "in").mkdir()
        env = place / "in/.env"
        env.write_text("A=1\nSECRET=2\n")
        env.chmod(file)
        (place / "in").chmod(folder)
        facts = gather(Machine(tmp_path), FactsRequest(user="nobody", env_file=str(env), env_keys=("A",)))
    finally:
        shutil.rmtree(place)
    assert facts.env.values == {"A": "1"}
    assert bool(facts.env.denied) is denied and (not denied or "nobody cannot read" in facts.env.denied)


def test_an_env_file_of_a_user_that_does_not_exist_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").touch()
    facts = gather(Machine(tmp_path), FactsRequest(user="islandflow-nobody", env_file=str(tmp_path / ".env")))
    assert "no user islandflow-nobody" in facts.env.denied


@pytest.mark.parametrize(("mode", "told"), [(0o644, ""), (0o600, "not readable by all (mode 600)")])
def test_an_owner_file_that_units_cannot_read_says_nothing(tmp_path: Path, mode: int, told: str) -> None:
    owner = tmp_path / "owner"
    owner.write_text("native\n")
    owner.chmod(mode)
    facts = gather(Machine(tmp_path), FactsRequest(owner_file=str(owner)))
    assert facts.owner == ("" if told else "native") and told in facts.owner_error


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        ("Status: inactive", (True, False, "")),
        ("Status: active", (True, True, "")),
        ((1, "", "ERROR: problem running iptables"), (True, False, "ERROR: problem running iptables")),
    ],
)
def test_a_firewall_may_be_inactive_active_or_broken(
    answer: str | tuple[int, str, str], facts: tuple[bool, bool, str], tmp_path: Path
) -> None:
    found = gather(Recorder(tmp_path, {"ufw status": answer}), FactsRequest(firewall=True))
    assert (found.firewall.installed, found.firewall.active, found.firewall.problem) == facts


def test_a_firewall_may_be_absent(tmp_path: Path) -> None:
    class Bare(Machine):
        def run(self, argv: Sequence[str], **more: Any) -> Result:
            return super().run([f"/nowhere/{argv[0]}", *argv[1:]], **more)

    found = gather(Bare(tmp_path), FactsRequest(firewall=True))
    assert (found.firewall.installed, found.firewall.active, found.firewall.problem) == (False, False, "")


@pytest.fixture
def place(root: None) -> Iterator[Path]:
    """A folder that is not below one that is private to root."""
    made = Path("/run") / f"islandflow-test-{os.getpid()}"
    made.mkdir(mode=0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def test_what_a_unit_needs_is_looked_for_as_whom_it_runs(tmp_path: Path, place: Path) -> None:
    open_folder, shut, program = place / "open folder", place / "shut", place / "program"
    open_folder.mkdir(mode=0o755)
    shut.mkdir(mode=0o700)
    program.write_text("x")
    (shut / "file").write_text("x")
    wanted = (
        Need(str(open_folder), "enter", "nobody"),
        Need(str(shut), "enter", "nobody"),
        Need(str(shut / "file"), "read", "nobody"),
        Need(str(program), "run"),
        Need(str(program) + "s", "run"),
        Need(str(program), "enter"),
    )
    found = gather(Machine(tmp_path), FactsRequest(needs=wanted)).lacking
    assert found == {
        str(shut): f"nobody cannot enter {shut}",
        str(shut / "file"): f"nobody cannot read {shut}/file",
        str(program): f"{program} is no directory",
        f"{program}s": f"there is no {program}s",
    }
    assert gather(Machine(tmp_path), FactsRequest(needs=wanted[3:4])).lacking == {
        str(program): f"root cannot run {program}"
    }
    nobody = (Need(str(program), "read", "islandflow-nobody"),)
    assert "no user islandflow-nobody" in gather(Machine(tmp_path), FactsRequest(needs=nobody)).lacking[str(program)]

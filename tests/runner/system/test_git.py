"""Which commit a name is: the remote's branches come first, and nothing is fetched by looking."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fabfile.runner.system import git
from fabfile.runner.system.machine import CommandFailed, Machine
from tests.runner.support.app_repository import ME, AppRepository


@pytest.fixture
def flow(tmp_path: Path) -> AppRepository:
    return AppRepository(tmp_path)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def resolve(machine: Machine, flow: AppRepository, ref: str) -> tuple[str, bool]:
    return git.resolve(machine, str(flow.path), ME, ref)


def test_a_branch_is_what_the_remote_has_and_nothing_is_fetched(flow: AppRepository, machine: Machine) -> None:
    assert flow.git("rev-parse", "main") == flow.first
    assert resolve(machine, flow, "main") == (flow.second, False)
    flow.git("fetch", "--quiet")
    assert resolve(machine, flow, "main") == (flow.second, True)


@pytest.mark.parametrize("ref", ["v1", "HEAD", "main^{commit}", "whole", "short"])
def test_tags_and_commits_are_found(flow: AppRepository, machine: Machine, ref: str) -> None:
    named = {"whole": flow.first, "short": flow.first[:9]}.get(ref, ref)
    assert resolve(machine, flow, named) == (flow.first, True)


def test_a_whole_commit_may_be_the_remote_s(flow: AppRepository, machine: Machine) -> None:
    assert resolve(machine, flow, flow.second) == (flow.second, False)
    flow.git("remote", "remove", "origin")
    with pytest.raises(CommandFailed, match="no commit that"):
        resolve(machine, flow, flow.second)


@pytest.mark.parametrize("ref", ["no-such", "refs/*", "a b", "--upload-pack=x", "abcdef0", "..", ""])
def test_what_is_none_is_refused(flow: AppRepository, machine: Machine, ref: str) -> None:
    with pytest.raises(CommandFailed, match="is no branch or tag of the remote"):
        resolve(machine, flow, ref)


def test_a_remote_that_does_not_answer_is_no_older_commit(flow: AppRepository, machine: Machine) -> None:
    shutil.rmtree(flow.origin)
    with pytest.raises(CommandFailed, match="ls-remote"):
        resolve(machine, flow, "main")
    assert resolve(machine, flow, flow.first) == (flow.first, True), "for a commit nobody is asked"


def test_the_remote_is_the_branch_s_then_origin_then_the_only_one(flow: AppRepository, machine: Machine) -> None:
    assert git.remote(machine, str(flow.path), ME) == "origin"
    flow.git("remote", "add", "upstream", str(flow.origin))
    assert git.remote(machine, str(flow.path), ME) == "origin"
    flow.git("config", "branch.main.remote", "upstream")
    assert git.remote(machine, str(flow.path), ME) == "upstream"
    for name in ("origin", "upstream"):
        flow.git("remote", "remove", name)
    assert git.remote(machine, str(flow.path), ME) == ""
    flow.git("remote", "add", "forge", str(flow.origin))
    assert git.remote(machine, str(flow.path), ME) == "forge"


def test_changed_and_untracked_files_are_told_apart(flow: AppRepository, machine: Machine) -> None:
    (flow.path / "code").write_text("mine")
    (flow.path / "größe").write_text("new")
    (flow.path / ".gitignore").write_text("node_modules\n")
    (flow.path / "node_modules").mkdir()
    state = git.checkout(machine, str(flow.path), ME)
    assert state.changed == ("code",) and set(state.untracked) == {"größe", ".gitignore"}

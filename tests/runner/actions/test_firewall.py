"""UFW rules that go and come back; whether UFW itself agrees is seen on the lab."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabfile.runner.actions.firewall import AllowRule, DeleteRule
from fabfile.runner.system.machine import Machine, Result, StepFailed
from fabfile.runner.system.ufw import words
from fabfile.runner.wire.facts import Facts
from tests.runner.support.run_options import RunOptions

SSH, WEB, API = "ufw allow 22/tcp", "ufw allow 3000/tcp", "ufw allow 4000/tcp comment 'for a friend'"
ROUTE, V6 = "ufw route allow in on eth0", "ufw allow from fd00::/8 to any port 4000 proto tcp"
OURS = "ufw allow from 172.19.0.0/16 to any port 4000 proto tcp comment 'npm bridge to native api'"
BRIDGE = "172.18.0.0/16"


class Ufw(Machine):
    """UFW's list of rules: it appends, inserts before a rule for IPv4, and deletes whatever the comment."""

    def __init__(self, folder: Path, *lines: str, stubborn: bool = False) -> None:
        super().__init__(folder)
        self.lines = list(lines)
        self.stubborn = stubborn

    def run(self, argv: Sequence[str], **options: Unpack[RunOptions]) -> Result:
        """Do what the words say."""
        out, code = "", 0
        if argv[1:] == ["status", "verbose"]:
            out = "Status: active\nDefault: deny (incoming), allow (outgoing), deny (routed)\n"
        elif argv[1:] == ["show", "added"]:
            out = "\n".join(["Added user rules (see 'ufw status' for running firewall):", *self.lines])
        elif argv[1:3] == ["--force", "delete"]:
            self.lines = [line for line in self.lines if self.stubborn or not _same(line, argv[3:])]
        elif argv[1] == "insert" and self.lines[int(argv[2]) - 1] == V6:
            code = 1
        elif not self.stubborn:
            place = int(argv[2]) - 1 if argv[1] == "insert" else len(self.lines)
            self.lines.insert(place, _line(argv[3:] if argv[1] == "insert" else argv[1:]))
        return Result(tuple(argv), code, out, "")


def _line(rule: Sequence[str]) -> str:
    comment = rule[-2] == "comment"
    return " ".join(["ufw", *(rule[:-1] if comment else rule)]) + (f" '{rule[-1]}'" if comment else "")


def _same(line: str, rule: Sequence[str]) -> bool:
    return shlex.split(line)[1 : len(rule) + 1] == list(rule)


def _chain(lines: list[str]) -> list[str]:
    """The rules among which the order counts: routes and IPv6 have chains of their own."""
    return [line for line in lines if line not in (ROUTE, V6)]


def remove(line: str) -> DeleteRule:
    return DeleteRule(words(line))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations([SSH, WEB, API, OURS, ROUTE]), st.sampled_from([SSH, WEB, API, OURS]), st.integers(0, 2))
def test_a_rule_goes_and_comes_back_at_its_place(tmp_path: Path, lines: list[str], gone: str, v6: int) -> None:
    machine = Ufw(tmp_path, *lines, *[V6][:v6])
    before, action = list(machine.lines), remove(gone)
    look = action.inspect(machine)
    assert not look.noop_reason
    action.apply(machine, look.before)
    assert machine.lines == [line for line in before if line != gone]
    assert action.inspect(machine).noop_reason == "there is no such rule"
    for _ in range(2):
        action.undo(machine, look.before)
        assert _chain(machine.lines) == _chain(before)


def test_a_deletion_cut_off_before_it_began_keeps_the_rule(tmp_path: Path) -> None:
    machine = Ufw(tmp_path, SSH, WEB)
    look = remove(SSH).inspect(machine)
    assert remove(SSH).undo(machine, look.before) == {"kept": "allow 22/tcp"}
    assert machine.lines == [SSH, WEB]


def test_others_rules_that_came_or_went_meanwhile_are_left_as_they_are(tmp_path: Path) -> None:
    machine = Ufw(tmp_path, SSH, WEB, API, OURS)
    look = remove(WEB).inspect(machine)
    remove(WEB).apply(machine, look.before)
    machine.lines = ["ufw deny 25", OURS]
    remove(WEB).undo(machine, look.before)
    assert machine.lines == ["ufw deny 25", WEB, OURS]


def test_a_rule_that_stays_or_does_not_come_back_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="did not delete the rule allow 3000/tcp"):
        remove(WEB).apply(Ufw(tmp_path, WEB, stubborn=True), {"followed_by": []})
    with pytest.raises(StepFailed, match="did not restore the rule allow 3000/tcp"):
        remove(WEB).undo(Ufw(tmp_path, SSH, stubborn=True), {"followed_by": []})


def test_nothing_is_removed_while_nothing_filters() -> None:
    assert "not active" in remove(WEB).noop_reason(Facts())


def test_the_comment_is_not_part_of_what_is_deleted() -> None:
    assert remove(API).describe() == "ufw delete allow 4000/tcp"
    assert remove(WEB).describe() == "ufw delete allow 3000/tcp"


def test_a_rule_that_is_about_to_go_is_not_relied_upon(tmp_path: Path) -> None:
    machine = Ufw(tmp_path, SSH, API)
    assert AllowRule(BRIDGE, 4000, "x").inspect(machine).noop_reason == f"allowed by `{API}`"
    action = AllowRule(BRIDGE, 4000, "x", (API,))
    look = action.inspect(machine)
    assert not look.noop_reason
    action.apply(machine, look.before)
    assert machine.lines[-1] == f"ufw allow proto tcp from {BRIDGE} to any port 4000 comment 'x'"
    assert action.inspect(machine).noop_reason

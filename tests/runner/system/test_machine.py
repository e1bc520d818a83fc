"""Commands with deadlines, as root and as somebody else."""

from __future__ import annotations

import os
import pwd
import threading
import time
from pathlib import Path

import pytest

from fabfile.runner.system.machine import CommandFailed, Machine, Observation, StepFailed, tail
from tests.runner.test_parking import eventually


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_and_code_come_back(machine: Machine) -> None:
    result = machine.run(["sh", "-c", "echo out; echo err >&2; exit 3"], ok=(3,))
    assert (result.out, result.err, result.code, result.excerpt) == ("out\n", "err\n", 3, "err")


def test_an_unexpected_code_fails_with_what_was_said(machine: Machine) -> None:
    with pytest.raises(CommandFailed, match="ended with 7") as caught:
        machine.run(["sh", "-c", "echo why >&2; exit 7"])
    assert caught.value.evidence["said"] == "why"
    assert caught.value.evidence["code"] == 7


def test_any_exit_code_is_accepted_when_ok_is_none(machine: Machine) -> None:
    assert machine.run(["false"], ok=None).code == 1


def test_what_cannot_be_started_fails(machine: Machine) -> None:
    with pytest.raises(CommandFailed, match="could not be started"):
        machine.run(["/nowhere/at/all"])
    with pytest.raises(CommandFailed, match="could not be started"):
        machine.run(["true"], cwd="/nowhere")


def test_words_are_never_seen_by_a_shell(machine: Machine) -> None:
    assert machine.run(["echo", "$HOME; `id` *"]).out == "$HOME; `id` *\n"


def test_past_the_deadline_the_whole_group_is_killed(machine: Machine, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! $$ > {pids}; wait"
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="longer than 3 s"):
        machine.run(["sh", "-c", script], timeout=3)
    assert time.monotonic() - started < 30
    ends = time.monotonic() + 10
    while any(alive(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < ends, "they outlive their group"
        time.sleep(0.02)


def test_a_child_that_left_the_group_and_keeps_the_pipe_does_not_hold_us(machine: Machine, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {pid}; exec sleep 60' & sleep 60"
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="longer than"):
        machine.run(["sh", "-c", script], timeout=3)
    assert time.monotonic() - started < 30
    os.kill(int(pid.read_text()), 9)


def test_large_output_and_input_do_not_block(machine: Machine) -> None:
    size = 3_000_000
    assert len(machine.run(["head", "-c", str(size), "/dev/zero"]).out) == size
    assert len(machine.run(["cat"], stdin=bytes(size)).out) == size
    assert machine.run(["true"], stdin=bytes(size)).code == 0, "nobody reads it"


def test_while_a_command_runs_its_last_line_can_be_read(machine: Machine, tmp_path: Path) -> None:
    """On either stream, as a terminal would show it; the next command begins with none."""
    gate, seen = tmp_path / "gate", []
    os.mkfifo(gate)
    script = f"printf 'first\\n\\n'; cat {gate}; printf '10 %%\\r20 %%' >&2; cat {gate}"
    thread = threading.Thread(target=lambda: seen.append(machine.run(["sh", "-c", script]).code))
    thread.start()
    for line in ("first", "20 %"):
        assert eventually(lambda line=line: machine.printed == line), machine.printed  # type: ignore[misc]
        gate.write_text("")
    thread.join()
    assert seen == [0] and machine.printed == ""


def test_without_input_there_is_nothing_to_read(machine: Machine) -> None:
    assert machine.run(["cat"], timeout=5).out == ""


def test_output_that_is_no_text_is_still_returned(machine: Machine) -> None:
    assert machine.run(["printf", r"a\377b"]).out == "a\ufffdb"


def test_another_user_with_its_own_groups_and_home(machine: Machine, root: None) -> None:
    nobody = pwd.getpwnam("nobody")
    out = machine.run(["sh", "-c", "id -u; id -g; id -G; echo $HOME $USER $XDG_RUNTIME_DIR"], user="nobody").out
    uid, gid, groups, rest = out.splitlines()
    assert (int(uid), int(gid)) == (nobody.pw_uid, nobody.pw_gid)
    assert [int(group) for group in groups.split()] == os.getgrouplist("nobody", nobody.pw_gid)
    assert rest == f"{nobody.pw_dir} nobody /run/user/{nobody.pw_uid}"


def test_nothing_of_our_own_environment_goes_along(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "tell nobody")
    assert "SECRET" not in machine.run(["env"]).out
    assert "EXTRA=1" in machine.run(["env"], env={"EXTRA": "1"}).out


def test_a_user_that_does_not_exist_is_a_failure_with_its_name(machine: Machine) -> None:
    with pytest.raises(CommandFailed, match="no user islandflow-nobody"):
        machine.run(["true"], user="islandflow-nobody")


def test_waiting_ends_when_it_holds_or_is_lost_or_time_is_up(machine: Machine) -> None:
    looks: list[int] = []

    def third() -> Observation:
        looks.append(1)
        return Observation(len(looks) == 3, "")

    assert machine.wait(third, 5, every=0.01).ok
    assert not machine.wait(lambda: Observation(False, "", permanent=True), 60).ok
    started = time.monotonic()
    assert not machine.wait(lambda: Observation(False, ""), 0.2).ok
    assert 0.15 < time.monotonic() - started < 30
    assert machine.wait(lambda: Observation(True, ""), -1).ok, "however late, it is looked once"


def test_contents_that_were_never_shipped(machine: Machine) -> None:
    with pytest.raises(StepFailed, match="is not on the VPS"):
        machine.content("0" * 64)


def test_tail_is_short() -> None:
    assert tail("a\n\n b \n") == "a\n b "
    assert len(tail("x" * 5000)) == 1000
    assert tail("\n".join(map(str, range(20)))).splitlines() == [str(n) for n in range(14, 20)]

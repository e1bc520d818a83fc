"""Units and scripts are checked by the real systemd-analyze and the real bash; nothing of them stays or runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from fabfile.runner.facts.scripts import exposures, script_errors, unit_errors
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.app import UnitFile
from tests.runner.support.recorder import Recorder

GOOD = "[Service]\nExecStart=/bin/true\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Machine(tmp_path)


def test_a_good_unit_is_met_with_silence_and_leaves_nothing(machine: Machine, tmp_path: Path) -> None:
    assert unit_errors(machine, [UnitFile("x-good.service", GOOD)]) == {"": ""}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "Surprise=1\n", "x-bad.service:3: Unknown key"),
        ("[Service]\nExecStart=/no/such/program\n", "/no/such/program"),
        ("[Service]\nType=oneshot\n", "x-bad.service"),
        (GOOD + "[Unit]\nRequires=no-such-unit-anywhere.service\n", "no-such-unit-anywhere.service"),
    ],
)
def test_whatever_is_said_of_a_unit_is_told(machine: Machine, text: str, said: str) -> None:
    """On some of these `verify` exits with 0."""
    found = unit_errors(machine, [UnitFile("x-good.service", GOOD), UnitFile("x-bad.service", text)])
    assert said in found[""] and "islandflow-units-" not in found[""]


@pytest.mark.parametrize(
    "line",
    [
        "/usr/lib/systemd/system/other.service:9: Unknown key name 'Surprise' in section 'Service', ignoring.",
        "/etc/systemd/system/other.service.d/override.conf:2: Invalid URL, ignoring: x",
        "/etc/systemd/system.conf:4: Unknown key name 'Surprise' in section 'Manager', ignoring.",
        "other@tty1.service: Command /usr/bin/other is not executable: No such file or directory",
        "Unit snap-core-1.mount has a bad unit file setting, ignoring.",
    ],
)
@pytest.mark.parametrize("code", [0, 1])
def test_what_is_said_of_other_packages_files_is_no_failure_of_ours(line: str, code: int, tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"systemd-analyze": (code, "", f"{line}\na.service: ours\n")})
    assert unit_errors(machine, [UnitFile("a.service", GOOD)]) == {"": "a.service: ours"}
    alone = Recorder(tmp_path, {"systemd-analyze": (code, "", f"{line}\n")})
    assert unit_errors(alone, [UnitFile("a.service", GOOD)]) == {"": ""}


def test_each_manager_verifies_its_own_units(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"systemd-analyze --user": (0, "", "b.service:1: warned of")})
    found = unit_errors(machine, [UnitFile("a.service", GOOD), UnitFile("b.service", GOOD, "delta")])
    assert found == {"": "", "delta": "b.service:1: warned of"}
    assert machine.users == [None, "delta"]
    assert [Path(call[-1]).name for call in machine.calls] == ["a.service", "b.service"]


def test_a_script_check_that_fails_without_output_reports_its_exit_code(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"systemd-analyze": (1, "", "")})
    assert unit_errors(machine, [UnitFile("a.service", GOOD)]) == {"": "systemd-analyze ended with 1"}


def test_each_unit_has_a_score_that_falls_with_what_it_is_denied(machine: Machine, tmp_path: Path) -> None:
    sealed = GOOD + "User=nobody\nProtectSystem=strict\nPrivateDevices=yes\nCapabilityBoundingSet=\n"
    units = [UnitFile("x-open.service", GOOD, "delta"), UnitFile("x-sealed.service", sealed)]
    scores, error = exposures(machine, units)
    assert not error and 0 < scores["x-sealed.service"] < scores["x-open.service"] <= 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((1, "", "systemd-analyze: unrecognized option '--offline=yes'"), "unrecognized option"),
        ((0, "→ Overall exposure level for b.service: 1.3 OK", ""), "no score for a.service: it prints none"),
    ],
)
def test_a_score_that_systemd_does_not_give_is_not_known(
    tmp_path: Path, answer: tuple[int, str, str], why: str
) -> None:
    """Before version 250 it knows installed units only."""
    machine = Recorder(tmp_path, {"systemd-analyze security": answer})
    scores, error = exposures(machine, [UnitFile("a.service", GOOD)])
    assert scores == {} and why in error


def test_scripts_are_read_and_not_run(machine: Machine, tmp_path: Path) -> None:
    good, broken, mark = tmp_path / "good.sh", tmp_path / "broken.sh", tmp_path / "mark"
    good.write_text(f"touch {mark}\n")
    broken.write_text("if true; then\n")
    missing = str(tmp_path / "missing.sh")
    found = script_errors(machine, [str(good), str(broken), missing], "")
    assert found[str(good)] == "" and not mark.exists()
    assert "syntax error" in found[str(broken)] and "No such file" in found[missing]

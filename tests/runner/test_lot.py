"""The parking lot's verbs taken back: whatever the plan had opened is closed in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile.runner import parking
from fabfile.runner.actions.lot import CloseLot, OpenLot
from fabfile.runner.crossing import Upstreams

from .recorder import Recorder

LOT = ("edge", Upstreams((13000,), ("172.18.0.1",)), 0.1)
OPEN, LEAVING = "islandflow-park-1", Upstreams((3000,), ("172.18.0.1",))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lots' states are kept, instead of /run."""
    for function in (parking.current, parking.begin, parking.close):
        monkeypatch.setattr(function, "__defaults__", (tmp_path / "lots",))
    return tmp_path / "lots"


@pytest.fixture
def machine(tmp_path: Path, folder: Path) -> Recorder:
    """A VPS whose edge does not run, so that nobody is under way; a lot is open."""
    machine = Recorder(tmp_path, {"docker inspect": (1, "", "No such container"), "systemctl is-active": (3, "", "")})
    parking.begin(machine, OPEN, "172.18.0.1", (13000,))
    return machine


def test_a_lot_that_was_opened_again_on_the_way_back_is_closed_as_well(folder: Path, machine: Recorder) -> None:
    close = CloseLot(*LOT)
    before = close.look(machine).before
    close.do(machine, before)
    close.restore(machine, before)
    again = parking.current()
    assert again and again.unit == before["again"]

    OpenLot(*LOT, LEAVING).restore(machine, {"unit": OPEN})

    assert parking.current() is None and list(folder.iterdir()) == []
    assert machine.calls[-1] == ("systemctl", "stop", f"{again.unit}.socket")


def test_a_closed_lot_is_opened_again_once_however_often_it_is_taken_back(machine: Recorder) -> None:
    close = CloseLot(*LOT)
    before = close.look(machine).before
    close.do(machine, before)
    close.restore(machine, before)
    machine.answers["systemctl is-active"] = ""
    close.restore(machine, before)
    assert [call[3] for call in machine.said("systemd-run")] == [f"--unit={OPEN}", f"--unit={before['again']}"]


def test_a_lot_that_was_opened_again_only_half_gives_way_to_a_whole_one(machine: Recorder) -> None:
    close = CloseLot(*LOT)
    before = close.look(machine).before
    parking.begin(machine, before["again"], "172.18.0.1", (13000,))
    machine.calls.clear()
    close.restore(machine, before)
    verbs = [call[:3] if call[0] == "systemctl" else call[3:4] for call in machine.calls]
    stopped = ("systemctl", "stop", f"{before['again']}.socket")
    assert verbs.index(stopped) < verbs.index((f"--unit={before['again']}",))

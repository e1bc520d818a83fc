"""Labs that begin at the same time have ports of their own."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fabfile.lab import lab


def test_labs_that_begin_together_choose_different_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "home", lambda: tmp_path)
    files = [tmp_path / "labs" / name / "ports.json" for name in "abcdefgh"]
    for file in files:
        file.parent.mkdir(parents=True)
    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(lab._reserve_ports, files))
    ports = [port for file in files for port in json.loads(file.read_text()).values()]
    assert len(ports) == len(set(ports)) > len(files)


def test_a_lab_keeps_its_ports(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    file.write_text('{"ssh": 1}')
    lab._reserve_ports(file)
    assert file.read_text() == '{"ssh": 1}'

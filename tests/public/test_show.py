"""How the checks' account reads, for people and for programs."""

from __future__ import annotations

import json

import pytest

from fabfile.commands.public import show
from fabfile.console import Console
from fabfile.errors import Failed
from fabfile.inventory import Site
from fabfile.public import Answer, Check

GOOD = Check("page", True, "answers 200", 5, answers=(Answer("DNS", True, "answers 200", 5),))
SOON = Check("TLS", True, "valid for 20 days", 5, warning=True)
DNS = Check("health", False, "DNS or CDN: does not resolve", 5, fault="DNS or CDN")
ORIGIN = Check("route", False, "origin: answers 502", 5, fault="origin")


def test_good_checks_and_warnings_end_well(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(), site, [GOOD, SOON])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["✓", "page", "answers", "200", "(5", "ms)"] in lines
    assert ["!", "TLS", "valid", "for", "20", "days", "(5", "ms)"] in lines


def test_a_site_without_dns_is_told_plainly(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(), site, [GOOD])
    said = " ".join(capsys.readouterr().out.split())
    assert "pinned to 127.0.0.1 alone: DNS was not asked (public.resolve is false)" in said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([GOOD, DNS], ["DNS or the CDN is at fault and the VPS is well"]),
        ([ORIGIN], ["The origin is at fault"]),
        ([DNS, ORIGIN], ["DNS or the CDN is at fault", "The origin is at fault"]),
    ],
)
def test_the_next_step_follows_from_whose_fault_it_is(site: Site, found: list[Check], said: list[str]) -> None:
    with pytest.raises(Failed) as caught:
        show(Console(), site, found)
    assert caught.value.exit_code == 1
    assert [line.startswith(start) for line, start in zip(caught.value.next_step.splitlines(), said, strict=True)]


def test_programs_get_every_answer(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(json=True), site, [GOOD])
    ways, check = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ways == {"version": 2, "kind": "ways", "dns": False, "pinned": "127.0.0.1"}
    assert (check["kind"], check["name"], check["ok"], check["fault"]) == ("public", "page", True, "")
    assert check["answers"] == [{"way": "DNS", "ok": True, "text": "answers 200", "ms": 5, "warning": False}]

"""UFW's own listing, read as UFW means it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.system.ufw import allows, opening_rules, parse, rules
from fabfile.runner.wire.firewall import Rule
from tests.runner.support.recorder import Recorder

BRIDGE = "172.18.0.0/16"


def allowed(*lines: str, port: int = 4000) -> str:
    """The rule by which the bridge reaches the port, all lines in UFW's order."""
    rules = [rule for rule in map(parse, lines) if rule]
    return allows(rules, BRIDGE, port)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("ufw allow 22/tcp", ("allow", "22", "tcp", "", "")),
        ("ufw allow 3000", ("allow", "3000", "", "", "")),
        ("ufw allow 80,443/tcp comment 'the web'", ("allow", "80,443", "tcp", "", "the web")),
        ("ufw limit 22/tcp", ("limit", "22", "tcp", "", "")),
        ("ufw allow OpenSSH", ("allow", "OpenSSH", "", "", "")),
        ("ufw allow 'Nginx Full'", ("allow", "Nginx Full", "", "", "")),
        (
            "ufw allow from 172.18.0.0/16 to any port 4000 proto tcp comment 'npm bridge to native api'",
            ("allow", "4000", "tcp", BRIDGE, "npm bridge to native api"),
        ),
        ("ufw allow in from any to any port 4000", ("allow", "4000", "", "", "")),
        ("ufw allow log 4000/tcp", ("allow", "4000", "tcp", "", "")),
        ("ufw deny from 10.0.0.0/8", ("deny", "", "", "10.0.0.0/8", "")),
        ("ufw allow from 10.0.0.0/8 to any app OpenSSH", ("allow", "OpenSSH", "", "10.0.0.0/8", "")),
        ("ufw allow 22 comment to", ("allow", "22", "", "", "to")),
        ("ufw allow 22 comment ''", ("allow", "22", "", "", "")),
    ],
)
def test_lines_of_the_listing(line: str, rule: tuple[str, ...]) -> None:
    found = parse(line)
    assert found
    assert (found.action, found.port, found.protocol, found.source, found.comment) == rule
    assert found.text == line
    assert not found.narrow


@pytest.mark.parametrize(
    "line",
    ["ufw deny out 25/tcp", "ufw route allow in on eth0 out on eth1", "ufw allow", "ufw", "ufw allow 'open", "(None)"],
)
def test_what_is_no_rule_for_incoming_traffic(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "ufw allow 4000",
        "ufw allow 4000/tcp",
        "ufw allow 3999:4001/tcp",
        "ufw allow 80,4000/tcp",
        "ufw allow from 172.16.0.0/12",
        "ufw allow from 172.18.0.1/16 to any port 4000",
        "ufw allow from any to any port 4000 proto tcp",
    ],
)
def test_what_lets_the_bridge_in(line: str) -> None:
    assert allowed(line) == line


@pytest.mark.parametrize(
    "line",
    [
        "ufw allow 4000/udp",
        "ufw allow 40000/tcp",
        "ufw allow 22,80/tcp",
        "ufw allow 5000:6000/tcp",
        "ufw allow OpenSSH",
        "ufw allow from 172.18.0.5 to any port 4000",
        "ufw allow from 172.19.0.0/16 to any port 4000",
        "ufw allow from fd00::/8 to any port 4000",
        "ufw allow from 10.0.0.0/8 to any app OpenSSH",
        "ufw allow in on tailscale0",
        "ufw allow in on eth0 to any port 4000 proto tcp",
        "ufw allow from any port 53 to any",
        "ufw allow from any to 203.0.113.10 port 4000",
        "ufw allow from any app DNS to any",
        "ufw route allow to any port 4000",
        "ufw deny 4000",
        "ufw limit 4000/tcp",
        "ufw allow 4000²",
    ],
)
def test_what_does_not(line: str) -> None:
    assert allowed(line) == ""


def test_the_first_rule_that_covers_it_decides() -> None:
    allow, deny = "ufw allow 4000/tcp", "ufw deny from 172.16.0.0/12 to any port 4000"
    assert allowed(deny, allow) == ""
    assert allowed(allow, deny) == allow
    assert allowed("ufw deny 4001", "ufw reject 4000/udp", allow) == allow


WORDS = "allow deny limit in out on eth0 log from to any port app proto tcp 10.0.0.0/8 4000 22/tcp comment x ' 1:"
words = st.sampled_from(tuple(WORDS.split(" ")))


@given(st.lists(words, max_size=9), st.text(max_size=20))
def test_no_line_breaks_it(some: list[str], comment: str) -> None:
    rule = parse(" ".join(["ufw", *some, "comment", f"'{comment}'"]))
    assert rule is None or isinstance(allows([rule], BRIDGE, 4000), str)


@given(
    st.integers(1, 65535),
    st.sampled_from(["", "tcp", "udp"]),
    st.sampled_from(["", BRIDGE, "10.0.0.0/8", "0.0.0.0/0"]),
    st.text(st.characters(codec="ascii", exclude_characters="'", categories=["L", "N", "P", "Zs"])),
)
def test_a_rule_written_as_ufw_writes_it_is_read_back(port: int, protocol: str, source: str, comment: str) -> None:
    line = f"ufw allow from {source or 'any'} to any port {port}" + (f" proto {protocol}" if protocol else "")
    line += f" comment '{comment}'" if comment else ""
    assert parse(line) == Rule("allow", str(port), protocol, source, comment, line)
    assert bool(allowed(line, port=port)) == (protocol != "udp" and source != "10.0.0.0/8")


# Profiles: as ufw 0.36.2 lists them

NPM = "ufw allow 'Nginx Proxy Manager'"
STATUS = """Status: active
Default: deny (incoming), allow (outgoing), deny (routed)

To                         Action      From
--                         ------      ----
22/tcp                     ALLOW IN    Anywhere
80,81,443/tcp (Nginx Proxy Manager) ALLOW IN    Anywhere
5000/tcp (Odd One)         ALLOW IN    10.0.0.0/8
53/udp (Odd One)           ALLOW IN    10.0.0.0/8
6000:6010/tcp (Odd One)    ALLOW IN    10.0.0.0/8
80,81,443/tcp (Nginx Proxy Manager (v6)) ALLOW IN    Anywhere (v6)
"""
INFO = """Profile: Nginx Proxy Manager
Title: Web ports
Description: Ports of the edge

Ports:
  80,443/tcp
  81
"""
UNKNOWN = (1, "", "ERROR: Could not find profile 'Nginx Proxy Manager'")


def listing(tmp_path: Path, status: str, info: str | tuple[int, str, str], *lines: str) -> tuple[Rule, ...]:
    answers = {"ufw show added": "\n".join(lines), "ufw status verbose": status, "ufw app info": info}
    return rules(Recorder(tmp_path, answers))


def test_a_profile_s_rule_opens_the_ports_that_the_active_ufw_lists(tmp_path: Path) -> None:
    """The profile's file may have changed since the rule was added, or be gone."""
    listed = listing(tmp_path, STATUS, UNKNOWN, "ufw allow 22/tcp", NPM)
    assert [rule.text for rule in opening_rules(listed, 81, "deny")] == [NPM]
    assert opening_rules(listed, 82, "deny") == ()
    assert allows(listed, BRIDGE, 443) == NPM and not allows(listed, BRIDGE, 4000)


def test_each_line_of_a_profile_counts_with_its_own_protocol(tmp_path: Path) -> None:
    listed = listing(tmp_path, STATUS, UNKNOWN, "ufw allow from 10.0.0.0/8 to any app 'Odd One'")
    assert [(rule.port, rule.protocol, rule.source) for rule in listed] == [
        ("5000", "tcp", "10.0.0.0/8"),
        ("53", "udp", "10.0.0.0/8"),
        ("6000:6010", "tcp", "10.0.0.0/8"),
    ]
    assert allows(listed, "10.1.0.0/16", 6005) and not allows(listed, "10.1.0.0/16", 53)


def test_where_ufw_is_not_active_its_profile_s_file_tells(tmp_path: Path) -> None:
    listed = listing(tmp_path, "Status: inactive\n", INFO, NPM)
    assert [(rule.port, rule.protocol) for rule in listed] == [("80,443", "tcp"), ("81", "")]


def test_a_profile_that_nobody_knows_may_open_anything_and_lets_nobody_in(tmp_path: Path) -> None:
    listed = listing(tmp_path, "Status: active\n", UNKNOWN, NPM)
    (rule,) = opening_rules(listed, 81, "deny")
    assert rule.unresolved and not allows(listed, BRIDGE, 81)
    refusing = listing(tmp_path, "Status: active\n", UNKNOWN, "ufw deny 'Nginx Proxy Manager'", "ufw allow 81/tcp")
    assert not allows(refusing, BRIDGE, 81), "the first that covers it decides, and this may be it"
    assert [rule.text for rule in opening_rules(refusing, 81, "deny")] == ["ufw allow 81/tcp"]


def test_rules_without_a_profile_need_no_second_look(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"ufw show added": "ufw allow 22/tcp"})
    rules(machine)
    assert machine.calls == [("ufw", "show", "added")]

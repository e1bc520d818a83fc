"""UFW's own listing, read as UFW means it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.system.ufw import allows, parse
from fabfile.runner.wire.firewall import Rule

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
        "ufw limit 4000/tcp",
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

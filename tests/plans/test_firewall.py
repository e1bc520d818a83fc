"""What the edge needs of UFW stays or comes; what the world does not need is found, and goes where it can."""

from __future__ import annotations

import dataclasses

import pytest

from fabfile.checks.firewall import before_native, public_ports, refusals, rows
from fabfile.inventory import Site
from fabfile.plans import firewall, plan
from fabfile.plans.plan import Plan, Steps
from fabfile.runner.system.ufw import parse
from fabfile.runner.wire.edge import EdgeNetwork
from fabfile.runner.wire.facts import Facts, Listener
from tests.support.facts import SUBNET, changed

FORMER = "ufw allow from 172.19.0.0/16 to any port 4000 proto tcp comment 'npm bridge to native api'"
WORLD = "ufw allow 3000/tcp"
OPEN = ("web, port 3000", "api, port 4000", "NPM's admin page, port 81")


def ruled(facts: Facts, *lines: str, default: str = "deny") -> Facts:
    """The facts with these rules alone."""
    return changed(facts, firewall={"rules": tuple(rule for rule in map(parse, lines) if rule), "default": default})


def ours(port: int, name: str) -> str:
    return f"ufw allow from {SUBNET} to any port {port} proto tcp comment 'npm bridge to native {name}'"


def left(steps: Steps, facts: Facts) -> list[str]:
    """What the steps that have something to do would run."""
    done = plan.judge(Plan("x", steps), facts).no_ops
    return [step.action.describe() for step in steps if step.name not in done]


def found(site: Site, facts: Facts) -> dict[str, str]:
    """The rows of an audit that are not good."""
    return {what: text for what, ok, text in public_ports(site, facts) if not ok}


def test_our_rule_for_a_former_subnet_goes_and_the_one_for_todays_comes(site: Site, fresh: Facts) -> None:
    facts = ruled(fresh, FORMER, WORLD)
    assert left(firewall.allow(site, facts), facts) == [
        f"ufw allow proto tcp from {SUBNET} to any port 4000 comment 'npm bridge to native api'",
        "ufw delete allow from 172.19.0.0/16 to any port 4000 proto tcp",
    ]


def test_our_rule_for_a_former_subnets_parking_lot_goes(site: Site, fresh: Facts) -> None:
    former = ours(13000, "web parking").replace(SUBNET, "172.19.0.0/16")
    facts = ruled(fresh, ours(3000, "web"), ours(4000, "api"), ours(13000, "web parking"), former)
    assert left(firewall.allow(site, facts), facts) == [
        "ufw delete allow from 172.19.0.0/16 to any port 13000 proto tcp"
    ]


def test_our_rule_for_a_former_port_goes(site: Site, fresh: Facts) -> None:
    facts = ruled(fresh, ours(3000, "web"), ours(4000, "api"), ours(4001, "api"))
    assert left(firewall.allow(site, facts), facts) == [f"ufw delete allow from {SUBNET} to any port 4001 proto tcp"]


@pytest.mark.parametrize(
    "line",
    [
        "ufw allow from 172.19.0.0/16 to any port 4000 proto tcp",
        "ufw allow from 172.19.0.0/16 to any port 4000 proto tcp comment 'somebody else'",
        "ufw allow 4000/tcp comment 'npm bridge to native api'",
        "ufw deny from 172.19.0.0/16 to any port 4000 proto tcp comment 'npm bridge to native api'",
    ],
)
def test_what_is_not_ours_stays(site: Site, fresh: Facts, line: str) -> None:
    facts = ruled(fresh, ours(3000, "web"), ours(4000, "api"), line)
    assert left(firewall.allow(site, facts), facts) == []


def test_nothing_is_taken_for_stale_while_the_subnet_is_unknown(site: Site, fresh: Facts) -> None:
    facts = ruled(changed(fresh, edge={"network": EdgeNetwork()}), FORMER)
    assert [line for line in left(firewall.allow(site, facts), facts) if "delete" in line] == []


def test_closing_lets_the_bridge_in_by_a_rule_of_its_own_before_the_worlds_goes(site: Site, fresh: Facts) -> None:
    facts = ruled(fresh, "ufw allow 22/tcp", WORLD, ours(4000, "api"), "ufw allow 6379", "ufw limit 81/tcp")
    assert left(firewall.close(site, facts), facts) == [
        f"ufw allow proto tcp from {SUBNET} to any port 3000 comment 'npm bridge to native web'",
        "ufw delete allow 3000/tcp",
        "ufw delete limit 81/tcp",
        "ufw delete allow 6379",
    ]
    assert refusals(site, facts) == []
    closed = ruled(fresh, "ufw allow 22/tcp", ours(3000, "web"), ours(4000, "api"))
    assert left(firewall.close(site, closed), closed) == []
    assert found(site, closed) == {}


@pytest.mark.parametrize(
    "line",
    [
        "ufw allow 80,81,3000/tcp",
        "ufw allow 2999:4000/tcp",
        "ufw allow from any to any",
        "ufw allow in on eth0 to any port 3000 proto tcp",
    ],
)
def test_a_rule_that_opens_more_stays_and_is_named_with_the_fix(site: Site, fresh: Facts, line: str) -> None:
    facts = ruled(fresh, line, ours(3000, "web"), ours(4000, "api"))
    assert [text for text in left(firewall.close(site, facts), facts) if "delete" in text] == []
    (finding,) = refusals(site, facts)
    assert finding.warning and f"`{line}`" in finding.text and "3000 (web)" in finding.text
    assert line in found(site, facts)["web, port 3000"]


def test_a_default_that_lets_in_is_found_and_named(site: Site, fresh: Facts) -> None:
    facts = ruled(fresh, "ufw deny 81/tcp", default="allow")
    rows = found(site, facts)
    assert "UFW" in rows and "ufw default allow incoming" in rows["web, port 3000"]
    assert "NPM's admin page, port 81" not in rows
    (finding,) = refusals(site, facts)
    assert "ufw default allow incoming" in finding.text


def test_what_docker_publishes_is_open_whatever_ufw_says(site: Site, fresh: Facts) -> None:
    proxies = (Listener(81, "0.0.0.0", 9, "docker-proxy", ""), Listener(81, "::", 9, "docker-proxy", ""))
    facts = changed(ruled(fresh, "ufw deny 81"), listeners=(*fresh.listeners, *proxies))
    assert found(site, facts) == {"NPM's admin page, port 81": "Docker publishes it on 0.0.0.0, ::, past UFW"}
    (finding,) = refusals(site, facts)
    assert finding.warning and "127.0.0.1:81" in finding.fix


def test_loopback_and_bridge_are_not_the_world(site: Site, fresh: Facts) -> None:
    own = (Listener(81, "127.0.0.1", 9, "docker-proxy", ""), Listener(3000, "172.18.0.1", 9, "bun", ""))
    facts = changed(ruled(fresh), listeners=own)
    assert found(site, facts) == {}
    assert found(site, changed(facts, firewall={"active": False})) == {"UFW": "not active: nothing filters"}


def test_a_firewall_that_does_not_answer_is_said_to_and_nothing_is_concluded(site: Site, fresh: Facts) -> None:
    facts = changed(fresh, firewall={"active": False, "problem": "ufw ended with 1", "rules": ()})
    assert found(site, facts) == {"UFW": "ufw ended with 1"}
    (finding,) = refusals(site, facts)
    assert not finding.warning and "ufw ended with 1" in finding.text


def test_without_a_filter_whatever_listens_is_open_and_closing_is_refused(site: Site, fresh: Facts) -> None:
    facts = changed(
        ruled(fresh), firewall={"active": False}, listeners=(Listener(6379, "0.0.0.0", 9, "redis-server", ""),)
    )
    assert found(site, facts)["redis, port 6379"] == "redis-server listens on 0.0.0.0"
    (finding,) = refusals(site, facts)
    assert not finding.warning and "not active" in finding.text


def test_every_port_of_the_inventory_that_is_nobodys_business_is_judged(site: Site, fresh: Facts) -> None:
    ports = (3000, 4000, 81, 4222, 8222, 6379, 8123)
    facts = ruled(fresh, *(f"ufw allow {port}/tcp" for port in ports))
    assert set(found(site, facts)) >= set(OPEN)
    assert len(found(site, facts)) == len(ports)


def test_ports_that_have_other_numbers_outside_are_judged_by_those_of_the_vps(site: Site, fresh: Facts) -> None:
    forwarded = site.public.model_copy(update={"closed_ports": {"web": 22004}})
    outside = site.model_copy(update={"public": forwarded})
    assert found(outside, ruled(fresh, WORLD)) == found(site, ruled(fresh, WORLD)) != {}


# What another firewall, or a profile, may do


def test_a_profile_that_opens_npm_s_page_is_found_named_and_left_alone(site: Site, fresh: Facts) -> None:
    line = "ufw allow 'Nginx Proxy Manager'"
    (bare,) = [rule for rule in [parse(line)] if rule]
    rule = dataclasses.replace(bare, port="80,443,81", protocol="tcp")
    facts = changed(fresh, firewall={"rules": (rule,), "default": "deny"})
    assert found(site, facts)["NPM's admin page, port 81"] == f"open by `{line}`"
    assert [finding.text for finding in refusals(site, facts) if line in finding.text]
    one = dataclasses.replace(bare, port="81", protocol="tcp")
    alone = changed(fresh, firewall={"rules": (one,), "default": "deny"})
    assert not [text for text in left(firewall.close(site, alone), alone) if "delete" in text]


def test_a_profile_whose_ports_nobody_knows_is_never_a_closed_port(site: Site, fresh: Facts) -> None:
    rows = found(site, ruled(fresh, "ufw allow 'Nginx Proxy Manager'"))
    assert {"can't be told" in rows[name] for name in rows} == {True} and len(rows) == len(site.private_ports)


@pytest.mark.parametrize("installed", [True, False])
def test_behind_another_firewall_nothing_is_advised_of_ufw_and_nothing_is_good(
    installed: bool, site: Site, fresh: Facts
) -> None:
    state = {"installed": installed, "active": False, "rules": (), "default": "", "other": "firewalld"}
    facts = changed(fresh, firewall=state, listeners=(Listener(81, "0.0.0.0", 7, "nginx", ""),))
    status = {what: (ok, text) for what, ok, text in rows(site, facts)}
    assert status.pop("UFW") == (True, f"not {'active' if installed else 'installed'}; firewalld filters")
    assert status and {ok for ok, _ in status.values()} == {False}
    assert {text for _, text in status.values()} == {"can't be told: the rules of firewalld are not read"}
    audit = found(site, facts)
    assert set(audit) == {"NPM's admin page, port 81"} and "can't be told" in audit["NPM's admin page, port 81"]
    (finding,) = refusals(site, facts)
    (before,) = before_native(site, facts)
    assert "firewalld" in finding.text and "firewalld" in before.text and before.warning
    assert not any("ufw" in text for text in (finding.fix, before.fix)) and SUBNET in before.fix

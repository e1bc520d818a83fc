"""UFW's real opinion: rules that come, go and come back at their place, and what is open all the same."""

from __future__ import annotations

import json
import shlex

from tests.system.conftest import Vps

FORMER = "ufw allow from 172.19.0.0/16 to any port 4000 proto tcp comment 'npm bridge to native api'"
WEB = "ufw allow from 172.18.0.0/16 to any port 3000 proto tcp comment 'npm bridge to native web'"
API = FORMER.replace("172.19", "172.18")


def rules(vps: Vps) -> list[str]:
    """UFW's listing, in its order, with IPv6's own order behind it."""
    both = vps.lab.run("ufw show added | grep ^ufw; grep '^### tuple' /etc/ufw/user6.rules")
    return both.stdout.splitlines()


def audit(vps: Vps) -> list[str]:
    """What is open to the world and need not be."""
    lines = [json.loads(line) for line in vps.tool("firewall", "audit", "--json").stdout.splitlines()]
    return [line["what"] for line in lines if line["kind"] == "check" and not line["ok"]]


def test_rules_come_and_go_and_come_back_at_their_place(vps: Vps) -> None:
    vps.lab.run(["ufw", "insert", "2", *shlex.split(FORMER)[1:]])
    vps.lab.run("ufw allow 4000/tcp && ufw allow 8000/tcp")
    before = rules(vps)
    assert audit(vps) == ["web, port 3000", "api, port 4000", "NPM's admin page, port 81"]

    dry = vps.good("firewall", "close", "--dry")
    assert "ufw delete allow 3000/tcp" in dry
    assert "which restarts that container" in vps.warned("firewall", "close", "--dry").replace("\n", " ")
    assert rules(vps) == before

    # The last step can't be done: what was done before must be undone.
    vps.lab.run("cp -p /usr/sbin/ufw /usr/sbin/ufw.real")
    grudge = '#!/bin/sh\ncase "$*" in "--force delete allow 4000/tcp") exit 1;; esac\nexec /usr/sbin/ufw.real "$@"\n'
    vps.lab.guest.write("/usr/sbin/ufw", grudge.encode(), mode=0o755)
    assert vps.tool("firewall", "close").returncode == 1
    assert rules(vps) == before

    vps.lab.run("mv /usr/sbin/ufw.real /usr/sbin/ufw")
    vps.good("firewall", "close")
    kept = [f"ufw allow {port}/tcp" for port in (22, 80, 443, 8000)]
    assert [line for line in rules(vps) if line.startswith("ufw")] == [kept[0], FORMER, *kept[1:], WEB, API]
    assert "nothing to do" in vps.good("firewall", "close")
    assert audit(vps) == ["NPM's admin page, port 81"]

    vps.good("firewall", "allow")
    assert FORMER not in rules(vps)
    assert "nothing to do" in vps.good("firewall", "allow")
    vps.good("cutover")
    assert vps.served_by() == ("native", "native", "native")

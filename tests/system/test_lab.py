"""The VPS in a box is what the rest takes it for: a VPS whose app runs in Docker behind the edge."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import time

import pytest

from fabfile import inventory
from fabfile.inventory import Site
from fabfile.lab.lab import Lab
from tests.system.conftest import Shared, Vps, until
from tests.system.jetstream import durables

APP, API = "flow.deltaisland.io", "api.flow.deltaisland.io"


@pytest.fixture(scope="module")
def lab(shared: Shared) -> Lab:
    """At the baseline once for the whole module: what is tested here leaves it as it was."""
    return shared.reach("baseline").lab


@pytest.fixture
def site(lab: Lab) -> Site:
    return inventory.load(lab.inventory, {})


def connects(port: int) -> bool:
    """Whether a server of the VPS says something to a stranger on this forwarded port."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.settimeout(30)
        try:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return bool(connection.recv(1))
        except OSError:
            return False


def test_systemd_is_the_first_process_and_the_users_manager_lingers(lab: Lab) -> None:
    assert lab.run(["ps", "-o", "comm=", "1"]).stdout.strip() == "systemd"
    assert "Linger=yes" in lab.run(["loginctl", "show-user", "delta"]).stdout
    user = ["sudo", "-u", "delta", "XDG_RUNTIME_DIR=/run/user/1000", "systemctl", "--user", "is-system-running"]
    assert lab.run(user).stdout.strip() == "running"


def test_the_login_user_becomes_root_without_a_password(lab: Lab) -> None:
    done = subprocess.run(lab.ssh("sudo -n id -u"), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.stdout.strip() == "0", done.stderr


def test_the_firewall_refuses_by_default_and_lets_in_what_the_original_host_let_in(lab: Lab) -> None:
    status = lab.run("ufw status verbose").stdout
    assert "Default: deny (incoming)" in status
    rules = {line.split("/")[0] for line in status.splitlines() if "/tcp" in line and "(v6)" not in line}
    assert rules == {"22", "80", "443", "3000"}


def test_a_stranger_reaches_3000_but_not_4000_though_both_are_listened_on(lab: Lab) -> None:
    serve = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port={0}, bind='203.0.113.10')"
    try:
        for port in (3000, 4000):
            unit = f"--unit=stranger-{port}"
            lab.run(["systemd-run", "--quiet", unit, "python3", "-c", serve.format(port)])
            lab.run(f"timeout 60 sh -c 'until curl -so /dev/null 203.0.113.10:{port}; do sleep 0.1; done'")
        assert connects(lab.ports["web"])
        assert not connects(lab.ports["api"])
    finally:
        lab.run("systemctl stop stranger-3000 stranger-4000")


def test_a_container_gets_no_answer_from_the_host_until_a_rule_allows_it(lab: Lab) -> None:
    """The original outage: curl on the host said all was well."""
    serve = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=4000, bind='172.18.0.1')"
    from_the_edge = "docker exec nginx-proxy-manager curl -so /dev/null -w '%{http_code}' 172.18.0.1:4000 -m "
    rule = "proto tcp from 172.18.0.0/16 to any port 4000"
    try:
        lab.run(["systemd-run", "--quiet", "--unit=native", "python3", "-c", serve])
        lab.run("timeout 60 sh -c 'until curl -so /dev/null 172.18.0.1:4000; do sleep 0.1; done'")
        assert lab.run(f"{from_the_edge} 2", check=False).stdout == "000"
        lab.run(f"ufw allow {rule}")
        assert lab.run(f"{from_the_edge} 60").stdout == "200"
    finally:
        lab.run(f"systemctl stop native; ufw delete allow {rule}")


def test_every_container_of_the_stack_runs_and_the_servers_are_healthy(lab: Lab, site: Site) -> None:
    template = "{{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}"

    def states_now() -> dict[str, str]:
        shown = lab.run(f"docker inspect -f '{template}' $(docker ps -aq)").stdout.split("\n")
        return dict(line.lstrip("/").split(" ", 1) for line in shown if line)

    servers = ("islandflow-vps-redis-1", "islandflow-vps-clickhouse-1")
    # Docker looks at them some seconds apart, the first time after the lab says that it is up.
    until("the servers are healthy", lambda: {states_now()[name] for name in servers} == {"running healthy"})
    states = states_now()
    expected = {f"islandflow-vps-{service.name}-1" for service in site.scope("full")}
    assert expected | {f"islandflow-vps-{server.name}-1" for server in site.servers} <= set(states)
    assert {state.split()[0] for state in states.values()} == {"running"}


def test_containers_write_as_the_official_images_users_do(lab: Lab) -> None:
    shown = lab.run("cd /var/lib/islandflow && stat -c '%n %u:%g' nats/jetstream redis/appendonlydir clickhouse/store")
    assert dict(line.split() for line in shown.stdout.splitlines()) == {
        "nats/jetstream": "0:0",
        "redis/appendonlydir": "999:1000",
        "clickhouse/store": "101:101",
    }


def test_the_edge_serves_the_app_its_routes_the_api_and_the_stranger(lab: Lab) -> None:
    vps = Vps(lab)
    code, headers, body = vps.get(APP, "/")
    assert (code, headers["x-islandflow-runtime"]) == (200, "docker")
    assert "<html" in body.lower()
    assert vps.get(APP, "/prints/recent")[1]["content-type"].startswith("application/json")
    assert vps.get(API, "/health")[0] == 200
    assert lab.run("curl -s -H 'Host: other.example.test' 203.0.113.10").stdout == "other\n"


def test_the_edge_sends_plain_requests_to_tls_and_refuses_unknown_names(lab: Lab) -> None:
    plain = lab.run(f"curl -so /dev/null -w '%{{http_code}} %{{redirect_url}}' -H 'Host: {APP}' 203.0.113.10/x").stdout
    assert plain == f"301 https://{APP}/x"
    welcome = lab.run("curl -s -w '%{http_code}' -H 'Host: unknown.test' 203.0.113.10").stdout
    assert "Congratulations!" in welcome and welcome.endswith("200"), "as NPM's own"
    refused = lab.run("curl -sSk --resolve '*:443:203.0.113.10' https://unknown.test/", check=False)
    assert "unrecognized name" in refused.stderr.replace("_", " ")


def test_the_login_user_can_read_the_edges_files_and_not_write_them(lab: Lab) -> None:
    shown = lab.run("cd /home/delta/nginx-proxy-manager/data && stat -c '%U:%G %a' database.sqlite nginx/proxy_host/*")
    assert shown.stdout.split("\n")[:-1] == ["root:root 644"] * 4


def test_every_durable_is_bound(lab: Lab, site: Site) -> None:
    expected = {durable for service in site.scope("full") for durable in service.durables}
    deadline = time.monotonic() + 120
    while not (bound := {name for name, durable in durables(lab).items() if durable.get("push_bound")}) >= expected:
        assert time.monotonic() < deadline, f"not bound: {expected - bound}"
        time.sleep(0.2)


def test_the_websocket_upgrades_on_the_apps_name_and_brings_live_events(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=str(lab.ca))
    raw = socket.create_connection(("127.0.0.1", lab.ports["https"]), timeout=60)
    with context.wrap_socket(raw, server_hostname=APP) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET /ws/live HTTP/1.1\r\nHost: {APP}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        stream = connection.makefile("rb")
        assert stream.readline().split()[1] == b"101"
        while stream.readline().strip():
            pass
        opening, length = stream.read(2)
        assert opening == 0x81, "the first frame is not a whole text message"
        size = int.from_bytes(stream.read(2), "big") if length == 126 else length
        assert json.loads(stream.read(size))


def test_ingest_options_dies_of_the_providers_401_unless_the_adapter_is_synthetic(lab: Lab) -> None:
    compose = "cd /home/delta/islandflow/deployment/docker && docker compose run --rm --no-deps"
    done = lab.run(f"{compose} -e OPTIONS_INGEST_ADAPTER=alpaca ingest-options", check=False, timeout=300)
    assert done.returncode not in (0, 124)
    assert "401" in done.stdout + done.stderr


def test_the_checkout_is_clean_and_its_dependencies_install_without_a_network(lab: Lab, site: Site) -> None:
    delta = ["sudo", "-u", "delta", "sh", "-c"]
    assert lab.run([*delta, "cd ~/islandflow && git status --porcelain && git rev-parse @{u}"]).stdout.strip()
    install = " ".join(f"'{word}'" for word in site.app.install_argv)
    lab.run([*delta, f"cd ~/islandflow && cp -a . /tmp/again && cd /tmp/again && ~/.bun/bin/bun {install}"])
    lab.run("rm -rf /tmp/again")


def test_the_distributions_own_servers_are_disabled(lab: Lab) -> None:
    for unit in ("redis-server", "nats-server"):
        assert lab.run(["systemctl", "is-enabled", unit], check=False).stdout.strip() == "disabled"


def test_clickhouse_refuses_data_of_another_user(lab: Lab) -> None:
    config = "<clickhouse><path>/tmp/stranger</path><http_port>18123</http_port></clickhouse>"
    lab.run("mkdir /tmp/stranger && chown nobody /tmp/stranger && cat >/tmp/stranger.xml", stdin=config)
    done = lab.run("timeout 60 clickhouse-server --config-file=/tmp/stranger.xml", check=False)
    lab.run("rm -rf /tmp/stranger /tmp/stranger.xml")
    assert done.returncode not in (0, 124)
    assert "does not match the owner" in done.stderr

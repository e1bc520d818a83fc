"""The edge of the lab: a real container, a real firewall, and nginx's own opinion of what we write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from fabfile.lab.edge import hostfile
from fabfile.runner.edge.hostfile import updated_file
from fabfile.runner.edge.routes import BEGIN, managed_block, managed_config
from fabfile.runner.wire.edge import Upstream
from tests.runner.support.npm_shape import PREFIXES, HostShape, host_shapes, old_block
from tests.system.conftest import Vps

ROOT = "/home/delta/nginx-proxy-manager/data"
DATABASE = f"{ROOT}/database.sqlite"
EDGE = "docker exec nginx-proxy-manager"
DOCKER = ("docker", "docker", "docker")


def workers(vps: Vps) -> str:
    """The pids of the edge's nginx workers."""
    return vps.lab.run("pgrep -f 'nginx: worker process$'").stdout


def everything(vps: Vps) -> str:
    """A fingerprint of every row and every generated file, with mode, owner and time."""
    rows = vps.lab.run(["sqlite3", DATABASE, "SELECT * FROM proxy_host"]).stdout
    files = vps.lab.run(f"cd {ROOT}/nginx/proxy_host && sha256sum * && stat -c '%n %a %U %G %Y' *").stdout
    return rows + files


def set_advanced(vps: Vps, text: str) -> None:
    """Give the app's proxy host an advanced_config, in row and file, as saving it in NPM's page would."""
    row = json.loads(vps.lab.run(["sqlite3", "-json", DATABASE, "SELECT * FROM proxy_host WHERE id = 1"]).stdout)[0]
    row["advanced_config"] = text
    script = f"import sqlite3, sys; c = sqlite3.connect('{DATABASE}')\n"
    script += "c.execute('UPDATE proxy_host SET advanced_config = ? WHERE id = 1', [sys.stdin.read()]); c.commit()"
    vps.lab.run(["python3", "-c", script], stdin=text)
    vps.lab.run(["tee", f"{ROOT}/nginx/proxy_host/1.conf"], stdin=hostfile.render(row))
    vps.lab.run(f"{EDGE} nginx -s reload")


def make_nginx_refuse_our_block(vps: Vps) -> None:
    """Put something before the edge's nginx that finds our block bad."""
    grudge = f"""#!/bin/sh
if [ "$1" = -t ] && grep -q '{BEGIN}' /data/nginx/proxy_host/1.conf; then echo "[emerg] no" >&2; exit 1; fi
exec /usr/sbin/nginx "$@"
"""
    vps.lab.run(f"{EDGE.replace('exec', 'exec -i')} sh -c 'cat > /usr/local/sbin/nginx'", stdin=grudge)
    vps.lab.run(f"{EDGE} chmod 755 /usr/local/sbin/nginx")


def test_a_closed_firewall_is_found_from_inside_the_container_before_anything_is_touched(restored: Vps) -> None:
    before, running = everything(restored), workers(restored)
    listener = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, h.ThreadingHTTPServer, port=4000, "
    restored.lab.run(["systemd-run", "--quiet", "--unit=listener", "python3", "-c", f"{listener}bind='172.18.0.1')"])
    try:
        told = restored.tool("npm", "switch", "--to", "native")
    finally:
        restored.lab.run(["systemctl", "stop", "listener"])
    assert told.returncode != 0
    rule = "ufw allow proto tcp from 172.18.0.0/16 to any port 4000"
    assert rule in (told.stdout + told.stderr).replace("\n", " "), told.stdout + told.stderr
    assert (everything(restored), workers(restored)) == (before, running)


def test_the_two_blocks_of_the_later_script_become_one_and_every_route_follows(restored: Vps) -> None:
    """The first matching location wins: its second block, behind the first, never matched."""
    own = "client_max_body_size 7m;  # the operator's own"
    first = old_block(("ws", "replay", "prints"), Upstream("172.18.0.1", 4000))
    second = old_block(("ws", "replay", "prints", "flow"), Upstream("api", 4000), "(/|$)")
    set_advanced(restored, f"{first}\n\n{own}\n{second}")
    before = restored.edge_files()
    restored.good("npm", "switch", "--to", "docker")
    text = restored.edge_files()["1"]
    assert (text.count(BEGIN), text.count("location ~ ^/("), text.count(own)) == (1, 1, 1)
    assert restored.served_by() == DOCKER
    after = restored.edge_files()
    assert {key: after[key] for key in ("2", "3", "row 3")} == {key: before[key] for key in ("2", "3", "row 3")}
    assert "nothing to do" in restored.good("npm", "switch", "--to", "docker")


def test_files_that_nginx_refuses_are_put_back_and_the_running_nginx_never_notices(restored: Vps) -> None:
    before, running = everything(restored), workers(restored)
    make_nginx_refuse_our_block(restored)
    told = restored.tool("npm", "switch", "--to", "docker")
    assert told.returncode == 1, told.stdout + told.stderr
    assert "nginx refuses the new files" in (told.stdout + told.stderr).replace("\n", " ")
    assert (everything(restored), workers(restored)) == (before, running)
    assert restored.served_by() == DOCKER


def test_nginx_accepts_whatever_we_make_of_whatever_it_accepted(restored: Vps, tmp_path: Path) -> None:
    """Many hosts at once through nginx's own test, as NPM wrote them and as we edit them; then a request of each."""
    shapes: list[HostShape] = []

    @settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(host_shapes())
    def gather(shape: HostShape) -> None:
        # Plain requests would be told to come by TLS.
        shapes.append(replace(shape, names=(f"h{len(shapes)}.example.test",), tls=True))

    gather()
    block = managed_block(PREFIXES, Upstream("api", 4000))
    for edited in (False, True):
        for number, shape in enumerate(shapes):
            text = shape.render()
            if edited:
                advanced = managed_config(shape.advanced, block)
                text = updated_file(text, shape.names[0], Upstream("other", 8080), shape.advanced, advanced)
            (tmp_path / f"{100 + number}.conf").write_text(text)
        restored.lab.guest.unpack(tmp_path, f"{ROOT}/nginx/proxy_host", owner="root")
        tested = restored.lab.run(f"{EDGE} nginx -t", check=False)
        assert tested.returncode == 0, f"edited: {edited}\n{tested.stderr}"
    restored.lab.run(f"{EDGE} nginx -s reload")
    asked = restored.lab.run(["python3", "-c", ASK, str(len(shapes)), *PREFIXES], timeout=300)
    assert json.loads(asked.stdout) == []
    restored.lab.guest.write(f"{ROOT}/nginx/proxy_host/99.conf", b"server { no; }\n")
    assert restored.lab.run(f"{EDGE} nginx -t", check=False).returncode != 0, "it does read these files"


# Inside the VPS: each host's page must be the stranger's, and each prefix of it the API's. Prints what is not.
ASK = """
import http.client, json, socket, ssl, sys, time
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
count, prefixes, ends = int(sys.argv[1]), sys.argv[2:], time.monotonic() + 120
def connection(name):
    while True:
        try:
            plain = socket.create_connection(("127.0.0.1", 443), 10)
            made = http.client.HTTPConnection(name)
            made.sock = context.wrap_socket(plain, server_hostname=name)
            return made
        except ssl.SSLError:  # the reload is not taken yet
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
wrong = []
for number in range(count):
    name = f"h{number}.example.test"
    asking = connection(name)
    paths = ["/", "/page/x"] + [f"/{prefix}{tail}" for prefix in prefixes for tail in ("", "/x")]
    for path in paths:
        asking.request("GET", path)
        answer = asking.getresponse()
        body, api = answer.read(), answer.headers.get("x-islandflow-runtime")
        page = path in ("/", "/page/x")
        if (body == b"other\\n") != page or (api == "docker") == page:
            wrong.append([name, path, answer.status, body[:60].decode(errors="replace")])
    asking.close()
print(json.dumps(wrong))
"""

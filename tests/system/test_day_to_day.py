"""A native app day to day: what is refused before anything stops, and what is told when something does not run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.system.conftest import Vps, until

API = "api.flow.deltaisland.io"
USER = "sudo -u delta XDG_RUNTIME_DIR=/run/user/$(id -u delta) systemctl --user"
UNITS = "/home/delta/.config/systemd/user"
ENV = "/home/delta/islandflow/.env"
DATA = "/home/delta/nginx-proxy-manager/data"

# What the app's own script does to the row and the file of the API's hostname.
CLOSE = "forward_scheme = 'http', forward_host = '127.0.0.1', forward_port = 9, allow_websocket_upgrade = 0"
CLOSE += ", advanced_config = '', enabled = 0"

GONE = "! pgrep -f '[s]leep 4711|[-]-follow --no-tail|[d]ocker logs'"


def lines(vps: Vps, kind: str) -> list[dict[str, Any]]:
    """What `status` tells of one kind."""
    told = [json.loads(line) for line in vps.good("status", "--json").splitlines()]
    return [line for line in told if line["kind"] == kind]


def running(vps: Vps) -> str:
    """The main processes of the app's units."""
    return vps.lab.run(f"{USER} show -p MainPID 'islandflow-*.service'").stdout


def drop_in(vps: Vps, service: str, *words: str) -> None:
    """Something else in a service's unit; without words, nothing any more."""
    folder = f"{UNITS}/islandflow-{service}.service.d"
    if words:
        vps.lab.guest.write(f"{folder}/test.conf", "\n".join(["[Service]", *words, ""]).encode(), owner="delta:delta")
    else:
        vps.lab.run(["rm", "-r", folder])
    vps.lab.run(f"{USER} daemon-reload")


def test_installing_refusing_quoting_and_stopping(vps: Vps) -> None:
    vps.good("cutover")

    # Installing again leaves what starts at boot as it is.
    vps.good("app", "install")
    (native,) = [line["names"] for line in lines(vps, "reboot") if line["runtime"] == "native"]
    assert len(native) == 9 and not lines(vps, "warning")
    vps.lab.run(f"{USER} disable islandflow-api.service islandflow-web.service")
    assert any("would not bring up web, api" in line["text"] for line in lines(vps, "warning"))
    vps.good("app", "install", "--scope", "full")
    assert not lines(vps, "warning")

    # Without its env file nothing is stopped.
    before = running(vps)
    vps.lab.run(f"mv {ENV} {ENV}.away")
    for words in (("app", "restart", "--scope", "workers"), ("rollback", "--ref", "HEAD", "--scope", "workers")):
        refused = vps.tool(*words)
        assert refused.returncode == 3 and "env file" in refused.stdout + refused.stderr, refused.stdout
    vps.lab.run(f"mv {ENV}.away {ENV}")
    assert running(vps) == before
    missing = vps.tool("rollback", "--ref", "no-such-commit", "--scope", "workers")
    assert missing.returncode == 3 and "no-such-commit is no branch" in missing.stdout + missing.stderr
    assert running(vps) == before

    # Who ends badly on its stop signal is told, and not left failed.
    drop_in(vps, "candles", "ExecStopPost=/bin/false")
    vps.good("app", "restart", "--scope", "workers")
    vps.good("app", "stop", "--scope", "workers")
    assert "0 loaded units" in vps.lab.run(f"{USER} list-units --state=failed 'islandflow-*'").stdout
    vps.good("app", "start", "--scope", "workers")
    drop_in(vps, "candles")

    # What does not come up shows its own last words, and no secret.
    drop_in(vps, "candles", "ExecStart=", "ExecStart=/bin/sh -c 'echo no way with $OPTIONS_PROVIDER_KEY; exit 1'")
    failed = vps.tool("app", "restart", "--scope", "workers")
    told = failed.stdout + failed.stderr
    assert failed.returncode == 5 and "native/candles logged last:" in told, told
    assert "no way with •••" in told and "expired" not in told and "native/compute logged last" not in told
    assert "no way with •••" in max(vps.records.glob("*.md")).read_text()
    drop_in(vps, "candles")
    assert vps.tool("revert", "--last").returncode == 1, "it is reverted now"
    # What came back by itself counts as well once it has run for some seconds.
    until("all is well", lambda: all(ok for name, ok in vps.status()["health"].items() if name.startswith("native/")))


def test_the_apis_hostname_as_the_apps_own_script_closes_it(vps: Vps) -> None:
    vps.good("cutover")
    script = f"sqlite3 {DATA}/database.sqlite \"UPDATE proxy_host SET {CLOSE} WHERE domain_names LIKE '%{API}%'\""
    vps.lab.run(f"{script} && rm -f {DATA}/nginx/proxy_host/2.conf && docker exec nginx-proxy-manager nginx -s reload")

    (state,) = lines(vps, "status")
    assert (state["edge"], state["raw_api"]) == ("native", "closed") and not lines(vps, "warning")
    restarted = vps.tool("app", "restart", "--scope", "api")
    assert restarted.returncode == 0 and "edge: point to the parking lot" in restarted.stderr, restarted.stderr
    row = f"sqlite3 {DATA}/database.sqlite 'SELECT forward_host, forward_port, enabled FROM proxy_host WHERE id = 2'"
    assert vps.lab.run(row).stdout.strip() == "127.0.0.1|9|0", "closed on purpose"
    vps.good("npm", "switch", "--to", "native")

    vps.good("npm", "switch", "--to", "native", "--raw-api", "open")
    assert vps.served_by() == ("native",) * 3
    (state,) = lines(vps, "status")
    assert (state["edge"], state["raw_api"]) == ("native", "open") and not lines(vps, "warning")
    vps.good("npm", "switch", "--to", "native", "--raw-api", "closed")
    vps.good("rollback", "--full")
    (state,) = lines(vps, "status")
    assert (state["edge"], state["raw_api"]) == ("docker", "closed")


def seen(vps: Vps, *words: str) -> list[dict[str, Any]]:
    """The lines of a command with --json, whatever its exit code."""
    return [json.loads(line) for line in vps.tool(*words, "--json").stdout.splitlines()]


def follow_and_interrupt(vps: Vps, *words: str) -> tuple[int, str]:
    """Start a command, have it print a line, and press Ctrl-C; its exit code and what it said of that."""
    command = [str(Path(sys.executable).with_name("islandflow")), *words]
    with subprocess.Popen(
        command, env=vps.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


def speaks_for(vps: Vps, runtime: str, user: str, folder: str) -> None:
    """Logs and commands are of this runtime; those of the API run as this user in this folder."""
    lines = seen(vps, "logs", "--service", "api,compute", "-n", "50")
    assert {(line["runtime"], line["service"]) for line in lines} == {(runtime, "api"), (runtime, "compute")}
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert any(line["text"] == "api: started" for line in lines)
    only = seen(vps, "logs", "--grep", "api: start.d$", "--since", "1h")
    assert only and {line["service"] for line in only} == {"api"}

    script = 'id -un; pwd; echo "${OPTIONS_INGEST_ADAPTER} $0"; exit 7'
    ran = vps.tool("exec", "--service", "api", "--", "sh", "-c", script, "two words")
    shown = ran.stdout, ran.stderr
    assert ran.returncode == 7 and ran.stdout.split() == [user, folder, "synthetic", "two", "words"], shown
    assert vps.good("exec", "--service", "redis", "--", "redis-cli", "ping").strip() == "PONG"

    code, said = follow_and_interrupt(vps, "logs", "-f", "-n", "1")
    assert code == 130 and "Traceback" not in said
    sleeping = ("exec", "--service", "api", "--", "sh", "-c", "echo asleep; exec sleep 4711")
    code, said = follow_and_interrupt(vps, *sleeping)
    assert code == 130 and "The command beside api was ended" in said
    until("nothing of it is left on the VPS", lambda: vps.lab.run(GONE, check=False).returncode == 0, 20)


def test_logs_and_commands_are_dockers_while_it_owns(untouched: Vps) -> None:
    speaks_for(untouched, "docker", "root", "/app")


def test_logs_and_commands_are_natives_while_it_owns(on_native: Vps) -> None:
    speaks_for(on_native, "native", "delta", "/home/delta/islandflow/services/api")

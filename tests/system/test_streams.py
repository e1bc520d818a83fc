"""Streams, durables, provider and static checks: all well at the baseline, and each fault named once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.system.conftest import Vps
from tests.system.jetstream import ask

CHECKOUT = "/home/delta/islandflow"
COMPOSE = f"{CHECKOUT}/deployment/docker"
ENV = f"{COMPOSE}/.env"  # what the containers read; native reads another


def bad(vps: Vps, *words: str, **env: str) -> dict[str, str]:
    """What a check finds not good; its exit code fits."""
    done = vps.tool(*words, "--json", **env)
    rows = [row for row in map(json.loads, done.stdout.splitlines()) if row["kind"] == "check"]
    assert rows, done.stderr
    found = {row["what"]: row["text"] for row in rows if not row["ok"]}
    assert done.returncode == (1 if found else 0), done.stdout + done.stderr
    return found


def test_all_is_well_at_the_baseline_and_each_fault_is_named(vps: Vps) -> None:
    for check in (("streams", "check"), ("provider", "check"), ("check", "static")):
        assert bad(vps, *check) == {}, check

    # A second API takes the first one's durables over and is gone again.
    run = "docker compose run --quiet-pull -d --name thief --no-deps api"
    started = "until docker logs thief 2>&1 | grep -q 'api: started'; do sleep 0.2; done"
    vps.lab.run(f'cd {COMPOSE} && {run} && timeout 110 sh -c "{started}" && docker rm -f thief', timeout=120)
    # Seven days, their milliseconds given to JetStream as they are.
    (alerts,) = ask(vps.lab, ("STREAM.INFO.ALERTS", {}))
    ask(vps.lab, ("STREAM.UPDATE.ALERTS", {**alerts["config"], "max_age": 604800000, "duplicate_window": 604800000}))
    vps.lab.run(f"sed -i 's/^STREAM_DERIVED_MAX_AGE_MS=.*/STREAM_DERIVED_MAX_AGE_MS=604800000/' {ENV}")
    # Nothing overrides the adapter that the env file names, and a comment behind it is no part of it.
    vps.lab.run(f"sed -i 's/^OPTIONS_INGEST_ADAPTER=synthetic/OPTIONS_INGEST_ADAPTER=alpaca/' {ENV}")
    vps.lab.run(f"echo fi > {CHECKOUT}/bad.sh")

    found = bad(vps, "streams", "check")
    assert "1,000,000 times too short: milliseconds taken for nanoseconds" in found["ALERTS"]
    stolen = {name for name, text in found.items() if "stolen" in text}
    assert stolen and all(name.startswith("api-") for name in stolen), found
    assert found["api-option-prints"].endswith("docker compose -p islandflow-vps restart api")
    found = bad(vps, "provider", "check")
    assert found == {"provider": f"203.0.113.1:8099 answers 401: it refuses the key (OPTIONS_PROVIDER_KEY in {ENV})"}
    assert "expired" not in vps.tool("provider", "check").stdout, "that is the key"
    scripts = vps.lab.folder / "scripts.toml"
    scripts.write_text(vps.lab.inventory.read_text().replace("shell_scripts = []", 'shell_scripts = ["bad.sh"]'))
    found = bad(vps, "check", "static", ISLANDFLOW_INVENTORY=str(scripts))
    assert set(found) == {"bad.sh"} and "syntax error" in found["bad.sh"]

    vps.lab.run("cd / && docker compose -p islandflow-vps restart api")
    deadline = time.monotonic() + 120
    while stolen & set(bad(vps, "streams", "check")):
        assert time.monotonic() < deadline, "the fix did not help"


def test_a_provider_that_refuses_the_key_is_found_before_the_cutover(untouched: Vps) -> None:
    inventory = untouched.lab.inventory.read_text()
    other = untouched.lab.folder / "alpaca.toml"
    other.write_text(inventory.replace('OPTIONS_INGEST_ADAPTER = "synthetic"', 'OPTIONS_INGEST_ADAPTER = "alpaca"'))
    done = untouched.tool("cutover", ISLANDFLOW_INVENTORY=str(other))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the adapter alpaca would not work in native: 203.0.113.1:8099 answers 401" in done.stderr
    assert untouched.served_by() == ("docker", "docker", "docker")


def test_positions_only_move_forward_through_a_hand_over(vps: Vps) -> None:
    # A shell that runs the tests in the background has Ctrl-C ignored, which is inherited.
    command = ["env", "--default-signal=INT", str(Path(sys.executable).with_name("islandflow")), "streams", "watch"]
    watching = subprocess.Popen(
        [*command, "--json"],
        env={**os.environ, "ISLANDFLOW_INVENTORY": str(vps.lab.inventory)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout
    too_late = threading.Timer(120, watching.kill)
    too_late.start()
    lines = []
    try:
        lines.append(watching.stdout.readline())
        vps.good("cutover")
        # A look that began as NATS went may still wait for it when the hand-over is over.
        while lines[-1] and "native's JetStream" not in lines[-1]:
            lines.append(watching.stdout.readline())
    finally:
        too_late.cancel()
        watching.send_signal(signal.SIGINT)
        rest, _ = watching.communicate(timeout=120)
    assert watching.returncode == 0, rest
    rows = [json.loads(line) for line in [*lines, *rest.splitlines()]]
    moments = [row["text"] for row in rows if row["kind"] == "moment"]
    assert len(moments) == 3 and moments[0].startswith("docker's") and moments[2].startswith("native's"), moments
    moved = [row["text"] for row in rows if row["kind"] == "check" and row["what"] == "api-option-prints"]
    assert moved and "→" in moved[0]
    left = "timeout 60 sh -c 'while pgrep -f \"positions 0$\"; do sleep 0.2; done'"
    assert vps.lab.run(left, check=False).returncode == 0, "the one who looks there is gone as well"

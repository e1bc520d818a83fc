"""Data lost on purpose, or claimed by two: refused beforehand, found before anybody is let through, or kept apart."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from tests.system.conftest import Vps, until

COMPOSE = "/home/delta/islandflow/deployment/docker"
DATA = "/var/lib/islandflow"
KEYS = 500
UNITS = "islandflow-redis islandflow-nats islandflow-clickhouse"


def compose(vps: Vps, old: str, new: str, service: str) -> None:
    """Change the app's own Compose file and make the service's container anew, as its operator would."""
    vps.lab.run(["sed", "-i", f"s|{old}|{new}|", f"{COMPOSE}/docker-compose.yml"])
    vps.lab.run(f"grep -q '{new}' {COMPOSE}/docker-compose.yml && cd {COMPOSE} && docker compose up -d {service}")


@contextmanager
def changed(vps: Vps, name: str, old: str, new: str) -> Iterator[None]:
    """Another text in a file of the checkout beside the Compose file."""
    file = f"{COMPOSE}/{name}"
    vps.lab.run(f"cp -p {file} {file}.kept && sed -i 's|{old}|{new}|' {file} && grep -q elsewhere {file}")
    try:
        yield
    finally:
        vps.lab.run(["mv", f"{file}.kept", file])


def redis(vps: Vps, *words: str) -> str:
    """What Docker's Redis answers."""
    return vps.lab.run(["docker", "exec", "islandflow-vps-redis-1", "redis-cli", *words]).stdout.strip()


def keys(vps: Vps) -> int:
    """How many keys Docker's Redis has, once it answers."""
    return int(
        until("Redis answers", lambda: redis(vps, "DBSIZE").rpartition(" ")[2].isdigit() and redis(vps, "DBSIZE"))
    )


def redis_with(vps: Vps, words: str, setting: str) -> int:
    """Docker's Redis made anew with these words, until it has that setting, and filled; how many keys it has."""
    compose(vps, 'redis-server, --appendonly, "yes"', words, "redis")
    until("Redis is made anew", lambda: redis(vps, "CONFIG", "GET", setting.split()[0]).split() == setting.split())
    redis(vps, "EVAL", f"for i = 1, {KEYS} do redis.call('SET', 'kept:' .. i, i) end", "0")
    assert keys(vps) >= KEYS
    return keys(vps)


def test_a_redis_without_the_file_that_native_reads_is_refused_beforehand(vps: Vps) -> None:
    redis_with(vps, "redis-server", "appendonly no")  # as its image has it, with its keys in dump.rdb alone
    done = vps.tool("cutover")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "docker's redis would lose data: it keeps no append-only file" in done.stderr
    assert vps.served_by() == ("docker", "docker", "docker")

    assert redis(vps, "CONFIG", "SET", "appendonly", "yes") == "OK"
    vps.good("cutover", "--dry")


def test_keys_that_native_does_not_find_put_docker_back_with_all_of_them(vps: Vps) -> None:
    words = 'redis-server, --appendonly, "yes", --appenddirname, "elsewhere"'
    before = redis_with(vps, words, "appenddirname elsewhere")
    redis(vps, "ACL", "SETUSER", "default", "-config")  # so that nobody can know beforehand

    done = vps.tool("cutover")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "data is missing after the hand-over: redis: db0" in done.stderr
    assert vps.served_by() == ("docker", "docker", "docker")
    assert keys(vps) >= before >= KEYS
    status = vps.status()
    assert status["owner"] == "docker" and all(
        ok == name.startswith("docker/") for name, ok in status["health"].items()
    )
    assert vps.lab.run(f"ls -A {DATA} | grep by-islandflow", check=False).stdout == "", (
        "nothing is left beside the data"
    )


def test_streams_that_docker_does_not_find_put_native_back_with_all_of_them(on_native: Vps) -> None:
    with changed(on_native, "docker-compose.yml", "-sd, /data", "-sd, /tmp/elsewhere"):
        done = on_native.tool("rollback", "--full")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "data is missing after the hand-over: nats: stream" in done.stderr
    assert on_native.served_by() == ("native", "native", "native")
    status = on_native.status()
    assert status["owner"] == "native" and all(
        ok == name.startswith("native/") for name, ok in status["health"].items()
    )


def test_tables_that_docker_does_not_find_put_native_back_with_all_of_them(on_native: Vps) -> None:
    before = on_native.counts()
    elsewhere = "<path>/tmp/elsewhere/</path></clickhouse>"

    with changed(on_native, "clickhouse/listen.xml", "</clickhouse>", elsewhere):
        done = on_native.tool("rollback", "--full")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "data is missing after the hand-over: clickhouse: " in done.stderr
    assert on_native.served_by() == ("native", "native", "native")
    after = on_native.counts()
    assert all(after[table]["rows"] >= found["rows"] for table, found in before.items())


def test_what_is_started_by_hand_beside_the_owner_never_writes_to_the_data(vps: Vps) -> None:
    vps.good("cutover")
    for start in (_compose_up, _update_docker):
        before, refusals = vps.counts(), _refusals(vps)
        start(vps)
        until("Redis was refused", functools.partial(_refused_again, vps, refusals))
        vps.lab.run("systemctl restart islandflow-redis islandflow-nats islandflow-clickhouse")
        until("native goes on", functools.partial(_more_rows, vps, before))
        assert vps.served_by() == ("native", "native", "native")
        told = vps.tool("status")
        assert "these containers run" in told.stderr and "the data is sealed" in told.stderr
        assert vps.status()["owner"] == "native"
        vps.good("docker.stop")
    vps.good("rollback", "--full")
    assert vps.served_by() == ("docker", "docker", "docker")
    assert vps.lab.run(f"touch {DATA}/redis/x && rm {DATA}/redis/x", check=False).returncode == 0, "nothing is sealed"

    vps.lab.run("systemctl start islandflow-redis islandflow-nats islandflow-clickhouse")
    states = vps.lab.run(f"systemctl is-active islandflow-seal {UNITS}", check=False).stdout.split()
    assert states == ["inactive"] * 4
    assert vps.served_by() == ("docker", "docker", "docker")
    assert vps.lab.run(f"touch {DATA}/redis/x && rm {DATA}/redis/x", check=False).returncode == 0, "nothing is sealed"


def _refusals(vps: Vps) -> int:
    """How often Docker's Redis was refused its data."""
    return vps.lab.run("docker logs islandflow-vps-redis-1 2>&1").stdout.count("Read-only file system")


def _refused_again(vps: Vps, before: int) -> bool:
    return _refusals(vps) > before


def _compose_up(vps: Vps) -> None:
    vps.lab.run(f"cd {COMPOSE} && timeout 60 docker compose up -d || true")


def _update_docker(vps: Vps) -> None:
    """Containers of a restart policy that brings them up whatever stopped them."""
    names = vps.lab.run("docker ps -aq --filter label=com.docker.compose.project=islandflow-vps").stdout.split()
    vps.lab.run(["docker", "update", "--restart", "always", *names])
    vps.lab.run("systemctl restart docker")
    until("the edge is back", lambda: vps.served_by() == ("native", "native", "native"))


def _more_rows(vps: Vps, before: dict[str, dict[str, int]]) -> bool:
    now = vps.counts()
    return all(now[table]["rows"] > rows["rows"] for table, rows in before.items())


def test_after_a_reboot_the_data_is_sealed_before_docker_starts_anything(vps: Vps) -> None:
    vps.good("cutover")
    names = vps.lab.run("docker ps -aq --filter label=com.docker.compose.project=islandflow-vps").stdout.split()
    vps.lab.run(["docker", "update", "--restart", "always", *names])
    vps.lab.reboot()
    until("native serves", lambda: vps.served_by() == ("native", "native", "native"))
    assert vps.lab.run(f"systemctl is-active islandflow-seal {UNITS}").stdout.split() == ["active"] * 4
    until("Redis was refused", lambda: "Read-only" in vps.lab.run("docker logs islandflow-vps-redis-1 2>&1").stdout)

"""Broken on purpose: what served before serves again, and the account says so."""

from __future__ import annotations

from tests.system.conftest import Vps

USER_UNITS = "/home/delta/.config/systemd/user"


def test_a_native_unit_that_fails_to_start_puts_docker_back(restored: Vps) -> None:
    before = restored.edge_files()

    with (
        restored.drop_in(f"{USER_UNITS}/islandflow-api.service.d", "ExecStart=", "ExecStart=/bin/false"),
        restored.nobody_turned_away(),
    ):
        done = restored.tool("cutover")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "was reverted" in done.stderr and "api" in done.stderr
    restored.no_lot_left()
    assert restored.served_by() == ("docker", "docker", "docker")
    status = restored.status()
    assert (status["owner"], status["edge"]) == ("docker", "docker")
    assert all(ok == key.startswith("docker/") for key, ok in status["health"].items()), status
    assert restored.edge_files() == before
    left = restored.lab.run(
        "ls /etc/systemd/system /etc/islandflow; cat /var/lib/islandflow/owner; ufw show added", check=False
    )
    assert "islandflow-nats.service" not in left.stdout and "native" not in left.stdout


def test_a_container_that_fails_to_start_puts_native_back(on_native: Vps) -> None:
    image = f"{on_native.site.runtimes.docker.project}-api:latest"
    # An image without Bun in the place of the API's, which its Compose project names.
    on_native.lab.run(f"docker tag {image} kept-api && docker tag islandflow-lab/base {image}")
    try:
        done = on_native.tool("rollback", "--full")
    finally:
        on_native.lab.run(f"docker tag kept-api {image} && docker rmi kept-api")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "was reverted" in done.stderr
    assert on_native.served_by() == ("native", "native", "native")
    status = on_native.status()
    assert (status["owner"], status["edge"]) == ("native", "native")
    assert all(ok == key.startswith("native/") for key, ok in status["health"].items()), status


def test_an_edge_that_cannot_reach_native_is_not_switched(restored: Vps) -> None:
    before = restored.edge_files()
    done = restored.tool("npm", "switch", "--to", "native")
    assert done.returncode == 1
    assert "the edge cannot use the new upstream" in done.stdout + done.stderr
    assert restored.edge_files() == before
    assert restored.served_by() == ("docker", "docker", "docker")


def test_preflight_tells_everything_at_once_and_touches_nothing(restored: Vps) -> None:
    nats, linger, env = "/usr/sbin/nats-server", "/var/lib/systemd/linger/delta", "/home/delta/islandflow/.env"
    database = "/home/delta/nginx-proxy-manager/data/database.sqlite"
    restored.lab.run(f"mv {nats} {nats}.away && rm {linger} && mv {env} {env}.away")
    restored.lab.run("systemd-run --quiet --unit=stranger nc -lk 0.0.0.0 6379")
    restored.lab.run(["sqlite3", database, "update proxy_host set is_deleted = 1 where id = 2"])

    try:
        done = restored.tool("cutover")
    finally:
        restored.lab.run(f"mv {nats}.away {nats}; touch {linger}; mv {env}.away {env}; systemctl stop stranger")

    assert done.returncode == 3, done.stdout + done.stderr
    for text in ("nats-server", "lingering is off", "port 6379 is held by nc", "env file", "api.flow.deltaisland.io"):
        assert text in done.stderr, (text, done.stderr)
    assert restored.lab.run("ls /var/lib/islandflow/ops", check=False).stdout == ""
    assert restored.served_by()[0] == "docker"


def test_a_foreign_listener_where_docker_publishes_is_found_before_native_stops(on_native: Vps) -> None:
    on_native.lab.run("systemd-run --quiet --unit=stranger nc -lk 127.0.0.1 4000")
    try:
        done = on_native.tool("rollback", "--full")
    finally:
        on_native.lab.run(["systemctl", "stop", "stranger"])
    assert done.returncode == 3 and "port 4000 is held by nc" in done.stderr, done.stdout + done.stderr
    assert on_native.served_by() == ("native", "native", "native")


def test_a_failing_backup_stops_the_plan_before_anything_is_stopped(restored: Vps) -> None:
    hook = "/usr/local/sbin/islandflow-backup"
    script = '#!/bin/sh\necho "no space for $ISLANDFLOW_DATA_ROOT" >&2\nexit 3\n'
    restored.lab.guest.write(hook, script.encode(), mode=0o755)
    mine = restored.lab.folder / "backup.toml"
    mine.write_text(restored.lab.inventory.read_text().replace("[backup]", f'[backup]\nhook = "{hook}"'))
    done = restored.tool("cutover", ISLANDFLOW_INVENTORY=str(mine))
    assert done.returncode == 1 and "no space for /var/lib/islandflow" in done.stderr, done.stdout + done.stderr
    assert "docker: workers stopped" not in done.stdout + done.stderr
    assert restored.served_by() == ("docker", "docker", "docker")
    restored.lab.run(["rm", hook])
    done = restored.tool("cutover", ISLANDFLOW_INVENTORY=str(mine))
    assert done.returncode == 3 and f"{hook} is no file: missing" in done.stderr, done.stdout + done.stderr


def test_a_unit_that_systemd_does_not_like_is_taken_back_before_anything_is_stopped(restored: Vps) -> None:
    with restored.drop_in(f"{USER_UNITS}/islandflow-api.service.d", "ExceStart=/bin/true"):
        done = restored.tool("cutover")
    assert done.returncode == 1 and "ExceStart" in done.stderr, done.stdout + done.stderr
    assert "docker: workers stopped" not in done.stdout + done.stderr
    assert restored.served_by() == ("docker", "docker", "docker")


def test_older_native_servers_are_refused(untouched: Vps) -> None:
    script = "#!/bin/sh\\necho Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc bits=64\\n"
    redis = "/usr/bin/redis-server"
    untouched.lab.run(f"mv {redis} {redis}.away && printf '{script}' > {redis} && chmod 755 {redis}")
    try:
        done = untouched.tool("cutover")
    finally:
        untouched.lab.run(f"mv {redis}.away {redis}")
    assert done.returncode == 3 and "native's redis is 6.0.16" in done.stderr, done.stderr


def test_a_failing_nginx_test_is_refused(untouched: Vps) -> None:
    file = "/home/delta/nginx-proxy-manager/data/nginx/proxy_host/9.conf"
    untouched.lab.run(f"echo 'nonsense;' > {file}")
    try:
        done = untouched.tool("cutover")
    finally:
        untouched.lab.run(["rm", file])
    assert done.returncode == 3 and "nginx -t already fails" in done.stderr, done.stderr


def test_no_public_side_no_confirmation(restored: Vps) -> None:
    """The native side is healthy, but the public is not served: the plan is reverted."""
    inventory = restored.lab.inventory.read_text()
    broken = restored.lab.folder / "broken.toml"
    broken.write_text(inventory.replace("confirm = 120", "confirm = 60").replace('"/ws/live"', '"/ws/nowhere"'))
    with restored.nobody_turned_away():
        done = restored.tool("cutover", ISLANDFLOW_INVENTORY=str(broken))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "asked to revert" in done.stderr
    assert restored.served_by() == ("docker", "docker", "docker")
    restored.no_lot_left()

"""The app's own Compose file is never written: a pull succeeds after any task, and what it brings is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.conftest import Vps

CHECKOUT = "/home/delta/islandflow"
DIRECTORY = f"{CHECKOUT}/deployment/docker"
OVERLAY = "/etc/islandflow/docker-compose.overlay.yml"


def as_delta(vps: Vps, command: str, folder: str = CHECKOUT) -> str:
    return vps.lab.run(["sudo", "-u", "delta", "sh", "-c", f"cd {folder} && {command}"]).stdout


def pull(vps: Vps, number: int) -> None:
    """Somebody has changed the Compose file in the origin: the checkout, which nothing has touched, takes it."""
    assert as_delta(vps, "git status --porcelain") == ""
    change = f"sed -i '/^    command: .services.compute/a \\    labels: {{ pulled: \"{number}\" }}' docker-compose.yml"
    if number > 1:
        change = f'sed -i \'s/pulled: "{number - 1}"/pulled: "{number}"/\' docker-compose.yml'
    as_delta(vps, "rm -rf /tmp/other && git clone -q /home/delta/origin.git /tmp/other", "/tmp")
    commit = "git -c user.name=x -c user.email=x@y commit -qam change && git push -q"
    as_delta(vps, f"{change} && {commit}", "/tmp/other/deployment/docker")
    as_delta(vps, "git pull -q --ff-only")
    assert f'pulled: "{number}"' in as_delta(vps, "cat docker-compose.yml", DIRECTORY)


def of_compute(vps: Vps, template: str) -> str:
    return vps.lab.run(["docker", "inspect", "--format", template, "islandflow-vps-compute-1"]).stdout.strip()


@pytest.mark.parametrize("overrides", [False, True], ids=["own file alone", "with overrides"])
def test_a_pull_succeeds_after_every_task_and_the_next_rollback_runs_what_it_brought(
    vps: Vps, overrides: bool, tmp_path: Path
) -> None:
    inventory = tmp_path / "inventory.toml"
    laid = '\n[runtimes.docker.overrides]\nLOG_LEVEL = "debug"\n' if overrides else ""
    inventory.write_text(vps.lab.inventory.read_text() + laid)
    env = {"ISLANDFLOW_INVENTORY": str(inventory)}

    vps.good("docker", "render", **env)
    assert ("there" in vps.lab.run(f"test -e {OVERLAY} && echo there", check=False).stdout) == overrides
    pull(vps, 1)
    # What runs stays as it is: a container on whose account another one would be remade does not go down for it.
    started = of_compute(vps, "{{.State.StartedAt}}")
    vps.lab.run("docker stop islandflow-vps-web-1")
    vps.good("docker", "up", **env)
    assert of_compute(vps, "{{.State.StartedAt}}") == started
    pull(vps, 2)

    with vps.nobody_turned_away():
        vps.good("cutover", **env)
        pull(vps, 3)
        vps.good("rollback", "--full", **env)
    pull(vps, 4)
    assert of_compute(vps, '{{index .Config.Labels "pulled"}}') == "3"
    assert f"LOG_LEVEL={'debug' if overrides else 'warn'}" in of_compute(vps, "{{.Config.Env}}")
    files = of_compute(vps, '{{index .Config.Labels "com.docker.compose.project.config_files"}}')
    assert files == f"{DIRECTORY}/docker-compose.yml" + (f",{OVERLAY}" if overrides else "")
    # Docker serves with what was pulled before; the check says that something newer is there.
    assert "✗  containers" in vps.tool("docker", "check", **env).stdout


def test_an_image_that_is_not_there_is_named_before_anything_stops(on_native: Vps) -> None:
    on_native.lab.run("docker tag islandflow-vps-api kept-api && docker rmi --force islandflow-vps-api:latest")
    try:
        refused = on_native.tool("rollback", "--full")
    finally:
        on_native.lab.run("docker tag kept-api islandflow-vps-api && docker rmi kept-api")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "image islandflow-vps-api of api is not on the VPS" in refused.stderr
    assert "build api" in refused.stderr
    assert on_native.served_by() == ("native", "native", "native")


def test_a_container_that_the_inventory_does_not_name_is_not_left_running(untouched: Vps) -> None:
    untouched.lab.run(f"cd {DIRECTORY} && docker compose --profile replay up --detach replay", timeout=120)
    try:
        refused = untouched.tool("cutover")
    finally:
        untouched.lab.run("docker rm -f islandflow-vps-replay-1")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "islandflow-vps-replay-1 runs in the project" in refused.stderr
    assert untouched.served_by() == ("docker", "docker", "docker")

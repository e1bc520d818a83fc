"""Commits of the app in and out of service on the lab, while the public asks all the time."""

from __future__ import annotations

import json
import shlex
import threading
from typing import Any

import pytest

from tests.system.conftest import Vps, until

DESK = "/home/delta/desk"
CHECKOUT = "/home/delta/islandflow"
USER = "sudo -u delta XDG_RUNTIME_DIR=/run/user/1000 systemctl --user"
ALL = {"web", "api", "compute", "candles", "ingest-options", "ingest-equities"}


@pytest.fixture
def docker(vps: Vps) -> Vps:
    """A VPS where Docker owns, and somebody's clone of the app to push from."""
    vps.lab.run(f"sudo -u delta git clone -q --no-hardlinks /home/delta/origin.git {DESK}")
    return vps


@pytest.fixture
def native(docker: Vps) -> Vps:
    """The same where native owns."""
    docker.good("cutover")
    return docker


def push(vps: Vps, subject: str, change: str = "true") -> str:
    """A change of the app as a commit on the remote's main; returns the commit."""
    git = f"git -C {DESK} -c user.name=D -c user.email=d@islandflow.test"
    script = f"cd {DESK} && {change} && {git} commit -q --allow-empty -am {shlex.quote(subject)} && {git} push -q"
    vps.lab.run(["sudo", "-u", "delta", "sh", "-c", script])
    return vps.lab.run(["sudo", "-u", "delta", "git", "-C", DESK, "rev-parse", "HEAD"]).stdout.strip()


def releases(vps: Vps) -> dict[str, dict[str, Any]]:
    """What is known of each release, by its commit."""
    lines = [json.loads(line) for line in vps.good("releases", "--json").splitlines()]
    return {line["commit"]: line for line in lines if line["kind"] == "release"}


def live(vps: Vps) -> dict[str, str]:
    """Service → the commit of the code that its process runs in."""
    found = {}
    for service in ALL:
        pid = vps.lab.run(f"{USER} show --value --property=MainPID islandflow-{service}.service").stdout.strip()
        folder = vps.lab.run(["readlink", f"/proc/{pid}/cwd"]).stdout.strip()
        inside = folder.startswith(f"{CHECKOUT}.releases/")
        found[service] = folder.removeprefix(f"{CHECKOUT}.releases/").split("/")[0] if inside else ""
    return found


def head(vps: Vps) -> str:
    return vps.lab.run(["sudo", "-u", "delta", "git", "-C", CHECKOUT, "rev-parse", "HEAD"]).stdout.strip()


def test_commits_in_and_out_and_nobody_is_turned_away(native: Vps) -> None:
    first, second = head(native), push(native, "The second one")
    with native.nobody_turned_away():
        native.good("deploy", "--ref", "main")
    assert live(native) == dict.fromkeys(ALL, second) and head(native) == first
    known = releases(native)
    assert known[second]["state"] == known[first]["state"] == "good" and not known[first]["built"]
    assert (set(known[second]["live"]), known[second]["subject"]) == (ALL, "The second one")
    assert "nothing to do" in native.good("deploy", "--ref", "main")
    native.good("app", "check")
    assert native.served_by() == ("native", "native", "native")

    # A build that fails: nothing that runs is touched, and nothing of it is left.
    before = live(native)
    broken = push(native, "A broken build", "echo 'no {{ code' >>apps/web/build.ts")
    with native.nobody_turned_away():
        failed = native.tool("deploy", "--ref", "main")
    assert failed.returncode == 1 and "run build ended with 1" in failed.stderr and "no {{ code" in failed.stderr
    assert live(native) == before and releases(native)[broken]["state"] == "bad"

    # An API that does not start: it and the workers before it are put back, while requests wait.
    dead = push(
        native, "No API", "git checkout -q HEAD~1 -- apps && echo 'throw Error(\"no way\")' >services/api/src/index.ts"
    )
    with native.nobody_turned_away():
        failed = native.tool("deploy", "--ref", dead)
    assert (
        failed.returncode == 1
        and "Everything is as before" in failed.stderr
        and "native/api logged last" in failed.stderr
    )
    assert live(native) == before and "api" in releases(native)[dead]["reason"]
    assert native.lab.run(f"ls {CHECKOUT}.releases").stdout.split() == [second, "live"]
    native.no_lot_left()

    # Back to the last good one, which the checkout was; it passes over the bad ones.
    with native.nobody_turned_away():
        native.good("rollback")
    assert live(native) == dict.fromkeys(ALL, first) and releases(native)[second]["state"] == "bad"
    refused = native.tool("rollback")
    assert refused.returncode == 3 and "no earlier good release" in refused.stderr

    # To a commit by its name, and only a part.
    native.good("rollback", "--ref", second[:10], "--pieces", "web,candles")
    assert live(native) == {**dict.fromkeys(ALL, first), "web": second, "candles": second}
    native.good("app", "restart")
    assert live(native)["web"] == second, "whoever restarts a service does not change what it runs"


def test_what_is_refused_touches_nothing(on_native: Vps) -> None:
    before = live(on_native)
    assert before == dict.fromkeys(ALL, "")
    for words, text in (
        (["--ref", "no-such-branch"], "no-such-branch is no branch or tag of the remote"),
        (["--ref", "main", "--no-build"], "is not built"),
        (["--ref", "main", "--pieces", "nobody"], 'unknown service "nobody"'),
    ):
        refused = on_native.tool("deploy", *words)
        assert refused.returncode in (2, 3) and text in refused.stderr, refused.stderr
    on_native.lab.run(["sudo", "-u", "delta", "sh", "-c", f"cd {CHECKOUT} && echo x >>package.json && touch new.ts"])
    refused = on_native.tool("deploy", "--ref", "main")
    assert refused.returncode == 3 and "package.json" in refused.stderr and "new.ts" in refused.stderr
    on_native.lab.run(
        ["sudo", "-u", "delta", "sh", "-c", f"cd {CHECKOUT} && git checkout -q package.json && rm new.ts"]
    )
    assert live(on_native) == before and releases(on_native) == {}
    assert on_native.lab.run(["ls", f"{CHECKOUT}.releases"], check=False).returncode != 0


def test_a_deploy_that_is_cut_off_leaves_the_live_release_serving(native: Vps) -> None:
    push(native, "A slow build", "echo 'await Bun.sleep(600_000);' >>apps/web/build.ts")
    before = live(native)
    run = native.lab.run
    done: list[Any] = []
    tool = threading.Thread(target=lambda: done.append(native.tool("deploy", "--ref", "main")))
    with native.nobody_turned_away():
        tool.start()
        until("the build runs", lambda: run("pgrep -f '[r]un build'", check=False).returncode == 0)
        run("systemctl kill --signal=KILL --kill-whom=main 'islandflow-execute-*'")
        tool.join(240)
    assert done and done[0].returncode == 1, done
    assert live(native) == before and native.served_by() == ("native", "native", "native")
    assert not [release for release in releases(native).values() if release["state"] != "good"]
    push(native, "Quick again", "git checkout -q HEAD~1 -- apps")
    native.good("deploy", "--ref", "main", "--scope", "workers")
    assert "" not in {live(native)[name] for name in ("compute", "candles")} and live(native)["web"] == ""


def made_of(vps: Vps) -> dict[str, str]:
    """Service → the commit of the image that its container is made of; empty where no deploy has built it."""
    label = '{{.Label "com.docker.compose.service"}} {{.Label "islandflow.commit"}}'
    rows = vps.lab.run(["docker", "ps", "--format", label]).stdout.splitlines()
    return {service: commit for row in rows for service, _, commit in [row.partition(" ")] if service in ALL}


def test_in_docker_images_are_built_beside_and_containers_made_anew(docker: Vps) -> None:
    first, second = head(docker), push(docker, "The second one")
    servers = docker.lab.run("docker ps --format '{{.ID}}' --filter name=redis --filter name=nats").stdout
    with docker.nobody_turned_away():
        docker.good("deploy", "--ref", "main")
    assert made_of(docker) == dict.fromkeys(ALL, second) and head(docker) == first
    assert docker.lab.run("docker ps --format '{{.ID}}' --filter name=redis --filter name=nats").stdout == servers
    assert docker.served_by() == ("docker", "docker", "docker")
    assert "nothing to do" in docker.good("deploy", "--ref", "main")
    known = releases(docker)
    assert (known[second]["state"], set(known[second]["live"]), known[second]["runtime"]) == ("good", ALL, "docker")
    assert known[first]["state"] == "good" and known[first]["built"], "the images that ran before"

    # An image that can't be built, and an API that ends: what ran is back.
    broken = push(docker, "A broken build", "echo 'RUN /bin/no-such-program' >>deployment/docker/Dockerfile")
    failed = docker.tool("deploy", "--ref", "main", "--pieces", "api,candles")
    assert failed.returncode == 1 and "docker compose build ended with" in failed.stderr, failed.stderr
    change = "git checkout -q HEAD~1 -- deployment && echo 'throw Error(\"no way\")' >services/api/src/index.ts"
    dead = push(docker, "No API", change)
    with docker.nobody_turned_away():
        failed = docker.tool("deploy", "--ref", dead, "--scope", "services")
    assert failed.returncode == 1 and "Everything is as before" in failed.stderr, failed.stderr
    assert made_of(docker) == dict.fromkeys(ALL, second)
    assert {releases(docker)[commit]["state"] for commit in (broken, dead)} == {"bad"}
    assert dead not in docker.lab.run("docker images").stdout
    docker.no_lot_left()

    # Whoever calls Compose runs the same release.
    docker.lab.run("cd /home/delta/islandflow/deployment/docker && docker compose up --detach --no-build candles")
    assert made_of(docker)["candles"] == second
    with docker.nobody_turned_away():
        docker.good("rollback")
    assert made_of(docker) == dict.fromkeys(ALL, "") and set(releases(docker)[first]["live"]) == ALL
    assert docker.tool("rollback").returncode == 3
    before = docker.lab.run("docker ps --format '{{.ID}}' --filter name=candles").stdout
    docker.good("deploy", "--ref", first, "--pieces", "candles", "--force-recreate")
    assert docker.lab.run("docker ps --format '{{.ID}}' --filter name=candles").stdout != before
    refused = docker.tool("deploy", "--ref", "main", "--runtime", "native")
    assert refused.returncode == 3 and "docker owns the app" in refused.stderr

"""What Compose reads, from answers as Compose 2.26 gives them; the lab asks the real one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.facts import compose, compose_view
from fabfile.runner.facts.environment import in_force, settings
from fabfile.runner.system import docker
from fabfile.runner.system.machine import CommandFailed
from fabfile.runner.wire.app import Compose, ComposeDifference, Environment
from tests.runner.support.recorder import Recorder

SECRET = "hunter2"


class Vps(Recorder):
    """A machine whose Compose answers each combination of files with a configuration of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "compose.yml").write_text("services: {}\n")
        self.ref = Compose("flow", str(folder / "compose.yml"), str(folder), str(folder / "overlay.yml"))
        self.renewed = ""

    def says(self, own: Any, planned: Any = None, installed: Any = None) -> Vps:
        """What `config` answers for the own file, with an overlay on standard input, with the one that is there."""
        words = " ".join(docker.own_compose(self.ref))
        if installed is not None:
            Path(self.ref.overlay).write_text("services: {}\n")
        laid = {"-": planned or own, self.ref.overlay: installed or own}
        answers = {f"{words} --file {file}": json.dumps(config) for file, config in laid.items()}
        self.answers = {
            f"{words} --dry-run": (0, "", self.renewed),
            f"{words} --file {self.ref.overlay} --dry-run": (0, "", self.renewed),
            **answers,
            words: json.dumps(own),
        }
        return self


@pytest.fixture
def vps(tmp_path: Path) -> Vps:
    return Vps(tmp_path)


def config(**services: Any) -> dict[str, Any]:
    return {"name": "flow", "services": services}


def test_services_behind_a_profile_are_read_as_well(vps: Vps) -> None:
    compose.own(vps.says(config()), vps.ref)
    assert vps.calls[-1][-5:] == ("--profile", "*", "config", "--format", "json")


def test_a_compose_file_that_compose_rejects_has_its_message(vps: Vps) -> None:
    refused = (15, "", "validating compose.yml: services.web Additional property x")
    vps.answers = {"docker compose version": "2.26", "docker compose": refused}
    with pytest.raises(CommandFailed) as caught:
        compose.own(vps, vps.ref)
    assert "Additional property x" in str(caught.value.evidence["said"])
    vps.answers = {"docker compose": "half an ans"}
    with pytest.raises(CommandFailed, match="as Compose does not"):
        compose.own(vps, vps.ref)


def test_a_docker_without_compose_is_named_as_such(vps: Vps) -> None:
    vps.answers = {"docker": (125, "", "unknown flag: --project-name\nSee 'docker --help'.")}
    with pytest.raises(CommandFailed, match="Compose plugin"):
        compose.own(vps, vps.ref)


def test_of_a_command_line_only_what_limits_a_redis_leaves_the_vps(vps: Vps) -> None:
    command = ["redis-server", "--requirepass", SECRET, "--maxmemory 256mb", "--maxmemory-policy", "allkeys-lru"]
    found = compose.services(vps, config(redis={"image": "redis", "command": command}, web={"image": "web"}))  # type: ignore[arg-type]
    assert found["redis"].limits == {"maxmemory": "256mb", "maxmemory-policy": "allkeys-lru"}
    assert found["web"].limits == {} and SECRET not in repr(found)


def test_a_service_with_its_image_mounts_and_what_its_build_lacks(vps: Vps, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.web").write_text("FROM scratch\n")
    build = {
        "context": str(tmp_path),
        "dockerfile": "Dockerfile.web",
        "additional_contexts": {"apps": "/nowhere/apps", "base": "docker-image://base"},
    }
    mount = {"type": "bind", "source": "/var/lib/flow/redis", "target": "/data"}
    told = config(web={"build": build}, redis={"image": "redis:7.2", "volumes": [mount], "restart": "always"})
    # Docker names what it lacks in its own spelling.
    vps.says(told).answers["docker image inspect --format ok flow-web"] = (
        1, "ok", "Error response from daemon: No such image: flow-web:latest"
    )  # fmt: skip
    found = compose.services(vps, compose.own(vps, vps.ref))
    web, redis = found["web"], found["redis"]
    assert (web.image, web.there, web.built, web.lacking) == ("flow-web", False, True, ("/nowhere/apps",))
    assert (redis.image, redis.there, redis.built, redis.lacking) == ("redis:7.2", True, False, ())
    assert (redis.mounts, redis.restart) == ({"/data": "/var/lib/flow/redis"}, "always")


def test_images_that_are_all_present_need_one_call(vps: Vps) -> None:
    vps.says(config(web={"image": "a"}, api={"image": "b"}, jobs={"image": "a"})).answers["docker image"] = "ok\nok\n"
    found = compose.services(vps, compose.own(vps, vps.ref))
    assert [found[name].there for name in ("web", "api", "jobs")] == [True, True, True]
    assert vps.said("docker", "image") == [("docker", "image", "inspect", "--format", "ok", "a", "b")]


def test_an_image_is_missing_only_if_docker_says_so(vps: Vps) -> None:
    vps.says(config(web={"image": "x"})).answers["docker image"] = (1, "", "Cannot connect to the Docker daemon")
    assert compose.services(vps, compose.own(vps, vps.ref))["web"].there


# ── What is different ───────────────────────────────────────────────────────────────────────────────────────────────


def web(**environment: str) -> dict[str, Any]:
    return config(web={"image": "x", "environment": environment, "ports": [{"published": "3000"}]})


def at(*path: str, change: str, planned: bool = True) -> ComposeDifference:
    return ComposeDifference(("services", "web", *path), change, planned)


def test_an_overlay_as_planned_differs_in_what_it_sets(vps: Vps) -> None:
    laid = web(A="2", B=SECRET)
    seen = compose_view.view(vps.says(web(A="1"), laid, laid), vps.ref, "the overlay")
    assert seen.differences == (at("environment", "A", change="changed"), at("environment", "B", change="added"))
    assert SECRET not in repr(seen)


def test_an_overlay_edited_by_hand_differs_unplanned(vps: Vps) -> None:
    edited = web(A="3")
    edited["services"]["web"]["ports"].append({"published": "9"})
    seen = compose_view.view(vps.says(web(A="1", B="x"), web(A="2", B="x"), edited), vps.ref, "the overlay")
    assert seen.differences == (
        at("environment", "A", change="changed", planned=False),
        at("environment", "B", change="removed", planned=False),
        at("ports", "1", "published", change="added", planned=False),
    )


def test_an_overlay_that_is_not_written_lacks_everything(vps: Vps) -> None:
    seen = compose_view.view(vps.says(web(A="1"), web(A="2")), vps.ref, "the overlay")
    assert seen.differences == (at("environment", "A", change="lacking"),)
    assert compose_view.view(vps, vps.ref, "").differences == ()


def test_containers_that_compose_would_make_anew_are_named(vps: Vps) -> None:
    lines = ("flow-web-1  Recreate", "flow-web-1  Recreated", "flow-api-1  Running", "flow-new-1  Creating")
    vps.renewed = "".join(f" DRY-RUN MODE -  Container {line}\n" for line in lines)
    assert compose_view.view(vps.says(web()), vps.ref, "").renewed == ("flow-web-1",)
    assert not [call for call in vps.calls if "up" in call and "--dry-run" not in call], "nothing is really made"


def test_what_compose_does_not_take_is_the_problem(vps: Vps) -> None:
    vps.answers = {"docker compose version": "2.26", "docker compose": (15, "", "yaml: line 3")}
    assert compose_view.view(vps, vps.ref, "x").problem == "yaml: line 3"


def test_a_compose_without_dry_run_still_compares_the_files(vps: Vps) -> None:
    vps.says(web(A="1"), web(A="2"))
    for key in [key for key in vps.answers if "--dry-run" in key]:
        vps.answers[key] = (1, "", "unknown flag: --dry-run")
    seen = compose_view.view(vps, vps.ref, "x")
    assert (len(seen.differences), seen.problem, seen.untold) == (1, "", "unknown flag: --dry-run")


# ── What the services get ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def environment(vps: Vps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setattr("fabfile.runner.facts.environment.Machine", lambda _: vps)
    env = tmp_path / "docker.env"
    env.write_text("A=1 # a comment\n")
    return Environment("docker", str(env), vps.ref.overlay, compose=vps.ref, services=("web", "api"))


def test_compose_says_what_the_services_get_and_where_it_comes_from(vps: Vps, environment: Environment) -> None:
    vps.says(web(A="1", LEVEL="pa$$word"), installed=web(A="1", LEVEL="debug"))
    found = in_force(environment)
    assert (found["A"].value, found["A"].origin) == ("1", environment.env_file)
    assert (found["LEVEL"].value, found["LEVEL"].origin) == ("debug", vps.ref.overlay)


def test_before_a_plan_the_overrides_are_those_that_it_will_write(vps: Vps, environment: Environment) -> None:
    vps.says(web(A="1", LEVEL="pa$$word"), installed=web(A="1", LEVEL="debug"))
    found = in_force(replace(environment, planned={"NEW": "x"}))
    assert (found["LEVEL"].value, found["LEVEL"].origin) == ("pa$word", vps.ref.file)
    assert (found["NEW"].value, found["NEW"].origin) == ("x", vps.ref.overlay)


def test_compose_is_asked_again_only_when_a_file_has_changed(vps: Vps, environment: Environment) -> None:
    vps.says(web(A="1"))
    assert (in_force(environment)["A"].value, in_force(environment)["A"].value) == ("1", "1")
    assert len(vps.calls) == 1
    Path(environment.env_file).write_text("A=2 # another length\n")
    vps.says(web(A="2"))
    assert in_force(environment)["A"].value == "2"


def test_what_compose_does_not_take_is_told_where_the_settings_are_read(vps: Vps, environment: Environment) -> None:
    vps.answers = {"docker compose version": "2.26", "docker compose": (15, "", "env file /x/.env not found")}
    assert "env file /x/.env not found" in settings(environment, ("A",)).problem

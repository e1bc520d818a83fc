"""Images of a release: the repository is real, Docker's answers are given, and the very words that it gets count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fabfile.runner.actions.compose import SwitchImage
from fabfile.runner.actions.releases.build import Command
from fabfile.runner.actions.releases.images import AdoptImages, BuildImages, PruneImages
from fabfile.runner.releases import register
from fabfile.runner.system.machine import CommandFailed
from fabfile.runner.wire.app import Compose
from fabfile.runner.wire.facts import Container, Facts
from fabfile.runner.wire.release import BAD, BUILDING, GOOD, Release, Releases
from tests.runner.support.app_repository import SERVICES, AppRepository, WithoutSystemd

PROJECT = Compose("flow", "/c/docker-compose.yml", "/c")
CALL = "docker compose --project-name flow --project-directory /c --file /c/docker-compose.yml"
INSTALL = Command(".", ("/bin/sh", "-c", "mkdir node_modules"))


@pytest.fixture
def flow(tmp_path: Path) -> AppRepository:
    return AppRepository(tmp_path)


@pytest.fixture
def machine(tmp_path: Path) -> WithoutSystemd:
    return WithoutSystemd(tmp_path)


def config(flow: AppRepository) -> str:
    """The app's own file as Compose spells it."""
    build = {
        "context": str(flow.path),
        "dockerfile": "Dockerfile",
        "additional_contexts": {"apps": f"{flow.path}/apps", "base": "docker-image://bun"},
    }
    elsewhere = {"context": "/srv/other", "dockerfile": f"{flow.path}/Dockerfile.web"}
    return json.dumps({"name": "flow", "services": {"api": {"build": build}, "web": {"build": elsewhere}}})


def build(flow: AppRepository, *services: str) -> BuildImages:
    return BuildImages(flow.ref, PROJECT, flow.first, services or SERVICES, INSTALL, 50.0)


def images(flow: AppRepository, **ids: str) -> str:
    """What `docker images` prints: service_commit → image."""
    rows = [(image, *name.split("_")) for name, image in ids.items()]
    return "".join(f"{image}\tflow-release/{service}\t{commit * 40}\n" for image, service, commit in rows)


def inspected(**images: str) -> str:
    """What `docker inspect` prints of the services' containers, by their images."""
    common = {"State": {"Status": "running"}, "NetworkSettings": {}}
    return json.dumps([
        {"Image": image, "Config": {"Labels": {"com.docker.compose.service": name}}, **common}
        for name, image in images.items()
    ])  # fmt: skip


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_container_is_made_of_is_told_by_its_image(flow: AppRepository, machine: WithoutSystemd) -> None:
    machine.docker["images"] = images(flow, api_a="i1", api_b="i2", web_a="i3") + "i9\tflow-release/other\tx\n"
    machine.docker["ps"] = "c1\nc2\n"
    machine.docker["inspect"] = inspected(api="i2", web="old")
    register.write(machine.ops, Release("docker", "b" * 40, GOOD, built=True, builds=SERVICES))
    found = flow.releases(machine)
    assert found.images == {"api": ("a" * 40, "b" * 40), "web": ("a" * 40,)}
    assert found.containers == {"api": "b" * 40} and found.runs(flow.ref, "docker", "api") == "b" * 40
    assert [known.builds for known in found.known] == [("api",)], "somebody has removed the other image"


def test_nothing_is_concluded_where_docker_does_not_answer(flow: AppRepository, machine: WithoutSystemd) -> None:
    machine.docker["images"] = "!cannot connect"
    assert (flow.releases(machine).images, flow.releases(machine).containers) == ({}, {})


# ── Building ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_images_are_built_from_the_commit_as_the_compose_file_says(
    flow: AppRepository, machine: WithoutSystemd
) -> None:
    machine.docker["--format json"] = config(flow)
    register.write(machine.ops, Release("docker", flow.first, BUILDING))
    build(flow).apply(machine, {"missing": list(SERVICES)})
    assert machine.of_docker == [f"{CALL} --file - build api web"] and machine.timeouts["docker"] == 50.0
    [text] = [given for words, given in machine.input.items() if "build" in words]
    scratch, api, web = f"{flow.ref.folder}/images", *(json.loads(text)["services"][name] for name in SERVICES)
    assert api["image"] == f"flow-release/api:{flow.first}" and web["image"] == f"flow-release/web:{flow.first}"
    labels = {"islandflow.commit": flow.first}
    contexts = {"apps": f"{scratch}/apps", "base": "docker-image://bun"}
    assert api["build"] == {
        "labels": labels, "context": scratch, "dockerfile": "Dockerfile", "additional_contexts": contexts
    }  # fmt: skip
    assert web["build"] == {"labels": labels, "context": "/srv/other", "dockerfile": f"{scratch}/Dockerfile.web"}
    assert not Path(scratch).exists() and flow.git("worktree", "list").count("\n") == 0
    known = register.read(machine.ops, "docker", flow.first)
    assert known and known.built and known.builds == SERVICES


def test_a_build_that_fails_says_its_last_words_and_leaves_nothing(
    flow: AppRepository, machine: WithoutSystemd
) -> None:
    machine.docker |= {"--format json": config(flow), "build": "!no such base", "rmi": "!Error: No such image: x"}
    with pytest.raises(CommandFailed, match="docker compose build ended with 1") as error:
        build(flow).apply(machine, {"missing": list(SERVICES)})
    assert error.value.evidence["said"] == "!no such base" and not Path(flow.ref.folder, "images").exists()
    for _ in range(2):
        build(flow).undo(machine, {"missing": ["api"]})
    assert machine.of_docker[-1] == f"docker rmi flow-release/api:{flow.first}", "what was there before stays"


def test_only_missing_images_are_built_unless_the_release_was_bad(flow: AppRepository) -> None:
    commits: dict[str, tuple[str, ...]] = dict.fromkeys(SERVICES, (flow.first,))
    there = Facts(releases=Releases(images=commits))
    assert build(flow).noop_reason(there)
    assert not build(flow).noop_reason(Facts(releases=Releases(images={"api": (flow.first,)})))
    bad = replace(there.releases, known=(Release("docker", flow.first, BAD, built=True),))
    assert not build(flow).noop_reason(Facts(releases=bad))
    running = replace(bad, containers=dict.fromkeys(SERVICES, flow.first))
    assert build(flow).noop_reason(Facts(releases=running)), "what runs is not built anew"


# ── Adopting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_images_that_ran_before_the_first_deploy_are_a_release(flow: AppRepository, machine: WithoutSystemd) -> None:
    machine.docker["ps"] = "c1\n"
    machine.docker["inspect"] = inspected(api="i1")
    action = AdoptImages(flow.ref, SERVICES, flow.second)
    before = action.snapshot(flow.facts(machine))
    action.apply(machine, before)
    assert machine.of_docker == [f"docker tag i1 flow-release/api:{flow.first}"]
    known = register.read(machine.ops, "docker", flow.first)
    assert known and (known.state, known.services, known.built) == (GOOD, ("api",), True)
    action.undo(machine, before)
    assert register.read(machine.ops, "docker", flow.first) is None
    assert AdoptImages(flow.ref, SERVICES, flow.first).noop_reason(flow.facts(machine))


# ── Switching ───────────────────────────────────────────────────────────────────────────────────────────────────────


def switch(flow: AppRepository, *, anew: bool = False) -> SwitchImage:
    return SwitchImage(PROJECT, ("api",), 50.0, flow.ref, flow.first, "flow-api", anew)


def test_a_container_is_made_anew_from_the_image_under_compose_s_own_name(
    flow: AppRepository, machine: WithoutSystemd
) -> None:
    machine.docker["ps"] = "api\tflow-api-1\trunning\n"
    before = {"up": ["api"], "former": "sha256:old"}
    switch(flow).apply(machine, before)
    made = [
        "docker stop flow-api-1",
        "docker rm flow-api-1",
        f"{CALL} up --no-start --no-build --pull never --no-recreate api",
        "docker start flow-api-1",
    ]
    assert machine.of_docker == [f"docker tag flow-release/api:{flow.first} flow-api", *made]
    machine.started.clear()
    switch(flow).undo(machine, before)
    assert machine.of_docker == ["docker tag sha256:old flow-api", *made]
    machine.started.clear()
    switch(flow).undo(machine, {**before, "up": []})
    assert machine.of_docker == ["docker tag sha256:old flow-api", *made[:-1]], "it was down"


def test_what_is_made_of_the_image_already_is_left_alone_unless_it_must_be_anew(flow: AppRepository) -> None:
    facts = Facts(releases=Releases(containers={"api": flow.first}))
    assert switch(flow).noop_reason(facts) and not switch(flow, anew=True).noop_reason(facts)
    assert not switch(flow).noop_reason(Facts())


def test_the_former_image_is_journaled_before_anything_changes(flow: AppRepository, machine: WithoutSystemd) -> None:
    machine.docker["image inspect"] = "sha256:old\n"
    assert switch(flow).inspect(machine).before == {"up": [], "former": "sha256:old"}
    container = Container("api", "x", "id", "running", "", 0, 7, "", "flow-api", "", {})
    assert switch(flow).snapshot(Facts(containers={"api": container})) == {"up": ["api"]}


# ── Removing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_old_images_are_removed_but_never_what_runs_or_may_be_gone_back_to(
    flow: AppRepository, machine: WithoutSystemd
) -> None:
    a, b, c, d, e = (letter * 40 for letter in "abcde")
    known = tuple(Release("docker", commit, BAD if commit == b else GOOD, built=True) for commit in (e, d, c, b, a))
    found = Releases(known=known, images={"api": (a, b, c, d, e)}, containers={"api": e})
    prune = PruneImages(flow.ref, 2, (c,))
    tags = [f"flow-release/api:{commit}" for commit in (a, b)]
    before = prune.snapshot(Facts(releases=found))
    assert before == {"remove": tags}, "the latest two, and what ran before the plan"
    prune.apply(machine, before)
    assert machine.of_docker == [f"docker rmi {' '.join(tags)}"]
    assert prune.noop_reason(Facts(releases=Releases()))
    machine.docker["rmi"] = "!Cannot connect to the Docker daemon"
    with pytest.raises(CommandFailed, match="docker rmi"):
        prune.apply(machine, before)

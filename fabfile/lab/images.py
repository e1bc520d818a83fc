"""Makes the container images of an app of the operator's own without a registry: built, or copied from the checkout."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fabfile.lab.dockerfile import Stage, last_stage
from fabfile.lab.guest import Guest
from fabfile.lab.host import LabError, say

# A repository's name → the lab's image that stands in for it, whatever the tag.
STAND_INS = {
    "oven/bun": "islandflow-lab/bun",
    "nats": "islandflow-lab/nats",
    "redis": "islandflow-lab/redis",
    "clickhouse/clickhouse-server": "islandflow-lab/clickhouse",
}
FILES = "islandflow-lab/checkout"  # the checkout as an image, at the folder that its tag stands for
BUILD_LIMIT, UP_LIMIT = 900, 600  # seconds


@dataclass(frozen=True)
class Compose:
    """The app's Compose project on the lab."""

    guest: Guest
    directory: str
    file: str
    project: str

    def command(self, words: str, *, check: bool = True, timeout: float = 120) -> str:
        """Run `docker compose` on it; returns its output."""
        argv = f"cd '{self.directory}' && docker compose -p '{self.project}' -f '{self.file}' {words}"
        return self.guest.run(argv, check=check, timeout=timeout).stdout

    def services(self) -> dict[str, dict[str, Any]]:
        """Every service, those behind a profile as well."""
        services: dict[str, dict[str, Any]] = json.loads(self.command("--profile '*' config --format json"))["services"]
        return services

    def up(self) -> None:
        """Start everything. Raises LabError with the last log lines of the services that did not come up."""
        words = "up --detach --wait --no-build --pull never"
        argv = f"cd '{self.directory}' && docker compose -p '{self.project}' -f '{self.file}' {words} 2>&1"
        result = self.guest.run(argv, check=False, timeout=UP_LIMIT)
        if result.returncode:
            states = self.command("ps --all --format '{{.Service}} {{.State}} {{.Health}}'").splitlines()
            names = [line.split()[0] for line in states if not line.endswith((" running ", " running healthy"))]
            logs = [self.command(f"logs --no-log-prefix --tail 3 {name} 2>&1").strip() for name in names[:3]]
            raise LabError(
                f"the app did not come up in Docker: {result.stdout.strip().splitlines()[-1]}\n"
                + "\n".join(f"{name}: {text}" for name, text in zip(names, logs, strict=False))
            )

    def build(self, service: str) -> str:
        """Build one service's image without a registry; returns the last line of output if that failed, else ""."""
        argv = f"cd '{self.directory}' && docker compose -p '{self.project}' -f '{self.file}' build '{service}' 2>&1"
        result = self.guest.run(argv, check=False, timeout=BUILD_LIMIT)
        lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
        return (lines or ["no output"])[-1] if result.returncode else ""


def make(compose: Compose, checkout: str, mapping: Mapping[str, str]) -> None:
    """Make every image that the project's services name. Raises LabError for one that the lab cannot provide."""
    built: dict[str, str] = {}
    for name, service in compose.services().items():
        image = service.get("image") or f"{compose.project}-{name}"
        if "build" not in service:
            _tag_stand_in(compose.guest, image, mapping)
            continue
        recipe = json.dumps(service["build"], sort_keys=True)
        if recipe in built:
            compose.guest.run(["docker", "tag", built[recipe], image])
        else:
            _build(compose, name, service["build"], image, checkout, mapping)
            built[recipe] = image


def stand_in_for(image: str, mapping: Mapping[str, str]) -> str:
    """The lab's image for one of the app's, by its whole name or its repository's; empty when there is none."""
    repository = image.rpartition(":")[0] if ":" in image.rpartition("/")[2] else image
    for name in (image, repository, repository.removeprefix("docker.io/").removeprefix("library/")):
        if stand_in := mapping.get(name) or STAND_INS.get(name):
            return stand_in
    return ""


def _tag_stand_in(guest: Guest, image: str, mapping: Mapping[str, str]) -> str:
    """Tag the lab's stand-in with the image's name, unless there is an image of that name; returns the image used."""
    stand_in = stand_in_for(image, mapping)
    if not stand_in and _exists(guest, image):
        return image
    if "@" in image:
        raise LabError(f"{image} is named by its digest, so that nothing can stand in for it here; name it by a tag")
    if not stand_in:
        raise LabError(
            f"the lab has no image for {image}, and no network to get it; name one: --image {image}=LAB_IMAGE, "
            f"of {', '.join(sorted(set(STAND_INS.values())))}"
        )
    guest.run(["docker", "tag", stand_in, image])
    return stand_in


def _exists(guest: Guest, image: str) -> bool:
    return not guest.run(["docker", "image", "inspect", image], check=False).returncode


def _build(
    compose: Compose, service: str, recipe: Mapping[str, Any], image: str, checkout: str, mapping: Mapping[str, str]
) -> None:
    """Build by the app's own Dockerfile; where that needs the internet, make the image from the checkout as it is."""
    path = posixpath.join(recipe["context"], recipe.get("dockerfile", "Dockerfile"))
    text = compose.guest.run(["cat", path]).stdout
    stage = last_stage(text, recipe.get("args"))
    bases = [_tag_stand_in(compose.guest, base, mapping) for base in stage.bases]
    problem = compose.build(service)
    if not problem:
        say(f"{service}: built with {posixpath.basename(path)}")
        return
    say(f"{service}: {posixpath.basename(path)} can't be built without the internet ({problem[:160]})")
    say(f"{service}: its image is a copy of the checkout, at {stage.workdir}, started as its last stage says")
    _from_checkout(compose.guest, stage, bases[-1], image, checkout)


def _from_checkout(guest: Guest, stage: Stage, base: str, image: str, checkout: str) -> None:
    """Copy the files once for each folder and base, since they are large; each service has a thin layer over them."""
    files = f"{FILES}:{(base + stage.workdir).replace('/', '-')}"
    if not _exists(guest, files):
        dockerfile = f"FROM {base}\\nWORKDIR {stage.workdir}\\nCOPY files/ ./\\n"
        guest.run(
            f"""set -e
            printf '{dockerfile}' >/tmp/Dockerfile.lab
            tar -c --transform 's,^\\./,files/,' --exclude=./.git --exclude=.env --exclude=.dockerignore \
                -C /tmp Dockerfile.lab -C '{checkout}' . | docker build --quiet --file Dockerfile.lab --tag '{files}' -
            rm /tmp/Dockerfile.lab""",
            timeout=BUILD_LIMIT,
        )
    recipe = "\n".join([f"FROM {files}", f"WORKDIR {stage.workdir}", *stage.start_instructions]) + "\n"
    guest.run(["docker", "build", "--quiet", "--tag", image, "-"], stdin=recipe, timeout=BUILD_LIMIT)

"""An app of the operator's own on the lab: what is asked for, what it needs, which image stands in for which."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fabfile import inventory
from fabfile.errors import UsageError
from fabfile.lab import images, own
from fabfile.lab.choices import Choices
from fabfile.lab.dockerfile import last_stage
from fabfile.lab.host import LabError
from fabfile.lab.inventory import write_inventory
from tests.support.inventories import REPOSITORY

WEB = """# syntax=docker/dockerfile:1.7
ARG BUN=1.3
FROM oven/bun:${BUN} AS build
WORKDIR /app
ENV NODE_ENV=production
COPY . .
RUN bun install \\
    # a comment in between
    && bun run build

FROM --platform=linux/amd64 oven/bun:${BUN} AS runtime
ARG REVISION
WORKDIR /srv
WORKDIR app
ENV NODE_ENV=production
COPY --from=build /app ./
EXPOSE 3000
CMD ["bun", "run", "start", "--", \\
     "-p", "3000"]
"""


# ── What is asked for ───────────────────────────────────────────────────────────────────────────────────────────────


def test_choices_are_kept_with_the_lab_and_printed_as_typed(tmp_path: Path) -> None:
    asked = Choices.of(cpus="0.5", app=str(tmp_path), env=str(tmp_path / "e"), image="a/b:1=lab/b, c = lab/c")
    asked.save(tmp_path)
    assert Choices.load(tmp_path) == asked
    assert dict(asked.images) == {"a/b:1": "lab/b", "c": "lab/c"}
    assert str(asked) == f"--cpus 0.5 --app {tmp_path} --env {tmp_path}/e --image a/b:1=lab/b,c=lab/c"
    assert Choices.load(tmp_path / "nowhere") == Choices() and str(Choices()) == ""
    assert str(Choices.of(web_cost="18", no_nats_monitoring=True)) == "--web-cost 18 --no-nats-monitoring"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"cpus": "none"}, "--cpus none is no number above 0"),
        ({"cpus": "0"}, "--cpus 0 is no number"),
        ({"web_cost": "-1"}, "--web-cost -1 is no number"),
        ({"web_warmup": "inf"}, "--web-warmup inf is no number"),
        ({"env": "x.env"}, "--env is for an app of your own"),
        ({"image": "a=b"}, "--image is for an app of your own"),
        ({"app": ".", "web_cost": "18"}, "slow the lab's own app down"),
        ({"app": ".", "image": "oven/bun"}, "--image oven/bun maps nothing"),
    ],
)
def test_what_can_not_be_is_refused_in_one_sentence(words: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        Choices.of(**words)  # type: ignore[arg-type]  # as the command line gives them: text
    assert said in refused.value.message and "\n" not in refused.value.message


# ── What a checkout needs ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    app = tmp_path / "app"
    (app / "deployment/docker").mkdir(parents=True)
    (app / "deployment/docker/docker-compose.yml").write_text("services: {}\n")
    (app / "node_modules").mkdir()
    for name in (".env", "deployment/docker/.env"):
        (app / name).touch()
    subprocess.run(["git", "init", "--quiet", str(app)], check=True)
    return app


def test_a_checkout_that_has_everything_passes(checkout: Path) -> None:
    own.check(Choices.of(app=str(checkout)))


@pytest.mark.parametrize(
    ("missing", "said", "fix"),
    [
        (".git", "there is no .git in it", "a clone"),
        ("deployment/docker/docker-compose.yml", "there is no Compose file", "--inventory FILE"),
        ("node_modules", "has no node_modules", "bun install --frozen-lockfile"),
        (".env", "there is no env file", "--env FILE"),
        ("deployment/docker/.env", "there is no env file", "--docker-env FILE"),
    ],
)
def test_what_is_missing_is_named_with_its_fix(checkout: Path, missing: str, said: str, fix: str) -> None:
    (checkout / missing).rename(checkout.parent / "away")
    with pytest.raises(UsageError) as refused:
        own.check(Choices.of(app=str(checkout)))
    assert said in refused.value.message and fix in refused.value.next_step


def test_a_linked_worktree_is_told_from_a_folder_without_git(checkout: Path) -> None:
    (checkout / ".git").rename(checkout.parent / "away")
    (checkout / ".git").write_text("gitdir: elsewhere\n")
    with pytest.raises(UsageError, match="linked worktree"):
        own.check(Choices.of(app=str(checkout)))


@pytest.mark.parametrize("option", ["env", "docker-env", "inventory"])
def test_a_file_that_is_not_there_is_named(checkout: Path, option: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} /nowhere is no file"):
        own.check(Choices.of(app=str(checkout), **{option.replace("-", "_"): "/nowhere"}))  # type: ignore[arg-type]  # as text


# ── Its images ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_last_stage_of_a_dockerfile_says_how_the_image_is_started() -> None:
    stage = last_stage(WEB)
    assert stage.bases == ("oven/bun:1.3",) and stage.workdir == "/srv/app"
    assert stage.start_instructions == (
        "ARG REVISION",
        "ENV NODE_ENV=production",
        "EXPOSE 3000",
        'CMD ["bun", "run", "start", "--",       "-p", "3000"]',
    )
    assert last_stage(WEB, {"BUN": "2"}).bases == ("oven/bun:2",)
    assert last_stage("FROM a\nFROM b AS two\nFROM two\n").bases == ("a", "b")


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("oven/bun:1.3.11", "islandflow-lab/bun"),
        ("docker.io/library/redis:7.2", "islandflow-lab/redis"),
        ("clickhouse/clickhouse-server", "islandflow-lab/clickhouse"),
        ("registry.test:5000/mine:1", "mine-of-the-lab"),
        ("postgres:17", ""),
    ],
)
def test_a_repository_has_a_stand_in_whatever_its_tag(image: str, ours: str) -> None:
    assert images.stand_in_for(image, {"registry.test:5000/mine": "mine-of-the-lab"}) == ours


def test_what_is_named_wins_over_the_usual_one_and_a_whole_name_over_a_repository() -> None:
    chosen = {"redis": "mine", "redis:7.2": "older"}
    assert (images.stand_in_for("redis:8", chosen), images.stand_in_for("redis:7.2", chosen)) == ("mine", "older")


class Inside:
    """Stands for the lab: Docker there knows a Compose project and can't build what needs the internet."""

    def __init__(self, services: dict[str, Any], offline: bool = True) -> None:
        self.services, self.offline = services, offline
        self.tags: dict[str, str] = {}
        self.recipes: list[str] = []
        self.copied = 0

    def run(self, command: Any, *, check: bool = True, timeout: float = 0, stdin: str = "") -> Any:
        text = command if isinstance(command, str) else " ".join(command)
        code, out = 0, ""
        if "config --format json" in text:
            out = json.dumps({"services": self.services})
        elif text.startswith("cat "):
            out = WEB
        elif " build 'web'" in text and self.offline:
            code, out = 1, "first\nfailed to resolve oven/bun\n"
        elif text.startswith("docker tag"):
            _, _, ours, name = text.split()
            self.tags[name] = ours
        elif "image inspect islandflow-lab/checkout" in text:
            code = 0 if self.copied else 1
        elif "image inspect" in text:
            code = 0 if text.split()[-1].startswith("islandflow-lab/") else 1
        elif "--tag islandflow" in text and stdin:
            self.recipes.append(stdin)
        elif "tar -c" in text:
            self.copied += 1
        return subprocess.CompletedProcess(text, code, out, "")


BUILT = {"build": {"context": "/home/delta/islandflow", "dockerfile": "Dockerfile"}}


def made(inside: Inside, chosen: dict[str, str] | None = None) -> Inside:
    compose = images.Compose(inside, "/there", "compose.yml", "islandflow-vps")  # type: ignore[arg-type]  # a double of the guest
    images.make(compose, "/home/delta/islandflow", chosen or {})
    return inside


def test_what_can_not_be_built_offline_is_the_checkout_as_it_lies_there(capsys: pytest.CaptureFixture[str]) -> None:
    inside = made(Inside({"web": BUILT, "again": BUILT, "nats": {"image": "nats:2.10"}}))
    assert inside.tags == {
        "oven/bun:1.3": "islandflow-lab/bun",
        "nats:2.10": "islandflow-lab/nats",
        "islandflow-vps-again": "islandflow-vps-web",
    }
    (recipe,) = inside.recipes
    assert recipe.startswith("FROM islandflow-lab/checkout:") and recipe.endswith('"-p", "3000"]\n')
    assert "web: Dockerfile can't be built without the internet (failed to resolve oven/bun)" in capsys.readouterr().err


def test_what_can_be_built_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert made(Inside({"web": BUILT}, offline=False)).recipes == []
    assert "web: built with Dockerfile" in capsys.readouterr().err


def test_an_image_that_nothing_stands_in_for_is_named_with_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LabError, match=r"no image for postgres:17.*--image postgres:17=LAB_IMAGE"):
        made(Inside({"db": {"image": "postgres:17"}}))
    with pytest.raises(LabError, match="named by its digest"):
        made(Inside({"nats": {"image": "nats@sha256:0123"}}))
    assert made(Inside({"bun": {"image": "islandflow-lab/bun"}})).tags == {}
    assert made(Inside({"db": {"image": "postgres:17"}}), {"postgres": "lab/x"}).tags == {"postgres:17": "lab/x"}


# ── The inventory of such a lab ─────────────────────────────────────────────────────────────────────────────────────


def test_an_inventory_of_ones_own_keeps_all_but_the_places(tmp_path: Path) -> None:
    theirs = (REPOSITORY / "inventory.toml").read_text().replace("flow.deltaisland.io", "mine.example.test")
    (tmp_path / "mine.toml").write_text(theirs.replace('user = "delta"', 'user = "somebody"'))
    asked = Choices.of(app=str(tmp_path), inventory=str(tmp_path / "mine.toml"))
    site = inventory.load(write_inventory(tmp_path, choices=asked), {})
    project = inventory.load(REPOSITORY / "inventory.toml", {})
    assert (site.edge.app_domain, site.edge.api_domain) == ("mine.example.test", "api.mine.example.test")
    assert site.services == project.services and site.infra == project.infra
    (host,) = site.hosts.values()
    assert (str(host.address), host.user, site.app.user, site.origin) == ("127.0.0.1", "delta", "delta", "127.0.0.1")


def test_without_monitoring_the_native_nats_has_no_port_for_it(tmp_path: Path) -> None:
    for asked in (Choices.of(no_nats_monitoring=True), Choices.of(no_nats_monitoring=True, app=str(tmp_path))):
        site = inventory.load(write_inventory(tmp_path, choices=asked), {})
        assert site.infra.nats.monitor_port is None

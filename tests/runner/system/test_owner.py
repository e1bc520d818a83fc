"""Who owns, in every combination of owner file and containers: whoever needs to know says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest

from fabfile import survey
from fabfile.checks import boot, provider
from fabfile.commands import status
from fabfile.console import Console
from fabfile.inventory import Site
from fabfile.runner.facts.gather import gather
from fabfile.runner.facts.nats.jetstream import locate
from fabfile.runner.soak.sampler import owner_now
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.system.owner import NOBODY, find_owner
from fabfile.runner.wire.app import Provided, StreamsRef
from fabfile.runner.wire.facts import Facts, FactsRequest
from tests.runner.support.recorder import Recorder

HELD = "the owner file holds 'both', neither native nor docker"
AWAY = "Cannot connect to the Docker daemon"
File = Literal["native", "docker", "none", "both"]
Docker = Literal["runs", "stopped", "empty", "away"]

# What the owner file holds, what Docker has of the project, who owns then, and else what is said instead.
CASES: list[tuple[File, Docker, str, str]] = [
    *(("native", state, "native", "") for state in ("runs", "stopped", "empty", "away")),
    *(("docker", state, "docker", "") for state in ("runs", "stopped", "empty", "away")),
    ("none", "runs", "docker", ""),
    ("none", "stopped", "", NOBODY),
    ("none", "empty", "", NOBODY),
    ("none", "away", "", AWAY),
    *(("both", state, "", HELD) for state in ("runs", "stopped", "empty", "away")),
]
every_case = pytest.mark.parametrize(("file", "docker", "owner", "instead"), CASES)


def vps(folder: Path, file: File, docker: Docker) -> tuple[Recorder, StreamsRef]:
    """A machine with that owner file and those containers, and where its owner's JetStream would be."""
    if file != "none":
        (folder / "owner").write_text(f"{file}\n")
    answers: dict[str, str | tuple[int, str, str]] = {"docker ps": "1\n", "docker inspect": json.dumps([_nats(docker)])}
    if docker == "empty":
        answers = {}
    if docker == "away":
        answers = {"docker": (1, "", AWAY)}
    return Recorder(folder, answers), StreamsRef("p", str(folder / "owner"), {})


def _nats(docker: Docker) -> dict[str, object]:
    return {
        "Id": "1",
        "Name": "/p-nats-1",
        "Config": {"Labels": {"com.docker.compose.service": "nats"}},
        "State": {"Status": "running" if docker == "runs" else "exited"},
        "NetworkSettings": {"Networks": {"default": {"IPAddress": "172.20.0.5"}}},
    }


def surveyed(machine: Recorder, ref: StreamsRef) -> Facts:
    """The facts that the owner follows from, and what status and provider.check need beside them."""
    found = gather(machine, FactsRequest(host=True, owner_file=ref.owner_file, project=ref.project))
    answers = {runtime: Provided("synthetic", "env") for runtime in ("native", "docker")}
    return Facts(
        host=found.host,
        owner=found.owner,
        owner_error=found.owner_error,
        containers=found.containers,
        docker_error=found.docker_error,
        providers=answers,
    )


@every_case
def test_the_runner_says_who_owns(tmp_path: Path, file: File, docker: Docker, owner: str, instead: str) -> None:
    machine, ref = vps(tmp_path, file, docker)
    problems: list[str] = []
    assert owner_now(machine, ref, problems) == owner
    assert [problem for problem in problems if instead not in problem] == [] and bool(problems) == bool(instead)
    if instead in ("", NOBODY):
        assert find_owner(machine, tmp_path / "owner", "p") == owner
    else:
        with pytest.raises(StepFailed):
            find_owner(machine, tmp_path / "owner", "p")


@every_case
def test_the_owners_jetstream_is_that_owners(
    tmp_path: Path, file: File, docker: Docker, owner: str, instead: str
) -> None:
    machine, ref = vps(tmp_path, file, docker)
    if owner == "native" or (docker == "runs" and owner):
        assert locate(machine, ref)[0] == owner
        return
    with pytest.raises(StepFailed) as refused:
        locate(machine, ref)
    told = f"{refused.value} {refused.value.evidence.get('said', '')}"
    if owner:  # Docker owns, and its NATS can't be asked
        assert NOBODY not in told
    else:
        assert instead in told


@every_case
def test_survey_status_and_provider_say_who_owns(
    site: Site,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: File,
    docker: Docker,
    owner: str,
    instead: str,
) -> None:
    facts = surveyed(*vps(tmp_path, file, docker))
    assert survey.owner(facts) == owner
    name, good, evidence = next(iter(provider.checks(site, facts)))
    assert (name, good) == ((f"{owner}'s adapter", True) if owner else ("owner", False))
    assert instead in evidence
    status.show(Console(), site, facts)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("owner ")]
    assert line.split()[1] == (owner or ("unknown:" if file == "both" else "nobody"))
    assert bool(boot.findings(site, facts)) <= bool(owner), "who does not own is not missed after a reboot"

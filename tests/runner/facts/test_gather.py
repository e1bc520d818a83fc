"""Facts that a survey brings home, from real files and from what programs say."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Unpack

import pytest

from fabfile.runner.facts.gather import gather
from fabfile.runner.facts.one_look import OneLook
from fabfile.runner.system import docker
from fabfile.runner.system.machine import CommandFailed, Machine, Result
from fabfile.runner.wire.app import Need
from fabfile.runner.wire.facts import FactsRequest, Workload
from fabfile.runner.wire.settings import SettingsFile
from tests.runner.support.recorder import Recorder
from tests.runner.support.run_options import RunOptions


def test_free_space_is_listed_once_for_each_file_system(tmp_path: Path, small_disk: Path) -> None:
    folders = (str(tmp_path / "ops"), str(tmp_path), str(small_disk / "not/there/yet"))
    found = gather(Machine(tmp_path), FactsRequest(disks=folders)).disks
    assert list(found) == [folders[0], folders[2]]
    assert 0 < found[folders[2]] <= 3 << 20 < found[folders[0]]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("folder", "mode", "denied"), [(0o755, 0o644, False), (0o755, 0o600, True), (0o700, 0o644, True)]
)
def test_the_env_file_must_be_readable_for_the_apps_user_too(
    tmp_path: Path, folder: int, mode: int, denied: bool
) -> None:
    place = Path("/run") / f"islandflow-test-{os.getpid()}"  # not below a folder that is private to root
    place.mkdir(mode=0o755)
    try:
        (place / "in").mkdir()
        env = place / "in/.env"
        env.write_text("A=1\nSECRET=2\n")
        env.chmod(mode)
        (place / "in").chmod(folder)
        file = SettingsFile("/nowhere/settings.env", str(env), "nobody", "nogroup")
        fact = gather(Machine(tmp_path), FactsRequest(settings_file=file)).settings_file
    finally:
        shutil.rmtree(place)
    assert fact and bool(fact.denied) is denied and (not denied or "nobody cannot read" in fact.denied)


def test_an_env_file_of_a_user_that_does_not_exist_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").touch()
    file = SettingsFile("/nowhere/settings.env", str(tmp_path / ".env"), "islandflow-nobody", "nogroup")
    fact = gather(Machine(tmp_path), FactsRequest(settings_file=file)).settings_file
    assert fact and "no user islandflow-nobody" in fact.denied


@pytest.mark.parametrize(("mode", "told"), [(0o644, ""), (0o600, "not readable by all (mode 600)")])
def test_an_owner_file_that_units_cannot_read_says_nothing(tmp_path: Path, mode: int, told: str) -> None:
    owner = tmp_path / "owner"
    owner.write_text("native\n")
    owner.chmod(mode)
    facts = gather(Machine(tmp_path), FactsRequest(owner_file=str(owner)))
    assert facts.owner == ("" if told else "native") and told in facts.owner_error


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        ("Status: inactive", (True, False, "")),
        ("Status: active", (True, True, "")),
        ((1, "", "ERROR: problem running iptables"), (True, False, "ERROR: problem running iptables")),
    ],
)
def test_a_firewall_may_be_inactive_active_or_broken(
    answer: str | tuple[int, str, str], facts: tuple[bool, bool, str], tmp_path: Path
) -> None:
    found = gather(Recorder(tmp_path, {"ufw status": answer}), FactsRequest(firewall=True))
    assert (found.firewall.installed, found.firewall.active, found.firewall.problem) == facts


def test_a_firewall_may_be_absent(tmp_path: Path) -> None:
    class Bare(Machine):
        def run(self, argv: Sequence[str], **more: Unpack[RunOptions]) -> Result:
            return super().run([f"/nowhere/{argv[0]}", *argv[1:]], **more)

    found = gather(Bare(tmp_path), FactsRequest(firewall=True))
    assert (found.firewall.installed, found.firewall.active, found.firewall.problem) == (False, False, "")


@pytest.fixture
def place(root: None) -> Iterator[Path]:
    """A folder that is not below one that is private to root."""
    made = Path("/run") / f"islandflow-test-{os.getpid()}"
    made.mkdir(mode=0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def test_what_a_unit_needs_is_tested_as_its_user(tmp_path: Path, place: Path) -> None:
    open_folder, shut, program = place / "open folder", place / "shut", place / "program"
    open_folder.mkdir(mode=0o755)
    shut.mkdir(mode=0o700)
    program.write_text("x")
    (shut / "file").write_text("x")
    wanted = (
        Need(str(open_folder), "enter", "nobody"),
        Need(str(shut), "enter", "nobody"),
        Need(str(shut / "file"), "read", "nobody"),
        Need(str(program), "run"),
        Need(str(program) + "s", "run"),
        Need(str(program), "enter"),
    )
    found = gather(Machine(tmp_path), FactsRequest(needs=wanted)).lacking
    assert found == {
        str(shut): f"nobody cannot enter {shut}",
        str(shut / "file"): f"nobody cannot read {shut}/file",
        str(program): f"{program} is no directory",
        f"{program}s": f"there is no {program}s",
    }
    assert gather(Machine(tmp_path), FactsRequest(needs=wanted[3:4])).lacking == {
        str(program): f"root cannot run {program}"
    }
    nobody = (Need(str(program), "read", "islandflow-nobody"),)
    assert "no user islandflow-nobody" in gather(Machine(tmp_path), FactsRequest(needs=nobody)).lacking[str(program)]


def container(service: str) -> dict[str, object]:
    """What `docker inspect` says of a running container of the project flow."""
    labels = {"com.docker.compose.project": "flow", "com.docker.compose.service": service}
    return {
        "Id": f"id-{service}",
        "Name": f"/flow-{service}-1",
        "State": {"Status": "running", "Pid": os.getpid()},
        "Config": {"Labels": labels},
        "NetworkSettings": {"Networks": {"flow": {"IPAddress": "127.0.0.1"}}},
    }


def test_containers_are_read_once_for_themselves_and_for_their_health(tmp_path: Path) -> None:
    vps = Recorder(tmp_path, {"docker ps": "id-api", "docker inspect": json.dumps([container("api")])})
    workloads = (Workload("api", "docker", project="flow"), Workload("web", "docker", project="flow"))
    found = gather(vps, FactsRequest(project="flow", workloads=workloads))
    assert list(found.containers) == ["api"]
    assert {key: (v.ok, v.text) for key, v in found.health.items()} == {
        "docker/api": (True, "healthy"),
        "docker/web": (False, "there is no container"),
    }
    assert len(vps.said("docker", "ps")) == len(vps.said("docker", "inspect")) == 1


def test_the_facts_have_both_runtimes_health_from_two_jobs(tmp_path: Path) -> None:
    unit = "Id=api.service\nLoadState=loaded\nActiveState=active\nSubState=running\nMainPID=1"
    vps = Recorder(
        tmp_path,
        {"docker ps": "id-api", "docker inspect": json.dumps([container("api")]), "systemctl show": unit},
    )
    workloads = (Workload("api", "native", unit="api.service"), Workload("api", "docker", project="flow"))
    for wanted in (FactsRequest(project="flow", workloads=workloads), FactsRequest(workloads=workloads)):
        found = gather(vps, wanted).health
        assert {key: verdict.ok for key, verdict in found.items()} == {"native/api": True, "docker/api": True}


def test_the_memory_is_that_of_the_processes_whose_health_is_known(tmp_path: Path) -> None:
    unit = f"Id=api.service\nLoadState=loaded\nActiveState=active\nSubState=running\nMainPID={os.getpid()}"
    vps = Recorder(tmp_path, {"systemctl show": unit, "du": f"4096\t{tmp_path}\n"})
    workloads = (Workload("api", "native", unit="api.service"), Workload("web", "docker", project="flow"))
    found = gather(vps, FactsRequest(workloads=workloads, memory=True, sized=(str(tmp_path),)))
    assert list(found.memory) == ["native/api"] and found.memory["native/api"] > 1 << 20
    assert found.sizes == {str(tmp_path): 4096}
    assert gather(vps, FactsRequest(workloads=workloads)).memory == {}


def test_a_docker_that_does_not_answer_is_one_error_and_no_verdict(tmp_path: Path) -> None:
    vps = Recorder(tmp_path, {"docker": (1, "", "Cannot connect to the Docker daemon")})
    workloads = (Workload("api", "docker", project="flow"),)
    found = gather(vps, FactsRequest(project="flow", workloads=workloads, host=True))
    assert found.docker_error == "Docker does not answer: Cannot connect to the Docker daemon"
    assert (found.containers, found.health) == ({}, {}) and found.host.uid == os.geteuid()


def test_an_error_that_no_fact_has_words_for_ends_the_survey(tmp_path: Path) -> None:
    """Jobs run in threads: what one of them raises must not be lost there."""

    class Broken(Recorder):
        def run(self, argv: Sequence[str], **more: Unpack[RunOptions]) -> Result:
            if argv[0] == "docker":
                raise OSError("the disk is on fire")
            return super().run(argv, **more)

    with pytest.raises(OSError, match="on fire"):
        gather(Broken(tmp_path), FactsRequest(project="flow", host=True, ops=True))


def test_projects_are_counted_as_compose_lists_them(tmp_path: Path) -> None:
    listed = "flow\trunning\nflow\trunning\nflow\texited\nnpm\trunning\n"
    vps = Recorder(tmp_path, {"docker ps": listed})
    assert gather(vps, FactsRequest(projects=True)).projects == {"flow": "exited(1), running(2)", "npm": "running(1)"}
    vps.answers = {"docker ps": (1, "", "Cannot connect")}
    assert gather(vps, FactsRequest(projects=True)).projects == {}


def test_a_command_that_several_facts_are_read_from_runs_once_in_a_survey(tmp_path: Path) -> None:
    vps = Recorder(tmp_path, {"docker ps": "id-api", "docker inspect": json.dumps([container("api")])})
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Recorder):
        def run(self, argv: Sequence[str], **more: Unpack[RunOptions]) -> Result:
            begun.set()
            assert go_on.wait(60)
            return vps.run(argv, **more)

    look = OneLook(Slow(tmp_path))
    with ThreadPoolExecutor(max_workers=2) as pool:
        first = pool.submit(docker.containers, look, "flow")
        assert begun.wait(60)
        second = pool.submit(docker.images, look, "flow")
        go_on.set()
        assert list(first.result()) == list(second.result()) == ["api"]
    assert len(vps.said("docker", "ps")) == len(vps.said("docker", "inspect")) == 1
    look.run(["docker", "ps"])
    look.run(["docker", "ps"], user="delta")
    assert len(vps.said("docker", "ps")) == 3, "another command, or another user's, has a result of its own"


def test_each_fact_judges_the_code_of_a_command_that_it_shares(tmp_path: Path) -> None:
    look = OneLook(Recorder(tmp_path, {"ufw": (1, "", "broken")}))
    assert look.run(["ufw", "status"], ok=None).code == 1
    for _ in range(2):
        with pytest.raises(CommandFailed, match="ufw status ended with 1"):
            look.run(["ufw", "status"])
    assert look.run(["ufw", "status"], ok=(0, 1)).err == "broken"

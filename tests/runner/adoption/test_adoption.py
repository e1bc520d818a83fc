"""What `init` finds on a VPS, and what of it never leaves there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack, cast

import pytest

from fabfile.runner.adoption import containers, env_files, starts
from fabfile.runner.adoption.checkout import root_of, work
from fabfile.runner.adoption.edge import edges
from fabfile.runner.adoption.gather import adoption
from fabfile.runner.system.inspected import Inspected
from fabfile.runner.system.machine import CommandFailed, Machine, Result
from fabfile.runner.wire.adoption import AdoptionRequest
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.edge import Upstream
from tests.runner.support.fake_edge import API_DOMAIN, FakeEdge
from tests.runner.support.npm_shape import DOMAIN
from tests.runner.support.run_options import RunOptions


def described(**given: Any) -> Inspected:
    """A container as `docker inspect` shows it, one of a Compose project."""
    config = {
        "Image": "app:1",
        "Env": ["NATS_URL=nats://user:hunter2@nats", "OPTIONS_INGEST_ADAPTER=synthetic", "PATH=/bin"],
        "Labels": {
            "com.docker.compose.project": "app",
            "com.docker.compose.service": "api",
            "com.docker.compose.project.working_dir": "/srv/app/deployment/docker",
            "com.docker.compose.project.config_files": "/srv/app/deployment/docker/docker-compose.yml",
        },
        "ExposedPorts": {"4000/tcp": {}, "53/udp": {}},
        "Cmd": ["services/api/src/index.ts"],
        "Entrypoint": ["bun"],
        "WorkingDir": "/app",
    }
    item: dict[str, Any] = {
        "Id": "0123456789abcdef",
        "Name": "/app-api-1",
        "State": {"Status": "running", "Pid": 0},
        "Config": {**config, **given},
        "HostConfig": {
            "PortBindings": {"4000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "4000"}]},
        },
        "NetworkSettings": {
            "Networks": {"npm-shared": {"IPAddress": "172.18.0.3", "Aliases": ["api", "0123456789ab"]}, "bare": None}
        },
        "Mounts": [{"Type": "bind", "Source": "/", "Destination": "/host"}],
    }
    return cast("Inspected", item)


# ── Containers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_container_says_what_it_is_called_and_where_it_is_published() -> None:
    container = containers.read(described())
    assert (container.service, container.name) == ("api", "app-api-1")
    assert container.aliases["npm-shared"] == ("api", "app-api-1") and container.networks["npm-shared"] == "172.18.0.3"
    assert container.published == {"4000/tcp": "127.0.0.1:4000"} and container.exposed == (4000,)
    assert container.mounts[0].owner == "0:0"


def test_of_its_variables_only_names_leave_and_the_values_that_may() -> None:
    container = containers.read(described(), ("OPTIONS_INGEST_ADAPTER",))
    assert "NATS_URL" in container.variables and container.shown == {"OPTIONS_INGEST_ADAPTER": "synthetic"}
    assert "hunter2" not in json.dumps(encode(container))


def test_a_container_that_is_no_projects_is_its_own_service() -> None:
    assert containers.read(described(Labels=None)).service == "app-api-1"


def test_whoever_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert containers.http_answers("127.0.0.1", 1) == {}


# ── How a service starts ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a service, and pages that a script starts."""
    for place in ("services/api/src", "apps/web"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "services/api/src/index.ts").touch()
    (tmp_path / "apps/web/package.json").write_text('{"scripts": {"start": "next start", "build": "next build"}}')
    (tmp_path / "package.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("entry", "command", "inside", "directory", "argv"),
    [
        (["bun"], ["services/api/src/index.ts"], "/app", ".", ("services/api/src/index.ts",)),
        (None, ["bun", "run", "src/index.ts"], "/app/services/api", "services/api", ("run", "src/index.ts")),
        (["/bin/docker-entrypoint.sh"], ["/bin/bun", "run", "start"], "/srv/apps/web", "apps/web", ("run", "start")),
        (["tini", "--", "bun"], ["run", "--cwd", "apps/web", "start"], "/", ".", ("run", "--cwd", "apps/web", "start")),
    ],
)  # fmt: skip
def test_a_start_is_told_as_in_the_checkout(
    entry: Any, command: Any, inside: str, directory: str, argv: tuple[str, ...], checkout: Path
) -> None:
    found = starts.start({"Entrypoint": entry, "Cmd": command, "WorkingDir": inside}, checkout)
    assert (found.directory, found.argv, found.problem) == (directory, argv, "")


def test_a_start_has_the_scripts_of_its_directory(checkout: Path) -> None:
    found = starts.start({"Cmd": ["bun", "run", "start"], "WorkingDir": "/apps/web"}, checkout)
    assert found.scripts == ("build", "start")


@pytest.mark.parametrize(
    ("entry", "command", "problem"),
    [
        (["sh", "-c"], ["bun x"], "starts sh"),
        (None, None, "starts nothing"),
        (["bun"], None, "without an argument"),
        (["bun"], ["gone.ts"], "nothing in the checkout"),
        (["bun"], ["services/api/src/index.ts", "--token=abc"], "may be secret"),
    ],
)
def test_a_start_that_is_no_plain_bun_has_a_problem(entry: Any, command: Any, problem: str, checkout: Path) -> None:
    found = starts.start({"Entrypoint": entry, "Cmd": command, "WorkingDir": "/app"}, checkout)
    assert problem in found.problem and "abc" not in json.dumps(encode(found))


# ── Env files ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("services:\n  api:\n    env_file: ./one.env\n", ["one.env"]),
        ("x: &x\n  env_file:\n    - ./one.env # first\n    - two.env\n  restart: no\n", ["one.env", "two.env"]),
        ("  env_file: [one.env, 'two.env']\n", ["one.env", "two.env"]),
        ("  env_file:\n    - path: one.env\n      required: false\n", ["one.env"]),
        ("  env_file:\n  - ../../one.env\n", ["/one.env"]),
        ("  env_file: ${WHICH}\n", []),
        ("services: {}\n", []),
    ],
)
def test_env_files_are_found_as_compose_reads_them(text: str, files: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    folder.mkdir(parents=True)
    (folder / "docker-compose.yml").write_text(text)
    found = env_files.env_files(str(folder), [str(folder / "docker-compose.yml")], "", ())
    wanted = [f"{tmp_path}{name}" if name.startswith("/") else f"{folder}/{name}" for name in files]
    assert [file.path for file in found] == (wanted or [f"{folder}/.env"])


def test_only_the_named_values_of_an_env_file_leave(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ADAPTER=alpaca\nKEY=hunter2\n")
    [file] = env_files.env_files(str(tmp_path), [], "", ("ADAPTER",))
    assert file.names == ("ADAPTER", "KEY") and file.shown == {"ADAPTER": "alpaca"}
    assert "hunter2" not in json.dumps(encode(file))


def test_a_comment_behind_a_value_is_no_part_of_it(tmp_path: Path) -> None:
    """Compose reads it so; and who knows what somebody wrote there."""
    (tmp_path / ".env").write_text("ADAPTER=synthetic   # not alpaca, its key is hunter2\nQUOTED='a # b' # c\n")
    [file] = env_files.env_files(str(tmp_path), [], "", ("ADAPTER", "QUOTED"))
    assert file.shown == {"ADAPTER": "synthetic", "QUOTED": "a # b"}
    assert env_files.differing(str(tmp_path / ".env"), [{"ADAPTER": "synthetic", "QUOTED": "a # b"}]) == ()


def test_an_env_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert [file.problem for file in env_files.env_files(str(tmp_path), [], "", ())] == ["missing"]


def test_differing_variables_are_listed_by_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("SAME=1\nOTHER=2\nONLY=3\n")
    assert env_files.differing(str(tmp_path / "a"), [{"SAME": "1", "OTHER": "4"}]) == ("ONLY", "OTHER")
    assert env_files.differing("/nowhere", [{"SAME": "1"}]) == ()


def test_what_the_compose_file_itself_gives_all_services_is_told_unless_it_may_be_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LISTED=1\nHIDDEN=hunter2\n")
    both = {"LOG_LEVEL": "warn", "LISTED": "2", "API_TOKEN": "x", "FROM_FILE": "hunter2", "URL": "redis://a:b@c"}
    services = [{**both, "HOST": "0.0.0.0"}, both]
    names = env_files.differing(str(tmp_path / ".env"), services)
    assert env_files.in_file(names, services, [str(tmp_path / ".env")]) == {"LOG_LEVEL": "warn"}


# ── The checkout ────────────────────────────────────────────────────────────────────────────────────────────────────


def git(folder: Path, *words: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, env=environment)


def test_a_checkout_is_found_around_the_compose_file(tmp_path: Path) -> None:
    (tmp_path / "deployment/docker").mkdir(parents=True)
    git(tmp_path, "init", "--initial-branch=main")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", "first")
    git(tmp_path, "remote", "add", "origin", "https://me:hunter2@git.example/app.git")
    root, problem = root_of(str(tmp_path / "deployment/docker"))
    assert (root, problem) == (tmp_path, "")
    found = work(Machine(tmp_path), root, problem, AdoptionRequest(paths=("deployment", "gone")))
    assert found.paths == ("deployment",)
    assert found.remote == "https://git.example/app.git" and found.branch == "main" and len(found.head) == 40


def test_a_folder_without_git_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "app/deployment"
    folder.mkdir(parents=True)
    assert root_of(str(folder)) == (None, f"there is no .git in {folder} or above")
    (tmp_path / "app/package.json").write_text("{}")
    root, problem = root_of(str(folder))
    assert root == tmp_path / "app" and "no .git" in problem
    assert work(Machine(tmp_path), root, problem, AdoptionRequest()).problem == problem


# ── The edge ────────────────────────────────────────────────────────────────────────────────────────────────────────


def edge_item(edge: FakeEdge, **given: Any) -> Inspected:
    item = described(Labels={}, **given)
    return {**item, "Name": "/npm", "Mounts": [{"Source": str(edge.root / "data"), "Destination": "/data"}]}


def test_npm_is_known_by_what_it_holds(tmp_path: Path) -> None:
    edge = FakeEdge(tmp_path)
    [found] = edges([described(), edge_item(edge)])
    assert found.container.name == "npm" and found.database and found.data == str(edge.root / "data")
    hosts = {host.names[0]: host for host in found.hosts}
    assert (hosts[DOMAIN].host, hosts[DOMAIN].port) == ("web", 3000)
    assert hosts[DOMAIN].prefixes == ("ws", "replay", "prints", "flow")
    assert (hosts[DOMAIN].route_host, hosts[DOMAIN].route_port) == ("api", 4000)
    assert hosts[API_DOMAIN].host == "api"


def test_a_closed_host_is_reported_with_its_row(tmp_path: Path) -> None:
    edge = FakeEdge(tmp_path)
    edge.close(2)
    [found] = edges([edge_item(edge)])
    assert [host.enabled for host in found.hosts] == [True, False, True]


def test_what_an_operator_wrote_into_a_host_never_leaves(tmp_path: Path) -> None:
    edge = FakeEdge(tmp_path)
    edge.add(("secret.example.test",), Upstream("web", 3000), 'proxy_set_header Authorization "hunter2";')
    assert "hunter2" not in json.dumps(encode(edges([edge_item(edge)])))


def test_npm_on_another_database_says_which_variable_names_it(tmp_path: Path) -> None:
    [found] = edges([edge_item(FakeEdge(tmp_path), Env=["DB_MYSQL_HOST=db"])])
    assert found.other_database == "DB_MYSQL_HOST"


def test_where_no_container_holds_npms_files_one_that_is_called_so_is_told() -> None:
    [found] = edges([described(), described(Image="jc21/nginx-proxy-manager:2")])
    assert found.why == "its image is jc21/nginx-proxy-manager:2" and not found.data


# ── All of it ───────────────────────────────────────────────────────────────────────────────────────────────────────


class NoDocker(Machine):
    """A VPS on which nothing can be started."""

    def run(self, argv: Sequence[str], **given: Unpack[RunOptions]) -> Result:
        raise CommandFailed(f"{argv[0]} could not be started: no such file")


def test_a_vps_without_docker_has_a_problem_and_nothing_is_raised(tmp_path: Path) -> None:
    found = adoption(NoDocker(tmp_path), AdoptionRequest(servers=("nats",)))
    assert found.docker_error.startswith("Docker does not answer") and found.projects == {}


def test_what_was_found_travels(tmp_path: Path) -> None:
    found = adoption(NoDocker(tmp_path), AdoptionRequest())
    assert decode(json.loads(json.dumps(encode(found)))) == found

"""The same settings from both runtimes: what differs is named, and no value is in any fact."""

from __future__ import annotations

import getpass
import grp
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.facts.environment import in_force
from fabfile.runner.facts.settings import differences, settings_file, text_of
from fabfile.runner.system.envfile import parse_systemd
from fabfile.runner.system.systemd import UnitEnvironment
from fabfile.runner.wire.app import Compose, Environment
from fabfile.runner.wire.facts import Container
from fabfile.runner.wire.settings import Comparison, ContainerValue, Difference, SettingsFile
from tests.runner.support.recorder import Recorder

SECRET = "s3cret-value"


class Vps(Recorder):
    """An app's folder with env files, and units as systemd knows them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.env, self.docker_env, self.written = folder / ".env", folder / "docker/.env", folder / "settings.env"
        self.overrides = folder / "native.env"
        self.docker_env.parent.mkdir()
        self.project = Compose("flow", str(folder / "docker/compose.yml"), str(folder / "docker"))
        self.units: dict[str, UnitEnvironment] = {}
        self.manager: dict[str, str] = {}
        self.folders: tuple[str, ...] = ()
        group = grp.getgrgid(os.getegid()).gr_name
        self.file = SettingsFile(str(self.written), str(self.env), getpass.getuser(), group, self.project)
        self.native = Environment(
            *("native", str(self.env), str(self.overrides)),
            planned={},
            settings_file=str(self.written),
            services=("web", "api"),
            units=("flow-web.service", "flow-api.service"),
            user="delta",
            project=self.project,
        )

    def write(self, **files: str) -> None:
        """Put env files there."""
        for name, text in files.items():
            Path(getattr(self, name)).write_text(text)

    def compare(self, web: dict[str, str], api: dict[str, str] | None = None) -> dict[str, Difference]:
        """By name what differs, with what Compose gives the services; a $ is written twice there."""
        services: Any = {"web": {"environment": web}, "api": {"environment": web if api is None else api}}
        result = differences(
            self, Comparison(self.native, str(self.docker_env), self.folders), {"services": services}, self.project
        )
        assert result.problem == "" and SECRET not in repr(result)
        return {difference.name: difference for difference in result.variables}


@pytest.fixture
def vps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vps:
    vps = Vps(tmp_path)
    monkeypatch.setattr("fabfile.runner.facts.environment.systemd.environments", lambda *_: vps.units)
    monkeypatch.setattr("fabfile.runner.facts.environment.systemd.manager_environment", lambda *_: vps.manager)
    return vps


@pytest.mark.parametrize(
    ("line", "value"), [("export A=v", "v"), ("A=v # comment", "v"), ("A=pa$word", "pa"), ("A='v'\nB=\"a\\nb\"", "v")]
)
def test_native_is_given_composes_reading_of_its_env_file(vps: Vps, line: str, value: str) -> None:
    vps.write(env=line)
    assert in_force(vps.native)["A"].value == value
    assert parse_systemd(text_of(vps.file))["A"] == value
    assert "A" not in vps.compare({"A": value, "B": "a\nb"})


def test_a_variable_may_name_one_of_composes_own(vps: Vps) -> None:
    vps.write(env="A=$BASE/x\nB=$COMPOSE_PROJECT_NAME", docker_env="BASE=/srv # a folder\n")
    assert vps.compare({"A": "/srv/x", "B": "flow"}) == {}


def test_every_variable_that_differs_is_named_with_where_it_comes_from(vps: Vps) -> None:
    vps.write(env=f"SAME=1\nKEY={SECRET}\nOURS=1\n", docker_env=f"SAME=1\nKEY=other-{SECRET}\n")
    found = vps.compare({"SAME": "1", "KEY": f"other-{SECRET}", "LEVEL": "warn"}, {"SAME": "1", "KEY": SECRET})
    env, docker_env = str(vps.env), str(vps.docker_env)
    assert found["KEY"] == Difference("KEY", ("web",), env, docker_env)
    assert found["LEVEL"] == Difference("LEVEL", ("web",), "", vps.project.file)
    assert found["OURS"] == Difference("OURS", ("web", "api"), env, "")
    assert set(found) == {"KEY", "LEVEL", "OURS"}


def test_what_only_its_image_gives_a_container_is_named(vps: Vps) -> None:
    vps.write(env="LEVEL=info\n")
    web = json.dumps(
        ["PATH=/bin", "BUN_INSTALL_BIN=/usr/local/bin", "NODE_ENV=production", "LEVEL=debug", f"KEY={SECRET}"]
    )
    vps.answers = {"docker image inspect": f"{web}\nnull\n"}
    found = vps.compare({"LEVEL": "info"})
    assert found == {
        name: Difference(name, ("web",), "", "the image -web", of_image=True) for name in ("NODE_ENV", "KEY")
    }
    vps.answers = {"docker image inspect": (1, f"{web}\n", "No such image: -api")}
    assert vps.compare({"LEVEL": "info"}) == {}


def test_what_bun_reads_by_itself_is_named_where_the_container_does_not_have_it(
    vps: Vps, monkeypatch: pytest.MonkeyPatch
) -> None:
    vps.write(env="LEVEL=info\nNODE_ENV=production\n")
    folder = vps.env.with_name("apps")
    folder.mkdir()
    vps.folders = (str(folder), str(folder / "none"))
    (folder / ".env").write_text(f"LEVEL=lost\nSAME=1\nOLD=1\nINSIDE=1\nOTHER={SECRET}\n")
    (folder / ".env.local").write_text("LOCAL=1\n")
    (folder / ".env.production").write_text("OLD=2\nMODE=1\n")
    (folder / ".env.development").write_text("UNREAD=1\n")
    inside = folder / "inside"
    inside.mkdir()
    (inside / ".env").write_text("INSIDE=1\nONLY=1\n")
    containers = {"web": _container("web", os.getpid())}
    monkeypatch.setattr("fabfile.runner.system.docker.containers", lambda *_: containers)
    monkeypatch.chdir(inside)
    given = {"LEVEL": "info", "NODE_ENV": "production", "SAME": "1", "OTHER": "x"}
    of_api = {"LEVEL": "info", "NODE_ENV": "production"}
    found = vps.compare(given, of_api)
    names = {name: one.native.rpartition("/")[2] or one.docker for name, one in found.items()}
    assert names == {"OLD": ".env.production", "MODE": ".env.production", "LOCAL": ".env.local", "OTHER": ".env"} | {
        "ONLY": vps.project.file
    }
    assert all(one.services == ("web",) for one in found.values())
    assert found["LOCAL"].native == f"Bun's own {folder}/.env.local"
    containers.clear()
    assert vps.compare(given, of_api) == {
        name: Difference(name, ("web",), "", vps.project.file) for name in ("SAME", "OTHER")
    }, "what a container would read that does not run is not known"


def _container(name: str, pid: int) -> Container:
    return Container(name, name, "id", "running", "", 0, pid, "", "image", "", {})


def test_a_login_that_native_redis_would_refuse_is_named_with_its_file(vps: Vps) -> None:
    vps.write(env=f"REDIS_URL=redis://:{SECRET}@127.0.0.1\n")
    services: Any = {
        **{name: {"environment": {"REDIS_URL": f"redis://:{SECRET}@redis"}} for name in ("web", "api")},
        "redis": {"command": ["redis-server", "--requirepass", SECRET.replace("$", "$$")]},
    }
    comparison = Comparison(vps.native, str(vps.docker_env))
    found = differences(vps, comparison, {"services": services}, vps.project).refused_logins
    (one,) = found
    assert (one.runtime, one.origin, one.services) == ("native", str(vps.env), ("web", "api"))
    vps.native = replace(vps.native, planned={"REDIS_URL": "redis://127.0.0.1:6379"})
    comparison = Comparison(vps.native, str(vps.docker_env))
    assert differences(vps, comparison, {"services": services}, vps.project).refused_logins == ()


def test_a_servers_url_keeps_what_it_has_besides_host_and_port(vps: Vps) -> None:
    docker = {
        "REDIS_URL": f"redis://:{SECRET}@redis:6379/2",
        "CLICKHOUSE_URL": f"http://u:{SECRET}@ch:8123/?database=x",
    }
    places = {"REDIS_URL": "redis://127.0.0.1:6379", "CLICKHOUSE_URL": "http://127.0.0.1:8123"}
    vps.native, vps.file = replace(vps.native, places=places), replace(vps.file, places=places)
    vps.write(env="")
    found = vps.compare(docker)
    assert found["REDIS_URL"].parts == ("path",), "native Redis has no login"
    assert found["CLICKHOUSE_URL"].parts == ("login", "query")
    vps.write(env="".join(f"{name}={value}\n" for name, value in docker.items()))
    native = {
        "REDIS_URL": "redis://127.0.0.1:6379/2",
        "CLICKHOUSE_URL": f"http://u:{SECRET}@127.0.0.1:8123/?database=x",
    }
    assert parse_systemd(text_of(vps.file)) == native
    assert {name: (one.parts, one.native) for name, one in vps.compare(docker).items()} == {
        name: ((), str(vps.env)) for name in docker
    }
    vps.written.write_text(text_of(vps.file))
    for now in (vps.native, replace(vps.native, planned=None), replace(vps.native, planned=None, units=())):
        assert {name: in_force(now)[name].value for name in native} == native
    vps.native = replace(vps.native, places={}, planned={"REDIS_URL": "redis://:x@redis.example:6379/2"})
    assert vps.compare(docker)["REDIS_URL"].parts == ("login",), "another's Redis may have one"


def test_overrides_and_the_units_own_settings_count(vps: Vps) -> None:
    vps.write(env="A=1\nB=1\nC=1\n")
    extra = vps.env.with_name("extra.env")
    extra.write_text("C=extra\n")
    given = UnitEnvironment({"B": "lost", "D": "drop-in"}, ((str(vps.env), False), (str(extra), False)), ("A",))
    vps.units = {"flow-web.service": given}
    vps.native = replace(vps.native, planned={"B": "2"})
    found = vps.compare({"A": "1", "B": "1", "C": "1"})
    assert found["A"].services == ("web",) and found["A"].native == ""
    assert found["B"].native == str(vps.overrides) and found["B"].services == ("web", "api")
    assert (found["C"].native, found["D"].native) == (str(extra), "flow-web.service")


def test_what_the_user_manager_gives_its_units_counts_below_their_own_settings(vps: Vps) -> None:
    vps.write(env="A=1\nB=1\n")
    vps.manager = {"A": "manager", "B": "manager", "TZ": "Europe/Berlin", "HTTP_PROXY": "manager", "NODE_ENV": "test"}
    vps.units = {"flow-web.service": UnitEnvironment({"NODE_ENV": "production"}, unset=("HTTP_PROXY",))}
    found = vps.compare({"A": "1", "B": "1", "NODE_ENV": "production"})
    assert {name: (one.services, one.native) for name, one in found.items()} == {
        "TZ": (("web", "api"), "the user manager of delta"),
        "HTTP_PROXY": (("api",), "the user manager of delta"),
        "NODE_ENV": (("api",), "the user manager of delta"),
    }


def test_what_only_a_container_knows_is_named_until_an_override_replaces_it(vps: Vps) -> None:
    vps.write(env=f"PGHOST=postgres\nDSN=http://u:{SECRET}@host.docker.internal/\n")
    docker = {"PGHOST": "postgres", "DSN": f"http://u:{SECRET}@host.docker.internal/"}
    services: Any = {**{name: {"environment": docker} for name in ("web", "api")}, "postgres": {}}

    def named() -> dict[str, ContainerValue]:
        comparison = Comparison(vps.native, str(vps.docker_env))
        found = differences(vps, comparison, {"services": services}, vps.project)
        assert SECRET not in repr(found)
        return {value.name: value for value in found.container_values}

    assert named() == {
        "PGHOST": ContainerValue("PGHOST", str(vps.env), "the Compose service postgres", ("web", "api")),
        "DSN": ContainerValue("DSN", str(vps.env), "host.docker.internal", ("web", "api")),
    }
    vps.native = replace(vps.native, planned={"PGHOST": "127.0.0.1"})
    assert set(named()) == {"DSN"}


def test_what_systemd_passes_on_to_nobody_is_named_as_such(vps: Vps) -> None:
    vps.write(env='A.B=1\nBELL="a\\ab"\nNONE=\ufdd0\n')
    found = vps.compare({"A.B": "1", "BELL": "a\ab", "NONE": "\ufdd0"})
    assert {name: one.unfit for name, one in found.items()} == {"A.B": True, "NONE": True}


def test_what_a_unit_really_reads_is_in_force(vps: Vps) -> None:
    """A unit of an earlier version reads the env file itself, as systemd does."""
    vps.write(env="A=1 # one\n", overrides="B=2\n")
    now = replace(vps.native, planned=None)
    assert in_force(now)["A"].value == "1", "nothing is installed: as it will be"
    vps.units = dict.fromkeys(
        vps.native.units, UnitEnvironment(files=((str(vps.env), False), (str(vps.overrides), False)))
    )
    assert in_force(now)["A"].value == "1 # one"
    vps.written.write_text("A=older\n")
    vps.units = dict.fromkeys(vps.native.units, UnitEnvironment(files=((str(vps.written), False), ("/nowhere", True))))
    assert (in_force(now)["A"].value, in_force(now)["A"].origin) == ("older", str(vps.env))
    vps.units = dict.fromkeys(vps.native.units, UnitEnvironment(files=(("/nowhere", False),)))
    with pytest.raises(FileNotFoundError):
        in_force(now)


def test_the_settings_file_is_compared_on_the_vps(vps: Vps) -> None:
    vps.write(env=f"A=1\nKEY={SECRET}\n")
    assert settings_file(vps, vps.file).differs == "it is missing"
    vps.written.write_text(text_of(vps.file))
    vps.written.chmod(0o644)
    assert "mode 644" in settings_file(vps, vps.file).differs
    vps.written.chmod(0o600)
    assert settings_file(vps, vps.file).differs == ""
    vps.write(env=f"A=1\nKEY=new-{SECRET}\nNEW=1\n")
    fact = settings_file(vps, vps.file)
    assert fact.differs == "it says something else in KEY, NEW" and SECRET not in repr(fact)
    vps.written.write_text("# by hand\n" + vps.written.read_text())
    assert "KEY, NEW" in settings_file(vps, vps.file).differs


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "can't be read: no such file"),
        (b"A=\xff", "is no UTF-8 text"),
        (b'A="s3cret-value', "line 1: A: a quote that is not closed"),
    ],
)
def test_an_env_file_that_cannot_be_read_is_a_problem_without_its_words(
    vps: Vps, content: bytes | None, problem: str
) -> None:
    if content is not None:
        vps.env.write_bytes(content)
    fact = settings_file(vps, vps.file)
    assert problem in fact.problem and SECRET not in repr(fact)
    result = differences(vps, Comparison(vps.native, ""), {"services": {}}, vps.project)
    assert result.problem.startswith(str(vps.env)) and SECRET not in repr(result)

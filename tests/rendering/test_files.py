"""What is rendered from the inventory: units, configuration, environments and the Compose file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabfile import survey
from fabfile.inventory import Site, load, placeholders
from fabfile.rendering import files
from fabfile.rendering.files import File
from tests.support.inventories import INVENTORY, site

GATEWAY = "172.18.0.1"
CONDITION = "ExecCondition=/usr/bin/grep -qx native /var/lib/islandflow/owner"


@pytest.fixture(scope="module")
def project() -> Site:
    return load(INVENTORY, {})


def by_name(rendered: tuple[File, ...]) -> dict[str, str]:
    return {Path(file.path).name: file.content.decode() for file in rendered}


def environment(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


# What is written where


def test_the_infrastructure_s_files_are_root_s_and_readable(project: Site) -> None:
    rendered = files.infra(project)
    assert [file.path for file in rendered] == [
        "/etc/systemd/system/islandflow-seal.service",
        "/etc/systemd/system/islandflow-nats.service",
        "/etc/systemd/system/islandflow-redis.service",
        "/etc/systemd/system/islandflow-clickhouse.service",
        "/etc/islandflow/redis.conf",
        "/etc/clickhouse-server/config.d/islandflow.xml",
    ]
    assert {(file.owner, file.group, file.mode) for file in rendered} == {("root", "root", 0o644)}


def test_what_the_app_depends_on_in_its_servers_is_carried_over(tmp_path: Path) -> None:
    settings = {"databases": "32", "notify-keyspace-events": "g$E", "maxmemory": "256mb"}
    rendered = by_name(
        files.infra(site(tmp_path, {"infra.nats.max_payload": 8 << 20, "infra.redis.settings": settings}))
    )
    assert "\nmax_payload: 8388608\n" in rendered["nats.conf"]
    (start,) = [line for line in rendered["islandflow-nats.service"].splitlines() if line.startswith("ExecStart=")]
    assert start.startswith("ExecStart=/usr/sbin/nats-server -c /etc/islandflow/nats.conf -js -sd ")
    assert rendered["redis.conf"].endswith('\ndatabases 32\nnotify-keyspace-events "g$E"\nmaxmemory 256mb\n')


def test_the_app_s_units_belong_to_its_user(project: Site) -> None:
    *units, overrides = files.app(project, bind=GATEWAY, services=project.scope("services"))
    assert [unit.path for unit in units] == [
        f"/home/delta/.config/systemd/user/islandflow-{name}.service"
        for name in ("api", "compute", "candles", "ingest-options", "ingest-equities")
    ]
    assert {(unit.owner, unit.group) for unit in units} == {("delta", "delta")}
    assert (overrides.path, overrides.owner) == ("/etc/islandflow/native.env", "root")


def test_without_services_all_are_rendered(project: Site) -> None:
    assert len(files.app(project, bind=GATEWAY)) == len(project.services) + 1


def test_rendering_twice_gives_the_same_bytes(project: Site) -> None:
    def everything(of: Site) -> tuple[File, ...]:
        return files.infra(of) + files.app(of, bind=GATEWAY) + files.overlay(of)

    assert everything(project) == everything(load(INVENTORY, {}))


def test_the_word_bridge_is_no_address(project: Site) -> None:
    with pytest.raises(ValueError, match="must be an address"):
        files.app(project, bind="bridge")


# Units


def test_every_native_unit_asks_who_owns_the_data(project: Site) -> None:
    units = {
        name: text
        for name, text in by_name(files.infra(project) + files.app(project, bind=GATEWAY)).items()
        if name.endswith(".service")
    }
    assert len(units) == 10
    assert all(CONDITION in text.splitlines() for text in units.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"infra.redis.data": "/home/delta/data/redis"},
        {"infra.redis.binary": "/root/redis/bin/redis-server"},
        {"infra.redis.config": "/home/delta/redis.conf"},
        {"app.owner_file": "/run/user/1000/owner"},
    ],
)
def test_a_server_sees_what_it_needs_in_somebodys_home(tmp_path: Path, changes: dict[str, str]) -> None:
    lines = by_name(files.infra(site(tmp_path, changes)))["islandflow-redis.service"].splitlines()
    assert "ProtectHome=read-only" in lines


def test_a_server_that_needs_nothing_there_sees_no_home(project: Site, tmp_path: Path) -> None:
    elsewhere = site(tmp_path, {"infra.redis.data": "/homes/redis"})
    for made in (project, elsewhere):
        assert "ProtectHome=yes" in by_name(files.infra(made))["islandflow-redis.service"].splitlines()


def test_a_server_may_write_to_its_data_where_the_seal_failed(tmp_path: Path) -> None:
    """Of two lines about one path systemd keeps the first alone, also where that one has nothing to bind."""
    lines = by_name(files.infra(site(tmp_path, {"infra.redis.data": "/srv/data/redis"})))["islandflow-redis.service"]
    assert "\nBindPaths=-/run/islandflow/data/redis:/srv/data/redis\nReadWritePaths=/srv/data\n" in lines


def test_a_user_unit_reads_the_overrides_after_the_app_s_settings(project: Site) -> None:
    lines = by_name(files.app(project, bind=GATEWAY))["islandflow-ingest-options.service"].splitlines()
    assert [line for line in lines if line.startswith(("Environment", "WorkingDirectory", "ExecStart="))] == [
        "WorkingDirectory=/home/delta/islandflow/services/ingest-options",
        "EnvironmentFile=/etc/islandflow/settings.env",
        "EnvironmentFile=/etc/islandflow/native.env",
        "ExecStart=/home/delta/.bun/bin/bun run src/index.ts",
    ]


def test_a_unit_runs_in_the_checkout_listens_where_it_is_told_and_stops_as_it_wants(tmp_path: Path) -> None:
    made = site(
        tmp_path,
        {
            "services.api.directory": ".",
            "services.api.stop_signal": "SIGINT",
            "services.api.stop_timeout": 20.5,
            "services.web.argv": ["x", "next", "start", "-H", "{bind}", "-p", "{port}", "--api={api_url}"],
        },
    )
    units = by_name(files.app(made, bind=GATEWAY))
    api, web, compute = (units[f"islandflow-{name}.service"].splitlines() for name in ("api", "web", "compute"))
    assert "WorkingDirectory=/home/delta/islandflow" in api
    assert {"KillSignal=SIGINT", "TimeoutStopSec=20.5"} <= set(api)
    assert {"KillSignal=SIGTERM", "TimeoutStopSec=10"} <= set(compute)
    argv = f"x next start -H {GATEWAY} -p 3000 --api=http://{GATEWAY}:4000"
    assert f"ExecStart=/home/delta/.bun/bin/bun {argv}" in web


def test_what_fills_a_placeholder_is_quoted_with_the_word_it_stands_in(tmp_path: Path) -> None:
    made = site(tmp_path, {"services.api.argv": ["100% {bind}", "$HOME/{port}"]})
    texts = by_name(files.app(made, bind=GATEWAY))
    assert f'ExecStart=/home/delta/.bun/bin/bun "100%% {GATEWAY}" "$$HOME/4000"' in texts["islandflow-api.service"]


def test_without_a_port_for_it_nats_has_no_monitoring_and_nothing_else_knows_of_one(project: Site) -> None:
    nats = project.infra.nats.model_copy(update={"monitor_port": None})
    bare = project.model_copy(update={"infra": project.infra.model_copy(update={"nats": nats})})
    (line,) = [
        line
        for line in by_name(files.infra(bare))["islandflow-nats.service"].splitlines()
        if line.startswith("ExecStart=")
    ]
    assert line == "ExecStart=/usr/sbin/nats-server -js -sd /var/lib/islandflow/nats -a 127.0.0.1 -p 4222"
    assert "nats monitor" not in bare.private_ports and 8222 not in survey.request(bare).ports
    assert 8222 in survey.request(project).ports


def test_no_unit_sets_a_state_directory(project: Site) -> None:
    assert all("StateDirectory" not in text for text in by_name(files.infra(project)).values())


def test_the_servers_start_on_the_loopback_address_with_their_data(project: Site) -> None:
    texts = by_name(files.infra(project))
    assert (
        "ExecStart=/usr/sbin/nats-server -js -sd /var/lib/islandflow/nats -a 127.0.0.1 -p 4222 -m 8222"
        in texts["islandflow-nats.service"].splitlines()
    )
    assert texts["redis.conf"].splitlines()[1:] == [
        "bind 127.0.0.1",
        "protected-mode yes",
        "port 6379",
        "dir /var/lib/islandflow/redis",
        "appendonly yes",
        "save 900 1",
        "save 300 10",
        "save 60 10000",
        "daemonize no",
        "supervised systemd",
        'logfile ""',
    ]
    assert "Type=notify" in texts["islandflow-redis.service"].splitlines()


def test_clickhouse_gets_a_drop_in_beside_the_package_s_configuration(project: Site) -> None:
    texts = by_name(files.infra(project))
    drop_in = ElementTree.fromstring(texts["islandflow.xml"])
    assert drop_in.findtext("path") == "/var/lib/islandflow/clickhouse/"
    assert drop_in.findtext("listen_host") == "127.0.0.1"
    assert drop_in.find("users") is None
    assert "--config-file=/etc/clickhouse-server/config.xml" in texts["islandflow-clickhouse.service"]


def test_clickhouse_s_configuration_is_complete_where_the_package_has_none(tmp_path: Path) -> None:
    own = "/etc/islandflow/clickhouse.xml"
    texts = by_name(files.infra(site(tmp_path, {"infra.clickhouse.config": own, "infra.clickhouse.drop_in": own})))
    complete = ElementTree.fromstring(texts["clickhouse.xml"])
    assert complete.findtext("user_directories/users_xml/path") == own
    assert complete.findtext("users/default/networks/ip") == "127.0.0.1"
    assert f"--config-file={own}" in texts["islandflow-clickhouse.service"]


@pytest.mark.parametrize("data_root", ["/var/lib/islandflow", "/srv/100% flow"])
def test_systemd_finds_nothing_to_say_about_the_units(tmp_path: Path, data_root: str) -> None:
    """Any output is a failure: `verify` exits with 0 on some bad units. Programs must exist: `true` does."""
    changes = {f"infra.{name}.binary": "/usr/bin/true" for name in ("nats", "redis", "clickhouse")}
    changes |= {
        "app.bun": "/usr/bin/true",
        "app.data_root": data_root,
        "app.checkout": "/home/delta/100% flow",
    }
    rendered = site(tmp_path, changes)
    assert verified(tmp_path / "system", "--system", files.infra(rendered)) == ""
    assert verified(tmp_path / "user", "--user", files.app(rendered, bind=GATEWAY)) == ""


@pytest.mark.parametrize("manager", ["--system", "--user"])
def test_systemd_does_find_a_mistake(tmp_path: Path, project: Site, manager: str) -> None:
    unit = files.infra(project)[1] if manager == "--system" else files.app(project, bind=GATEWAY)[0]
    broken = File(unit.path, unit.content.replace(b"Restart=always", b"Restart=sometimes"))
    assert "sometimes" in verified(tmp_path, manager, (broken,))


def verified(directory: Path, manager: str, files: tuple[File, ...]) -> str:
    directory.mkdir(exist_ok=True)
    units = [file for file in files if file.path.endswith(".service")]
    paths = [directory / Path(unit.path).name for unit in units]
    for path, unit in zip(paths, units, strict=True):
        path.write_bytes(unit.content)
    done = subprocess.run(
        ["systemd-analyze", manager, "--man=no", "verify", *paths],
        env={**os.environ, "XDG_RUNTIME_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit {done.returncode}")


# Environments


def test_the_native_overrides_name_the_runtime_and_its_address(project: Site) -> None:
    assert environment(by_name(files.app(project, bind=GATEWAY))["native.env"]) == {
        "ISLANDFLOW_RUNTIME": "native",
        "API_HOST": GATEWAY,
        "API_PORT": "4000",
        "WEB_HOST": GATEWAY,
        "WEB_PORT": "3000",
        "OPTIONS_INGEST_ADAPTER": "synthetic",
    }


def test_an_override_is_written_for_its_reader(tmp_path: Path) -> None:
    value = {"A": 'pa$$ "word"'}
    rendered = site(tmp_path, {"runtimes.native.overrides": value})
    assert by_name(files.app(rendered, bind=GATEWAY))["native.env"].splitlines()[-1] == r'A="pa$$ \"word\""'


# Whatever the inventory holds

LINES = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1).filter(str.strip)
# What means nothing in an inventory but itself: neither a question nor a placeholder.
LINES = LINES.filter(lambda text: not text.startswith("?") and not placeholders.held(text))
PATHS = LINES.map(lambda text: "/srv/x" + text.translate(dict.fromkeys(map(ord, "/*?[]{}\"'\\$`"))).rstrip())


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(word=LINES, path=PATHS, value=LINES)
def test_no_value_adds_a_line_to_any_file(tmp_path: Path, word: str, path: str, value: str) -> None:
    changed = site(
        tmp_path,
        {
            "app.checkout": path,
            "app.data_root": path + "data",
            "services.api.argv": [word],
            "runtimes.native.overrides.OPTIONS_INGEST_ADAPTER": value,
            "runtimes.docker.overrides": {"OPTIONS_INGEST_ADAPTER": value},
        },
    )
    plain = site(tmp_path, {"runtimes.docker.overrides": {"OPTIONS_INGEST_ADAPTER": "synthetic"}})
    for of in (files.infra, files.overlay, lambda it: files.app(it, bind=GATEWAY)):
        counts = [[len(file.content.decode().splitlines()) for file in of(it)] for it in (changed, plain)]
        assert counts[0] == counts[1]
    laid = yaml.safe_load(files.overlay(changed)[0].content)
    written = laid["services"]["api"]["environment"]["OPTIONS_INGEST_ADAPTER"]
    assert "$" not in written.replace("$$", "") and written.replace("$$", "$") == value

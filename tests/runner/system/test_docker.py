"""What Docker prints of networks, ports and itself, and what other programs of that name print."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.system import docker
from fabfile.runner.system.machine import CommandFailed, failure_detail
from fabfile.runner.wire.edge import EdgeNetwork
from fabfile.runner.wire.facts import Listener
from tests.runner.support.recorder import Answer, Recorder

V4 = {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}
V6 = {"Subnet": "fd00:9::/64", "Gateway": "fd00:9::1"}
BRIDGE = "5: br-0123456789ab    inet 172.18.0.1/16 brd 172.18.255.255 scope global br-0123456789ab"


def inspected(config: Any, **more: Any) -> str:
    return json.dumps([{"Id": "0123456789abcdef", "IPAM": {"Config": config}, **more}])


def network(tmp_path: Path, answer: str, addresses: str = "") -> EdgeNetwork:
    return docker.network(Recorder(tmp_path, {"docker network inspect": answer, "ip ": addresses}), "npm")


@pytest.mark.parametrize(
    "config",
    [[V4], [V4, V6], [V6, V4], [{**V4, "Gateway": "172.18.0.1/16"}], [{**V4, "IPRange": "172.18.5.0/24"}, {}]],
)
def test_the_one_ipv4_subnet_is_the_edge_s(config: list[dict[str, str]], tmp_path: Path) -> None:
    assert network(tmp_path, inspected(config)) == EdgeNetwork("172.18.0.1", "172.18.0.0/16")


def test_a_gateway_that_docker_chose_by_itself_is_its_bridge_s_address(tmp_path: Path) -> None:
    """Docker 26 prints none for a network that was made with a subnet alone."""
    unnamed = inspected([{"Subnet": "172.18.0.0/16"}], Options={})
    assert network(tmp_path, unnamed, BRIDGE) == EdgeNetwork("172.18.0.1", "172.18.0.0/16")
    with pytest.raises(CommandFailed, match=r"network npm \(172.18.0.0/16\) has no gateway"):
        network(tmp_path, unnamed, BRIDGE.replace("172.18.0.1", "10.0.0.1"))
    named = inspected([{"Subnet": "172.18.0.0/16"}], Options={"com.docker.network.bridge.name": "edge0"})
    machine = Recorder(tmp_path, {"docker network": named, "ip ": BRIDGE})
    docker.network(machine, "npm")
    assert machine.calls[-1][-1] == "edge0"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (inspected(None), "has 0 IPv4 subnets, exactly one is needed; its subnets: none at all"),
        (inspected([]), "none at all"),
        (inspected([V6]), "its subnets: fd00:9::/64"),
        (inspected([V4, {"Subnet": "10.0.0.0/8", "Gateway": "10.0.0.1"}]), "2 IPv4 subnets"),
        ("[]", "describes no network as Docker does"),
        ('[{"Name": "npm"}]', "describes no network as Docker does"),
        ('[{"IPAM": null}]', "describes no network as Docker does"),
        (inspected([{"Subnet": "here"}]), "describes no network as Docker does"),
        (inspected([{**V4, "Gateway": "there"}]), "describes no network as Docker does"),
        ('{"name": "npm", "subnets": []}', "answered no list"),
        ("Error", "answered no JSON"),
    ],
)
def test_another_answer_is_refused_in_words(answer: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="network") as failed:
        network(tmp_path, answer)
    assert words in str(failed.value) and "Error(" not in failure_detail(failed.value)


PORTS = """islandflow-vps-web-1\t127.0.0.1:3000->3000/tcp
nginx-proxy-manager\t0.0.0.0:80-81->80-81/tcp, :::80-81->80-81/tcp, [::]:443->443/tcp, 9000/tcp
names\t0.0.0.0:53->53/udp
quiet\t
"""


def test_docker_itself_holds_ports_and_tells_for_which_container(tmp_path: Path) -> None:
    """With `"userland-proxy": false` in daemon.json it is dockerd that holds them."""
    machine = Recorder(tmp_path, {"docker ps": PORTS})
    held = [
        Listener(3000, "127.0.0.1", 9, "dockerd", ""),
        Listener(81, "0.0.0.0", 9, "docker-proxy", ""),
        Listener(81, "::", 9, "docker-proxy", ""),
        Listener(443, "::", 9, "docker-proxy", ""),
        Listener(53, "0.0.0.0", 9, "dockerd", ""),
        Listener(80, "0.0.0.0", 9, "nginx", ""),
    ]
    npm = "nginx-proxy-manager"
    listeners = docker.with_containers(machine, held)
    assert [item.container for item in listeners] == ["islandflow-vps-web-1", npm, npm, npm, "", ""]
    assert len(machine.calls) == 1


def test_where_docker_holds_no_port_or_does_not_answer_nobody_is_named(tmp_path: Path) -> None:
    silent = Recorder(tmp_path)
    own = (Listener(80, "0.0.0.0", 9, "nginx", ""),)
    assert docker.with_containers(silent, own) == own and silent.calls == []
    dead = Recorder(tmp_path, {"docker": (1, "", "Cannot connect")})
    held = (Listener(80, "0.0.0.0", 9, "dockerd", ""),)
    assert docker.with_containers(dead, held) == held


LOCAL = "unix:///var/run/docker.sock\n"
ROOT = {"ServerVersion": "26.1.5", "DockerRootDir": "/var/lib/docker", "SecurityOptions": ["name=seccomp"]}


@pytest.mark.parametrize(
    ("info", "endpoint", "words"),
    [
        (json.dumps(ROOT), LOCAL, ""),
        (json.dumps({**ROOT, "DockerRootDir": "/var/snap/docker/common/var-lib-docker"}), LOCAL, "Docker from snap"),
        (json.dumps({**ROOT, "SecurityOptions": ["name=rootless"]}), LOCAL, "rootless Docker"),
        (json.dumps({**ROOT, "SecurityOptions": ["name=seccomp", "name=userns"]}), LOCAL, "Docker with userns-remap"),
        (json.dumps(ROOT), "tcp://203.0.113.9:2375\n", "a remote Docker (tcp://203.0.113.9:2375"),
        (json.dumps(ROOT), "ssh://root@elsewhere\n", "a remote Docker (ssh://root@elsewhere"),
        (json.dumps({"host": {"os": "linux"}, "store": {}}), "", "podman"),
        ((0, "{}", "Emulate Docker CLI using podman. Create /etc/containers/nodocker to quiet msg."), "", "podman"),
        ((1, "", "Cannot connect to the Docker daemon"), LOCAL, ""),
        ("[]", LOCAL, ""),
        ("no JSON", LOCAL, ""),
        (json.dumps(ROOT), (1, "", "unknown command"), ""),
    ],
)
def test_another_docker_is_named(info: Answer, endpoint: Answer, words: str, tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"docker info": info, "docker context inspect": endpoint})
    text = docker.unsupported(machine)
    assert words in text and bool(text) == bool(words)


@pytest.mark.parametrize("item", ["{}", '{"Id": "x", "Config": {}}', "7", "null", '{"Config": null}'])
def test_a_container_that_is_not_described_as_docker_does_is_refused_in_words(item: str, tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"docker ps": "0123", "docker inspect": f"[{item}]"})
    with pytest.raises(CommandFailed, match="as Docker does not"):
        docker.containers(machine, "islandflow-vps")
    labelled = '{"Config": {"Labels": {"com.docker.compose.service": "web"}}}'
    with pytest.raises(CommandFailed, match="as Docker does not"):
        docker.addresses(
            Recorder(tmp_path, {"docker ps": "0123", "docker": f"[{labelled}]"}), "islandflow-vps", ["web"]
        )


@pytest.mark.parametrize("order", list(itertools.permutations(("running", "exited", "created"))))
def test_of_a_service_s_containers_the_one_that_runs_comes_first(order: tuple[str, ...], tmp_path: Path) -> None:
    labels = {"com.docker.compose.service": "web"}
    items = [
        {
            "Config": {"Labels": labels},
            "NetworkSettings": {},
            "Name": f"/{state}",
            "Id": state,
            "State": {"Status": state},
        }
        for state in order
    ]
    machine = Recorder(tmp_path, {"docker ps": "0123", "docker inspect": json.dumps(items)})
    container = docker.containers(machine, "islandflow-vps")["web"]
    assert [one.state for one in container.of_service] == ["running", "exited", "created"]


_KEYS = st.sampled_from(["Id", "IPAM", "Config", "Subnet", "Gateway", "Options", "State", "NetworkSettings", "Name"])
_TREES = st.recursive(
    st.one_of(st.none(), st.integers(), st.sampled_from(["172.18.0.0/16", "172.18.0.1", "x", ""])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(_TREES)
def test_no_answer_of_docker_s_ends_in_a_traceback(tree: object) -> None:
    machine = Recorder(Path("/nowhere"), {"docker ps": "0123", "docker": json.dumps([tree]), "ip": "x inet 1.2.3.4/8"})
    for read in (
        lambda: docker.network(machine, "npm"),
        lambda: docker.containers(machine, "islandflow-vps"),
        lambda: docker.unsupported(machine),
    ):
        try:
            read()
        except CommandFailed as error:
            assert str(error)

"""The faults: what is done to a VPS in the middle of a plan, and what fixes it."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fabfile.inventory import Site
from tests.system.conftest import Vps

OPS = "/var/lib/islandflow/ops"
SHIMS = "/usr/local/sbin"  # stands first in the runner's PATH
PROGRAMS = ("docker", "systemctl", "systemd-run", "ufw", "useradd", "git", "bun")
# What the runner only looks with, as patterns of the shell.
LOOKS = '*" show "*|*" is-"*|*" list-"*|*" reset-failed "*|*" inspect "*|*" ps "*|*" config "*|*" ls "*|*" status "*'
ARM, DISARM = "touch /run/faults/armed", "rm -f /run/faults/armed"
HALF_WAY = 0.3  # seconds into a step: in the middle of those that stop or start something
ANY = ("done", "reverted", "stuck")
WITHOUT_COMMAND = ("SetOwner", "ChangeOwnership", "Folders")  # actions that write by themselves

# The agent arms it as the step begins; a step's first command may be as quick.
SHIM = """#!/bin/sh
case " $* " in
{looks}) ;;
*) sleep 0.05; [ ! -e /run/faults/armed ] || {{ : >/run/faults/fired; {act}; }} ;;
esac
exec {real} "$@"
"""
SQUAT = """
import socket, time
while True:
    sock = socket.socket()
    try:
        sock.bind(({address!r}, {port}))
        sock.listen()
        break
    except OSError:
        time.sleep(0.05)
while True:
    sock.accept()[0].close()
"""
LOCK = """
import pathlib, sqlite3, time
other = sqlite3.connect({database!r}, isolation_level=None, timeout=60)
other.execute("BEGIN EXCLUSIVE")
pathlib.Path("/run/faults/locked").touch()
time.sleep(3600)
"""
# The journal's last block is filled up too: the next line must not fit.
FILL = f"""
dd if=/dev/zero of={OPS}/filler bs=1M 2>/dev/null
dd if=/dev/zero of={OPS}/filler bs=4k oflag=append conv=notrunc 2>/dev/null
journal={OPS}/plans/{{plan}}/journal.jsonl
room=$(( (4096 - $(stat -c %s $journal) % 4096) % 4096 ))
[ $room = 0 ] || head -c $room /dev/zero | tr '\\0' '\\n' >>$journal
"""


@dataclass
class Scene:
    """A plan in the middle of a step, and the VPS that it runs on."""

    vps: Vps
    site: Site
    direction: str
    step: dict[str, Any]
    tool: subprocess.Popen[str] | None = None
    plan: str = ""

    def sh(self, text: str, **options: Any) -> str:
        """Shell text as root on the VPS; its output."""
        return self.vps.lab.run(text, **options).stdout

    @property
    def action(self) -> dict[str, Any]:
        action: dict[str, Any] = self.step["action"]
        return action


def nothing(scene: Scene) -> None:
    """Some faults need no preparation, or fix themselves."""


@dataclass(frozen=True)
class Fault:
    """`inject` happens as the step begins; `lift` before the next event, where the fault is the step's alone.

    `prepare` comes before the plan is started, `fix` after it has ended. `ends` are the honest ends.
    """

    name: str
    inject: Callable[[Scene], None]
    prepare: Callable[[Scene], None] = nothing
    lift: Callable[[Scene], None] | None = None
    fix: Callable[[Scene], None] = nothing
    ends: tuple[str, ...] = ("done", "reverted")
    delay: float = 0.0  # seconds into the step, or at its end where it is faster
    reboots: bool = False
    unseen: bool = False  # nobody is left to see how the plan ends
    grace: float = 0.0  # seconds that what is started by hand may live beside the owner, until it sees that it may not


def _does(text: str) -> Callable[[Scene], None]:
    """Shell text as root on the VPS; {plan} and {site} are the scene's."""

    def act(scene: Scene) -> None:
        scene.sh(text.format(plan=scene.plan, site=scene.site))

    return act


def _shims(act: str) -> Callable[[Scene], None]:
    def prepare(scene: Scene) -> None:
        scene.sh("mkdir -p /run/faults && chmod 777 /run/faults && rm -f /run/faults/*")
        for program in PROGRAMS:
            real = scene.sh(f"ls /usr/bin/{program} /usr/sbin/{program} 2>/dev/null; true").split()
            if real:
                text = SHIM.format(looks=LOOKS, act=act, real=real[0])
                scene.vps.lab.guest.write(f"{SHIMS}/{program}", text.encode(), mode=0o755)

    return prepare


def _arm(scene: Scene) -> None:
    if scene.action["type"] in WITHOUT_COMMAND:
        scene.sh(f"chattr +i {' '.join(_written(scene.action))} && touch /run/faults/fired")
    else:
        scene.sh(ARM)


def _disarm(scene: Scene) -> None:
    if scene.action["type"] in WITHOUT_COMMAND:
        scene.sh(f"chattr -i {' '.join(_written(scene.action))}")
    scene.sh(DISARM)


def _written(action: dict[str, Any]) -> list[str]:
    """Folders that must be written into, or given away, for the action to act."""
    folders = [folder["path"].rpartition("/")[0] for folder in action.get("folders", ())]
    parent = [action["path"].rpartition("/")[0]] if "path" in action else []
    return [*action.get("trees", ()), *parent, *dict.fromkeys(folders)]


def _no_shims(scene: Scene) -> None:
    scene.sh(f"cd {SHIMS} && rm -f {' '.join(PROGRAMS)}; rm -f /run/faults/armed")


def _kill_runner(scene: Scene) -> None:
    scene.sh(f"systemctl kill --kill-whom=main --signal=KILL islandflow-execute-{scene.plan}.service")


def _kill_operator(scene: Scene) -> None:
    assert scene.tool
    scene.tool.kill()


def _small_disk(scene: Scene) -> None:
    scene.sh(f"mkdir -p -m 700 {OPS} && mount -t tmpfs -o size=600m,mode=700 ops {OPS}")


def _squat(address: str, scene: Scene) -> None:
    text = SQUAT.format(address=address, port=scene.site.api.port)
    scene.vps.lab.run(["systemd-run", "--quiet", "--collect", "--unit=stranger", "python3", "-c", text])


def _squat_on_new(scene: Scene) -> None:
    """Where the runtime that comes listens: the other one may come back."""
    template = "{{(index .IPAM.Config 0).Gateway}}"
    bridge = scene.vps.lab.run(["docker", "network", "inspect", "-f", template, scene.site.edge.network]).stdout
    _squat(bridge.strip() if scene.direction == "cutover" else "127.0.0.1", scene)


def _crash_loop(scene: Scene) -> None:
    unit, user, folder = _victim(scene)
    text = "[Service]\nExecStart=\nExecStart=/bin/false\n"
    scene.vps.lab.guest.write(f"{folder}/{unit}.d/fault.conf", text.encode())
    scene.sh(f"{user} daemon-reload; {user} try-restart {unit}; true")


def _no_crash_loop(scene: Scene) -> None:
    unit, user, folder = _victim(scene)
    scene.sh(f"rm -rf {folder}/{unit}.d; {user} daemon-reload; {user} reset-failed {unit} || true")


def _victim(scene: Scene) -> tuple[str, str, str]:
    """A unit of ours (the step's own, else the API's), the systemctl for it, and the folder of its drop-ins."""
    own = [server.unit for server in scene.site.servers if server.unit in scene.action.get("units", ())]
    if own:
        return own[0], "systemctl", "/run/systemd/system"
    user = scene.site.app.user
    number = scene.sh(f"id -u {user}").strip()
    return scene.site.api.unit, f"systemctl --user -M {user}@", f"/run/user/{number}/systemd/user"


def _lock_database(scene: Scene) -> None:
    scene.sh("mkdir -p /run/faults && rm -f /run/faults/locked")
    text = LOCK.format(database=scene.site.edge.database)
    scene.vps.lab.run(["systemd-run", "--quiet", "--collect", "--unit=locker", "python3", "-c", text])
    scene.sh("until [ -e /run/faults/locked ]; do sleep 0.05; done")


def _docker_up(scene: Scene) -> None:
    scene.sh("until systemctl is-active --quiet docker; do sleep 0.2; done")


def _edge_back(scene: Scene) -> None:
    scene.sh(f"cd {scene.site.edge.root} && docker compose up --detach")


def _compose_up(scene: Scene) -> None:
    """What an operator types who does not know that a hand-over is under way."""
    docker = scene.site.runtimes.docker
    argv = ["docker", "compose", "--project-name", docker.project, "--file", docker.file, "up", "--detach"]
    scene.vps.lab.run(["systemd-run", "--quiet", "--collect", "--unit=by-hand", *argv])


def _start_units(scene: Scene) -> None:
    site, user = scene.site, scene.site.app.user
    servers = " ".join(server.unit for server in site.servers)
    services = " ".join(service.unit for service in site.scope("full"))
    scene.sh(f"systemctl start --no-block {servers}; systemctl --user -M {user}@ start --no-block {services}; true")


def _by_hand_over(scene: Scene) -> None:
    """Wait until Compose has given up or is done, then do what `inv status` says: stop what runs beside native."""
    scene.sh("while systemctl is-active --quiet by-hand; do sleep 0.2; done")
    if scene.sh(f"cat {scene.site.app.owner_file} 2>/dev/null || true").strip() == "native":
        scene.vps.good("docker.stop")


FAULTS = (
    Fault("command fails", _arm, _shims("echo 'injected: no' >&2; exit 1"), _disarm, _no_shims),
    Fault("command hangs", _does(ARM), _shims("exec sleep 3600"), _does(DISARM), _no_shims),
    Fault("runner killed", _kill_runner, ends=("reverted",), delay=HALF_WAY),
    Fault("operator killed", _kill_operator, ends=("reverted",), unseen=True),
    Fault("SSH dropped", _does("pkill -KILL sshd-session"), ends=("done",)),
    Fault("VPS reboots", _does("systemctl --no-block reboot"), reboots=True, delay=HALF_WAY),
    Fault("disk full", _does(FILL), _small_disk, fix=_does(f"umount --lazy {OPS}"), ends=("reverted",)),
    Fault("Docker restarts", _does("systemctl --no-block restart docker"), fix=_docker_up, delay=HALF_WAY),
    Fault("edge gone", _does("docker rm -f {site.edge.container}"), fix=_edge_back, ends=("reverted", "stuck")),
    Fault("port 4000 held", _squat_on_new, fix=_does("systemctl stop stranger || true")),
    Fault("unit crash-loops", _crash_loop, fix=_no_crash_loop),
    Fault("Compose up by hand", _compose_up, fix=_by_hand_over, grace=5.0),
    Fault("units started by hand", _start_units, fix=_by_hand_over, grace=2.0),
    # It stays locked, so rows that were changed cannot be put back: only hands can end that.
    Fault("database locked", _lock_database, fix=_does("systemctl stop locker || true"), ends=ANY),
)

# Neither runtime's API can start, the former one's neither: only hands can end it.
PORT_HELD_FROM_BOTH = Fault(
    "port 4000 held from both",
    functools.partial(_squat, "0.0.0.0"),
    fix=_does("systemctl stop stranger || true"),
    ends=("stuck",),
)

"""The second tier: the root booted once, with images, checkout, edge and the app up in Docker, then powered off."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fabfile import inventory
from fabfile.lab.cache import Cached, cached, digest, tree
from fabfile.lab.edge import hosts
from fabfile.lab.guest import Guest
from fabfile.lab.host import ASSETS, LabError, UnsupportedMachine, say
from fabfile.lab.inventory import NPM_IDENTITY, NPM_SECRET, write_inventory
from fabfile.lab.rootfs import root
from fabfile.runner.system.deadline import Deadline

HERE = Path(__file__).parent
APP = HERE / "app"
CHECKOUT, NPM_ROOT, ORIGIN = "/home/delta/islandflow", "/home/delta/nginx-proxy-manager", "/home/delta/origin.git"
COMPOSE = f"{CHECKOUT}/deployment/docker"
IMAGES = "/tmp/images"
# The services whose images the app's Compose file builds, all the same way: built once, under Compose's own names.
BUILT = ("web", "api", "compute", "candles", "ingest-options", "ingest-equities", "replay")

GIT = f"""set -e
cd {CHECKOUT}
git init --quiet --initial-branch=main
git config user.name Delta
git config user.email delta@islandflow.test
git add --all
git commit --quiet --message="The app as deployed"
git clone --quiet --bare . {ORIGIN}
git remote add origin {ORIGIN}
git fetch --quiet
git branch --quiet --set-upstream-to=origin/main
"""

# The server itself: the stand-in with its engine, or the real one where the root has it.
CLICKHOUSE_CONTEXT = (
    f"cd / && tar -c -C {IMAGES}/clickhouse . -C / "
    "$(ls -d usr/bin/clickhouse* usr/lib/python3/dist-packages/chdb* etc/clickhouse-server)"
)
BUN_CONTEXT = f"tar -c -C {IMAGES}/bun . -C /home/delta/.bun/bin bun"

FIREWALL = "for port in 22 80 443 3000; do ufw allow $port/tcp; done; ufw --force enable"


def baseline() -> tuple[Cached, Cached]:
    """The baseline tier and the root tier beneath it.

    In the baseline, `upper/` belongs over the root's `system/`; `docker/` and `data/` are the VPS's /var/lib/docker
    and /var/lib/islandflow, `ca.pem` is the authority that signed the edge's certificate.
    """
    base = root()
    own = [Path(__file__), HERE / "edge", HERE / "app"]
    own += [ASSETS / name for name in ("images", "npm", "env", "docker.env")]
    own += [archive for archive in [_official_edge()] if archive]
    recipe = digest([base.key, NPM_IDENTITY, NPM_SECRET, *own])
    return cached("baseline", recipe, lambda folder: _build(folder, base)), base


def _site() -> inventory.Site:
    """The lab's inventory, but for where the lab lies and its ports, which the baseline doesn't depend on."""
    with tempfile.TemporaryDirectory() as folder:
        return inventory.load(write_inventory(Path(folder)), {})


def _build(folder: Path, base: Cached) -> None:
    for name in ("upper", "work", "root", "docker", "data"):
        (folder / name).mkdir()
    guest = Guest(folder)
    say("booting the fresh system for the first time")
    guest.boot(
        {
            "lower": [str(base.path / "system")], "ports": {},
            "upper": str(folder / "upper"), "work": str(folder / "work"), "root": str(folder / "root"),
            "binds": {"/var/lib/docker": str(folder / "docker"), "/var/lib/islandflow": str(folder / "data")},
        },
        [base.lock.fileno()],
    )  # fmt: skip
    try:
        guest.await_boot()
        _furnish(guest, base, folder)
        guest.power_off()
    finally:
        guest.pull_plug()
    for name in ("work", "root"):
        shutil.rmtree(folder / name)


def _furnish(guest: Guest, base: Cached, folder: Path) -> None:
    """Everything that the VPS has besides packages, up to the app that answers through the edge."""
    target = _site()
    guest.run("chmod 755 /var/lib/islandflow")
    guest.run(FIREWALL)
    guest.run("docker network create --subnet 172.18.0.0/16 --gateway 172.18.0.1 npm-shared")
    say("making the checkout and its dependencies")
    _plant_checkout(guest, base)
    say("making the container images")
    _make_images(guest, base)
    say("starting the edge")
    names = [str(target.edge.app_domain), str(target.edge.api_domain)]
    _start_edge(guest, names, folder)
    say("starting the app")
    guest.run(f"cd {COMPOSE} && docker compose up --detach --wait", timeout=300)
    await_app(guest, names)
    _forget_messages(guest)


def _forget_messages(guest: Guest) -> None:
    """Leave the servers' folders empty, with their owners, and the containers to be started at boot.

    The baseline lies in its cache for days. The raw messages that it held would have aged out by then, and what is
    derived from them would be missing for good, as if a hand-over had lost it.
    """
    guest.run(["systemctl", "stop", "docker.socket", "docker.service"])
    guest.run(["find", "/var/lib/islandflow", "-mindepth", "2", "-delete"])


def _plant_checkout(guest: Guest, base: Cached) -> None:
    """The app as a git checkout with an origin, its dependencies installed, Bun's cache filled for doing it again."""
    with tempfile.TemporaryDirectory() as scratch:
        checkout, store = Path(scratch) / "checkout", Path(scratch) / "cache"
        for path in tree(APP):
            copy = checkout / path.relative_to(APP)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        guest.unpack(checkout, CHECKOUT, owner="delta")
        guest.run(["sudo", "-u", "delta", "sh", "-c", GIT])
        bun = base.path / "system/home/delta/.bun/bin/bun"
        environment = os.environ | {"BUN_INSTALL_CACHE_DIR": str(store)}
        command = [str(bun), "install", "--frozen-lockfile", "--no-progress"]
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise LabError(f"bun install failed for the lab's app:\n{done.stderr.strip()}")
        guest.unpack(checkout, CHECKOUT, owner="delta")
        guest.unpack(store, "/home/delta/.bun/install/cache", owner="delta")
    for place, asset in ((CHECKOUT, "env"), (COMPOSE, "docker.env")):
        guest.write(f"{place}/.env", (ASSETS / asset).read_bytes(), owner="delta:delta", mode=0o600)
    guest.run(["sudo", "-u", "delta", "sh", "-c", f"cd {CHECKOUT} && ~/.bun/bin/bun run build"])


def _make_images(guest: Guest, base: Cached) -> None:
    """Without a registry: a root file system as the base, and small layers over it."""
    guest.unpack(ASSETS / "images", IMAGES, owner="root")
    guest.unpack(HERE / "edge/image", f"{IMAGES}/edge", owner="root")
    for name in ("api.py", "hostfile.py"):
        guest.write(f"{IMAGES}/edge/{name}", (HERE / "edge" / name).read_bytes())
    with (base.path / "image.tar").open("rb") as image:
        guest.run(["docker", "import", "-", "islandflow-lab/base"], stdin=image, timeout=300)
    for name in ("nats", "redis", "edge"):
        guest.run(f"docker build --quiet --tag islandflow-lab/{name} {IMAGES}/{name}")
    guest.run(f"{CLICKHOUSE_CONTEXT} | docker build --quiet --tag islandflow-lab/clickhouse -", timeout=300)
    guest.run(f"{BUN_CONTEXT} | docker build --quiet --tag islandflow-lab/bun -")
    tags = " ".join(f"--tag islandflow-vps-{name}" for name in BUILT)
    guest.run(f"docker build --quiet {tags} --build-arg BASE=islandflow-lab/bun --file {COMPOSE}/Dockerfile {CHECKOUT}")
    guest.run(["rm", "-rf", IMAGES])


def _start_edge(guest: Guest, names: Sequence[str], folder: Path) -> None:
    """The edge with its three hosts: it makes its own database first, which then gets the rows, as the files appear."""
    guest.unpack(ASSETS / "npm", NPM_ROOT, owner="root")
    settings = {"EDGE_IMAGE": _edge_image(guest), "IDENTITY": NPM_IDENTITY, "SECRET": NPM_SECRET}
    guest.write(f"{NPM_ROOT}/.env", "".join(f"{key}={value}\n" for key, value in settings.items()).encode())
    guest.run(["chown", "delta:delta", NPM_ROOT])
    compose = f"cd {NPM_ROOT} && docker compose"
    database = f"{NPM_ROOT}/data/database.sqlite"
    guest.run(f"{compose} up --detach")
    ready = f"until sqlite3 -readonly {database} 'SELECT count(*) FROM proxy_host'; do sleep 0.1; done"
    guest.run(["timeout", "120", "sh", "-c", ready], timeout=130)
    (folder / "ca.pem").write_bytes(hosts.plant(guest, NPM_ROOT, names))


def _edge_image(guest: Guest) -> str:
    """The lab's own image, or the official one where the operator has saved it (`docker save`)."""
    archive = _official_edge()
    if archive is None:
        return "islandflow-lab/edge"
    with archive.open("rb") as image:
        return guest.run(["docker", "load"], stdin=image, timeout=300).stdout.split()[-1]


def _official_edge() -> Path | None:
    """The archive that ISLANDFLOW_LAB_EDGE_IMAGE names, if it does."""
    named = os.environ.get("ISLANDFLOW_LAB_EDGE_IMAGE")
    if named and not Path(named).is_file():
        raise UnsupportedMachine(
            f"ISLANDFLOW_LAB_EDGE_IMAGE={named} is no file: docker save jc21/nginx-proxy-manager >{named}"
        )
    return Path(named) if named else None


def await_app(guest: Guest, names: Sequence[str], timeout: float = 60) -> None:
    """Wait until both names answer through the edge; raises LabError with the last answer after `timeout` seconds."""
    app, api = names
    probe = "curl --silent --show-error --fail --insecure --max-time 5 --output /dev/null --resolve '*:443:127.0.0.1'"
    command = f"{probe} https://{app}/ && {probe} https://{api}/health && {probe} https://{app}/flow/recent"
    deadline = Deadline(timeout)
    while (done := guest.run(command, check=False)).returncode:
        if deadline.passed:
            raise LabError(f"the lab's app did not answer through the edge: {done.stderr.strip()}")
        time.sleep(0.2)

"""The first tier: a Debian root file system with everything that the VPS has installed, never booted yet."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fabfile.lab.cache import Cached, cached, digest
from fabfile.lab.host import ARCHITECTURES, ASSETS, LabError

SUITE = "trixie"
BUN_VERSION = "1.4.5"
CHDB_VERSION = "26.9.0"

HOST_PACKAGES = [
    "systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "openssh-server", "sudo", "python3",
    "curl", "git", "ca-certificates", "iproute2", "iptables", "ufw", "sqlite3", "redis-server", "redis-tools",
    "nats-server", "docker.io", "docker-cli", "docker-compose", "procps", "iputils-ping", "netcat-openbsd",
    "e2fsprogs",
]  # fmt: skip
IMAGE_PACKAGES = [
    "ca-certificates", "curl", "wget", "nats-server", "redis-server", "redis-tools", "nginx", "python3", "sqlite3",
]  # fmt: skip

# What the packages start by themselves and the VPS must not run: the app brings its own units.
SILENCED = ["redis-server.service", "nats-server.service", "apt-daily.timer", "apt-daily-upgrade.timer"]

# Take the real server where the archive has it; else the stand-in over chdb is planted.
CLICKHOUSE_HOOK = (
    'if chroot "$1" apt-cache show clickhouse-server >/dev/null 2>&1; '
    'then chroot "$1" apt-get install --yes clickhouse-server; fi'
)


def root() -> Cached:
    """The root tier: `system/` is the VPS's root file system, `image.tar` the base of its container images."""
    recipe = digest([Path(__file__), ASSETS / "root", ASSETS / "clickhouse", platform.machine()])
    return cached("root", recipe, _build)


def _build(folder: Path) -> None:
    system, wares = folder / "system", folder / "wares"
    wares.mkdir()
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(_debootstrap, HOST_PACKAGES, system),
            pool.submit(_debootstrap, IMAGE_PACKAGES, folder / "image.tar"),
            pool.submit(_fetch_bun, wares),
            pool.submit(_fetch_chdb, wares),
        ]
    for job in jobs:
        job.result()
    _plant(system)
    _install_bun(system, wares)
    _install_clickhouse(system, wares)
    shutil.rmtree(wares)


def _debootstrap(packages: list[str], target: Path) -> None:
    """Without a mirror named, mmdebstrap asks the distribution's own."""
    include = f"--include={','.join(packages)}"
    hook = f"--customize-hook={CLICKHOUSE_HOOK}"
    _run("mmdebstrap", "--quiet", "--variant=minbase", include, hook, SUITE, str(target))


def _fetch_bun(wares: Path) -> None:
    package = f"@oven/bun-{ARCHITECTURES[platform.machine()]}@{BUN_VERSION}"
    _run("npm", "pack", "--silent", "--pack-destination", str(wares), package)


def _fetch_chdb(wares: Path) -> None:
    """As a wheel, without its dependencies: they serve data frames, which nobody here asks for."""
    _run(
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--dest", str(wares), f"chdb-core=={CHDB_VERSION}",
    )  # fmt: skip


def _plant(system: Path) -> None:
    """Lay the lab's files over the root, make the login user, and let only what the VPS runs start by itself."""
    shutil.copytree(ASSETS / "root", system, dirs_exist_ok=True)
    (system / "etc/sudoers.d/delta").chmod(0o440)
    _run("chroot", str(system), "useradd", "--create-home", "--shell", "/bin/bash", "delta")
    linger = system / "var/lib/systemd/linger"
    linger.mkdir(parents=True, exist_ok=True)
    (linger / "delta").touch()
    _run("chroot", str(system), "systemctl", "--quiet", "disable", *SILENCED)
    _run("chroot", str(system), "systemctl", "--quiet", "enable", "systemd-networkd.service")
    _run("chroot", str(system), "systemd-machine-id-setup")
    for key in (system / "etc/ssh").glob("ssh_host_*"):
        key.unlink()


def _install_bun(system: Path, wares: Path) -> None:
    """At the place where Bun's own installer puts it, owned by the user."""
    (archive,) = wares.glob("*.tgz")
    _run("tar", "-C", str(wares), "-xzf", str(archive), "package/bin/bun")
    home = system / "home/delta"
    (home / ".bun/bin").mkdir(parents=True)
    shutil.copy(wares / "package/bin/bun", home / ".bun/bin/bun")
    (home / ".bun/bin/bun").chmod(0o755)
    _run("chroot", str(system), "chown", "-R", "delta:delta", "/home/delta/.bun")


def _install_clickhouse(system: Path, wares: Path) -> None:
    """The stand-in, unless the archive had the real server."""
    server = system / "usr/bin/clickhouse-server"
    if server.exists():
        return
    (wheel,) = wares.glob("chdb_core-*.whl")
    shutil.unpack_archive(wheel, system / "usr/lib/python3/dist-packages", "zip")
    shutil.copy(ASSETS / "clickhouse/clickhouse-server", server)
    server.chmod(0o755)
    shutil.copytree(ASSETS / "clickhouse/etc", system / "etc/clickhouse-server", dirs_exist_ok=True)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-12:]
        raise LabError(f"{argv[0]} failed while the root was built:\n" + "\n".join(last))

"""Installs an app of the operator's own on the lab, from a checkout and its Compose file, in place of the lab's app."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fabfile import inventory
from fabfile.errors import UsageError
from fabfile.inventory import Site
from fabfile.lab import images
from fabfile.lab.baseline import CHECKOUT, NPM_ROOT, ORIGIN
from fabfile.lab.choices import Choices
from fabfile.lab.edge import hosts
from fabfile.lab.guest import Guest
from fabfile.lab.host import say
from fabfile.lab.images import Compose
from fabfile.lab.inventory import write_inventory

# Every Compose project but the edge's.
CLEAR = """
label=com.docker.compose.project
edge=$(docker inspect --format "{{index .Config.Labels \\"$label\\"}}" nginx-proxy-manager)
for project in $(docker ps --all --format "{{.Label \\"$label\\"}}" | sort -u | grep -vx "$edge"); do
    docker compose -p "$project" down --timeout 5
done
"""

GIT = f"""set -e
git clone --quiet --bare . {ORIGIN}
git remote set-url origin {ORIGIN} 2>/dev/null || git remote add origin {ORIGIN}
git fetch --quiet origin
"""


def check(choices: Choices) -> None:
    """Raise UsageError unless the checkout has all that the lab can't download, and the given files exist."""
    for option, text in (("env", choices.env), ("docker-env", choices.docker_env), ("inventory", choices.inventory)):
        if text and not Path(text).is_file():
            raise UsageError(f"--{option} {text} is no file", next_step="Name one that exists.")
    with tempfile.TemporaryDirectory() as folder:
        site = inventory.load(write_inventory(Path(folder), choices=choices), {})
    app = Path(choices.app)
    compose = app / _compose_file(site)
    if not (app / ".git").is_dir():
        where = "it is a linked worktree" if (app / ".git").is_file() else "there is no .git in it"
        raise UsageError(f"--app {app} is no checkout of its own: {where}", next_step="Name a clone of your app.")
    if not compose.is_file():
        raise UsageError(
            f"there is no Compose file {compose}",
            next_step="runtimes.docker in the inventory says where it lies; name yours with --inventory FILE.",
        )
    if not (app / "node_modules").is_dir():
        raise UsageError(
            f"{app} has no node_modules, and the lab has no network to install them",
            next_step=f"In the checkout, run: bun {' '.join(_quote(word) for word in site.app.install_argv)}",
        )
    docker = str(site.runtimes.docker.env_file)
    for option_file, path, option in (
        (choices.env, str(site.app.env_file), "env"),
        (choices.docker_env, docker, "docker-env"),
    ):
        in_checkout = app / Path(path).relative_to(site.app.checkout)
        if not option_file and not in_checkout.is_file():
            raise UsageError(f"there is no env file {in_checkout}", next_step=f"Name one with --{option} FILE.")


def install(guest: Guest, site: Site, choices: Choices, folder: Path) -> None:
    """Start the operator's app in Docker on a lab that is up with its own app, which is removed with its data.

    `folder` is the lab's, with the authority that signed the edge's certificate.
    """
    say(f"replacing the lab's own app by {choices.app}")
    checkout = str(site.app.checkout)
    _clear(guest, site)
    _plant(guest, site, choices)
    docker = site.runtimes.docker
    compose = Compose(guest, str(docker.directory), str(Path(docker.file).name), docker.project)
    names = [str(site.edge.app_domain), str(site.edge.api_domain)]
    if names != hosts.names(guest, NPM_ROOT):
        (folder / "ca.pem").write_bytes(hosts.plant(guest, NPM_ROOT, names))
    say("making the images that the Compose file names")
    images.make(compose, checkout, choices.images)
    say("starting it")
    compose.up()


def _clear(guest: Guest, site: Site) -> None:
    """Remove the lab's own app, except images that others are based on."""
    guest.run(CLEAR, timeout=300)
    guest.run(["docker", "image", "rm", "--force", "islandflow-app"], check=False)
    guest.run(["rm", "-rf", CHECKOUT, ORIGIN])
    guest.run(["mkdir", "-p", str(site.app.data_root)])
    guest.run(["find", str(site.app.data_root), "-mindepth", "1", "-delete"])


def _plant(guest: Guest, site: Site, choices: Choices) -> None:
    """Copy the checkout as it is, with everything that git does not track, and an origin that needs no network."""
    checkout, user = str(site.app.checkout), site.app.user
    say(f"copying the checkout to {checkout}")
    guest.run(["install", "-d", "-o", user, "-g", site.app.group, checkout])
    guest.unpack(Path(choices.app), checkout, owner=user)
    guest.run(["sudo", "-u", user, "sh", "-c", f"cd '{checkout}' && {GIT}"])
    owner = f"{user}:{site.app.group}"
    for option_file, path in ((choices.env, site.app.env_file), (choices.docker_env, site.runtimes.docker.env_file)):
        if option_file:
            guest.write(str(path), Path(option_file).read_bytes(), owner=owner, mode=0o600)


def _compose_file(site: Site) -> Path:
    """Relative to the checkout."""
    docker = site.runtimes.docker
    return Path(docker.directory, docker.file).relative_to(site.app.checkout)


def _quote(word: str) -> str:
    return word if word.replace("-", "").isalnum() else f"'{word}'"

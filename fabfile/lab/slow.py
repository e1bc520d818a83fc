"""The lab's web app made as slow as a rendering server: a cost a page, and first pages that cost more."""

from __future__ import annotations

from fabfile.inventory import Site
from fabfile.lab.choices import Choices
from fabfile.lab.guest import Guest


def web(guest: Guest, site: Site, choices: Choices) -> None:
    """Set the costs of the web app in both runtimes' env files, and restart Docker's with them."""
    docker = site.runtimes.docker
    lines = f"LAB_WEB_WARMUP_SECONDS={choices.web_warmup:g}\nLAB_WEB_COST_MS={choices.web_cost:g}\n"
    for path in (site.app.env_file, docker.env_file):
        guest.run(["sh", "-c", 'cat >>"$0"', str(path)], stdin=lines)
    compose = f"docker compose -p {docker.project} -f {docker.file}"
    guest.run(f"cd {docker.directory} && {compose} up --detach --no-deps {site.web.name}", timeout=300)

"""A VPS in a box, to try everything on."""

from __future__ import annotations

import os

from invoke.context import Context

from fabfile.commands.options import task
from fabfile.lazy import lazily

with lazily():
    from fabfile import console
    from fabfile.lab import choices, lab


@task
def up(
    c: Context,
    name: str = "lab",
    cpus: str = "",
    web_warmup: str = "",
    web_cost: str = "",
    no_nats_monitoring: bool = False,
    app: str = "",
    env: str = "",
    docker_env: str = "",
    inventory: str = "",
    image: str = "",
) -> None:
    """Boot a VPS in a box, the app on it in Docker: the lab's own, or a checkout of yours.

    What it is given is kept with the lab, through lab.reset and reboots, until lab.down.
    """
    options = choices.Choices.of(
        cpus=cpus,
        web_warmup=web_warmup,
        web_cost=web_cost,
        no_nats_monitoring=no_nats_monitoring,
        app=app,
        env=env,
        docker_env=docker_env,
        inventory=inventory,
        image=image,
    )
    vps = lab.Lab(name)
    vps.up(None if options == choices.Choices() else options)
    console.Console().say(vps.guide())


@task
def down(c: Context, name: str = "lab") -> None:
    """Power the lab off and remove it."""
    lab.Lab(name).down()


@task
def reset(c: Context, name: str = "lab") -> None:
    """Put the lab back to the Docker baseline."""
    vps = lab.Lab(name)
    vps.reset()
    console.Console().say(vps.guide())


@task
def ssh(c: Context, name: str = "lab") -> None:
    """Open a shell on the lab, as the operator does."""
    command = lab.Lab(name).require_up().ssh()
    os.execvp(command[0], command)


@task
def status(c: Context, name: str = "") -> None:
    """Show the labs, or one: power, ports, age, disk."""
    rows = [_row(vps.status()) for vps in lab.labs() if name in ("", vps.name)]
    console.Console().table("Labs", ("lab", "power", "pid", "ports on 127.0.0.1", "age", "disk", "asked for"), rows)


def _row(state: lab.Status) -> tuple[str, ...]:
    ports = " ".join(f"{name}:{port}" for name, port in state.ports.items())
    age = f"{state.age / 3600:.1f} h" if state.age > 3600 else f"{state.age / 60:.0f} min"
    size = f"{state.disk / 2**20:.0f} MB"
    return state.name, "up" if state.up else "down", str(state.pid or ""), ports, age, size, str(state.choices)

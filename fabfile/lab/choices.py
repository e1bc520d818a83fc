"""The options that a lab was made with: processors, load, the app on it. They are kept through reset and reboot."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fabfile.errors import UsageError

FILE = "choices.json"


@dataclass(frozen=True)
class Choices:
    """The options of `lab.up`. Zero and empty mean the default."""

    cpus: float = 0.0  # of this machine's; 0: all of them
    web_warmup: float = 0.0  # seconds of processor time that the web app's first pages take together
    web_cost: float = 0.0  # milliseconds of processor time a page
    nats_monitoring: bool = True  # whether the native NATS has a port for it
    app: str = ""  # a checkout of the operator's own
    env: str = ""
    docker_env: str = ""
    inventory: str = ""
    images: Mapping[str, str] = field(default_factory=dict)  # name in the app's files → one of the lab's

    @classmethod
    def of(
        cls,
        *,
        cpus: str = "",
        web_warmup: str = "",
        web_cost: str = "",
        no_nats_monitoring: bool = False,
        app: str = "",
        env: str = "",
        docker_env: str = "",
        inventory: str = "",
        image: str = "",
    ) -> Choices:
        """From the options of `lab.up`, as they were typed. Raises UsageError."""
        warmup, cost = _number(web_warmup, "web-warmup", "3"), _number(web_cost, "web-cost", "18")
        own_app_options = {"env": env, "docker-env": docker_env, "inventory": inventory, "image": image}
        unusable = [name for name, value in own_app_options.items() if value and not app]
        if unusable:
            option = unusable[0]
            raise UsageError(f"--{option} is for an app of your own", next_step="Name its checkout with --app DIR.")
        if app and (warmup or cost):
            raise UsageError(
                "--web-warmup and --web-cost slow the lab's own app down, not yours", next_step="Leave them out."
            )
        return cls(
            cpus=_number(cpus, "cpus", "0.5"),
            web_warmup=warmup,
            web_cost=cost,
            nats_monitoring=not no_nats_monitoring,
            app=_absolute(app),
            env=_absolute(env),
            docker_env=_absolute(docker_env),
            inventory=_absolute(inventory),
            images=dict(map(_mapping, filter(None, image.split(",")))),
        )

    def save(self, folder: Path) -> None:
        """Write them into the lab's folder."""
        (folder / FILE).write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Choices:
        """The choices of the lab in this folder; the defaults where there is none."""
        try:
            return cls(**json.loads((folder / FILE).read_text()))
        except FileNotFoundError:
            return cls()

    def __str__(self) -> str:
        """The options as typed; empty for the defaults."""
        options = {
            "cpus": f"{self.cpus:g}" if self.cpus else "",
            "web-warmup": f"{self.web_warmup:g}" if self.web_warmup else "",
            "web-cost": f"{self.web_cost:g}" if self.web_cost else "",
            "app": self.app,
            "env": self.env,
            "docker-env": self.docker_env,
            "inventory": self.inventory,
            "image": ",".join(f"{name}={image}" for name, image in self.images.items()),
        }
        arguments = [f"--{name} {value}" for name, value in options.items() if value]
        return " ".join(arguments if self.nats_monitoring else [*arguments, "--no-nats-monitoring"])


def _number(text: str, option: str, example: str) -> float:
    try:
        number = float(text or 0)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf or (text and not number):
        raise UsageError(f"--{option} {text} is no number above 0", next_step=f"Give one, as in --{option} {example}.")
    return number


def _absolute(text: str) -> str:
    return str(Path(text).expanduser().resolve()) if text else ""


def _mapping(text: str) -> tuple[str, str]:
    name, _, image = (part.strip() for part in text.partition("="))
    if not name or not image:
        raise UsageError(
            f"--image {text} maps nothing",
            next_step="Use --image NAME=LAB_IMAGE, as in --image oven/bun=islandflow-lab/bun; several with commas.",
        )
    return name, image

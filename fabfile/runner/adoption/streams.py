"""Reads the JetStream of a Compose project, or of the native server in its place."""

from __future__ import annotations

from ..facts.nats.jetstream import read_streams
from ..facts.nats.login import VARIABLE
from ..system.inspected import Inspected
from ..system.machine import StepFailed, failure_detail
from ..wire.adoption import ContainerFound
from ..wire.app import Environment, JetStream, NatsRef
from ..wire.terms import Runtime

_NAME, _PORT, _MONITOR, _LOCAL = "nats", 4222, 8222, "127.0.0.1"
_NO_FILE = "/dev/null"


def streams_of(containers: dict[str, ContainerFound], items: list[Inspected]) -> JetStream:
    """The streams of the project's NATS, or of a native one where the container does not run; never raises.

    It logs in as the app's containers do: with their NATS_URL, which never leaves the VPS.
    """
    nats = containers.get(_NAME) or next(
        (container for container in containers.values() if _NAME in container.image.split("/")[-1]), None
    )
    if nats is None:
        return JetStream(problem="the project has no NATS")
    address = next((address for address in nats.networks.values() if address), "")
    runtime: Runtime = "docker" if nats.state == "running" and address else "native"
    monitor = _MONITOR if runtime == "native" or _MONITOR in nats.listens else 0
    environment = Environment(runtime, _NO_FILE, "the app's containers", _login(items))
    try:
        host = address if runtime == "docker" else _LOCAL
        return JetStream(runtime, read_streams(host, NatsRef(_PORT, environment, monitor)))
    except (OSError, ValueError, StepFailed) as error:
        return JetStream(runtime, problem=failure_detail(error))


def _login(items: list[Inspected]) -> dict[str, str]:
    entries = dict(entry.partition("=")[::2] for item in items for entry in item["Config"].get("Env") or ())
    return {name: value for name, value in entries.items() if name == VARIABLE}

"""JetStream of a Compose project, or of the native server that took its place."""

from __future__ import annotations

from typing import Dict, Sequence

from ..appfacts import Environment, JetStream, NatsRef
from ..jetstream import read_streams
from ..machine import StepFailed, said
from .found import Box

_NAME, _PORT, _MONITOR, _LOCAL = "nats", 4222, 8222, "127.0.0.1"


def streams_at(boxes: Dict[str, Box], env_files: Sequence[str]) -> JetStream:
    """The streams of the project's NATS; of a native one where the container does not run. A problem is told.

    NATS_URL of the first env file, which is Docker's, logs in to the container; of the last, the checkout's, elsewhere.
    """
    here = next((box for name, box in boxes.items() if name == _NAME or _NAME in box.image.split("/")[-1]), None)
    if here is None:
        return JetStream(problem="the project has no NATS")
    address = next((address for address in here.networks.values() if address), "")
    runtime = "docker" if here.state == "running" and address else "native"
    env_file = env_files[0 if runtime == "docker" else -1] if env_files else ""
    nats = NatsRef(_PORT, Environment(runtime, env_file, env_file), _MONITOR)
    try:
        return JetStream(runtime, read_streams(address if runtime == "docker" else _LOCAL, nats))
    except (OSError, ValueError, StepFailed) as error:
        return JetStream(runtime, problem=said(error))

"""JetStream of a Compose project, or of the native server that took its place."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional

from ..appfacts import JetStream
from ..jetstream import read_streams
from ..machine import Machine, StepFailed, said
from .found import AdoptionWanted, Box

_NAME, _MONITOR, _LOCAL = "nats", 8222, "127.0.0.1"


def streams_at(machine: Machine, boxes: Dict[str, Box], wanted: AdoptionWanted, root: Optional[Path]) -> JetStream:
    """The streams of the project's NATS; of a native one where the container does not run. A problem is told."""
    here = next((box for name, box in boxes.items() if name == _NAME or _NAME in box.image.split("/")[-1]), None)
    if here is None:
        return JetStream(problem="the project has no NATS")
    address = next((address for address in here.networks.values() if address), "")
    runtime = "docker" if here.state == "running" and address else "native"
    try:
        return JetStream(runtime, read_streams(address if runtime == "docker" else _LOCAL, _MONITOR))
    except (OSError, ValueError, StepFailed) as error:
        return JetStream(runtime, problem=said(error))

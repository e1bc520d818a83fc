"""Questions to the JetStream of the lab's containers over NATS' own protocol: the lab has no client for it."""

from __future__ import annotations

import json
from typing import Any

from fabfile.lab.lab import Lab

_ASK = """
import json, socket, sys
address, questions = sys.argv[1], json.loads(sys.argv[2])
line = socket.create_connection((address, 4222), 5).makefile("rw", newline="\\r\\n")
line.write("CONNECT {}\\nSUB reply 1\\n")
answers = []
for subject, body in questions:
    line.write(f"PUB {subject} reply {len(body)}\\n{body}\\n")
    line.flush()
    while not line.readline().startswith("MSG"):
        pass
    answers.append(json.loads(line.readline()))
print(json.dumps(answers))
"""


def ask(lab: Lab, *questions: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of JetStream's API, each without an error, to what is asked below $JS.API."""
    inspect = "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' islandflow-vps-nats-1"
    address = lab.run(inspect).stdout.strip()
    asked = json.dumps([(f"$JS.API.{subject}", json.dumps(body)) for subject, body in questions])
    answers: list[dict[str, Any]] = json.loads(lab.run(["python3", "-c", _ASK, address, asked]).stdout)
    assert not [answer["error"] for answer in answers if "error" in answer], answers
    return answers


def durables(lab: Lab) -> dict[str, dict[str, Any]]:
    """Durable → what the containers' NATS tells of it."""
    (listed,) = ask(lab, ("STREAM.NAMES", {}))
    told = ask(lab, *((f"CONSUMER.LIST.{name}", {}) for name in listed["streams"]))
    return {consumer["name"]: consumer for answer in told for consumer in answer["consumers"]}

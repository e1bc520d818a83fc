"""The client of NATS against the real one: logins, pages, and who receives, as no stand-in can know it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fabfile.remote import bootstrap
from tests.system.conftest import Vps

CONFIG = """
listen: 127.0.0.1:14222
jetstream { store_dir: /tmp/nats-scratch/data }
accounts {
  APP {
    jetstream: enabled
    users: [
      { user: app, password: "p@ss w:rd" }
      { user: mute, password: x, permissions: { publish: "app.>", subscribe: ">" } }
    ]
  }
  OTHER { users: [ { user: other, password: x } ] }
}
"""

# Makes what is to be seen with the same client, holds a subscription and a fetch open, and looks with each login.
LOOK = """
import json, socket, sys, threading, time
sys.path.insert(0, "/tmp/nats-scratch/runner.pyz")
from runner.wire.app import Environment, NatsRef
from runner.facts.nats.jetstream import durables_of, read_streams
from runner.facts.nats.client import Client, Login

LOCAL, PORT = "127.0.0.1", 14222
APP = Login("app", "p@ss w:rd")

def ask(subject, body):
    with Client("NATS", LOCAL, PORT, "port", 60, APP) as client:
        answer = json.loads(client.request([("$JS.API." + subject, json.dumps(body).encode())])[0].payload)
    assert "error" not in answer, answer

def durable(name, **config):
    config = {"durable_name": name, "ack_policy": "explicit", **config}
    ask("CONSUMER.DURABLE.CREATE.S." + name, {"stream_name": "S", "config": config})

def client():
    line = socket.create_connection((LOCAL, PORT)).makefile("rwb")
    line.write(b'CONNECT {"verbose":false,"user":"app","pass":"p@ss w:rd"}\\r\\nSUB got 9\\r\\n')
    return line

def fetch(line, name, body):
    line.write(f"PUB $JS.API.CONSUMER.MSG.NEXT.S.{name} got {len(body)}\\r\\n{body}\\r\\n".encode())
    line.flush()

def poll(line):
    while True:
        fetch(line, "polled", '{"no_wait":true}')
        time.sleep(0.2)

ask("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"], "storage": "memory", "max_age": 3600 * 10**9})
durable("pushed", deliver_subject="to.pushed")
durable("left", deliver_subject="to.left")
for name in ("waits", "polled", "idle"):
    durable(name)
for number in range(300):
    durable(f"many-{number}", deliver_subject=f"to.{number}")
ask("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"deliver_subject": "to.nobody", "ack_policy": "none"}})
held, polling = client(), client()
held.write(b"SUB to.pushed 1\\r\\n")
fetch(held, "waits", '{"batch":5,"expires":60000000000}')
threading.Thread(target=poll, args=(polling,), daemon=True).start()

def look(url):
    open("/tmp/nats-scratch/env", "w").write(f"NATS_URL={url}\\n")
    ref = NatsRef(PORT, Environment("native", "/tmp/nats-scratch/env", "/none"))
    try:
        found = durables_of(read_streams(LOCAL, ref, ("waits", "polled", "idle")))
    except Exception as error:
        return f"{type(error).__name__} {error}"
    return {name: [durable.pull, durable.bound] for name, durable in found.items()}

time.sleep(0.5)
print(json.dumps({url: look(url) for url in sys.argv[1:]}))
"""


@pytest.fixture
def scratch(untouched: Vps) -> Iterator[Vps]:
    """A NATS of its own on the lab, beside the app's."""
    untouched.lab.guest.write("/tmp/nats-scratch/runner.pyz", bootstrap.zipapp())
    untouched.lab.guest.write("/tmp/nats-scratch/nats.conf", CONFIG.encode())
    unit = ["systemd-run", "--quiet", "--collect", "--unit=nats-scratch"]
    untouched.lab.run([*unit, "/usr/sbin/nats-server", "-c", "/tmp/nats-scratch/nats.conf"])
    try:
        untouched.lab.run("timeout 60 sh -c 'until nc -z 127.0.0.1 14222; do sleep 0.2; done'")
        yield untouched
    finally:
        untouched.lab.run("systemctl stop nats-scratch; rm -rf /tmp/nats-scratch", check=False)


def test_streams_and_durables_are_read_with_the_app_s_own_login(scratch: Vps) -> None:
    app, mute, other = (f"nats://{login}@nats:4222" for login in ("app:p%40ss%20w%3Ard", "mute:x", "other:x"))
    refused = {
        mute: "denies the app's user JetStream's API",
        other: "has no JetStream for the app",
        "nats://app:wr0ng@nats:4222": "refuses the login",
        "nats://nats:4222": "wants a login",
    }
    look = ["python3", "-I", "-c", LOOK, app, *refused]
    told: dict[str, Any] = json.loads(scratch.lab.run(look, timeout=120).stdout)
    found = told.pop(app)
    assert isinstance(found, dict), found
    assert len(found) == 305, "all pages, without the one that is ephemeral"
    assert {name: found[name] for name in ("pushed", "left", "waits", "polled", "idle")} == {
        "pushed": [False, True],
        "left": [False, False],
        "waits": [True, True],
        "polled": [True, True],
        "idle": [True, False],
    }
    assert [url for url, words in refused.items() if words not in told[url]] == [], told
    assert not [said for said in told.values() if "wr0ng" in said]

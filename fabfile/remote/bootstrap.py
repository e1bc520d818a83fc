"""What travels to the VPS in one go: the runner as a zipapp, a plan, and the files that the VPS lacks."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fabfile.lazy import lazily
from fabfile.resources import RUNNER
from fabfile.runner.services.requests import ExecRequest, LogsRequest
from fabfile.runner.store import ROOT
from fabfile.runner.wire.adoption import AdoptionRequest
from fabfile.runner.wire.app import StreamsRef
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.edge import EdgeLogin
from fabfile.runner.wire.facts import Facts, FactsRequest
from fabfile.runner.wire.soak import Soak

with lazily():
    from fabfile.plans import plan

if TYPE_CHECKING:
    from fabfile.plans.plan import Plan

_MAIN = "import sys\nfrom runner.main import main\nsys.exit(main(sys.argv[1:], sys.stdin.buffer))\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's earliest date: equal sources make equal bytes

HERE, LACKING = b"runner here\n", b"runner lacking\n"
"""What BOOT answers first, at once: whether the VPS has this very runner, or has to be sent it."""

BOOT = (
    f"root, here, lacking = {str(ROOT)!r}, {HERE.decode()!r}, {LACKING.decode()!r}"
    + """
import hashlib, io, os, sys
if sys.version_info < (3, 9):
    sys.exit("python3 is too old: %d.%d.%d" % sys.version_info[:3])
stdin = sys.stdin.buffer
name, size = stdin.readline().decode().split()
request = stdin.read(int(size))
if len(request) != int(size):
    sys.exit("the request arrived cut off, and nothing was done")
def whole(zipapp):
    return "runner-%s.pyz" % hashlib.sha256(zipapp).hexdigest() == name
try:
    with open(os.path.join(root, name), "rb") as file:
        zipapp = file.read()
except OSError:
    zipapp = b""
there = whole(zipapp)
sys.stdout.write(here if there else lacking)
sys.stdout.flush()
if not there:
    zipapp = stdin.read()
    if not whole(zipapp):
        sys.exit("the runner arrived damaged, and did nothing")
else:
    prefix = "bytecode-%s-%s-" % (name[len("runner-"):-len(".pyz")], sys.implementation.cache_tag)
    for entry in os.listdir(root):
        if not entry.startswith(prefix):
            continue
        try:
            with open(os.path.join(root, entry), "rb") as file:
                compiled = file.read()
        except OSError:
            continue
        if entry == "%s%s.pyz" % (prefix, hashlib.sha256(compiled).hexdigest()):
            zipapp = compiled
memory = os.memfd_create("islandflow-runner")
os.write(memory, zipapp)
sys.path.insert(0, "/proc/self/fd/%d" % memory)
from runner.main import main
sys.exit(main(sys.argv[1:], io.BytesIO(request)))
"""
)
"""Runs the runner that a plan has left on the VPS, if its bytes are the very ones, else the one that it is sent. Of the
former there may be a copy with bytecode (`fabfile/runner/bytecode.py`), which takes half the time to import.

It runs from memory either way, so that a survey leaves nothing on the VPS. Written so that any Python compiles it: the
old ones shall say that they are too old.
"""

BOOT_LINE = f'exec(__import__("binascii").a2b_base64("{base64.b64encode(BOOT.encode()).decode()}"))'
"""BOOT on one line and without a character that a login shell might read: tcsh ends a quoted text with its line."""


@functools.cache
def zipapp() -> bytes:
    """The runner as a zipapp; the same bytes for the same sources."""
    buffer = io.BytesIO()
    sources = {f"runner/{path.relative_to(RUNNER)}": path.read_text() for path in RUNNER.rglob("*.py")}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sorted({**sources, "__main__.py": _MAIN}.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), source, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@functools.cache
def runner_name() -> str:
    """The zipapp's file name on the VPS."""
    return f"runner-{hashlib.sha256(zipapp()).hexdigest()}.pyz"


def payload(request: FactsRequest | AdoptionRequest | StreamsRef | EdgeLogin | LogsRequest | ExecRequest) -> bytes:
    """What a verb that only answers is sent."""
    return _line(encode(request))


def shipment(new_plan: Plan, facts: Facts, secrets: Mapping[str, str] | None = None) -> bytes:
    """The plan, those of its files that the survey did not find on the VPS, and its secrets."""
    present = set(facts.ops.files)
    lacking = {name: content for name, content in plan.contents(new_plan).items() if name not in present}
    header = {
        "plan": plan.as_json(new_plan),
        "runner": runner_name(),
        "files": {name: len(content) for name, content in lacking.items()},
        "secrets": dict(secrets or {}),
    }
    return _line(header) + b"".join(lacking.values())


def soak(soak: Soak) -> bytes:
    """A soak, to be carried out by the runner that comes with it."""
    return _line({"soak": encode(soak), "runner": runner_name()})


def framed(payload: bytes) -> bytes:
    """Which runner shall read the payload, and the payload, as BOOT expects them on standard input.

    Where BOOT answers LACKING, the zipapp has to follow, and the end of the input.
    """
    return f"{runner_name()} {len(payload)}\n".encode() + payload


def _line(data: Any) -> bytes:
    return json.dumps(data).encode() + b"\n"

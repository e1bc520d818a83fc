"""Both readers of env files held against the programs, and the same settings on both sides of a hand-over."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fabfile.runner.system.envfile import EnvFileError, parse_compose, parse_systemd, passed_on, systemd_text
from tests.system.conftest import Vps

# What either program treats in its own way, beside ordinary characters.
WORDS = [
    "A",
    "B",
    "OUTER",
    "x",
    "1",
    "=",
    "\n",
    " ",
    "\t",
    "\r\n",
    "\r",
    "#",
    " #",
    ";",
    "'",
    '"',
    "\\",
    "\\\n",
    ":",
    ".",
]
WORDS += ["$", "$$", "${", "}", "$A", "${B}", "${A:-d}", "${A:+d}", "${OUTER?d}", ":-", "-", "+", "?", "export ", "\\n"]
WORDS += ["A=", "B=", "\nA=", "\nB=", "\\0101", "\\$", "`", "{", "é", "\u2028", "\xa0", "\ufeff", "\x1b", "\ufdd0", "%"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map("".join)
# One call of each program for all texts of an example, so that it is the programs that are asked, not their starts.
BATCHES = st.lists(TEXTS, min_size=150, max_size=150)
MANY = settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
OUTER = "known value"

# Reads the texts, and prints for each what Compose gives a service, or null where it does not take the file.
COMPOSE = r"""
import json, os, subprocess, sys, tempfile
def config(names):
    project = json.dumps({"services": {f"s{n}": {"image": "x", "env_file": [f"{n}.env"]} for n in names}})
    words = ["docker", "compose", "--file", "-", "--project-directory", ".", "config", "--format", "json"]
    own = {**os.environ, "OUTER": sys.argv[1]}
    done = subprocess.run(words, input=project, capture_output=True, text=True, env=own)
    if done.returncode:
        return [None] if len(names) == 1 else [found for name in names for found in config([name])]
    services = json.loads(done.stdout)["services"]
    return [{k: v.replace("$$", "$") for k, v in (services[f"s{n}"].get("environment") or {}).items() if v is not None}
            for n in names]
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    texts = json.load(sys.stdin)
    for number, text in enumerate(texts):
        open(f"{number}.env", "wb").write(text.encode())
    good = [n for n in range(len(texts)) if n not in set(json.loads(sys.argv[2]))]
    found = dict(zip(good, config(good)))
    for n in json.loads(sys.argv[2]):
        found[n] = config([n])[0]
    print(json.dumps([found[n] for n in range(len(texts))]))
"""

# The same for systemd: a unit for each text, all started by one call; null where the unit does not start.
SYSTEMD = r"""
import json, os, shutil, subprocess, sys
folder, unit = "/run/islandflow-env", "/run/systemd/system/islandflow-env@.service"
os.makedirs(folder, exist_ok=True)
open(unit, "w").write(f"[Service]\nType=oneshot\nEnvironmentFile={folder}/%i.env\n"
                      f"ExecStart=/bin/sh -c 'env -0 >{folder}/%i.out'\n[Unit]\nStartLimitIntervalSec=0\n")
texts = json.load(sys.stdin) + [""]
for number, text in enumerate(texts):
    open(f"{folder}/{number}.env", "wb").write(text.encode())
    if os.path.exists(f"{folder}/{number}.out"):
        os.unlink(f"{folder}/{number}.out")
subprocess.run(["systemctl", "daemon-reload"], check=True)
subprocess.run(["systemctl", "start", *(f"islandflow-env@{n}.service" for n in range(len(texts)))], capture_output=True)
def read(number):
    try:
        raw = open(f"{folder}/{number}.out", "rb").read().decode()
    except FileNotFoundError:
        return None
    return dict(entry.split("=", 1) for entry in raw.split("\0") if entry)
found = [read(number) for number in range(len(texts))]
own = set(found.pop())
print(json.dumps([f if f is None else {k: v for k, v in f.items() if k not in own} for f in found]))
subprocess.run(["systemctl", "reset-failed", "islandflow-env@*"], capture_output=True)
os.unlink(unit)
shutil.rmtree(folder)
"""


def asked(vps: Vps, script: str, texts: list[str], *words: str) -> list[Any]:
    """What the program in the lab reads in each text."""
    done = vps.lab.run(["python3", "-c", script, *words], stdin=json.dumps(texts), timeout=300)
    found: list[Any] = json.loads(done.stdout)
    assert len(found) == len(texts)
    return found


def by_compose(text: str) -> dict[str, str] | None:
    try:
        return parse_compose(text, {"OUTER": OUTER}.get)
    except EnvFileError:
        return None


def by_systemd(text: str) -> dict[str, str] | None:
    try:
        return parse_systemd(text)
    except EnvFileError:
        return None


def test_compose_reads_env_files_as_our_reader_says(untouched: Vps) -> None:
    taken = []

    @MANY
    @given(BATCHES)
    def check(texts: list[str]) -> None:
        expected = [by_compose(text) for text in texts]
        refused = [number for number, values in enumerate(expected) if values is None]
        for number in refused[20:]:  # each of these is a call of its own
            texts[number], expected[number] = "", {}
        found = asked(untouched, COMPOSE, texts, OUTER, json.dumps(refused[:20]))
        assert [pair for pair in zip(texts, expected, found, strict=True) if pair[1] != pair[2]] == []
        taken.append(len(texts) - len(refused))

    check()
    assert sum(taken) > 60, "most texts were refused: this says little"


def test_systemd_reads_env_files_as_our_reader_says_and_what_we_write_as_compose_does(untouched: Vps) -> None:
    @MANY
    @given(BATCHES)
    def check(texts: list[str]) -> None:
        found = asked(untouched, SYSTEMD, texts)
        assert [case for case in zip(texts, map(by_systemd, texts), found, strict=True) if case[1] != case[2]] == []
        values = [by_compose(text) or {} for text in texts]
        found = asked(untouched, SYSTEMD, [systemd_text(each) for each in values])
        given = [{name: value for name, value in each.items() if passed_on(name, value)} for each in values]
        assert [case for case in zip(texts, given, found, strict=True) if case[1] != case[2]] == []

    check()


CHECKOUT = "/home/delta/islandflow"
ENV_FILES = (f"{CHECKOUT}/.env", f"{CHECKOUT}/deployment/docker/.env")
SETTINGS = "/etc/islandflow/settings.env"
# As people write them; systemd reads every one of them otherwise.
LINES = """
export EXPORTED=yes
COMMENTED=v      # what it is for
DOLLAR=pa$word
PLAIN_DOLLAR='pa$word'
DEFAULT=${NOWHERE:-s3cret}/x
ESCAPED="two\\nlines"
"""
MEANING = {"EXPORTED": "yes", "COMMENTED": "v", "DOLLAR": "pa", "PLAIN_DOLLAR": "pa$word", "DEFAULT": "s3cret/x"}
MEANING["ESCAPED"] = "two\nlines"


def append(vps: Vps, files: tuple[str, ...], lines: str) -> None:
    for path in files:
        vps.lab.run(f"cat >>{path}", stdin=lines)


def of_api(vps: Vps) -> dict[str, str]:
    """The environment of the native API's process, as the kernel has it."""
    show = ["sudo", "-u", "delta", "env", "XDG_RUNTIME_DIR=/run/user/1000", "systemctl", "--user", "show"]
    show += ["--property=MainPID", "--value", vps.site.api.unit]
    pid = vps.lab.run(show).stdout.strip()
    raw = vps.lab.run(["cat", f"/proc/{pid}/environ"]).stdout
    return dict(entry.partition("=")[::2] for entry in raw.split("\0") if entry)


def test_native_services_get_what_they_had_in_docker_and_every_difference_is_named(vps: Vps) -> None:
    append(vps, ENV_FILES, LINES)
    append(vps, ENV_FILES[:1], "ONLY_HERE=s3cret\n")
    refused = vps.tool("cutover")
    assert refused.returncode == 3 and "ONLY_HERE: " in refused.stderr, refused.stdout + refused.stderr
    assert not [name for name in MEANING if f"{name}:" in refused.stderr]
    rows = vps.tool("check", "environment").stdout
    assert "✗  ONLY_HERE" in rows and "✓  NATS_URL" in rows and "s3cret" not in rows + refused.stderr

    vps.lab.run(["sed", "-i", "/ONLY_HERE/d", ENV_FILES[0]])
    vps.good("cutover")
    assert {name: value for name, value in of_api(vps).items() if name in MEANING} == MEANING
    assert vps.lab.run(["stat", "--format", "%U:%G %a", SETTINGS]).stdout.strip() == "delta:delta 600"
    kept = vps.lab.run(["grep", "-rl", "s3cret", "/var/lib/islandflow/ops"], check=False).stdout
    assert kept == "", "neither plan nor journal has a value"

    append(vps, ENV_FILES, "LATER=1\n")
    assert "it says something else in LATER" in vps.warned("status")
    vps.good("app", "install")
    assert "something else in" not in vps.warned("status")
    assert "LATER" not in of_api(vps), "nothing was restarted"
    vps.good("app", "restart", "--scope", "api")
    assert of_api(vps)["LATER"] == "1"
    vps.good("rollback", "--full")


def test_a_revert_puts_the_former_settings_back(vps: Vps) -> None:
    vps.lab.run(f"mkdir -p {SETTINGS.rpartition('/')[0]} && echo FORMER=1 >{SETTINGS} && chmod 640 {SETTINGS}")
    vps.lab.run("mkdir -p /etc/systemd/system/islandflow-redis.service.d")
    vps.lab.run(
        "printf '[Service]\\nExecStartPre=/bin/false\\n' >/etc/systemd/system/islandflow-redis.service.d/x.conf"
    )
    try:
        assert vps.tool("cutover").returncode == 1
    finally:
        vps.lab.run("rm -r /etc/systemd/system/islandflow-redis.service.d && systemctl daemon-reload")
    assert vps.lab.run(["cat", SETTINGS]).stdout == "FORMER=1\n"
    assert vps.lab.run(["stat", "--format", "%U:%G %a", SETTINGS]).stdout.strip() == "root:root 640"

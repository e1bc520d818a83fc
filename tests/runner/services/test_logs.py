"""The log lines of the owner's services: in the order of their time, masked, and nothing left when nobody reads."""

from __future__ import annotations

import getpass
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.main import main
from fabfile.runner.services import logs, sources
from fabfile.runner.services.requests import LogsRequest
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.facts import Workload
from tests.runner.services.programs import Programs

ME = getpass.getuser()
NATIVE = (
    Workload("api", "native", unit="flow-api.service", user=ME),
    Workload("nats", "native", unit="flow-nats.service"),
)
BOXED = (Workload("api", "docker", project="flow"), Workload("nats", "docker", project="flow"))

DOCKER = """
case "$1" in
ps) printf 'api\\tflow-api-1\\trunning\\nnats\\tflow-nats-1\\trunning\\n' ;;
inspect) echo '["TOKEN=s3cret-value"]' ;;
logs) for name; do :; done; {logs} ;;
esac
"""


def journal(*entries: tuple[int, str, Any, str]) -> str:
    """A script that prints these as journalctl would: time, field of the unit, message, unit; the last ones first."""
    lines = [
        json.dumps({"__REALTIME_TIMESTAMP": str(at * 1_000_000), field: unit, "MESSAGE": message})
        for at, field, message, unit in entries
    ]
    forward, backward = "\n".join(lines), "\n".join(reversed(lines))
    return f"""
case "$*" in
*--reverse*) cat <<'END'
{backward}
END
;;
*) cat <<'END'
{forward}
END
;;
esac"""


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    file = tmp_path / "owner"
    file.write_text("native\n")
    file.chmod(0o644)
    return file


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs(tmp_path, monkeypatch)
    made.put("systemctl", "for unit; do :; done; echo Id=$unit")
    return made


def wire(owner: Path, **more: Any) -> bytes:
    return json.dumps(encode(LogsRequest((*NATIVE, *BOXED), "flow", str(owner), **more))).encode() + b"\n"


def printed(owner: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> list[dict[str, Any]]:
    """What the verb prints."""
    main(["logs"], io.BytesIO(wire(owner, **more)), owner.parent / "ops")
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_native_lines_are_the_units_own_and_their_managers(
    owner: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = (
        (1700000001, "_SYSTEMD_USER_UNIT", "listening", "flow-api.service"),
        (1700000002, "UNIT", "Started NATS", "flow-nats.service"),
        (1700000003, "_SYSTEMD_UNIT", list(b"b\xc3\xa4h"), "flow-nats.service"),
        (1700000004, "_SYSTEMD_UNIT", ["twice", list(b"in one")], "flow-nats.service"),
        (1700000005, "_SYSTEMD_UNIT", {"no": "text"}, "flow-nats.service"),
    )
    twice = journal(*entries).replace(
        '"UNIT": "flow-nats.service"', '"UNIT": ["flow-nats.service", "flow-nats.service"]'
    )
    programs.put("journalctl", twice)
    first, *lines = printed(owner, capsys)
    assert first == {"runtime": "native", "silent": []}
    assert lines == [
        {"time": 1700000001.0, "service": "api", "text": "listening"},
        {"time": 1700000002.0, "service": "nats", "text": "Started NATS"},
        {"time": 1700000003.0, "service": "nats", "text": "bäh"},
        {"time": 1700000004.0, "service": "nats", "text": "twice\nin one"},
        {"time": 1700000005.0, "service": "nats", "text": ""},
    ]
    (call,) = programs.calls("journalctl")
    of_user = f"_SYSTEMD_USER_UNIT=flow-api.service _UID={os.getuid()} + USER_UNIT=flow-api.service _UID={os.getuid()}"
    assert of_user in call and "_SYSTEMD_UNIT=flow-nats.service + UNIT=flow-nats.service" in call


def test_the_last_lines_that_contain_a_pattern(
    owner: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [(1700000000 + n, "_SYSTEMD_UNIT", f"line {n}", "flow-nats.service") for n in range(30)]
    programs.put("journalctl", journal(*entries))
    assert [line["text"] for line in printed(owner, capsys, lines=3)[1:]] == ["line 27", "line 28", "line 29"]
    found = printed(owner, capsys, lines=2, pattern="[12]7$", since=60.0)[1:]
    assert [line["text"] for line in found] == ["line 17", "line 27"]
    assert "--since=@" in programs.calls("journalctl")[-1] and "--since" not in programs.calls("journalctl")[0]


def test_containers_logs_are_one_in_the_order_of_time_and_show_no_secret(
    owner: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    owner.write_text("docker")
    api = "echo 2026-01-01T00:00:01.5Z with s3cret-value; echo 2026-01-01T00:00:03Z '\x1b[31mthird\x1b[0m' >&2"
    nats = "echo 2026-01-01T00:00:02.000000001Z second"
    programs.put("docker", DOCKER.format(logs=f"case $name in flow-api-1) {api} ;; *) {nats} ;; esac"))
    first, *lines = printed(owner, capsys)
    assert first["runtime"] == "docker"
    assert [(line["service"], line["text"]) for line in lines] == [
        ("api", "with •••"),
        ("nats", "second"),
        ("api", "third"),
    ]
    assert [round(line["time"] - lines[0]["time"], 3) for line in lines] == [0, 0.5, 1.5]


def test_a_service_without_a_container_is_named(
    owner: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    owner.write_text("docker")
    programs.put("docker", "[ $1 = ps ] && printf 'api\\tflow-api-1\\texited\\n'; [ $1 = inspect ] && echo '[]'; true")
    assert printed(owner, capsys) == [{"runtime": "docker", "silent": ["nats"]}]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Failed to open the journal' >&2; exit 1", "journalctl says: Failed to open the journal"),
        ("exit 1", "journalctl --no-pager ended with 1"),
    ],
)
def test_a_journal_that_can_not_be_read_is_an_error(
    owner: Path, programs: Programs, capsys: pytest.CaptureFixture[str], script: str, said: str
) -> None:
    programs.put("journalctl", script)
    assert said in printed(owner, capsys)[-1]["error"]


def test_where_nobody_owns_the_app_nothing_is_read(
    owner: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    owner.unlink()
    programs.put("docker", "true")
    assert "nobody owns the app" in printed(owner, capsys)[0]["error"]


# ── As it comes ─────────────────────────────────────────────────────────────────────────────────────────────────────

# The verb in a process of its own, as on a VPS: its programs are the stand-ins.
VERB = """
import sys
from pathlib import Path
from fabfile.runner.system import machine
machine.PATH = sys.argv[1]
from fabfile.runner.main import main
sys.exit(main(["logs"], sys.stdin.buffer, Path(sys.argv[2])))
"""


@pytest.fixture
def following(owner: Path, programs: Programs, tmp_path: Path) -> Any:
    """Starts the verb with --follow; it is killed at the end, should it still run."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**more: Any) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", VERB, programs.path, str(tmp_path / "ops")]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        assert process.stdin
        process.stdin.write(wire(owner, follow=True, **more))
        process.stdin.flush()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def next_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next line that is none of those that only show that the other side lives."""
    assert process.stdout
    for line in process.stdout:
        values: dict[str, Any] = json.loads(line)
        if "alive" not in values:
            return values
    raise AssertionError(process.stderr.read() if process.stderr else "")


def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_what_is_logged_later_follows_what_there_is_and_comes_once(
    owner: Path, programs: Programs, following: Any
) -> None:
    past = '{{"__REALTIME_TIMESTAMP":"{at}","_SYSTEMD_UNIT":"flow-nats.service","MESSAGE":"{text}"}}'
    at = int((time.time() + 3600) * 1e6)  # as if logged while it is read
    old, new = (past.format(at=at + n, text=text) for n, text in enumerate(("there", "new")))
    programs.put("journalctl", f"echo '{old}'; case \"$*\" in *--follow*) echo '{new}'; exec sleep 600 ;; esac")
    process = following(lines=10)
    assert next_line(process)["runtime"] == "native"
    assert next_line(process)["text"] == "there"
    assert next_line(process)["text"] == "new"


def test_a_container_that_restarts_is_followed_again(owner: Path, programs: Programs, following: Any) -> None:
    owner.write_text("docker")
    count = programs.folder / "count"
    quiet = 'case "$*" in *--follow*) exec sleep 600 ;; *) exit 0 ;; esac'
    script = f"[ $name = flow-api-1 ] || {quiet}; echo >>{count}; n=$(wc -l <{count})"
    programs.put("docker", DOCKER.format(logs=f'{script}; date -u "+%Y-%m-%dT%H:%M:%S.%NZ start $n"'))
    process = following()
    assert next_line(process)["runtime"] == "docker"
    texts = [next_line(process)["text"] for _ in range(3)]
    assert texts == ["start 1", "start 2", "start 3"]


@pytest.mark.parametrize("how", ["closed", "terminated", "hung up"])
def test_nothing_stays_when_nobody_reads_any_more(programs: Programs, following: Any, tmp_path: Path, how: str) -> None:
    programs.put("journalctl", f"echo $$ >>{tmp_path}/pids; exec sleep 600")
    process = following(lines=0)
    assert next_line(process)["runtime"] == "native"
    until((tmp_path / "pids").exists)
    if how == "closed":
        process.stdout.close()
    else:
        process.send_signal({"terminated": 15, "hung up": 1}[how])
    assert process.wait(30) == 0
    left = (tmp_path / "pids").read_text().split()
    assert left and not [pid for pid in left if Path("/proc", pid).exists()]
    assert b"Traceback" not in process.stderr.read()


def test_memory_stays_bounded_where_a_service_logs_faster_than_it_is_read(owner: Path) -> None:
    read: list[int] = []

    class Busy:
        """Logs ten times what may wait."""

        def past(self, since: float, lines: int, matches: Any) -> Iterator[sources.Entry]:
            for number in range(10 * logs.MOST_WAITING):
                read.append(number)
                yield sources.Entry(float(number), "api", "x")

    reader = logs.Reader(LogsRequest((), "flow", str(owner)), [Busy()])  # type: ignore[list-item]
    threading.Thread(target=reader.fill, daemon=True).start()
    until(reader.items.full)
    time.sleep(0.2)
    assert len(read) <= logs.MOST_WAITING + 10
    count = 0
    while reader.items.get(timeout=10) is not None:
        count += 1
    assert count == 10 * logs.MOST_WAITING

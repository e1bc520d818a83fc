"""A command over SSH with this process's own input and output, against a real OpenSSH server on the loopback."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile.errors import Unreachable
from fabfile.remote.command import Command
from fabfile.remote.link import Link
from tests.support import ssh_server
from tests.support.ssh_server import Server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    ssh_server.Client(tmp_path, monkeypatch)
    folder = tmp_path / "vps"
    folder.mkdir()
    with ssh_server.running(folder) as server:
        yield server


class Output:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.out = {"stdout": b"", "stderr": b""}

    def __call__(self, stream: str, data: bytes) -> None:
        self.out[stream] += data


def run(server: Server, script: str, stdin: str | int, sink: Output, ended: list[int]) -> int:
    """Run a shell's script with standard input from a file."""
    handle = os.open(stdin, os.O_RDONLY) if isinstance(stdin, str) else stdin
    with contextlib.closing(Link(server.host(), 20)) as link, os.fdopen(handle) as file:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", file)
            return Command(["sh", "-c", script], link.execute, lambda: ended.append(1)).run(sink)


def test_input_output_and_exit_code_are_passed_on(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"a line\n" + b"x" * 300_000 + b"\n")
    sink, ended = Output(), list[int]()
    code = run(server, 'read first; read rest; echo "$first ${#rest}"; echo oh >&2; exit 42', str(file), sink, ended)
    assert code == 42 and ended == [1]
    assert sink.out == {"stdout": b"a line 300000\n", "stderr": b"oh\n"}


def test_what_is_typed_before_the_command_runs_is_for_it(server: Server) -> None:
    """As over a slow connection."""
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"typed early\n")
    sink = Output()
    with contextlib.closing(Link(server.host(), 20)) as link, os.fdopen(terminal) as file:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", file)
            command = Command(["sh", "-c", 'read line; echo "got: $line"; exit 3'], link.execute, lambda: None)
            assert command.run_at_terminal(sink) == 3
    os.close(keyboard)
    assert b"got: typed early" in sink.out["stdout"]


def test_nothing_of_a_long_output_is_lost(server: Server) -> None:
    sink = Output()
    script = "i=0; while [ $i -lt 3000 ]; do echo $i 0123456789012345678901234567890123456789; i=$((i + 1)); done"
    assert run(server, script, os.devnull, sink, []) == 0
    assert [int(line.split()[0]) for line in sink.out["stdout"].splitlines()] == list(range(3000))


def test_a_lost_connection_is_said_and_the_command_ended(server: Server) -> None:
    class Dropping(Output):
        def __call__(self, stream: str, data: bytes) -> None:
            server.drop_connections()

    ended: list[int] = []
    with pytest.raises(Unreachable, match="lost"):
        run(server, "echo x; exec sleep 600", os.devnull, Dropping(), ended)
    assert ended == [1]

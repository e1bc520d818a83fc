"""A VPS over SSH, against a real OpenSSH server on the loopback: every way of not getting in, and of losing it."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fabric import Connection

from fabfile import inventory
from fabfile.errors import (
    CutoverError,
    ManualInterventionRequired,
    SoakAlreadyRunning,
    Unreachable,
    UsageError,
)
from fabfile.remote import bootstrap, refusals
from fabfile.remote.caller import ANSWER_SECONDS
from fabfile.remote.host import Host
from fabfile.remote.target import select_host
from fabfile.runner import store
from fabfile.runner.journal import Journal
from fabfile.runner.soak import sampler
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.facts import FactsRequest, HostInfo
from fabfile.runner.wire.store import LockHolder
from tests.checks.test_soak import DAY
from tests.runner.support.nats_server import streams_ref
from tests.support import inventories, ssh_server
from tests.support.ssh_server import Server

TIMEOUT = 20.0  # seconds; the machine may be busy

# In place of python3: the runner with its folder elsewhere. Its own place is root's, and on a VPS.
ELSEWHERE = """#!/bin/sh
exec {python} -I -c '
import binascii, re, sys
from pathlib import Path
ops, call = Path(sys.argv[1]), "main(sys.argv[1:], io.BytesIO(request))"
boot = binascii.a2b_base64(re.search(r"[A-Za-z0-9+/=]{{99,}}", sys.argv[4])[0]).decode()
assert call in boot and "/var/lib/islandflow/ops" in boot
del sys.argv[2:5]
boot = boot.replace("/var/lib/islandflow/ops", sys.argv.pop(1))
exec(boot.replace(call, call[:-1] + ", ops)"))
' {root} "$@"
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    ssh_server.Client(tmp_path, monkeypatch)  # no ssh configuration of the operator's
    folder = tmp_path / "vps"
    folder.mkdir()
    with ssh_server.running(folder) as server:
        yield server


def survey(entry: inventory.Host, timeout: float = TIMEOUT) -> HostInfo:
    """What the VPS says of itself."""
    with contextlib.closing(Host(entry, timeout)) as host:
        return host.survey(FactsRequest(host=True, ops=True)).host


def refused(entry: inventory.Host, timeout: float = TIMEOUT) -> Unreachable:
    """The error that a survey ends with."""
    with pytest.raises(Unreachable) as caught:
        survey(entry, timeout)
    return caught.value


def changed(server: Server, **changes: Any) -> inventory.Host:
    return server.host().model_copy(update=changes)


# ── Getting in ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("address", ["203.0.113.10", "192.0.2.1", "2001:db8::7"])
def test_an_examples_address_is_never_called(server: Server, address: str) -> None:
    with pytest.raises(UsageError, match=f"hosts.{server.host().name}.address is {address}, which is an example's"):
        survey(changed(server, address=address))


def test_a_survey_comes_back_with_facts(server: Server) -> None:
    assert survey(server.host()).name == socket.gethostname()


def test_a_survey_leaves_nothing_on_the_vps(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "ops"
    server.program("python3", ELSEWHERE.format(python=sys.executable, root=str(root)))
    before = sorted(path for path in tmp_path.rglob("*") if path.name != "log")

    survey(server.host())

    assert sorted(path for path in tmp_path.rglob("*") if path.name != "log") == before
    assert not root.exists()


def test_a_runner_that_is_on_the_vps_does_not_travel(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "ops"
    root.mkdir()
    (root / bootstrap.runner_name()).write_bytes(bootstrap.zipapp())
    server.program("python3", ELSEWHERE.format(python=sys.executable, root=str(root)))
    monkeypatch.setattr(bootstrap, "zipapp", lambda: pytest.fail("the runner was sent"))
    assert survey(server.host()).name == socket.gethostname()


def test_a_connection_that_was_begun_before_is_the_one_that_is_used(server: Server) -> None:
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        host.connect()
        host.connect()
        host.survey(FactsRequest(host=True))
        host.connect()
        assert len(server.connections()) == 1


def test_what_went_wrong_with_a_connection_that_was_begun_is_raised_by_the_call_that_needs_it(server: Server) -> None:
    expected = refused(changed(server, port=1))
    with contextlib.closing(Host(changed(server, port=1), TIMEOUT)) as host:
        host.connect()
        with pytest.raises(Unreachable) as caught:
            host.survey(FactsRequest(host=True))
    assert str(caught.value) == str(expected)
    with contextlib.closing(Host(changed(server, address="192.0.2.1"), TIMEOUT)) as host:
        host.connect()
        with pytest.raises(UsageError, match="which is an example's"):
            host.survey(FactsRequest(host=True))


@pytest.mark.parametrize("here", [False, True])
def test_the_caller_may_do_something_while_the_vps_looks(server: Server, tmp_path: Path, here: bool) -> None:
    root = tmp_path / "ops"
    root.mkdir()
    if here:
        (root / bootstrap.runner_name()).write_bytes(bootstrap.zipapp())
    server.program("python3", ELSEWHERE.format(python=sys.executable, root=str(root)))
    done: list[str] = []
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        assert host.survey(FactsRequest(host=True), lambda: done.append("loaded")).host.name
    assert done == ["loaded"]


def test_several_surveys_share_a_connection(server: Server) -> None:
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        host.survey(FactsRequest(host=True))
        first = server.connections()
        host.survey(FactsRequest(host=True))
        assert server.connections() == first


def test_looks_at_the_streams_come_over_one_connection(server: Server, tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("native")
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        looks = list(host.positions(streams_ref(tmp_path / "owner"), 0.1))
    assert [look.runtime for _, look in looks] == ["native", "native"] and looks[0][0] < looks[1][0]
    assert "refused" in looks[0][1].problem.lower()


def test_closing_ends_the_connection(server: Server) -> None:
    survey(server.host())
    wait_for(lambda: not server.connections())


def test_root_needs_no_sudo(server: Server) -> None:
    if os.geteuid():
        pytest.skip("only root's own server lets root in")
    server.without("sudo")
    assert survey(changed(server, user="root")).uid == 0


# ── Not getting in ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("file", ["missing", "empty", "of another host"])
def test_an_unknown_host_key_is_refused_and_never_added(server: Server, file: str) -> None:
    known = server.known_hosts
    known.write_text("" if file == "empty" else known.read_text().replace("127.0.0.1", "127.0.0.2"))
    if file == "missing":
        known.unlink()
    before = known.read_text() if known.exists() else None

    error = refused(server.host())

    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(server.folder / "host_key.pub")], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert fingerprint in error.message and "unknown" in error.message
    assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> {known}" in error.next_step
    assert (known.read_text() if known.exists() else None) == before


def test_a_changed_host_key_is_refused(server: Server) -> None:
    ssh_server.make_key(server.folder / "former")
    former = (server.folder / "former.pub").read_text().split()[1]
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} ssh-ed25519 {former}\n")

    error = refused(server.host())

    assert "has changed" in error.message
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}' -f {server.known_hosts}" in error.next_step


def test_a_refused_key_is_named(server: Server) -> None:
    ssh_server.make_key(server.folder / "other")
    error = refused(changed(server, key=server.folder / "other"))
    assert f"refuses the key {server.folder / 'other'} for the user {server.user}" in error.message


def test_no_key_at_all_is_said(server: Server) -> None:
    error = refused(changed(server, key=None))
    assert "no key to offer" in error.message and f"ssh -p {server.port} " in error.next_step


def test_a_missing_key_file_is_named(server: Server) -> None:
    missing = server.folder / "nowhere"
    assert f"{missing} can't be read" in refused(changed(server, key=missing)).message


def test_a_known_hosts_that_is_no_file_is_named(server: Server) -> None:
    assert (
        f"{server.folder} can't be read: it is a folder" in refused(changed(server, known_hosts=server.folder)).message
    )


@pytest.fixture
def locked(server: Server) -> inventory.Host:
    """An entry whose key has a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(server.folder / "key")], check=True)
    return server.host()


def test_a_key_with_a_passphrase_is_told_from_a_refused_one(locked: inventory.Host) -> None:
    error = refused(locked)
    assert "has a passphrase" in error.message and "ssh-add" in error.next_step


def test_a_key_with_a_passphrase_comes_from_the_agent(
    server: Server, locked: inventory.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket_path = server.folder / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
        wait_for(socket_path.exists)
        server.program("askpass", "#!/bin/sh\necho secret\n")
        asking = {"SSH_ASKPASS": str(server.folder / "bin" / "askpass"), "SSH_ASKPASS_REQUIRE": "force"}
        subprocess.run(["ssh-add", "-q", str(locked.key)], env={**os.environ, **asking}, check=True)
        try:
            assert survey(locked).name == socket.gethostname()
        finally:
            agent.terminate()


def test_a_refused_connection_says_so(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refused(changed(server, port=port))
    assert f"no connection to 127.0.0.1:{port}" in error.message and "refused" in error.message


def test_a_name_that_does_not_resolve_says_so(server: Server) -> None:
    assert "no connection to vps.invalid" in refused(changed(server, address="vps.invalid")).message


@pytest.mark.parametrize("banner", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"], ids=["silent", "only its banner"])
def test_a_port_that_never_answers_times_out(server: Server, banner: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                accepted.append(listener.accept()[0])
                accepted[0].sendall(banner)

        threading.Thread(target=accept, daemon=True).start()
        started = time.monotonic()
        error = refused(changed(server, port=listener.getsockname()[1]), timeout=1.0)
        assert "did not answer within 1 s" in error.message
        assert time.monotonic() - started < 30, "else it is a minute or without end"
        for connection in accepted:
            connection.close()


def test_a_fraction_of_a_second_is_a_timeout_too(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = refused(changed(server, port=listener.getsockname()[1]), timeout=0.4)
    assert "did not answer within 0.4 s" in error.message


def test_one_error_is_all_that_is_printed(server: Server) -> None:
    """Paramiko's threads would print tracebacks where nobody listens to its log."""
    script = (
        "import sys; from pathlib import Path; from fabfile import inventory; from fabfile.remote.host import Host\n"
        "from fabfile.errors import Unreachable; from fabfile.runner.wire.facts import FactsRequest\n"
        "port, key, known = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])\n"
        "entry = inventory.Host(name='vps', address='127.0.0.1', port=port, user='delta', key=key, known_hosts=known)\n"
        "try: Host(entry, 0.5).survey(FactsRequest())\n"
        "except Unreachable: print('unreachable')"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = [str(listener.getsockname()[1]), str(server.folder / "key"), str(server.known_hosts)]
        argv = [sys.executable, "-X", "dev", "-c", script, *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("unreachable\n", "")


# ── In, but not able to work ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "said",
    [
        "sudo: a password is required",
        "delta is not in the sudoers file.",
        "Sorry, user delta is not allowed to execute '/usr/bin/python3' as root on vps.",
        "sudo: no tty present and no askpass program specified",
        "sudo: a terminal is required to read the password; either use the -S option or configure an askpass helper",
        "sudo-rs: interactive authentication is required",
        "sudo-rs: I'm sorry delta. I'm afraid I can't do that",
    ],
)
def test_a_sudo_that_refuses_is_told(server: Server, said: str) -> None:
    server.program("sudo", f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    error = refused(server.host())
    assert "can't run sudo without a password" in error.message
    assert f"{server.user} ALL=(ALL) NOPASSWD: ALL" in error.next_step


def test_a_sudo_that_demands_a_terminal_is_told(server: Server) -> None:
    server.program("sudo", '#!/bin/sh\necho "sudo: sorry, you must have a tty to run sudo" >&2\nexit 1\n')
    error = refused(server.host())
    assert "requiretty" in error.message and f"Defaults:{server.user} !requiretty" in error.next_step


def test_sudo_is_asked_to_speak_english(server: Server) -> None:
    server.program("sudo", '#!/bin/sh\n[ "$LC_ALL" = C ] && echo "sudo: a password is required" >&2\nexit 1\n')
    assert "sudo" in refused(server.host()).message


def test_a_missing_sudo_is_told(server: Server) -> None:
    server.without("sudo")
    assert "can't run sudo" in refused(server.host()).message


def test_a_missing_python_is_told(server: Server) -> None:
    server.without("python3")
    error = refused(server.host())
    assert "there is no python3" in error.message and "apt-get install python3" in error.next_step


def test_a_python_that_is_too_old_is_told_with_its_version(server: Server) -> None:
    server.program(
        "python3",
        f"""#!/bin/sh
boot=$3
shift 3
exec {sys.executable} -I -c 'import sys; sys.version_info = (3, 7, 3, "final", 0); exec(sys.argv.pop(1))' "$boot" "$@"
""",
    )
    assert "python3 is 3.7.3, and 3.9 or newer is needed" in refused(server.host()).message


def test_the_boot_code_compiles_on_any_python() -> None:
    """An f-string would end an old Python with a SyntaxError before it can say how old it is."""
    tree = ast.parse(bootstrap.BOOT)
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr))]


def test_text_of_the_login_shell_is_not_taken_for_an_answer(server: Server) -> None:
    server.program("sudo", '#!/bin/sh\necho "Welcome to the VPS"\nshift\nexec "$@"\n')
    assert "Welcome to the VPS" in refused(server.host()).message


def test_an_error_of_the_runner_is_passed_on(server: Server, ops: Ops) -> None:
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host, pytest.raises(Unreachable) as caught:
        host.decide(ops.plan, "perhaps")
    assert "'perhaps' is neither confirm nor revert" in caught.value.message


def test_a_connection_that_ends_during_a_survey_is_no_traceback(server: Server) -> None:
    server.program("sudo", "#!/bin/sh\nexec sleep 30\n")
    cut = threading.Timer(1.0, server.drop_connections)  # past the login, into the answer
    cut.start()
    assert "stopped answering" in refused(server.host()).message


# ── Following a plan ────────────────────────────────────────────────────────────────────────────────────────────────


class Ops:
    """The runner's folder of a VPS with one plan, whose journal the test writes."""

    def __init__(self, root: Path, plan: str) -> None:
        self.plan = plan
        self.folder = root / "plans" / plan
        self.folder.mkdir(parents=True)
        (self.folder / "plan.json").write_text("{}")
        self.journal = self.folder / "journal.jsonl"
        self.told = 0

    def write(self, event: str, step: str | None = None, **evidence: Any) -> None:
        line = {
            "version": 2,
            "time": "2026-01-01T00:00:00.000+00:00",
            "plan": self.plan,
            "step": step,
            "kind": event,
            "ms": self.told,
        }
        with open(self.journal, "a") as file:
            file.write(json.dumps({**line, "evidence": evidence}) + "\n")
        self.told += 1

    def show(self) -> None:
        """Show figures of the moment beside the journal."""
        with contextlib.closing(Journal(self.journal, self.plan)) as journal:
            journal.show("traffic", impact={})


@pytest.fixture
def ops(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    monkeypatch.setattr("fabfile.remote.caller.RETRY_SECONDS", 0.05)
    root = tmp_path / "ops"
    server.program("python3", ELSEWHERE.format(python=sys.executable, root=str(root)))
    ops = Ops(root, "20260101T000000-cutover-abcd")
    ops.write("start", name="cutover")
    return ops


def numbers(events: list[Event]) -> list[int]:
    """Each event's own number, which the test's journal keeps in `ms`."""
    return [event.ms for event in events]


def test_following_goes_on_where_a_lost_connection_stopped_it(server: Server, ops: Ops) -> None:
    seen = []
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        for event in host.follow(ops.plan):
            seen.append(event)
            if len(seen) in (1, 4):
                server.drop_connections()
                for _ in range(3):
                    ops.write("done", "a step")
            if len(seen) == 7:
                ops.write("finished", outcome="done")
    assert numbers(seen) == list(range(8))


def test_figures_of_the_moment_do_not_count_where_following_goes_on(server: Server, ops: Ops) -> None:
    seen = []
    ops.show()
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        for event in host.follow(ops.plan):
            if event.is_journaled:
                seen.append(event)
            elif len(seen) == 1:
                server.drop_connections()
                ops.write("done", "a step")
                ops.write("finished", outcome="done")
    assert numbers(seen) == [0, 1, 2]


def test_a_step_may_take_longer_than_a_connection_may_be_silent(
    server: Server, ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fabfile.remote.caller.ANSWER_SECONDS", 5.0)
    end = threading.Timer(12.0, ops.write, args=("finished",), kwargs={"outcome": "done"})
    with (
        store.lock(ops.folder.parent.parent, LockHolder("somebody", "deploy", "now", plan=ops.plan)),
        contextlib.closing(Host(server.host(), TIMEOUT)) as host,
    ):
        end.start()
        assert numbers(list(host.follow(ops.plan))) == [0, 1]


def test_a_connection_lost_after_the_end_is_no_matter(server: Server, ops: Ops) -> None:
    ops.write("finished", outcome="done")
    seen = []
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        for event in host.follow(ops.plan):
            seen.append(event)
            if event.kind == "finished":
                server.drop_connections()
    assert numbers(seen) == [0, 1]


def test_a_vps_that_stays_away_is_given_up(server: Server, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        events = host.follow(ops.plan)
        next(events)
        server.stop()
        monkeypatch.setattr("fabfile.remote.caller.ANSWER_SECONDS", 0.5)
        with pytest.raises(Unreachable) as caught:
            list(events)
    assert "could not be re-established" in caught.value.message
    assert "goes on there" in caught.value.state and f"inv attach --plan {ops.plan}" in caught.value.next_step


def test_a_runner_that_is_gone_needs_hands(server: Server, ops: Ops) -> None:
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host, pytest.raises(ManualInterventionRequired) as caught:
        list(host.follow(ops.plan))
    assert "half-way" in caught.value.message and f"inv revert --plan {ops.plan}" in caught.value.next_step


def test_a_vps_that_was_never_reached_is_not_tried_again(server: Server, ops: Ops) -> None:
    server.stop()
    started = time.monotonic()
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host, pytest.raises(Unreachable) as caught:
        list(host.follow(ops.plan))
    assert "no connection" in caught.value.message
    assert time.monotonic() - started < ANSWER_SECONDS / 2


def test_a_refusal_is_not_tried_again(server: Server, ops: Ops) -> None:
    started = time.monotonic()
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host, pytest.raises(UsageError) as caught:
        list(host.follow("../outside"))
    assert "is not a plan's identifier" in caught.value.message
    assert time.monotonic() - started < ANSWER_SECONDS / 2


def test_a_plan_that_never_was_is_said(server: Server, ops: Ops) -> None:
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        asks: list[Callable[[], object]] = [
            lambda: list(host.follow("nope")),
            lambda: list(host.revert("nope")),
            lambda: host.journal("nope"),
            lambda: host.decide("nope", "confirm"),
        ]
        for ask in asks:
            with pytest.raises(UsageError, match="there is no plan nope") as caught:
                ask()
            assert "inv history" in caught.value.next_step


def test_the_word_is_given_over_a_connection_of_its_own(server: Server, ops: Ops) -> None:
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        events = host.follow(ops.plan)
        next(events)
        first = server.connections()
        host.decide(ops.plan, "confirm")
        assert (ops.folder / "say").read_text() == "confirm"
        wait_for(lambda: server.connections() == first)
        ops.write("finished", outcome="done")
        assert numbers(list(events)) == [1]


def test_a_soak_is_shown_stopped_and_refused_while_another_runs(server: Server, ops: Ops) -> None:
    holder = {"who": "ana@laptop", "what": "a soak of 24 h", "since": "now", "soak": DAY.id}
    soaks = ops.folder.parent.parent / "soaks"
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        assert host.soak_show() == ("", [])
        assert host.soak_stop() == []
        sampler.begin(soaks.parent, DAY)
        with store.lock(soaks, LockHolder.of(holder)):
            with pytest.raises(SoakAlreadyRunning, match="ana@laptop runs a soak of 24 h since now"):
                list(host.soak_start(dataclasses.replace(DAY, id="20270101T000000-soak-abcd")))
            running, (start,) = host.soak_show()
            assert running == DAY.id == start.evidence["soak"]["id"]
            with (soaks / f"{DAY.id}.jsonl").open("a") as file:
                file.write(json.dumps({**start.line(), "kind": "finished", "evidence": {"why": "stopped"}}) + "\n")
            assert [event.kind for event in host.soak_stop()] == ["start", "finished"]
    assert (soaks / f"{DAY.id}.stop").exists()


def test_history_is_read_line_by_line(server: Server, ops: Ops) -> None:
    ops.write("finished", outcome="done", impact={})
    with contextlib.closing(Host(server.host(), TIMEOUT)) as host:
        assert [plan.outcome for plan in host.history()] == ["done"]
        assert numbers(host.journal(ops.plan)) == [0, 1]


# ── The host of a task ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def site(server: Server, tmp_path: Path) -> inventory.Site:
    entry = server.host()
    table = {"address": entry.address, "port": entry.port, "user": entry.user}
    files = {"key": str(entry.key), "known_hosts": str(entry.known_hosts)}
    return inventories.site(tmp_path, {"hosts": {"vps": {**table, **files}}})


def asked(host: Host) -> str:
    with contextlib.closing(host):
        return str(host.survey(FactsRequest(host=True)).host.name)


def test_a_task_without_a_host_works_on_the_default_one(site: inventory.Site) -> None:
    assert asked(select_host(object(), site, None)) == socket.gethostname()


def test_an_unknown_host_lists_the_known_ones(site: inventory.Site) -> None:
    with pytest.raises(CutoverError) as caught:
        select_host(object(), site, "vsp")
    assert caught.value.exit_code == 2 and "Choose the host from: vps." in caught.value.next_step


def test_fab_may_name_a_host_of_the_inventory(site: inventory.Site) -> None:
    assert asked(select_host(Connection("vps"), site, None)) == socket.gethostname()


def test_fab_may_name_an_address_that_the_inventory_knows(site: inventory.Site) -> None:
    entry = site.host()
    connection = Connection(entry.address, user=entry.user, port=entry.port)
    host = select_host(connection, site, None)
    assert asked(host) == socket.gethostname()
    assert not connection.is_connected  # it was this one that was used, and closed


def test_fab_keeps_its_own_key_for_the_second_connection(server: Server, site: inventory.Site, ops: Ops) -> None:
    entry = site.host()
    (server.folder / "key").rename(server.folder / "mine")
    connection = Connection(
        entry.address,
        user=entry.user,
        port=entry.port,
        connect_kwargs={"key_filename": str(server.folder / "mine")},
    )
    with contextlib.closing(select_host(connection, site, None)) as host:
        host.decide(ops.plan, "revert")
    assert (ops.folder / "say").read_text() == "revert"


def test_fab_does_not_wait_longer_than_the_inventory_says(server: Server, tmp_path: Path) -> None:
    site = inventories.site(tmp_path, {"timeouts.connect": 1})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection("127.0.0.1", port=listener.getsockname()[1], user="delta")
        with contextlib.closing(select_host(connection, site, None)) as host, pytest.raises(Unreachable) as caught:
            host.survey(FactsRequest())
    assert "did not answer within 1 s" in caught.value.message


@pytest.mark.parametrize(
    "door",
    [
        ["inv", "history"],
        ["islandflow", "history"],
        ["fab", "-H", "vps", "history"],
        ["fab", "-H", "{user}@127.0.0.1:{port}", "history"],
        ["fab", "history", "--host", "vps"],
    ],
    ids=" ".join,
)
def test_every_door_leads_to_the_same_vps(
    door: list[str], server: Server, site: inventory.Site, ops: Ops, tmp_path: Path
) -> None:
    ops.write("finished", outcome="done", impact={})
    words = [word.format(user=server.user, port=server.port) for word in door]
    argv = [str(Path(sys.executable).parent / words[0]), *words[1:], "--json"]
    environment = {**os.environ, "ISLANDFLOW_INVENTORY": str(tmp_path / "inventory.toml"), "PYTHONWARNINGS": "always"}
    done = subprocess.run(
        argv, env=environment, cwd=inventories.REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    told = json.loads(line)
    assert (told["kind"], told["id"], told["outcome"]) == ("past", ops.plan, "done")


def wait_for(true: Any, seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.02)


# ── What the runner prints ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("read", "line", "text"),
    [
        (refusals.event, {"kind": "odd", "evidence": {}}, "no event of a journal"),
        (refusals.event, {"version": 99, "kind": "start", "evidence": {}}, "use a newer one"),
        (refusals.past_plan, {"id": "p", "mood": "fine"}, "no plan of the history"),
    ],
)
def test_a_line_that_is_not_what_was_expected_is_refused_in_words(
    read: Callable[[dict[str, Any]], object], line: dict[str, Any], text: str
) -> None:
    with pytest.raises(Unreachable, match=text) as caught:
        read(line)
    assert "Nothing was started by this command" in caught.value.state

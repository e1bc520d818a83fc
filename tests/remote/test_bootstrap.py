"""What travels: the same bytes for the same sources, no more than is lacking, and nothing left behind."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fabfile.plans.plan import Plan, Step, Undo
from fabfile.remote import bootstrap
from fabfile.resources import RUNNER
from fabfile.runner import bytecode, store
from fabfile.runner.actions.files import File, Files
from fabfile.runner.wire.codec import decode
from fabfile.runner.wire.facts import Facts, FactsRequest
from fabfile.runner.wire.settings import SettingsFile
from fabfile.runner.wire.store import StoreState


def plan_of(*contents: bytes) -> Plan:
    files = tuple(File(f"/x/{n}", hashlib.sha256(c).hexdigest(), content=c) for n, c in enumerate(contents))
    return Plan("test", (Step("files", Files(files), Undo()),), id="p1")


def parts(payload: bytes) -> tuple[dict[str, object], dict[str, bytes]]:
    """The header, and every file that came with it."""
    stream = io.BytesIO(payload)
    header = json.loads(stream.readline())
    files = {name: stream.read(size) for name, size in header["files"].items()}
    assert stream.read() == b""
    return header, files


def boot(
    payload: bytes, *argv: str, root: Path = Path("/nowhere"), runner: bytes | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the runner as the VPS does, with its folder at `root`, and `runner` in answer to one that it lacks."""
    code = bootstrap.BOOT.replace(str(store.ROOT), str(root))
    words = [sys.executable, "-I", "-c", code, *argv]
    env = {"PATH": os.environ["PATH"]}
    sent = bootstrap.framed(payload) + (bootstrap.zipapp() if runner is None else runner)
    return subprocess.run(words, input=sent, capture_output=True, timeout=60, cwd=cwd, env=env, check=False)


def answer(found: subprocess.CompletedProcess[bytes], *, lacking: bool = True) -> dict[str, object]:
    """The one line that a verb answers, behind BOOT's own on whether the runner had to be sent."""
    first, _, line = found.stdout.partition(b"\n")
    assert first + b"\n" == (bootstrap.LACKING if lacking else bootstrap.HERE), found.stderr.decode()
    told: dict[str, object] = json.loads(line)
    return told


def test_equal_sources_make_equal_bytes() -> None:
    bootstrap.zipapp.cache_clear()
    first = bootstrap.zipapp()
    bootstrap.zipapp.cache_clear()
    assert bootstrap.zipapp() == first
    other = subprocess.run(
        [sys.executable, "-c", "from fabfile.remote import bootstrap; print(bootstrap.runner_name())"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    )
    assert other.stdout.strip() == bootstrap.runner_name()


def test_the_zipapp_holds_the_runner_and_nothing_else() -> None:
    names = zipfile.ZipFile(io.BytesIO(bootstrap.zipapp())).namelist()
    assert "__main__.py" in names and "runner/main.py" in names and "runner/actions/units.py" in names
    assert all(name == "__main__.py" or (name.startswith("runner/") and name.endswith(".py")) for name in names)


def test_a_survey_runs_from_standard_input_and_leaves_no_file(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    request = FactsRequest(host=True, files=("/etc/passwd", "/nowhere"), accounts=("root",), ops=True)
    found = boot(bootstrap.payload(request), "survey", cwd=scratch)
    assert found.returncode == 0, found.stderr.decode()
    facts = decode(answer(found)["facts"])
    assert isinstance(facts, Facts)
    assert facts.files["/etc/passwd"].kind == "file" and facts.files["/nowhere"].kind == "missing"
    assert facts.accounts == {"root": "0:0"} and facts.host.uid == os.geteuid()
    assert list(scratch.iterdir()) == []


def test_a_survey_of_a_broken_host_tells_instead_of_failing() -> None:
    request = FactsRequest(
        user="islandflow-nobody",
        user_units=("a.service",),
        checkout="/nowhere",
        settings_file=SettingsFile("/nowhere/settings.env", "/nowhere/.env", "islandflow-nobody", "nogroup"),
        owner_file="/etc",
        trees=("/nowhere",),
        ports=(1,),
        redis_data=("/nowhere",),
    )
    facts = decode(answer(boot(bootstrap.payload(request), "survey"))["facts"])
    assert "lingering is off" in facts.user_manager
    assert "no user islandflow-nobody" in facts.checkout_error
    assert facts.settings_file and "/nowhere/.env can't be read" in facts.settings_file.problem
    assert "cannot be read" in facts.owner_error
    assert facts.trees["/nowhere"].owners == ()
    assert facts.redis_formats == {"/nowhere": 0}


@pytest.mark.parametrize("cut", [0, 5000, -1])
def test_a_runner_that_broke_off_on_the_way_does_nothing(cut: int) -> None:
    found = boot(bootstrap.payload(FactsRequest(host=True)), "survey", runner=bootstrap.zipapp()[:cut])
    assert found.returncode != 0 and found.stdout == bootstrap.LACKING
    assert b"arrived damaged" in found.stderr and b"Traceback" not in found.stderr


def test_a_request_that_is_none_is_one_line() -> None:
    for payload in (b"", b"{\n", b'{"type": "Nonsense"}\n'):
        found = boot(payload, "survey")
        assert found.returncode == 1
        assert answer(found)["error"]


def test_a_runner_that_a_plan_left_needs_not_be_sent(tmp_path: Path) -> None:
    (tmp_path / bootstrap.runner_name()).write_bytes(bootstrap.zipapp())
    found = boot(bootstrap.payload(FactsRequest(host=True)), "survey", root=tmp_path, runner=b"")
    assert found.returncode == 0 and "facts" in answer(found, lacking=False)


@pytest.mark.parametrize("whole", [True, False])
def test_its_compiled_copy_runs_in_its_place_where_that_is_whole(whole: bool, tmp_path: Path) -> None:
    runner = tmp_path / bootstrap.runner_name()
    runner.write_bytes(bootstrap.zipapp())
    copy = bytecode.compiled(tmp_path, runner)
    copy.write_bytes(copy.read_bytes() if whole else copy.read_bytes()[:1000])
    verbose = bootstrap.BOOT.replace("sys.exit(main(", "print(sys.modules['runner.main'].__file__)\nsys.exit(main(")
    words = [sys.executable, "-I", "-c", verbose.replace(str(store.ROOT), str(tmp_path)), "survey"]
    sent = bootstrap.framed(bootstrap.payload(FactsRequest(host=True)))
    found = subprocess.run(words, input=sent, capture_output=True, timeout=60, check=True).stdout
    assert (b"runner/main.pyc\n" in found) == whole
    assert b'"facts"' in found


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: b"", lambda raw: raw[:100] + b"?" + raw[101:]])
def test_a_damaged_runner_on_the_vps_is_not_used(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    kept = tmp_path / bootstrap.runner_name()
    kept.write_bytes(damage(bootstrap.zipapp()))
    before = kept.read_bytes()
    found = boot(bootstrap.payload(FactsRequest(host=True)), "survey", root=tmp_path)
    assert found.returncode == 0 and "facts" in answer(found)
    assert kept.read_bytes() == before  # a survey fixes nothing


def test_a_request_that_broke_off_on_the_way_is_not_carried_out(tmp_path: Path) -> None:
    (tmp_path / bootstrap.runner_name()).write_bytes(bootstrap.zipapp())
    words = [sys.executable, "-I", "-c", bootstrap.BOOT.replace(str(store.ROOT), str(tmp_path)), "survey"]
    sent = bootstrap.framed(bootstrap.payload(FactsRequest(host=True)))[:-1]
    found = subprocess.run(words, input=sent, capture_output=True, timeout=60, check=False)
    assert found.returncode != 0 and found.stdout == b""
    assert b"cut off" in found.stderr and b"Traceback" not in found.stderr


def test_another_versions_runner_is_not_used(tmp_path: Path) -> None:
    (tmp_path / f"runner-{'0' * 64}.pyz").write_bytes(bootstrap.zipapp())
    found = boot(bootstrap.payload(FactsRequest(host=True)), "survey", root=tmp_path)
    assert "facts" in answer(found)


def test_only_what_the_vps_lacks_travels() -> None:
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"one", b"two"))
    header, files = parts(bootstrap.shipment(plan_of(b"one", b"two", b"one"), Facts()))
    assert files == {one: b"one", two: b"two"}
    assert header["runner"] == bootstrap.runner_name()
    assert decode(header["plan"]) == plan_of(b"one", b"two", b"one")
    _, files = parts(bootstrap.shipment(plan_of(b"one", b"two"), Facts(ops=StoreState((one,)))))
    assert files == {two: b"two"}
    _, files = parts(bootstrap.shipment(plan_of(b"one"), Facts(ops=StoreState((one, two)))))
    assert files == {}


def test_the_runners_name_is_its_hash() -> None:
    assert bootstrap.runner_name() == f"runner-{hashlib.sha256(bootstrap.zipapp()).hexdigest()}.pyz"


def wire_types(*places: str) -> set[str]:
    """The names of all classes in these modules or rooms of the runner that may travel, read from the sources."""
    files = [path for place in places for path in [RUNNER / f"{place}.py", *(RUNNER / place).rglob("*.py")]]
    trees = [ast.parse(path.read_text()) for path in files if path.is_file()]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    marks = {node.name: {ast.unparse(mark) for mark in node.decorator_list} for node in classes}
    return {name for name, decorators in marks.items() if "wire" in decorators}


@pytest.mark.parametrize(
    ("loaded", "places", "least"),
    [
        ("runner.main", ("wire/facts", "wire/app", "wire/compose", "wire/edge"), 20),
        ("runner.main, runner.actions, runner.engine", ("wire/plan", "wire/facts", "wire/edge", "actions"), 55),
        ("runner.main, runner.adoption.gather", ("wire/adoption",), 5),
        ("runner.main, runner.soak.verbs", ("wire/soak",), 2),
    ],
    ids=["survey", "execute", "adopt", "soak"],
)
def test_what_a_verb_loads_knows_every_type_that_it_reads(
    loaded: str, places: tuple[str, ...], least: int, tmp_path: Path
) -> None:
    """In a process of its own, as on the VPS: here, the operator's side would have imported what it forgets."""
    archive = tmp_path / "runner.pyz"
    archive.write_bytes(bootstrap.zipapp())
    text = f"import sys; sys.path.insert(0, {str(archive)!r}); import {loaded}; from runner.wire import codec\n"
    argv = [sys.executable, "-I", "-c", text + "print(*sorted(codec._types))"]
    known = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    wanted = wire_types(*places)
    assert known >= wanted and len(wanted) >= least


def test_a_survey_loads_nothing_of_what_changes_the_vps(tmp_path: Path) -> None:
    archive = tmp_path / "runner.pyz"
    archive.write_bytes(bootstrap.zipapp())
    text = f"import sys; sys.path.insert(0, {str(archive)!r}); import runner.main\n"
    argv = [sys.executable, "-I", "-c", text + "print(*sys.modules)"]
    loaded = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    assert "runner.facts.gather" in loaded
    heavy = ("actions", "adoption", "availability", "edge", "engine", "journal", "parking", "soak")
    assert [name for name in loaded if name.startswith("runner.") and name.split(".")[1] in heavy] == []

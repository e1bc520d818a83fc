"""One lab for the whole session of a worker, put back to the Docker baseline where a test has changed it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fabfile.inventory import Site, load
from fabfile.lab.demo import Quiet, public
from fabfile.lab.lab import Lab
from fabfile.runner.availability import Watcher
from tests.system.state import differences, traces

FAILED = pytest.StashKey[bool]()  # whether a part of the test has failed
OPS = "/var/lib/islandflow/ops"
PLANS = f"{OPS}/plans"
PATIENCE = 240.0  # seconds for a boot, the waits in it and the way back


ORDER = ("untouched", "restored", "on_native", "vps")

# Afterwards the edge has the hosts that it had, in a container made anew, and no plan has ever been shipped.
KEEP = "rm -rf /root/edge && cp -a {root}/data /root/edge"
RESTORE = """
cd {root} && docker rm --force {container} && rm -rf data && cp -a /root/edge data && docker compose up --detach
systemctl disable islandflow-recover.service
rm -rf /etc/systemd/system/islandflow-recover.service {ops}
systemctl daemon-reload
rmdir --ignore-fail-on-non-empty /run/islandflow/secrets 2>/dev/null || true
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("lab")
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Return where a test stands in the order: those share a lab that leave it as they find it, or in one state.

    What needs no lab comes last. It is short, so that all workers end at the same time.
    """
    fixtures = getattr(item, "fixturenames", ())
    places = [place for place, fixture in enumerate(ORDER) if fixture in fixtures]
    return max(places, default=0 if "shared" in fixtures else len(ORDER))


def answered(words: Sequence[str]) -> list[str]:
    """What a command needs that asks whether it may begin: there is no terminal here."""
    return ["--yes"] if words[0] in ("cutover", "rollback", "deploy") else []


@dataclass(frozen=True)
class Vps:
    """A lab as an operator and as the public see it."""

    lab: Lab

    @property
    def site(self) -> Site:
        """The lab's own inventory."""
        return load(self.lab.inventory, {})

    def tool(self, *words: str, door: str = "islandflow", **env: str) -> subprocess.CompletedProcess[str]:
        """Run the tool from this machine, by any of its doors; never raises for its exit code."""
        command = [str(Path(sys.executable).with_name(door)), *words, *answered(words)]
        variables = self.environment(**env)
        return subprocess.run(
            command, capture_output=True, text=True, env=variables, timeout=900, stdin=subprocess.DEVNULL
        )

    def environment(self, **env: str) -> dict[str, str]:
        """What the tool finds in its environment on the operator's machine."""
        own = {"ISLANDFLOW_INVENTORY": str(self.lab.inventory), "ISLANDFLOW_RECORDS": str(self.records)}
        return {**os.environ, **own, "COLUMNS": "200", **env}

    @property
    def records(self) -> Path:
        """Where the tool keeps its records of plans on this lab."""
        return self.lab.folder / "records"

    def good(self, *words: str, **env: str) -> str:
        """Run the tool and have it succeed; its output."""
        return self._good(*words, **env).stdout

    def warned(self, *words: str, **env: str) -> str:
        """Run the tool and have it succeed; what it prints beside its output: progress and warnings."""
        return self._good(*words, **env).stderr

    def _good(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = self.tool(*words, **env)
        assert done.returncode == 0, f"{' '.join(words)} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def get(self, name: str, path: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of a request as the public sends it."""
        done = subprocess.run(
            [
                *("curl", "-si", "--http1.1", "--max-time", "30", "--cacert", str(self.lab.ca)),
                *("--connect-to", f"::127.0.0.1:{self.lab.ports['https']}", f"https://{name}{path}"),
            ],
            capture_output=True,
            text=True,
        )
        head, _, body = done.stdout.partition("\n\n")  # text mode has made them plain
        lines = head.splitlines() or ["HTTP/1.1 000"]
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        return int(lines[0].split()[1]), headers, body

    def served_by(self) -> tuple[str, str, str]:
        """Which runtime serves the page, the API's own name and an API route of the app's name."""
        asked = [("flow.deltaisland.io", "/"), ("api.flow.deltaisland.io", "/health")]
        asked.append(("flow.deltaisland.io", "/prints/"))
        answers = [self.get(name, path) for name, path in asked]
        page, api, route = (h.get("x-islandflow-runtime", f"status {code}") for code, h, _ in answers)
        return page, api, route

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows in ClickHouse by table, as the API tells them once it has some of each."""
        deadline = time.monotonic() + 120
        while True:
            status, _, body = self.get("api.flow.deltaisland.io", "/history/counts")
            found: dict[str, dict[str, int]] = json.loads(body) if status == 200 else {}
            if found and all(table["rows"] for table in found.values()):
                return found
            assert time.monotonic() < deadline, f"no rows yet: {status} {body}"
            time.sleep(0.2)

    def status(self) -> dict[str, Any]:
        """Owner, edge, and the health of every workload as "runtime/name" → bool."""
        lines = [json.loads(line) for line in self.good("status", "--json").splitlines()]
        health = {f"{line['runtime']}/{line['name']}": line["ok"] for line in lines if line["kind"] == "health"}
        (line,) = [line for line in lines if line["kind"] == "status"]
        return {"owner": line["owner"], "edge": line["edge"], "health": health}

    @contextmanager
    def nobody_turned_away(self) -> Iterator[None]:
        """The public asks all the while, from outside, and every request is answered."""
        watcher = Watcher(public(self.site), Quiet())
        with watcher:
            yield
        for name, impact in watcher.impact().items():
            assert impact["requests"] > 5, (name, impact)  # it rests for longer where answers take longer
            assert impact["failures"] == 0, (name, impact)

    @contextmanager
    def drop_in(self, folder: str, *lines: str) -> Iterator[None]:
        """A unit, whose drop-ins lie in this folder, with these lines in its service."""
        owner = "delta:delta" if folder.startswith("/home/delta/") else "root:root"
        self.lab.guest.write(f"{folder}/test.conf", "\n".join(["[Service]", *lines, ""]).encode(), owner=owner)
        try:
            yield
        finally:
            self.lab.run(["rm", "-r", folder])

    def no_lot_left(self) -> None:
        """No parking lot is open, and no unit of one listens."""
        assert self.lab.run("ls /run/islandflow | grep park", check=False).stdout == ""
        assert "islandflow-park" not in self.lab.run("systemctl list-units --all --type=socket").stdout

    def edge_files(self) -> dict[str, str]:
        """The edge's generated files and rows, each host's for itself: name → contents."""
        root = "/home/delta/nginx-proxy-manager/data"
        files = {str(n): self.lab.run(["cat", f"{root}/nginx/proxy_host/{n}.conf"]).stdout for n in (1, 2, 3)}
        rows = self.lab.run(["sqlite3", f"{root}/database.sqlite", "select * from proxy_host where id = 3"]).stdout
        return {**files, "row 3": rows}


@pytest.fixture(scope="session")
def session_lab() -> Iterator[Lab]:
    """A lab of this session's own. Without root or packages it fails, naming what is missing."""
    lab = Lab(f"test-{os.getpid()}")
    lab.up()
    yield lab
    lab.down()


class Shared:
    """The session's lab, and the state that it is in, so that it need not be reset, which takes some seconds."""

    def __init__(self, lab: Lab) -> None:
        self.vps, self.state = Vps(lab), "baseline"  # it has just come up

    def reach(self, state: str) -> Vps:
        """Bring the lab to the Docker baseline, or to `native` after a plain cutover, unless it is there."""
        if self.state != state:
            self.state = "changed"
            self.vps.lab.reset()
            if state == "native":
                self.vps.good("cutover")
        self.state = state
        return self.vps

    @contextmanager
    def unchanged(self, state: str, request: pytest.FixtureRequest) -> Iterator[Vps]:
        """Have a test that leaves the VPS as it was, which is checked: the next one finds it in that state."""
        vps = self.reach(state)
        before = traces(vps.lab, vps.site)
        self.state = "changed"
        yield vps
        assert list(differences(before, traces(vps.lab, vps.site))) == [], "the test has changed the VPS"
        if not request.node.stash[FAILED]:  # it may have ended before it put back what it changed
            self.state = state


@pytest.fixture(scope="session")
def shared(session_lab: Lab) -> Shared:
    return Shared(session_lab)


@pytest.fixture
def vps(shared: Shared) -> Vps:
    """The session's lab, at the Docker baseline, for a test that changes it."""
    vps = shared.reach("baseline")
    shared.state = "changed"
    return vps


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def untouched(shared: Shared, request: pytest.FixtureRequest) -> Iterator[Vps]:
    """The lab at the Docker baseline, for a test that starts no plan and leaves the VPS as it was."""
    with shared.unchanged("baseline", request) as vps:
        yield vps
        assert vps.lab.run(f"ls {PLANS}", check=False).stdout == "", "a plan was started"


@pytest.fixture
def restored(shared: Shared, request: pytest.FixtureRequest) -> Iterator[Vps]:
    """The lab at the Docker baseline, for a test that changes the edge, or has plans that leave Docker owning.

    The edge is put back afterwards, and what plans have left is deleted; that nothing else has changed is checked.
    """
    with shared.unchanged("baseline", request) as vps:
        edge = vps.site.edge
        vps.lab.run(KEEP.format(root=edge.root))
        yield vps
        vps.lab.run(RESTORE.format(root=edge.root, container=edge.container, ops=OPS))
        if not request.node.stash[FAILED]:
            until("Docker serves", lambda: vps.served_by() == ("docker", "docker", "docker"))


@pytest.fixture
def on_native(shared: Shared, request: pytest.FixtureRequest) -> Iterator[Vps]:
    """The lab after a cutover, for a test that leaves native serving as it was."""
    with shared.unchanged("native", request) as vps:
        yield vps


def until(what: str, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait for something; returns it."""
    ends = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)
    return found

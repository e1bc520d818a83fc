"""One cell of the matrix: a plan, a fault at one of its steps, and the judgement."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fabfile.inventory
from fabfile.inventory import Site
from tests.system import state
from tests.system.conftest import Vps
from tests.system.faults import beside, judge
from tests.system.faults.beside import Agent, Event
from tests.system.faults.kinds import Fault, Scene

COMMANDS = {"cutover": ("cutover", "--yes"), "rollback": ("rollback", "--full", "--yes")}
# Shorter than an operator's, so that what hangs is given up soon; long enough for a busy machine, as is the hold.
# Health keeps its time: it is what an undo waits for, and past it the plan is stuck.
TIMEOUTS = {
    "step = 120": "step = 30",
    "confirm = 120": "confirm = 60",
    "hold_limit = 45": "hold_limit = 60",
}
PATIENCE = 240.0  # seconds for a plan to come to its end


@dataclass
class Verdict:
    """How a cell ended: the plan's outcome and what was wrong; `skipped` says why it was not counted."""

    direction: str
    step: str
    fault: str
    outcome: str = ""
    problems: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0
    events: list[Event] = field(default_factory=list)
    told: str = ""

    def __str__(self) -> str:
        how = f"skipped: {self.skipped}" if self.skipped else self.outcome
        line = f"{self.direction} · {self.step} · {self.fault} ({self.seconds:.0f} s): {how}"
        return "\n    ✗ ".join([line, *self.problems])


class Bench:
    """A lab with an inventory of short deadlines, on which cells are run one after the other."""

    def __init__(self, vps: Vps) -> None:
        self.vps = vps
        text = vps.lab.inventory.read_text()
        for long, short in TIMEOUTS.items():
            assert long in text, long
            text = text.replace(long, short)
        self.inventory = vps.lab.folder / "faults.toml"
        self.inventory.write_text(text)
        self.site: Site = fabfile.inventory.load(self.inventory, {})

    def traces(self) -> dict[str, str]:
        """The state of the VPS, as far as plans change it."""
        return state.traces(self.vps.lab, self.site)

    def start(self, direction: str, fault: Fault) -> subprocess.Popen[str]:
        """The operator's process, as its own session: it can be killed with all that belongs to it.

        What has to end done has an operator's own deadlines: no busy machine may have it reverted.
        """
        inventory = self.inventory if "reverted" in fault.ends else self.vps.lab.inventory
        command = [str(Path(sys.executable).with_name("islandflow")), *COMMANDS[direction]]
        environment = self.vps.environment(ISLANDFLOW_INVENTORY=str(inventory))
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes)

    def revert(self) -> tuple[int, str]:
        """Exit code and words of `islandflow revert --last`."""
        done = self.vps.tool("revert", "--last", ISLANDFLOW_INVENTORY=str(self.inventory))
        return done.returncode, done.stdout + done.stderr

    def clean(self, direction: str) -> Verdict:
        """The plan without any fault."""
        untouched = Fault("none", lambda scene: None, ends=("done", "nothing"))
        return self.run(direction, {"name": "", "action": {"type": ""}}, untouched)

    def run(self, direction: str, step: dict[str, Any], fault: Fault) -> Verdict:
        """Run the plan, inject the fault as the step begins, and judge what comes of it."""
        began = time.monotonic()
        verdict = Verdict(direction, step["name"], fault.name)
        scene = Scene(self.vps, self.site, direction, step)
        traces, counts = self.traces(), judge.counted(self.vps)
        fault.prepare(scene)
        try:
            code, both = self._carry_out(scene, fault, verdict)
            verdict.events = beside.ended(self.vps.lab, scene.plan, PATIENCE) if scene.plan else []
            verdict.outcome = judge.outcome(verdict.events)
        finally:
            fault.fix(scene)
        if not verdict.skipped:
            verdict.problems += [f"both run: {names}" for names in both]
            verdict.problems += judge.account(verdict.events, direction, code, verdict.told)
            if verdict.outcome not in fault.ends:
                ended = f"it ended {verdict.outcome or 'not at all'}, not {' or '.join(fault.ends)}"
                verdict.problems.append(f"{ended}: {judge.cause(verdict.events)}")
            if verdict.outcome == "stuck":
                verdict.problems += self._reverted(scene, verdict)
        verdict.problems += self._state(direction, verdict, traces, counts)
        return replace(verdict, seconds=time.monotonic() - began)

    def _carry_out(self, scene: Scene, fault: Fault, verdict: Verdict) -> tuple[int | None, list[str]]:
        """From the tool's start to its end; its exit code, and who ran beside whom."""
        lab = self.vps.lab
        first, known = lab.guest.init, set(beside.plans(lab))
        agent = Agent(lab, self.site, scene.step["name"], fault.delay, fault.lift is not None, fault.grace)
        agents = [agent]
        scene.tool = self.start(scene.direction, fault)
        try:
            at = self._at_step(scene.tool, agent) if scene.step["name"] else {"at": "nowhere"}
            if at["at"] == "step":
                scene.plan = at["plan"]
                self._inject(scene, fault, agent, verdict)
            elif at["at"] == "missed":
                verdict.skipped = f"the plan ended without it: {at['event']}"
            if fault.reboots and not verdict.skipped:
                # systemd stops all processes before it ends them, and nsenter then stops with its own for good.
                agent.close()
                beside.rebooted(lab, first)
                agents.append(Agent(lab, self.site))
            verdict.told, _ = scene.tool.communicate(timeout=PATIENCE)
            scene.plan = scene.plan or next((plan for plan in beside.plans(lab) if plan not in known), "")
            return (None if fault.unseen else scene.tool.returncode), [both for one in agents for both in one.both]
        finally:
            if not fault.unseen:
                _end(scene.tool)
            if fault.unseen and scene.plan:  # watched to its end all the same
                beside.ended(lab, scene.plan, PATIENCE)
            for one in agents:
                one.close()

    def _at_step(self, tool: subprocess.Popen[str], agent: Agent) -> dict[str, Any]:
        """What the agent tells of the step that is waited for; nothing when the tool ends before any plan begins."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            told = agent.next(0.5)
            if told or tool.poll() is not None:
                return told or agent.next(2) or {"at": "nowhere"}
        return {"at": "nowhere"}

    def _inject(self, scene: Scene, fault: Fault, agent: Agent, verdict: Verdict) -> None:
        fault.inject(scene)
        agent.go_on()
        if not fault.lift:
            return
        if agent.next(PATIENCE) is None:
            verdict.problems.append("no event came after the fault")
        if scene.vps.lab.run("test -e /run/faults/fired", check=False).returncode:
            verdict.skipped = "it runs no command that could fail"
        fault.lift(scene)
        agent.go_on()

    def _reverted(self, scene: Scene, verdict: Verdict) -> Iterator[str]:
        """Hands were needed, and the cause is fixed: `inv revert` must end it."""
        code, told = self.revert()
        events = beside.ended(self.vps.lab, scene.plan, PATIENCE)
        verdict.outcome = f"stuck, then {judge.outcome(events)}"
        verdict.events = events
        yield from judge.account(events, scene.direction, code, told)

    def _state(self, direction: str, verdict: Verdict, traces: dict[str, str], counts: judge.Counts) -> Iterator[str]:
        owner = judge.owner_after(direction, verdict.outcome.split()[-1] if verdict.outcome else "")
        yield from judge.served(self.vps, owner)
        yield from judge.running(self.vps, self.site, owner)
        yield from judge.data(self.vps, counts)
        after = self.traces()
        if after["owner"] != owner:
            yield f"the owner file says {after['owner']}, not {owner}"
        yield from (f"{key} is left over" for key, state in after.items() if state == "left over")
        if verdict.outcome and owner == judge.FORMER[direction]:
            yield from state.differences(traces, after)


def _end(tool: subprocess.Popen[str]) -> None:
    if tool.poll() is None:
        tool.kill()
        tool.wait()

"""Plans that meet a fault in their middle. `make faults` tries every fault at every step; here a sample of that."""

from __future__ import annotations

from tests.system.conftest import Vps
from tests.system.faults.campaign import Campaign, table
from tests.system.faults.cell import COMMANDS, Bench, Verdict
from tests.system.faults.kinds import FAULTS, PORT_HELD_FROM_BOTH

# These meet a plan in its middle in test_failures and test_reboots as well.
ELSEWHERE = {"command fails", "operator killed", "VPS reboots", "unit crash-loops"}


def test_faults_are_survived_each_at_another_step_and_in_turns_in_both_directions(vps: Vps) -> None:
    told: list[Verdict] = []
    campaign = Campaign(Bench(vps), told.append)

    verdicts: list[Verdict] = []
    for turn, direction in enumerate(COMMANDS):
        cells = [cell for cell in campaign.portion(direction, 0) if cell.fault not in ELSEWHERE]
        verdicts += campaign.run(cells[turn::2])

    print(table(verdicts))
    assert not [str(verdict) for verdict in told if verdict.problems]
    run = {verdict.fault for verdict in verdicts if not verdict.skipped}
    assert run == {fault.name for fault in FAULTS} - ELSEWHERE


def test_an_undo_that_fails_says_what_is_up_and_revert_ends_it(vps: Vps) -> None:
    """Neither runtime can have its API's port: an operator has to fix that, and then a revert works."""
    bench = Bench(vps)
    _, steps, _ = Campaign(bench, lambda verdict: None).steps()
    start = [step for step in steps.values() if step["action"]["type"] == "Start"][-1]

    verdict = bench.run("cutover", start, PORT_HELD_FROM_BOTH)

    assert verdict.outcome == "stuck, then reverted" and not verdict.problems, str(verdict)
    health = next(event for event in verdict.events if event["kind"] == "finished")["evidence"]["health"]
    assert "nothing" in health["docker/api"] or "container" in health["docker/api"], health

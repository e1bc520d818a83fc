"""Questions with a budget: repeated, remembered, side by side, and slow answers taken for what they are."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from fabfile.runner.system import polling
from fabfile.runner.system.machine import Machine, Observation, Served, StepFailed
from fabfile.runner.system.polling import Poller, failures, until_good

GOOD = Observation(True, "answers 200")
LONG = 60.0  # seconds; no test takes so long that does not fail


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class Server:
    """Answers its tries as told, in order, and the last way for ever; counts them."""

    def __init__(self, *answers: Observation | float | Exception) -> None:
        self.answers = list(answers)
        self.tries = 0
        self.limits: list[float] = []

    def __call__(self, limit: float) -> Observation:
        answer = self.answers[min(self.tries, len(self.answers) - 1)]
        self.tries += 1
        self.limits.append(limit)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            time.sleep(answer)
            return GOOD
        return answer


def test_a_bad_answer_is_followed_by_another_attempt_and_a_good_one_is_kept(machine: Machine) -> None:
    well, warming = Server(GOOD), Server(Observation(False, "answers 502"), Observation(False, "answers 503"), GOOD)
    seen = until_good(machine, {"/": well, "/ws": warming}, LONG)
    assert all(answer.ok for answer in seen.values())
    assert (well.tries, warming.tries) == (1, 3)


def test_a_late_answer_counts_and_its_attempt_has_all_the_time_there_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "SLOW_SECONDS", LONG)
    late = Server(1.5)
    assert until_good(machine, {"/": late}, LONG)["/"].ok
    assert late.tries == 1 and late.limits[0] > LONG / 2


def test_beside_an_attempt_that_hangs_a_second_one_begins_and_no_third(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "SLOW_SECONDS", 0.2)
    lost = Server(30.0, GOOD)
    assert until_good(machine, {"/": lost}, LONG)["/"].ok and lost.tries == 2, "the first was lost on the way"
    hangs = Server(30.0)
    assert not until_good(machine, {"/": hangs}, 2.0)["/"].ok
    assert hangs.tries == 2


def test_few_probes_run_at_once_and_slow_ones_block_no_other(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "SLOW_SECONDS", 0.5)
    mutex, now, most = threading.Lock(), 0, 0

    def busy(limit: float) -> Observation:
        nonlocal now, most
        with mutex:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with mutex:
            now -= 1
        return GOOD

    assert all(seen.ok for seen in until_good(machine, {str(n): busy for n in range(20)}, LONG).values())
    assert 1 < most <= polling.MAX_CONCURRENT
    hanging = {f"hangs {n}": Server(30.0) for n in range(polling.MAX_CONCURRENT)}
    seen = until_good(machine, {**hanging, "/": Server(GOOD)}, 3.0)
    assert seen["/"].ok


def test_each_probe_runs_once_however_little_time_there_is(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a machine that is busy enough would fail whatever it is asked."""
    monkeypatch.setattr(polling, "MIN_ATTEMPT_SECONDS", LONG)
    monkeypatch.setattr(polling, "GLANCE_SECONDS", 0.0)
    assert all(seen.ok for seen in until_good(machine, {str(n): Server(0.2) for n in range(9)}, 0.0).values())


def test_at_the_deadline_each_probe_has_its_last_answer(machine: Machine) -> None:
    began = time.monotonic()
    questions = {"/": Server(GOOD), "/ws": Server(Observation(False, "answers 502")), "/health": Server(30.0)}
    seen = until_good(machine, questions, 1.0)
    words = failures(machine, seen, began)
    assert "/ws answers 502" in words and "/health no answer yet after" in words and "/ answers" not in words


def test_a_permanent_refusal_is_not_probed_again(machine: Machine) -> None:
    refused = Server(Observation(False, "Connection refused", permanent=True))
    assert not until_good(machine, {"/": refused}, LONG)["/"].ok
    assert refused.tries == 1


@pytest.mark.parametrize("error", [ConnectionResetError("reset"), StepFailed("no"), ValueError("odd"), KeyError("x")])
def test_what_goes_wrong_in_a_try_is_its_answer(machine: Machine, error: Exception) -> None:
    assert until_good(machine, {"/": Server(error, GOOD)}, LONG)["/"].ok
    assert str(error) in until_good(machine, {"/": Server(error)}, 0.3)["/"].text


def test_a_try_that_runs_out_of_time_is_no_answer(machine: Machine) -> None:
    seen = until_good(machine, {"/": Server(TimeoutError("timed out"))}, 0.3)
    assert seen["/"].data["slow"]


# ── What users get meanwhile ────────────────────────────────────────────────────────────────────────────────────────


def test_while_users_are_served_a_slow_answer_is_waited_for_longer(machine: Machine) -> None:
    machine.served_since = lambda since: Served(40, 0, 0.3)
    assert until_good(machine, {"/": Server(1.5)}, 1.0)["/"].ok


@pytest.mark.parametrize("users", [Served(), Served(40, 1, 0.3), Served(40, 0, 0.3, silent=1)])
def test_while_they_are_not_it_is_not(machine: Machine, users: Served) -> None:
    machine.served_since = lambda since: users
    assert not until_good(machine, {"/": Server(30.0)}, 0.6)["/"].ok


def test_a_wrong_answer_fails_whatever_users_get_and_the_message_has_both(machine: Machine) -> None:
    machine.served_since = lambda since: Served(40, 0, 0.31)
    began = time.monotonic()
    seen = until_good(machine, {"/ws": Server(Observation(False, "answers 404"))}, 0.6)
    words = failures(machine, seen, began)
    assert words == (
        "/ws answers 404 (meanwhile 40 of 40 requests through the edge were answered, the slowest after 0.3 s)"
    )


# ── Look after look ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_goes_on_from_one_poll_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "SLOW_SECONDS", LONG)
    late, poller = Server(1.0), Poller(LONG)
    first = poller.poll({"/": late}, 0.05)["/"]
    assert not first.ok and first.data["slow"]
    deadline = time.monotonic() + LONG
    while not poller.poll({"/": late}, 0.05)["/"].ok and time.monotonic() < deadline:
        pass
    assert late.tries == 1


def test_one_poll_makes_one_attempt_where_the_answer_is_bad() -> None:
    bad = Server(Observation(False, "answers 500"))
    assert Poller(LONG).poll({"/": bad}, LONG)["/"].text == "answers 500"
    assert bad.tries == 1


def test_a_silent_server_is_still_reported_where_another_refuses(machine: Machine) -> None:
    """The fix for a closed firewall would be missing, had the refusal ended the questions."""

    def silent(limit: float) -> Observation:
        time.sleep(1.0)
        return Observation(False, "no answer within 1 s", {"silent": [4000]})

    refused = Server(Observation(False, "Connection refused", permanent=True))
    seen = until_good(machine, {"/": refused, "/ws": silent}, LONG)
    assert seen["/ws"].data["silent"] == [4000]

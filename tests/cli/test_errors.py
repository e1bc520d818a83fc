"""Every error says what happened, what state the VPS is in and what to do next, and knows its exit code."""

from __future__ import annotations

import pytest

from fabfile import errors
from fabfile.errors import CutoverError, Unreachable

EXAMPLES: list[tuple[CutoverError, int]] = [
    (
        errors.Failed("the edge did not answer", state="Docker serves again.", next_step="Look at the journal."),
        1,
    ),
    (errors.UsageError("--to is missing", next_step="Add --to native or --to docker."), 2),
    (errors.UsageError.unknown("scope", "wep", ("full", "web")), 2),
    (errors.InventoryError("inventory.toml", ["app.user: is missing", "edge: is missing"]), 2),
    (errors.PreflightRefused(["lingering is off", "port 3000 is held by node"]), 3),
    (errors.HookRefused("hook pre-cutover ended with 1", "hooks/pre-cutover"), 3),
    (errors.LockHeld("ana@laptop", "cutover", "2026-01-02 10:00:00 UTC"), 4),
    (errors.SoakAlreadyRunning("ana@laptop", "a soak of 24 h", "2026-01-02 10:00:00 UTC"), 4),
    (errors.ManualInterventionRequired("the undo failed", up=["nats"], down=[], next_step="Run `inv revert`."), 5),
    (Unreachable.no_sudo("delta", "vps.example"), 6),
    (Unreachable.no_terminal("delta", "vps.example"), 6),
    (Unreachable.no_python("vps.example", None), 6),
    (errors.DnsFailed("Cloudflare refuses: 9109 Invalid access token", next_step="inv dns.verify-token"), 1),
    (
        errors.DnsManualInterventionRequired("it was not put back", now=["app: A 192.0.2.1, dns-only"], fix=["curl …"]),
        5,
    ),
    (errors.DnsUnreachable("api.example: Connection refused", next_step="Try again."), 6),
    (errors.Bug("KeyError: 'x'", state="No plan was started.", next_step="Report it."), 70),
    (errors.Interrupted(), 130),
]


@pytest.mark.parametrize(("error", "code"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_an_error_has_its_exit_code_and_says_all_three_things(error: CutoverError, code: int) -> None:
    assert error.exit_code == code
    assert error.message and error.state and error.next_step
    assert error.render().startswith("Error: ")
    assert str(error) == error.render()
    assert [line[:6] for line in error.render().splitlines() if line[0] != " "] == [
        "Error:",
        f"{error.place}:  ",
        "Next: ",
    ]


def test_every_class_is_among_the_examples() -> None:
    shown = {type(error) for error, _ in EXAMPLES}
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CutoverError)}
    assert shown == kinds - {CutoverError}


def test_an_error_reads_well_on_a_terminal() -> None:
    error = errors.ManualInterventionRequired(
        "redis did not stop",
        up=["docker redis"],
        down=["web", "api"],
        next_step="Stop redis,\nthen run `inv revert`.",
    )
    assert error.render() == (
        "Error: redis did not stop\n"
        "VPS:   up: docker redis\n"
        "       down: web, api\n"
        "Next:  Stop redis,\n"
        "       then run `inv revert`."
    )


def test_all_findings_are_listed() -> None:
    error = errors.PreflightRefused(["lingering is off:\nsudo loginctl enable-linger delta", "no sudo"])
    assert error.findings[1] == "no sudo"
    assert error.message == (
        "preflight refuses to begin, for 2 reasons:\n"
        "  - lingering is off:\n"
        "    sudo loginctl enable-linger delta\n"
        "  - no sudo"
    )


def test_an_old_python_is_told_from_none() -> None:
    assert "python3 is 3.8.2, and 3.9 or newer is needed" in Unreachable.no_python("vps", "3.8.2").message
    assert "there is no python3 on vps" in Unreachable.no_python("vps", None).message

"""What can be checked without starting anything: Compose file, snapshot, units, scripts, nginx's configuration."""

from __future__ import annotations

from collections.abc import Iterator

from fabfile.checks import docker
from fabfile.inventory import Site
from fabfile.runner.wire.facts import Facts


def checks(site: Site, facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """Rows (what, good or not, evidence)."""
    yield from docker.checks(site, facts)
    for user, error in facts.unit_errors.items():
        yield (
            f"{f'units of {user}' if user else 'system units'}",
            not error,
            error or "systemd-analyze verify is silent",
        )
    yield from _exposures(facts)
    for path, error in facts.script_errors.items():
        yield path.removeprefix(f"{site.app.checkout}/"), not error, error or "bash -n is silent"
    if not site.app.scripts:
        yield "shell scripts", True, "the inventory names none (app.shell_scripts)"
    problem = facts.edge.problem or facts.edge.config_problem
    yield "nginx -t", not problem, problem or "passes"


def _exposures(facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """How exposed each unit runs, by systemd's own reckoning: a number to know, good or bad of itself is none."""
    if facts.exposure_error:
        yield "exposure of units", True, f"not known: {facts.exposure_error}"
    for unit, score in facts.exposures.items():
        yield f"exposure of {unit}", True, f"{score:g} of 10 by systemd-analyze security, less is safer"

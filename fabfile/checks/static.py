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
    for path, error in facts.script_errors.items():
        yield path.removeprefix(f"{site.app.checkout}/"), not error, error or "bash -n is silent"
    if not site.app.scripts:
        yield "shell scripts", True, "the inventory names none (app.shell_scripts)"
    problem = facts.edge.problem or facts.edge.config_problem
    yield "nginx -t", not problem, problem or "passes"

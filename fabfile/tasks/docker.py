"""The Docker runtime: the Compose project, kept as the way back."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import task
from fabfile.lazy import lazily
from fabfile.terms import Scope

with lazily():
    import fabfile.checks.docker
    from fabfile import survey
    from fabfile.checks import parts
    from fabfile.commands import apply, session
    from fabfile.plans import docker, plan


@task
def render(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Write what overrides variables in Docker; the app's own Compose file stays as it is. Starts nothing."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("docker.render", docker.render(site, facts))
    )


@task
def up(
    c: Context, scope: Scope = "full", host: str = "", dry: bool = False, wait: bool = False, json: bool = False
) -> None:
    """Bring up Docker's servers and the scope's services, each awaited until it is healthy."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan(
            "docker.up",
            docker.render(site, facts) + docker.create_containers(site, facts, scope) + docker.up(site, facts, scope),
        ),
        judge=parts.docker_may_run,
    )


@task
def stop(
    c: Context, scope: Scope = "full", host: str = "", dry: bool = False, wait: bool = False, json: bool = False
) -> None:
    """Stop the scope's containers, with scope full the servers too; they stay down at a reboot."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("docker.stop", docker.stop(site, facts, scope))
    )


@task
def check(c: Context, host: str = "", json: bool = False) -> None:
    """Compare what Compose would run with the app's own file; look for images and the workspace snapshot."""
    vps = session.begin(c, host, json=json)
    facts = vps.survey(survey.docker(vps.site))
    vps.show_checks("docker", fabfile.checks.docker.checks(vps.site, facts))

"""Everything that must be right before anything is stopped, all findings at once."""

from __future__ import annotations

import fnmatch

from fabfile import survey
from fabfile.checks import boot, compose, data, environment, firewall, ports, provider, units
from fabfile.checks.edge import beside, restricted, unmeasured
from fabfile.checks.result import Finding
from fabfile.inventory import BRIDGE, Site
from fabfile.plans import deploy, edge, infra
from fabfile.plans.data import backup
from fabfile.plans.plan import Steps
from fabfile.runner.actions.edge_switch import EdgeAction
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime, other

_MIN_FREE_BYTES = 512 << 20  # bytes on each file system that journals, backups and the servers' own growth may need


def findings(site: Site, facts: Facts, to: Runtime, *, accept_downgrade: bool = False) -> list[Finding]:
    """What stands against handing the app to `to`. The survey must have asked for versions.

    With `accept_downgrade` older servers on newer data are warned about only.
    """
    result = runner(facts) + environment.findings(site, facts, to) + edge_findings(site, facts, to)
    result += data.findings(site, facts, to, accept_downgrade)
    result += _docker(site, facts, to) + ports.parking_lot(site, facts)
    result += _backup(site, facts, to) + ports.of_runtime(site, facts, to) + _provider(site, facts, to)
    result += _jetstream(site, facts, to) + _optional(site, facts, to) + _other_release(site, facts, to)
    return result + (_native(site, facts) if to == "native" else [])


def runner(facts: Facts) -> list[Finding]:
    """What stands against running any plan at all."""
    result = [
        Finding(f"plan {plan} was interrupted and is not reverted yet", f"inv revert --plan {plan}")
        for plan in facts.ops.unfinished
        if not facts.ops.lock
    ]
    result += [
        Finding(f"only {free >> 20} MiB are free where {folder} is", f"free at least {_MIN_FREE_BYTES >> 20} MiB there")
        for folder, free in facts.disks.items()
        if free < _MIN_FREE_BYTES
    ]
    if facts.owner_error:
        result.append(
            Finding(
                facts.owner_error,
                "`inv status` shows who runs: write that, native or docker, into app.owner_file, and chmod 644 it",
            )
        )
    return result


def no_manager(site: Site, facts: Facts) -> list[Finding]:
    """A finding where the app's user has no systemd manager of its own that stays."""
    if not facts.user_manager:
        return []
    return [Finding(facts.user_manager, f"on the VPS: sudo loginctl enable-linger {site.app.user}")]


def missing_programs(site: Site, facts: Facts) -> list[Finding]:
    """The native servers' programs that are not installed."""
    missing = infra.missing_programs(site, facts)
    if not missing:
        return []
    return [Finding(f"not installed on the VPS: {', '.join(missing)}", "install their packages (apt-get install …)")]


def unreadable_bridge(site: Site, facts: Facts) -> list[Finding]:
    """Whether the bridge's gateway, where natives listen or the edge connects to, could be found."""
    native = site.runtimes.native
    if BRIDGE not in (native.bind, native.upstream) or survey.address(facts, BRIDGE):
        return []
    return [
        Finding(
            f"the gateway of the Docker network {site.edge.network} is unknown: {facts.edge.problem}",
            "check edge.network in the inventory, or name an address as runtimes.native.bind and .upstream",
        )
    ]


def edge_findings(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """What stands against pointing the edge at `to`."""
    result = edge_problems(edge.point(site, facts, to), facts) + beside(site, facts, to)
    return result + restricted(facts) + unmeasured(site, facts)


def edge_problems(steps: Steps, facts: Facts) -> list[Finding]:
    """What stands against steps that change the edge."""
    fix = "fix it in Nginx Proxy Manager; `inv npm.status` shows what the edge says"
    actions = [step.action for step in steps if isinstance(step.action, EdgeAction)]
    off = "`inv edge.maintenance --off` first; a hand-over needs none, since requests wait meanwhile"
    maintenance = dict.fromkeys(action.maintenance_problem(facts) for action in actions)
    return [Finding(f"edge: {problem}", fix) for action in actions for problem in action.problems(facts)] + [
        Finding(f"edge: {problem}", off) for problem in maintenance if problem
    ]


def edge_backup(site: Site, facts: Facts) -> list[Finding]:
    """What stands against a backup of the edge: a database that can't be read, or that is not the one in use."""
    reasons = [step.action.unreadable_reason(facts) for step in edge.keep(site, facts)]
    return [Finding(f"edge: {reason}", "`inv npm.status` shows what the edge says") for reason in reasons if reason]


def _native(site: Site, facts: Facts) -> list[Finding]:
    result = no_manager(site, facts) + missing_programs(site, facts) + unreadable_bridge(site, facts)
    result += firewall.before_native(site, facts)
    return result + units.before_installing(site, facts, site.scope("full"))


def _backup(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """Whether the backup's hook, which runs before the data changes hands, can run at all."""
    if not backup(site, facts, to):
        return []
    hook = facts.files[site.backup.hook or ""]
    if hook.kind == "file" and hook.mode & 0o111:
        return []
    what = "is not executable" if hook.kind == "file" else f"is no file: {hook.kind}"
    return [Finding(f"the backup's hook {hook.path} {what}", "put it there with mode 755, or correct backup.hook")]


def _docker(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    foreign = [name for name in site.runtimes.docker.foreign_projects if name in facts.projects]
    result = [
        Finding(
            f"a second Compose project named {name} is on the host ({facts.projects[name]})",
            f"if nobody needs it: docker compose -p {name} down",
            warning=True,
        )
        for name in foreign
    ]
    if to == "native":
        result += boot.always_restarting(facts)
    return result + compose.findings(site, facts, to)


def _provider(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """The provider's answer to the key that `to` will use, with the overrides that the plan will write."""
    answer = facts.providers.get(to)
    if answer is None:
        return []
    verdict = provider.verdict(site, answer)
    if verdict.ok is not False:
        return []
    fix = f'correct it on the VPS, or set runtimes.{to}.overrides.{site.provider.adapter_env} = "…" to another adapter'
    effect = f"would not work in {to}" if verdict.refused else f"may not work in {to}"
    text = f"the adapter {answer.adapter} {effect}: {verdict.text}" if answer.adapter else f"provider: {verdict.text}"
    return [Finding(text, fix, warning=not verdict.refused)]


def _jetstream(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """A finding where the owner's JetStream does not answer: then nothing could show that a revert restored the app.

    On the way to Docker, and where native is repaired, it is a warning. A NATS that is down is a finding of health.
    """
    jetstream = facts.jetstream
    if not (jetstream.problem and jetstream.runtime and _nats_runs(site, facts, jetstream.runtime)):
        return []
    return [
        Finding(
            f"whether {jetstream.runtime}'s durables are bound can't be told: {jetstream.problem}",
            f"have {jetstream.runtime}'s NATS answer to the login in NATS_URL; `inv streams.check` asks it",
            warning=not (jetstream.runtime == "docker" and to == "native"),
        )
    ]


def _nats_runs(site: Site, facts: Facts, runtime: Runtime) -> bool:
    nats = site.infra.nats
    here = facts.units.get(nats.unit) if runtime == "native" else facts.containers.get(nats.name)
    return here is not None and here.running


def _optional(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """Services that are ill where they run now, and whose health the hand-over will not wait for."""
    leaving = other(to)
    ill = [
        (service, health)
        for service in site.services.values()
        if service.optional and survey.owner(facts) == leaving
        for health in [facts.health.get(f"{leaving}/{service.name}")]
        if health and not health.ok
    ]
    return [
        Finding(
            f"{service.name} is not healthy in {leaving} ({health.text}); it is optional, so that nothing waits for it",
            f"if it should run: look at its log, or take `optional` out of services.{service.name}",
            warning=True,
        )
        for service, health in ill
    ]


def _other_release(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """Services that a deploy has brought to a commit, and that `to` would run at another one."""
    leaving, head = other(to), facts.checkout.head if facts.checkout else ""
    if survey.owner(facts) != leaving:
        return []
    pairs: dict[tuple[str, str], list[str]] = {}
    for service in site.services.values():
        now, then = (deploy.runs(site, facts, service, runtime) for runtime in (leaving, to))
        then = then or (head if to == "native" else "")  # natively it is the checkout's
        if now and then != now:
            pairs.setdefault((now, then), []).append(service.name)
    return [
        Finding(
            f"{leaving} runs {now[:12]} of {', '.join(names)}, and {to} would run "
            f"{then[:12] or 'images that no deploy has built'}: that is what users would get",
            f"if that is not meant: inv deploy --ref {now[:12]} right after the hand-over",
            warning=True,
        )
        for (now, then), names in pairs.items()
    ]


def unknown_subnet(site: Site, facts: Facts) -> list[Finding]:
    """Whether the edge's network, which the rules are for, could be found."""
    if facts.edge.network.subnet:
        return []
    problem = facts.edge.problem or "Docker does not tell its subnet"
    return [Finding(f"the Docker network {site.edge.network}: {problem}", "check edge.network in the inventory")]


def changed_checkout(site: Site, facts: Facts) -> list[Finding]:
    """Changes in the checkout that no release would have."""
    if facts.checkout_error:
        return [Finding(f"{site.app.checkout}: {facts.checkout_error}", "make it a git checkout of the app's user")]
    changed = facts.checkout.changed if facts.checkout else ()
    built = deploy.built_files(site)
    foreign = [name for name in changed if name not in built]
    untracked = [name for name in (facts.checkout.untracked if facts.checkout else ()) if not _allowed(site, name)]
    result = []
    if foreign:
        text = f"the checkout has changes of its own: {', '.join(foreign)}; no release would have them"
        result.append(Finding(text, f"commit or stash them in {site.app.checkout}"))
    if untracked:
        text = f"the checkout has files that git does not know: {', '.join(untracked)}; no release would have them"
        result.append(Finding(text, "commit them, have git ignore them, or name them in releases.untracked"))
    return result


def _allowed(site: Site, name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in site.releases.untracked)

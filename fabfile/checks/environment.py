"""Whether the app gets the same settings from both runtimes. Names are told, values never leave the VPS."""

from __future__ import annotations

from collections.abc import Iterator

from fabfile.checks.result import Finding
from fabfile.inventory import Site, placeholders
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.settings import ContainerValue, Difference, RefusedLogin, user_manager
from fabfile.terms import Runtime

Row = tuple[str, bool, str]  # what, good or not, evidence

_DIFFERENCES = "runtimes.native.differences"


def checks(site: Site, facts: Facts) -> Iterator[Row]:
    """Rows: whether native's settings file is up to date, then each variable that differs, meant or not."""
    settings, differences = facts.settings_file, facts.differences
    path, env_file = site.runtimes.native.settings_file, site.app.env_file
    if settings is not None:
        problem = settings.problem or settings.denied
        if not problem and settings.differs and settings.kind != "missing":
            problem = f"{settings.differs}: inv app.install writes it anew"
        same = f"says what Compose reads in {env_file}" if settings.kind == "file" else "not written yet"
        yield path, not problem, problem or same
    if differences is None or differences.problem:
        why = differences.problem if differences else facts.docker_error or facts.compose_error
        yield "settings of both runtimes", False, why or "they could not be compared"
        return
    for difference in differences.variables:
        why = reason(site, difference)
        yield difference.name, bool(why), f"{_text(site, difference)}: {why or 'no reason is given'}"
    for login in differences.refused_logins:
        yield "REDIS_URL", False, _refused(site, login)
    for value in differences.container_values:
        why = site.runtimes.native.differences.get(value.name, "")
        yield value.name, bool(why), f"{_leads_nowhere(site, value)}: {why or 'no reason is given'}"
    if not differences.variables:
        yield "settings of both runtimes", True, "no variable differs"


def findings(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """What stands against running the app in `to` with the settings that it would get there."""
    return [
        *_true(site, facts, to),
        *_different(site, facts, to),
        *_logins(site, facts, to),
        *_of_containers(site, facts, to),
    ]


def out_of_date(site: Site, facts: Facts) -> list[Finding]:
    """Whether native services go on with settings that the env file no longer has."""
    settings = facts.settings_file
    if settings is None or settings.kind != "file" or not settings.differs:
        return []
    native = site.runtimes.native
    return [
        Finding(
            f"native services do not have the settings of {site.app.env_file}: as for {native.settings_file}, "
            f"{settings.differs}",
            "inv app.install writes it anew; inv app.restart has the services read it",
            warning=True,
        )
    ]


def readable(site: Site, facts: Facts) -> list[Finding]:
    """Whether the app's settings can be read at all: without them no native service starts."""
    settings = facts.settings_file
    if settings is None:
        return []
    correct = f"correct {site.app.env_file} on the VPS, or app.env_file; `docker compose config` says what it takes"
    give = f"on the VPS: chown it to {site.app.user}, mode 600"
    problems = ((settings.problem, correct), (settings.denied, give))
    return [Finding(f"env file: {problem}", fix) for problem, fix in problems if problem]


def reason(site: Site, difference: Difference) -> str:
    """Why a variable may differ between the runtimes; empty where nobody says so or an override has no effect."""
    keys = _overriding(site, difference)
    if not keys or difference.parts:
        return site.runtimes.native.differences.get(difference.name, "")
    return f"{' and '.join(keys)} {'sets' if len(keys) == 1 else 'set'} it"


def _overriding(site: Site, difference: Difference) -> list[str]:
    """The overrides that are in force where a variable differs."""
    native, docker, name = site.runtimes.native, site.runtimes.docker, difference.name
    moved = difference.native == site.app.env_file and name in placeholders.places(site)
    keys = ["runtimes.native.overrides"] if moved or difference.native == native.overrides_file else []
    return keys + (["runtimes.docker.overrides"] if difference.docker and name in docker.overrides else [])


def _true(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """Variables that mean something else than they say, in the environment that `to` gives the app."""
    variables = facts.settings[to].values if to in facts.settings else {}
    return [
        Finding(
            f"{name} is set for {to}, and this version of the app takes any text in it, even false, for true "
            "(app.any_text_is_true)",
            f"remove the line from {variables[name].origin}, unless true is what is meant",
            warning=True,
        )
        for name in site.app.any_text_is_true
        if name in variables and variables[name].value
    ]


def _different(site: Site, facts: Facts, to: Runtime) -> Iterator[Finding]:
    """Differences without a reason. The way back to Docker is not refused for them: there the app had its settings.

    What only an image gives is warned about: images have variables that are about themselves.
    """
    differences = facts.differences
    if differences is None:
        return
    if differences.problem and not (facts.settings_file and facts.settings_file.problem):
        text = f"the settings of both runtimes can't be compared: {differences.problem}"
        yield Finding(text, "correct that file on the VPS; `inv check.environment` looks again", warning=to == "docker")
    groups: dict[tuple[str, bool], list[Difference]] = {}
    for difference in differences.variables:
        if not reason(site, difference):
            groups.setdefault((_text(site, difference), difference.of_image), []).append(difference)
    for (text, of_image), group in groups.items():
        fix = f'{_same(site, group[0])}; where it may differ, say why: {_DIFFERENCES}.{group[0].name} = "…"'
        yield Finding(f"{', '.join(one.name for one in group)}: {text}", fix, warning=to == "docker" or of_image)


def _same(site: Site, difference: Difference) -> str:
    """How both runtimes get the same."""
    name, env_file = difference.name, site.app.env_file
    if difference.native == user_manager(site.app.user):
        return (
            f"remove it where {site.app.user}'s services have it from, which is /etc/environment, "
            "~/.config/environment.d or `systemctl --user set-environment`, and restart that manager; or give Docker "
            f"the same in {site.runtimes.docker.env_file}"
        )
    if not difference.parts or not _overriding(site, difference):
        return "give both runtimes the same, or native what it needs in runtimes.native.overrides"
    if name in placeholders.places(site):
        return f"write {name} into {env_file} as Docker has it: natively no more than its host and port are replaced"
    return (
        f"write into runtimes.native.overrides.{name} what Docker's has besides host and port; of a server's URL "
        f'"{{redis_url}}", "{{nats_url}}" or "{{clickhouse_url}}" alone keeps the rest of what {env_file} says'
    )


def _of_containers(site: Site, facts: Facts, to: Runtime) -> Iterator[Finding]:
    """Variables that lead nowhere natively. On the way back to Docker they are right."""
    native = site.runtimes.native
    for value in facts.differences.container_values if facts.differences and to == "native" else ():
        if value.name in native.differences:
            continue
        fix = (
            f'set what leads there natively: runtimes.native.overrides.{value.name} = "…"; where it is right as it is, '
            f'say why: {_DIFFERENCES}.{value.name} = "…"'
        )
        yield Finding(f"{value.name}: {_leads_nowhere(site, value)}", fix, warning=not value.certain)


def _leads_nowhere(site: Site, value: ContainerValue) -> str:
    names = "names" if value.certain else "may name"
    return (
        f"natively {_who(site, value.services)} get it from {value.origin}, and it {names} {value.what}, which only "
        "containers know"
    )


def _logins(site: Site, facts: Facts, to: Runtime) -> Iterator[Finding]:
    """Services that `to`'s Redis will refuse. Towards Docker a warning: it must be there when native is ill."""
    docker_file = site.runtimes.docker.file
    fixes = {
        "native": "native's redis has no login, and the inventory no place for one: it listens on 127.0.0.1 alone. Set "
        'runtimes.native.overrides.REDIS_URL = "{redis_url}": it has no login, and all else as app.env_file says',
        "docker": f"have its --requirepass and the app's REDIS_URL say the same; both are by {docker_file}",
    }
    for login in facts.differences.refused_logins if facts.differences else ():
        if login.runtime == to:
            yield Finding(_refused(site, login), fixes[to], warning=to == "docker")


def _refused(site: Site, login: RefusedLogin) -> str:
    return (
        f"{login.runtime}'s redis {login.reason}, and REDIS_URL gives {_who(site, login.services)} {login.login} "
        f"({login.origin}): it would refuse them"
    )


def _who(site: Site, services: tuple[str, ...]) -> str:
    return "all services" if len(services) == len(site.services) else ", ".join(services)


def _text(site: Site, difference: Difference) -> str:
    who = _who(site, difference.services)
    if difference.unfit:
        return (
            f"{difference.docker} gives it to {who} in Docker, and systemd passes on neither such a name nor a code "
            "point that is no character"
        )
    if not difference.native:
        return f"{difference.docker} gives it to {who} in Docker, and native services do not get it"
    if not difference.docker:
        return f"{difference.native} gives it to {who} natively, and services in Docker do not get it"
    what = " and ".join(difference.parts) if _overriding(site, difference) else ""
    return f"{who} get another {what or 'value'} natively ({difference.native}) than in Docker ({difference.docker})"

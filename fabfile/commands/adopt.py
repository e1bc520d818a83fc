"""`init` and `doctor`: an inventory written from what is on a VPS, and an inventory held against it."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fabfile import inventory, survey
from fabfile.adoption import drafting, servers
from fabfile.adoption.differences import Difference, differences
from fabfile.adoption.draft import ASKED, FOUND, PROPOSED, SHIPPED, Draft
from fabfile.adoption.scene import SERVERS, Choice
from fabfile.checks import boot, preflight
from fabfile.checks.parts import scope_findings
from fabfile.checks.result import Finding
from fabfile.commands import status
from fabfile.commands.session import Session, warn_without_openssh
from fabfile.console import Console
from fabfile.errors import UNTOUCHED, Failed, LockHeld, PreflightRefused, UsageError
from fabfile.inventory import Site
from fabfile.remote.host import Host
from fabfile.remote.target import host_for
from fabfile.runner.wire.adoption import AdoptionRequest
from fabfile.runner.wire.facts import Facts

CONNECT_SECONDS = 10.0  # seconds until SSH has answered, where no inventory says otherwise
_LOGIN = re.compile(r"(?P<user>[^@\s]+)@(?P<address>\[[0-9A-Fa-f:.]+\]|[^@:\s]+)(?::(?P<port>[0-9]{1,5}))?")
_MARKS = {True: "✓", False: "✗", None: "!"}


def shipped_tables(path: Path) -> dict[str, Any]:
    """The tables of the inventory that comes with the tool; empty where somebody made it unreadable."""
    with contextlib.suppress(OSError, ValueError):
        return tomllib.loads(path.read_text())
    return {}


def init(
    context: Any, console: Console, example: Path, *, host: str, key: str, output: str, project: str, force: bool
) -> None:
    """Survey the VPS at `host` and write its inventory to `output`. Raises CutoverError."""
    target = Path(output or "inventory.toml")
    warn_without_openssh(console)
    _refuse_overwriting(target, force)
    login = parse_login(context, host, key)
    tables = shipped_tables(example)
    facts = _host(context, login, bool(host)).adopt(adoption_request(tables))
    if facts.docker_error:
        raise Failed(
            f"the app can't be surveyed: {facts.docker_error}",
            state=f"{UNTOUCHED} No file was written.",
            next_step="Have the app up in Docker, as it is before a first hand-over, and run the same command again.",
        )
    draft, scene = drafting.drafted(facts, tables, login, Choice(project=project))
    drafting.settled(draft)
    try:
        target.write_text(drafting.text(draft, scene, login), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target} can't be written: {error.strerror}", next_step="Say --output FILE.") from error
    _show_written(console, target, draft)


def doctor(session: Session, example: Path) -> None:
    """Compare the inventory with the VPS, and judge both directions. Raises PreflightRefused where one would not start.

    The direction that leads to the present owner counts as well: it would find most of its work done, and what stands
    against it would stand against the way back after the next hand-over.
    """
    site, console = session.site, session.console
    facts = session.survey(survey.request(site, versions=True))
    tables = shipped_tables(example)
    mismatches, uncompared = differences(site, session.host.adopt(adoption_request({**tables, **_names(site)})), tables)
    directed = directions(site, facts)
    _show(console, mismatches, uncompared, directed)
    status.reboot(console, site, facts)
    for finding in boot.findings(site, facts):
        console.warn(str(finding))
    reasons = [f"inventory: {difference}" for difference in mismatches]
    reasons += [f"{name}: {finding}" for name, some in directed.items() for finding in some if not finding.warning]
    if reasons:
        raise PreflightRefused(reasons)
    console.say("The inventory says what is there, and a cutover and a rollback would start.")


def directions(site: Site, facts: Facts) -> dict[str, list[Finding]]:
    """What preflight has against handing the app to native, and to Docker, as things stand now."""
    forward = scope_findings(site, facts, "full") + preflight.findings(site, facts, "native")
    backward = preflight.findings(site, facts, "docker")
    holder = facts.ops.lock
    locked = (
        [Finding(LockHeld.by(holder.as_json()).message, "wait for its end, or follow it: inv attach")] if holder else []
    )
    return {"cutover": locked + forward, "rollback --full": locked + backward}


def adoption_request(tables: Mapping[str, Any]) -> AdoptionRequest:
    """What to look for besides what is there: the names that an inventory knows."""
    infra, app, services = (tables.get(name, {}) for name in ("infra", "app", "services"))
    name = str(app.get("name", "islandflow"))
    variables = {str(tables.get("provider", {}).get("adapter_env", ""))}
    variables |= {str(stream.get("max_age_env", "")) for stream in tables.get("streams", {}).values()}
    paths = [*app.get("shell_scripts", ()), *(path for s in services.values() for path in s.get("build_rewrites", ()))]
    units = {str(server.get("unit", "")) for server in infra.values()}
    return AdoptionRequest(
        shown=tuple(sorted(variables - {""})),
        servers=SERVERS,
        units=tuple(sorted((units | set(servers.distribution_units())) - {""})),
        owner_file=str(app.get("owner_file", "")),
        paths=tuple(map(str, paths)),
        names=tuple(str(service.get("unit", f"{name}-{key}.service")) for key, service in services.items()),
    )


def parse_login(context: Any, host: str, key: str) -> drafting.Login:
    """The login that `--host` names, or that `fab -H` made. Raises UsageError."""
    if not host and hasattr(context, "original_host"):
        return drafting.Login(context.host, context.user, context.port, key)
    match = _LOGIN.fullmatch(host)
    if not match:
        what = f"--host {host} is no login" if host else "--host is missing"
        raise UsageError(
            what, next_step="Say who logs in where: inv init --host USER@ADDRESS, with :PORT unless it is 22."
        )
    address = match["address"].strip("[]")
    return drafting.Login(address, match["user"], int(match["port"] or 22), key)


def _host(context: Any, login: drafting.Login, explicit: bool) -> Host:
    try:
        entry = inventory.Host.model_validate(
            {"name": drafting.HOST, "address": login.address, "user": login.user}
            | ({"port": login.port} if login.port != 22 else {})  # else the ssh configuration may say another one
            | ({"key": login.key} if login.key else {})
        )
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, e['loc']))} {e.get('ctx', {}).get('error', e['msg'])}" for e in error.errors()
        )
        raise UsageError(
            f"the VPS can't be reached so: {reasons}", next_step="Say --host USER@ADDRESS[:PORT]."
        ) from None
    return host_for(None if explicit else context, entry, CONNECT_SECONDS)


def _refuse_overwriting(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise UsageError(
            f"{target} exists already, and init does not overwrite it",
            state=f"{UNTOUCHED} Nobody was asked anything.",
            next_step="Say --output FILE to write another one, or --force.",
        )
    if not target.resolve().parent.is_dir():
        raise UsageError(f"{target.parent} is no directory", next_step="Say --output FILE in one that is there.")


def _names(site: Site) -> dict[str, Any]:
    """The names of an inventory's own units, and its owner file."""
    units = {name: {"unit": service.unit} for name, service in site.services.items()}
    infra = {server.name: {"unit": server.unit} for server in site.servers}
    return {"app": {"name": site.app.name, "owner_file": site.app.owner_file}, "services": units, "infra": infra}


def _show_written(console: Console, target: Path, draft: Draft) -> None:
    counts = dict.fromkeys((FOUND, PROPOSED, SHIPPED, ASKED), 0)
    for path, entry in draft.entries.items():
        counts[entry.origin] += 1
        console.data("value", key=inventory.spell(path), value=entry.value, origin=entry.origin, why=entry.why)
    console.data("written", path=str(target), **counts)
    console.say(
        f"{target}: {counts[FOUND]} values found on the VPS, {counts[PROPOSED]} that follow from them, "
        f"{counts[SHIPPED]} as shipped; each with a comment that says so."
    )
    questions = draft.questions()
    for question in questions:
        console.say(f"  {question}")
    if questions:
        console.say("That could not be found: replace each text that begins with ? by its answer.")
    console.say(f"Next: ISLANDFLOW_INVENTORY={target} inv doctor")


def _show(
    console: Console, mismatches: list[Difference], uncompared: list[str], directed: Mapping[str, list[Finding]]
) -> None:
    rows = [(_MARKS[False], difference.key, f"{difference.text}\n→ {difference.fix}") for difference in mismatches]
    rows += [(_MARKS[None], "not compared", text) for text in uncompared]
    rows = rows or [(_MARKS[True], "inventory", "says what is there")]
    console.table("inventory and VPS", ("", "key", "difference"), rows)
    for difference in mismatches:
        console.data("difference", key=difference.key, text=difference.text, fix=difference.fix)
    for text in uncompared:
        console.data("unseen", text=text)
    for name, findings in directed.items():
        marks = [(_MARKS[None if finding.warning else False], str(finding)) for finding in findings]
        console.table(name, ("", "preflight"), marks or [(_MARKS[True], "nothing stands against it")])
        console.data("direction", name=name, starts=all(finding.warning for finding in findings))
        for finding in findings:
            console.data("finding", direction=name, text=finding.text, fix=finding.fix, warning=finding.warning)

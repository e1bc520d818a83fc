"""Runs all probes by every way, once or repeatedly until a hand-over may be confirmed."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import requests
from websockets.exceptions import WebSocketException

from fabfile.inventory import Site
from fabfile.plans.decisive import Excuse
from fabfile.public import attribution, closed_api, endpoint, https, ports, websocket
from fabfile.public.check import Answer, Check, Refused, WarningText, is_unanswered, run_timed
from fabfile.public.endpoint import Endpoint, Resolver, Target, by_dns
from fabfile.runner.system.deadline import Deadline
from fabfile.runner.wire.edge import NO_ANSWER
from fabfile.terms import Owner

_MAX_CONCURRENT = 4  # probes side by side: more would only make a busy server slower
_BEFORE_SECONDS = 5.0  # in which what is not good before a plan is tried again
_MIN_ATTEMPT_SECONDS = 2.0  # for an attempt, however little time is left

Refusals = Mapping[str, Collection[int]]  # by hostname: the statuses with which the edge itself may refuse
Answers = dict[tuple[str, str], Answer]  # by the names of probe and way


@dataclass(frozen=True)
class Probe:
    """A request to an endpoint; `run` returns evidence, or raises Refused."""

    name: str
    endpoint: Endpoint
    run: Callable[[Target], str]
    vital: bool = True


def checks(site: Site, runtime: Owner = "", resolve: Resolver = by_dns) -> list[Check]:
    """All checks from outside: TLS, page, health, routes, lookups, websocket, what must be closed.

    With a `runtime` each answer must come from it, where answers say so. Never raises: what fails is a failed check.
    """
    with ThreadPoolExecutor(max_workers=_MAX_CONCURRENT) as pool:
        closed_ports = _closed_ports(site, resolve, pool)
        return [*_run(site, runtime, resolve), *closed_ports]


def until_good(
    site: Site,
    runtime: Owner,
    seconds: float,
    resolve: Resolver = by_dns,
    *,
    through_dns: bool = False,
    refusing: Refusals | None = None,
    excuse: Excuse = lambda name: "",
) -> list[Check]:
    """The checks, repeated until all vital ones pass or `seconds` are over; returns their last results.

    A probe that has passed is not repeated, and each attempt has twice the time of the one before, since a busy server
    answers late. A failed check that is not vital is returned as a warning. With `through_dns`, for a change of DNS,
    failures of DNS or a CDN are vital, too. The edge lets in only some to the hostnames in `refusing`: where it refuses
    this machine, with one of these statuses, the check is a warning. A check that `excuse` gives a reason for is none
    that is vital.
    """
    judge = _with_dns if through_dns else functools.partial(_excused, excuse)
    with ThreadPoolExecutor(max_workers=_MAX_CONCURRENT) as pool:
        closed_ports = _closed_ports(site, resolve, pool)
        judged = _repeat(site, runtime, seconds, resolve, refusing, judge)
        return [_as_warning(check) for check in (*judged, *closed_ports)]


def not_good(site: Site, refusing: Refusals | None = None, resolve: Resolver = by_dns) -> list[Check]:
    """The vital checks that fail as things are; for some seconds each is tried again."""
    judged = _repeat(site, "", _BEFORE_SECONDS, resolve, refusing, lambda check: check)
    return [check for check in judged if check.vital and not check.ok]


def _repeat(
    site: Site,
    runtime: Owner,
    seconds: float,
    resolve: Resolver,
    refusing: Refusals | None,
    judge: Callable[[Check], Check],
) -> list[Check]:
    """The checks over HTTP(S), as `judge` changes them, repeated until all vital ones pass or `seconds` are over."""
    deadline = Deadline(seconds)
    good: Answers = {}
    limit = endpoint.TIMEOUT_SECONDS
    while True:
        checks = _run(site, runtime, resolve, good, max(min(limit, deadline.left), _MIN_ATTEMPT_SECONDS), refusing)
        judged = [judge(check) for check in checks]
        if all(check.ok or not check.vital for check in judged) or deadline.passed:
            return judged
        limit *= 2
        time.sleep(0.5)


def probes(site: Site, runtime: Owner, refusing: Refusals) -> list[Probe]:
    """The probes over HTTP(S), in the order of the output: first TLS of every name that must be open."""
    raw = Endpoint("https", site.edge.api_domain, site.public.https_port)
    result = list(_required(site, runtime, refusing))
    if site.public.raw_api == "closed":
        result = [probe for probe in result if probe.endpoint != raw]
        result.append(Probe(f"{raw.name} is closed", raw, functools.partial(closed_api.closed, site), vital=False))
    secure = dict.fromkeys(q.endpoint for q in result if q.endpoint.scheme == "https" and q.vital)
    return [Probe(f"TLS of {_authority(at)}", at, functools.partial(_tls, site)) for at in secure] + result


def _required(site: Site, runtime: Owner, refusing: Refusals) -> Iterator[Probe]:
    """The probes of what must be served."""
    public, edge = site.public, site.edge
    app = Endpoint.of(public.app_url)
    live = Endpoint("https", edge.app_domain, public.https_port)
    yield Probe(f"HEAD {public.app_url}", app, functools.partial(https.page, site, runtime, refusing.get(app.name, ())))
    url = public.api_health_url
    yield Probe(f"GET {url}", Endpoint.of(url), functools.partial(https.health, site, runtime))
    yield Probe(f"{public.websocket} is live", live, functools.partial(websocket.live, site, runtime))
    # Below some prefixes the API has lookups alone. These have probes of their own, so the bare prefix may be 404.
    lookups = {lookup.path.split("/")[1] for lookup in public.lookups.values()}
    for prefix in edge.api_prefixes:
        url = public.app_url.rstrip("/") + public.routes.get(prefix, f"/{prefix}")
        known = prefix in public.routes or prefix not in lookups
        yield Probe(f"/{prefix} is the API's", app, functools.partial(https.route, site, runtime, url, known))
    for lookup in public.lookups.values():
        yield Probe(f"{lookup.method} {lookup.path}", app, functools.partial(https.lookup, site, runtime, lookup))


def _run(
    site: Site,
    runtime: Owner,
    resolve: Resolver,
    good: Answers | None = None,
    limit: float | None = None,
    refusing: Refusals | None = None,
) -> list[Check]:
    """Every probe by every way. The targets are connected first: a problem there fails all probes of the target.

    What is `good` already is not probed again, and what becomes so is added. Each request has `limit` seconds.
    """
    passed: Answers = {} if good is None else good
    refusals = refusing or {}
    requested = [
        replace(probe, run=functools.partial(_or_refused, probe.run, statuses)) if statuses else probe
        for probe in probes(site, runtime, refusals)
        for statuses in [refusals.get(probe.endpoint.name, ())]
    ]
    ways = endpoint.ways(site, resolve)
    endpoints = list(dict.fromkeys(probe.endpoint for probe in requested))
    with ThreadPoolExecutor(max_workers=_MAX_CONCURRENT) as pool:
        connecting = {
            (at, way.label): pool.submit(endpoint.connect, site.public, way, at, limit)
            for at in endpoints
            for way in ways
        }
        targets = {place: target.result() for place, target in connecting.items()}
        pending = {
            (probe.name, way.label): pool.submit(
                run_timed, way.label, functools.partial(probe.run, targets[probe.endpoint, way.label])
            )
            for probe in requested
            for way in ways
            if (probe.name, way.label) not in passed
        }
    answers = passed | {key: answer.result() for key, answer in pending.items()}
    passed.update({key: answer for key, answer in answers.items() if answer.ok})
    return [
        attribution.attribute(
            probe.name,
            {way.label: answers[probe.name, way.label] for way in ways},
            {way.label: targets[probe.endpoint, way.label] for way in ways},
            site.origin,
            probe.vital,
        )
        for probe in requested
    ]


def _or_refused(run: Callable[[Target], str], statuses: Collection[int], target: Target) -> str:
    """The probe's evidence; a warning where the edge refuses this machine. Raises what the probe raises."""
    try:
        return run(target)
    except Refused as refusal:
        if refusal.status not in statuses:
            raise
        return WarningText(f"answers {refusal.status}: the edge itself refuses this machine")
    except (requests.RequestException, WebSocketException, OSError) as error:
        if NO_ANSWER not in statuses or not is_unanswered(error):
            raise
        return WarningText("gets no answer: the edge itself refuses this machine")


def _tls(site: Site, target: Target) -> str:
    """The certificate is valid, and for long enough. Raises Refused."""
    target.require()
    if not site.public.verify_tls:
        return f"not verified, as public.verify_tls is false: {target.certificate}"
    soon = target.certificate and target.certificate.days < site.public.certificate_days
    return WarningText(target.certificate) if soon else str(target.certificate)


def _closed_ports(site: Site, resolve: Resolver, pool: ThreadPoolExecutor) -> Iterator[Check]:
    """The checks of ports that must not be reachable, in the pool beside all else: dropped packets take long."""
    try:
        address = resolve(site.origin)[0]
    except OSError:
        return iter(())  # the other checks report that it does not resolve
    return pool.map(lambda port: ports.closed(address, *port), site.closed_ports.items())


def _authority(at: Endpoint) -> str:
    return at.name if at.port == 443 else f"{at.name}:{at.port}"


def _with_dns(check: Check) -> Check:
    return replace(check, vital=check.vital or check.fault == "DNS or CDN")


def _excused(excuse: Excuse, check: Check) -> Check:
    why = "" if check.ok else excuse(check.name)
    return replace(check, vital=False, text=f"{check.text}; {why}") if why else check


def _as_warning(check: Check) -> Check:
    return check if check.ok or check.vital else replace(check, ok=True, warning=True)

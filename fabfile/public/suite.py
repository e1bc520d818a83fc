"""All the questions, asked by every way at once; and again until a hand-over may be confirmed."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from fabfile.inventory import Site
from fabfile.public import attribution, closed_api, endpoint, https, ports, websocket
from fabfile.public.check import Answer, Check, Worrying, timed
from fabfile.public.endpoint import Door, Endpoint, Resolver, by_dns
from fabfile.runner.system.deadline import Deadline
from fabfile.terms import Owner

_AT_ONCE = 4  # questions that are asked side by side: more would only make a busy server slower
_SHORTEST = 2.0  # seconds that a try has at least, however little time is left

Answers = dict[tuple[str, str], Answer]  # by the names of question and way


@dataclass(frozen=True)
class Question:
    """What is asked at which door; `ask` returns evidence, or raises what is wrong."""

    name: str
    endpoint: Endpoint
    ask: Callable[[Door], str]
    vital: bool = True


def checks(site: Site, runtime: Owner = "", resolve: Resolver = by_dns) -> list[Check]:
    """Everything that can be asked from outside: TLS, page, health, routes, lookups, websocket, what must be closed.

    With a `runtime` each answer must come from it, where answers say so. Never raises: what fails is a failed check.
    """
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as beside:
        closed = _closed_ports(site, resolve, beside)
        return [*_run(site, runtime, resolve), *closed]


def until_good(
    site: Site, runtime: Owner, seconds: float, resolve: Resolver = by_dns, *, through_dns: bool = False
) -> list[Check]:
    """The checks, repeated until all that a hand-over hangs on pass or `seconds` are over; what they said in the end.

    What was answered well is not asked again, and a try has twice the time of the one before: a slow answer is a slow
    answer. What is bad without being vital comes back as a warning. With `through_dns`, for a change of DNS, what only
    DNS or a CDN breaks is vital, too.
    """
    deadline = Deadline(seconds)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as beside:
        closed = _closed_ports(site, resolve, beside)
        good: Answers = {}
        limit = endpoint.TIMEOUT
        while True:
            checks = _run(site, runtime, resolve, good, max(min(limit, deadline.left), _SHORTEST))
            found = [_with_dns(check) if through_dns else check for check in checks]
            if all(check.ok or not check.vital for check in found) or deadline.passed:
                return [_lenient(check) for check in (*found, *closed)]
            limit *= 2
            time.sleep(0.5)


def questions(site: Site, runtime: Owner) -> list[Question]:
    """What is asked over HTTP(S), in the order in which it is told: first TLS of every name that must be open."""
    raw = Endpoint("https", site.edge.api_domain, site.public.https_port)
    asked = list(_open(site, runtime))
    if site.public.raw_api == "closed":
        asked = [question for question in asked if question.endpoint != raw]
        asked.append(Question(f"{raw.name} is closed", raw, functools.partial(closed_api.closed, site), vital=False))
    secure = dict.fromkeys(q.endpoint for q in asked if q.endpoint.scheme == "https" and q.vital)
    return [Question(f"TLS of {_authority(at)}", at, functools.partial(_tls, site)) for at in secure] + asked


def _open(site: Site, runtime: Owner) -> Iterator[Question]:
    """What must be served."""
    public, edge = site.public, site.edge
    app = Endpoint.of(public.app_url)
    live = Endpoint("https", edge.app_domain, public.https_port)
    yield Question(f"HEAD {public.app_url}", app, functools.partial(https.page, site, runtime))
    url = public.api_health_url
    yield Question(f"GET {url}", Endpoint.of(url), functools.partial(https.health, site, runtime))
    yield Question(f"{public.websocket} is live", live, functools.partial(websocket.live, site, runtime))
    # Below some prefixes the API knows lookups alone. They are asked for themselves, so that the bare one may be 404.
    lookups = {lookup.path.split("/")[1] for lookup in public.lookups.values()}
    for prefix in edge.api_prefixes:
        url = public.app_url.rstrip("/") + public.routes.get(prefix, f"/{prefix}")
        known = prefix in public.routes or prefix not in lookups
        yield Question(f"/{prefix} is the API's", app, functools.partial(https.route, site, runtime, url, known))
    for lookup in public.lookups.values():
        yield Question(f"{lookup.method} {lookup.path}", app, functools.partial(https.lookup, site, runtime, lookup))


def _run(
    site: Site, runtime: Owner, resolve: Resolver, good: Answers | None = None, limit: float | None = None
) -> list[Check]:
    """Every question by every way: first to the doors, as what is wrong there is wrong with all that is asked there.

    What is `good` already is not asked again, and what becomes so is added. Each request has `limit` seconds.
    """
    known: Answers = {} if good is None else good
    asked, ways = questions(site, runtime), endpoint.ways(site, resolve)
    endpoints = list(dict.fromkeys(question.endpoint for question in asked))
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        connecting = {
            (at, way.label): pool.submit(endpoint.connect, site.public, way, at, limit)
            for at in endpoints
            for way in ways
        }
        doors = {place: door.result() for place, door in connecting.items()}
        pending = {
            (question.name, way.label): pool.submit(
                timed, way.label, functools.partial(question.ask, doors[question.endpoint, way.label])
            )
            for question in asked
            for way in ways
            if (question.name, way.label) not in known
        }
    answers = known | {key: answer.result() for key, answer in pending.items()}
    known.update({key: answer for key, answer in answers.items() if answer.ok})
    return [
        attribution.judged(
            question.name,
            {way.label: answers[question.name, way.label] for way in ways},
            {way.label: doors[question.endpoint, way.label] for way in ways},
            site.origin,
            question.vital,
        )
        for question in asked
    ]


def _tls(site: Site, door: Door) -> str:
    """The certificate holds, and for long enough. Raises Refused."""
    door.enter()
    if not site.public.verify_tls:
        return f"not judged, as public.verify_tls is false: {door.certificate}"
    soon = door.certificate and door.certificate.days < site.public.certificate_days
    return Worrying(door.certificate) if soon else str(door.certificate)


def _closed_ports(site: Site, resolve: Resolver, pool: ThreadPoolExecutor) -> Iterator[Check]:
    """The ports that must not be reachable, asked beside everything else: dropped packets take their time."""
    try:
        address = resolve(site.origin)[0]
    except OSError:
        return iter(())  # the checks above say that it does not resolve
    return pool.map(lambda port: ports.closed(address, *port), site.closed_ports.items())


def _authority(at: Endpoint) -> str:
    return at.name if at.port == 443 else f"{at.name}:{at.port}"


def _with_dns(check: Check) -> Check:
    return replace(check, vital=check.vital or check.fault == "DNS or CDN")


def _lenient(check: Check) -> Check:
    return check if check.ok or check.vital else replace(check, ok=True, warning=True)

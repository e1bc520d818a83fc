"""The parking lot: while no runtime is up, the public's requests wait at the edge instead of failing."""

from __future__ import annotations

from dataclasses import dataclass

from fabfile import survey
from fabfile.inventory import BRIDGE, Service, Site
from fabfile.plans import edge, firewall
from fabfile.plans.plan import Probe, Step, Steps, Undo
from fabfile.runner.actions.edge import EdgeServes, RefreshDnsOnRevert
from fabfile.runner.actions.edge_point import PointEdge
from fabfile.runner.actions.parking import CloseLot, Drain, Exit, OpenLot, ReleaseLot
from fabfile.runner.edge.connections import Upstreams
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime, Scope


@dataclass(frozen=True)
class LotSteps:
    """A plan's steps at the parking lot, for services that leave a runtime and come back in another, or in the same.

    Without services there is no lot, and there are no steps.
    """

    site: Site
    facts: Facts
    leaving: Runtime
    to: Runtime
    services: tuple[Service, ...]

    @property
    def open(self) -> Steps:
        """Open it; nobody is sent there yet."""
        if not self.services:
            return ()
        return (
            *firewall.park(self.site, self.facts, self.services),
            Step("edge: parking lot opened", OpenLot(*self._at, self._upstreams(self.leaving)), Undo()),
        )

    @property
    def park(self) -> Steps:
        """Send the public there, and let what was asked before be answered: then the runtime may stop."""
        site, leaving = self.site, self.leaving
        if not self.services:
            return names_on_revert(site, self.facts) if leaving == "docker" else ()
        places = {service.name: (self._address, self._port(service)) for service in self.services}
        hosts = edge.hosts(site, self.facts, leaving, places)
        return (
            Step(
                "edge: point to the parking lot",
                PointEdge(survey.edge_ref(site), hosts, seconds=site.timeouts.edge),
                Undo(verify=served(site, self.facts, leaving), deadline=site.timeouts.edge),
                hold="begins",
            ),
            Step(
                f"edge: {leaving} drained",
                Drain(*self._at, self._upstreams(leaving), self._exits(leaving)),
                Undo(),
            ),
        )

    @property
    def release(self) -> Steps:
        """Let everybody who waits through to the runtime that is up now."""
        if not self.services:
            return ()
        action = ReleaseLot(*self._at, self._exits(self.to), self._upstreams(self.to))
        return (Step(f"edge: parked requests to {self.to}", action, Undo(), hold="ends"),)

    @property
    def close(self) -> Steps:
        """Close it, once the edge sends nobody there any more."""
        return (Step("edge: parking lot closed", CloseLot(*self._at), Undo()),) if self.services else ()

    @property
    def _at(self) -> tuple[str, Upstreams, float]:
        ports = tuple(self._port(service) for service in self.services)
        return self.site.edge.container, Upstreams(ports, (self._address,)), self.site.timeouts.drain

    @property
    def _address(self) -> str:
        return survey.address(self.facts, BRIDGE)

    def _port(self, service: Service) -> int:
        return service.parking_port or 0

    def _upstreams(self, runtime: Runtime) -> Upstreams:
        """Where the edge's connections to a runtime end."""
        ports = tuple(service.port or 0 for service in self.services)
        if runtime == "native":
            return Upstreams(ports, (survey.address(self.facts, self.site.runtimes.native.upstream),))
        names = tuple(service.name for service in self.services)
        return Upstreams(ports, project=self.site.runtimes.docker.project, services=names)

    def _exits(self, runtime: Runtime) -> tuple[Exit, ...]:
        """Where the host itself finds a runtime: Docker by the ports that it publishes on 127.0.0.1."""
        bind = survey.address(self.facts, self.site.runtimes.native.bind)
        host = bind if runtime == "native" and bind != "0.0.0.0" else "127.0.0.1"
        return tuple(Exit(self._port(service), host, service.port or 0) for service in self.services)


def lot(
    site: Site,
    facts: Facts,
    *,
    leaving: Runtime,
    to: Runtime,
    scope: Scope = "full",
    services: tuple[Service, ...] | None = None,
) -> LotSteps:
    """The parking lot for a plan in which the scope, or those `services`, leave a runtime.

    It is without services, and so without steps, where that runtime serves no requests.
    """
    moves = leaving != to or survey.edge_runtime(site, facts) == to  # a restart must not move the edge
    can_wait = site.edge.hold and survey.owner(facts) == leaving and moves
    chosen = parked_services(site, scope) if services is None else services
    return LotSteps(site, facts, leaving, to, chosen if can_wait else ())


def parked_services(site: Site, scope: Scope) -> tuple[Service, ...]:
    """The services of a scope that requests are sent to."""
    return tuple(service for service in site.scope(scope) if service.port)


def names_on_revert(site: Site, facts: Facts) -> Steps:
    """For a plan that stops Docker without a lot: its names must be looked up anew if it comes back."""
    if survey.owner(facts) != "docker":
        return ()
    undo = Undo(verify=served(site, facts, "docker"), deadline=site.timeouts.edge)
    return (Step("edge: names on the way back", RefreshDnsOnRevert(survey.edge_ref(site), site.timeouts.edge), undo),)


def served(site: Site, facts: Facts, runtime: Runtime) -> tuple[Probe, ...]:
    """That the public is served by a runtime again, if it was, and the edge led to it.

    An API of which only the durables were in doubt has served all the same.
    """
    verdicts = [facts.health.get(f"{runtime}/{service.name}") for service in parked_services(site, "full")]
    answered = all(verdict and (verdict.ok or verdict.answered) for verdict in verdicts)
    if survey.edge_runtime(site, facts) != runtime or not answered:
        return ()
    return (EdgeServes(survey.edge_ref(site), edge.hosts(site, facts, runtime)),)

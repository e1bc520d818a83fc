"""Thin Invoke tasks: each names its plan and its checks. The collection has every task by name."""

from types import ModuleType

from invoke.collection import Collection
from invoke.tasks import Task

from fabfile.tasks import (
    app,
    check,
    dns,
    docker,
    edge,
    firewall,
    handover,
    infra,
    lab,
    npm,
    overview,
    plans,
    provider,
    public,
    services,
    streams,
)


def _group(module: ModuleType) -> Collection:
    # What Collection.from_module does, but by type(): isinstance asks a lazy module for its class, which loads it.
    tasks = [value for value in vars(module).values() if issubclass(type(value), Task)]
    group = Collection(module.__name__.rpartition(".")[2], *tasks)
    group.__doc__ = module.__doc__
    return group


namespace = Collection(
    *(
        overview.guide,
        overview.init,
        overview.doctor,
        handover.cutover,
        handover.rollback,
        handover.deploy,
        handover.releases,
        overview.status,
        plans.history,
    ),
    *(plans.attach, plans.revert, plans.record, plans.followup, overview.soak),
    services.logs,
    *map(_group, (infra, app, docker, edge, npm, firewall, public, dns, streams, provider, check, lab)),
)
namespace.add_task(services.execute, "exec")  # which is a function of Python's own

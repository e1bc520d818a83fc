"""Hands the Islandflow app from Docker Compose to native systemd and back. The collection: every task by name."""

from invoke.collection import Collection

from fabfile.tasks import app, check, dns, docker, edge, firewall, infra, lab, npm, provider, streams, top

namespace = Collection(
    *(top.init, top.doctor, top.cutover, top.rollback, top.status, top.history, top.attach, top.resume),
    *(top.record, top.followup, top.soak),
    *(
        Collection.from_module(module)
        for module in (infra, app, docker, npm, firewall, edge, dns, streams, provider, check, lab)
    ),
)

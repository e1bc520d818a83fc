"""Thin Invoke tasks: each names its plan and its checks. The collection has every task by name."""

from invoke.collection import Collection

from fabfile.tasks import app, check, dns, docker, firewall, infra, lab, main_job, npm, provider, public, streams

namespace = Collection(
    *(main_job.init, main_job.doctor, main_job.cutover, main_job.rollback, main_job.status, main_job.history),
    *(main_job.attach, main_job.revert, main_job.record, main_job.followup, main_job.soak),
    *(
        Collection.from_module(module)
        for module in (infra, app, docker, npm, firewall, public, dns, streams, provider, check, lab)
    ),
)

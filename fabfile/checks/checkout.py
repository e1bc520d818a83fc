"""Whether the checkout may be moved to another commit."""

from __future__ import annotations

from fabfile.checks.result import Finding
from fabfile.inventory import Site
from fabfile.plans.rollback import built_files
from fabfile.runner.wire.facts import Facts


def checkout_findings(site: Site, facts: Facts) -> list[Finding]:
    """Changes in the checkout that moving it would lose."""
    if facts.checkout_error:
        return [Finding(f"{site.app.checkout}: {facts.checkout_error}", "make it a git checkout of the app's user")]
    changed = facts.checkout.changed if facts.checkout else ()
    built = built_files(site)
    foreign = [name for name in changed if name not in built]
    if not foreign:
        return []
    return [Finding(f"the checkout has changes of its own: {', '.join(foreign)}", "commit or stash them on the VPS")]

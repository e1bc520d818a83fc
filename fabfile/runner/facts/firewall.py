"""The state of UFW, and what filters in its place."""

from __future__ import annotations

from ..system import ufw
from ..system.machine import CommandFailed, Machine, failure_detail
from ..wire.firewall import Firewall
from . import netfilter


def firewall(machine: Machine) -> Firewall:
    """The firewall's state. Never raises: a UFW that does not answer is a problem in it."""
    try:
        active, default = ufw.status(machine)
        if active:
            return Firewall(True, True, default, ufw.rules(machine))
        return Firewall(True, False, default, ufw.rules(machine), other=netfilter.filtering(machine))
    except CommandFailed as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return Firewall(other=netfilter.filtering(machine))  # not installed, and the plan has no rule to add
        return Firewall(True, problem=failure_detail(error))

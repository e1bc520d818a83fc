"""The firewall, as data: UFW's state and its rules for incoming traffic."""

from __future__ import annotations

from dataclasses import dataclass

from .codec import wire


@wire
@dataclass(frozen=True)
class Rule:
    """One UFW rule for incoming traffic, as `ufw show added` lists it."""

    action: str
    port: str  # empty: any
    protocol: str  # empty: any
    source: str  # empty: anywhere
    comment: str
    text: str
    narrow: bool = False  # only for one interface, source port or own address: whether it matches is unknown


@wire
@dataclass(frozen=True)
class Firewall:
    """The state of UFW. Where it is not installed nothing filters, and the other fields are empty."""

    installed: bool = False
    active: bool = False
    default: str = ""  # for incoming packets that no rule matches: deny, reject or allow
    rules: tuple[Rule, ...] = ()
    problem: str = ""  # why UFW, though installed, does not answer

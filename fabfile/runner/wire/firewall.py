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
    narrow: bool = False  # only for one interface, source port or address of ours: whether it fits cannot be told


@wire
@dataclass(frozen=True)
class Firewall:
    """UFW as it is. Without it nothing filters, and the other fields are empty."""

    installed: bool = False
    active: bool = False
    default: str = ""  # what becomes of incoming packets that no rule names: deny, reject or allow
    rules: tuple[Rule, ...] = ()
    problem: str = ""  # why UFW, though installed, does not answer

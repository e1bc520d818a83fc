"""The firewall, as data: UFW's state and its rules for incoming traffic."""

from __future__ import annotations

from dataclasses import dataclass

from .codec import wire


@wire
@dataclass(frozen=True)
class Rule:
    """One UFW rule for incoming traffic, as `ufw show added` lists it; a profile's is one for each of its lines."""

    action: str
    port: str  # empty: any
    protocol: str  # empty: any
    source: str  # empty: anywhere
    comment: str
    text: str
    narrow: bool = False  # only for one interface, source port or own address: whether it matches is unknown
    profile: str = ""  # the application profile that has the ports

    @property
    def unresolved(self) -> bool:
        """Whether its profile's ports are unknown; `port` is the profile's name then."""
        return bool(self.profile) and self.port == self.profile


@wire
@dataclass(frozen=True)
class Firewall:
    """The state of UFW, and where it is not active, what else filters."""

    installed: bool = False
    active: bool = False
    default: str = ""  # for incoming packets that no rule matches: deny, reject or allow
    rules: tuple[Rule, ...] = ()
    problem: str = ""  # why UFW, though installed, does not answer
    other: str = ""  # what filters incoming packets in its place, by name: firewalld, nftables, iptables

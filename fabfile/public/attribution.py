"""Attributes a failure to the origin or to DNS or a CDN, from the answers by both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fabfile.public.check import Answer, Check
from fabfile.public.endpoint import DNS, PINNED, Target


def attribute(
    name: str, answers: Mapping[str, Answer], targets: Mapping[str, Target], origin: str, vital: bool
) -> Check:
    """One check from a probe's answers by each way.

    A failure by both ways is the origin's fault, one through DNS alone that of DNS or the CDN. A hand-over can neither
    cause nor fix the latter, nor an address that is not the edge's, so such checks are not vital.
    """
    each = tuple(answers.values())
    check = Check(
        name,
        all(answer.ok for answer in each),
        each[0].text,
        max(answer.ms for answer in each),
        warning=any(answer.warning for answer in each),
        vital=vital,
        answers=each,
    )
    if len(each) == 1:
        return check
    dns, pinned = answers[DNS], answers[PINNED]
    if check.ok:
        return replace(check, text=_both(dns.text, pinned.text))
    if not (dns.ok or pinned.ok):
        return replace(check, text=f"origin: {_both(dns.text, pinned.text)}", fault="origin")
    if pinned.ok:
        text = f"DNS or CDN: {_dns_cause(targets[DNS], targets[PINNED], dns.text)}; pinned to {origin} it is good"
        return replace(check, text=text, fault="DNS or CDN", vital=False)
    via = ", ".join(targets[DNS].addresses)
    text = f"pinned to {origin}: {pinned.text}; through DNS ({via}) it is good: is {origin} the VPS (public.address)?"
    unreached = bool(targets[PINNED].problem)
    return replace(check, text=text, fault="pinned", vital=vital and not unreached)


def _both(dns: str, pinned: str) -> str:
    return dns if dns == pinned else f"{pinned} (through DNS: {dns})"


def _dns_cause(dns: Target, pinned: Target, text: str) -> str:
    """Which part of the way through DNS fails, given that the origin does not."""
    name = dns.endpoint.name
    if dns.stage == "name":
        return text
    if dns.stage == "TLS":
        text = f"TLS differs from the origin's: {text}"
    if set(dns.addresses) & set(pinned.addresses):
        return f"{name} resolves to the same address, so it comes and goes: {text}"
    return f"{name} resolves to {', '.join(dns.addresses)} instead: {text}"

"""Whose fault it is: what both ways say to one question, put together in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fabfile.public.check import Answer, Check
from fabfile.public.endpoint import DNS, PINNED, Door


def judged(name: str, answers: Mapping[str, Answer], doors: Mapping[str, Door], origin: str, vital: bool) -> Check:
    """One check from the answers that a question got by each way.

    Bad both ways is the origin's fault, bad through DNS alone that of DNS or the CDN. A hand-over can neither cause nor
    mend the latter, nor an address that is not the edge's, so that such checks are not vital.
    """
    given = tuple(answers.values())
    check = Check(
        name,
        all(answer.ok for answer in given),
        given[0].text,
        max(answer.ms for answer in given),
        warning=any(answer.warning for answer in given),
        vital=vital,
        answers=given,
    )
    if len(given) == 1:
        return check
    dns, pinned = answers[DNS], answers[PINNED]
    if check.ok:
        return replace(check, text=_both(dns.text, pinned.text))
    if not (dns.ok or pinned.ok):
        return replace(check, text=f"origin: {_both(dns.text, pinned.text)}", fault="origin")
    if pinned.ok:
        text = f"DNS or CDN: {_cause(doors[DNS], doors[PINNED], dns.text)}; pinned to {origin} it is good"
        return replace(check, text=text, fault="DNS or CDN", vital=False)
    led = ", ".join(doors[DNS].addresses)
    text = f"pinned to {origin}: {pinned.text}; through DNS ({led}) it is good: is {origin} the VPS (public.address)?"
    unreached = bool(doors[PINNED].problem)
    return replace(check, text=text, fault="pinned", vital=vital and not unreached)


def _both(dns: str, pinned: str) -> str:
    return dns if dns == pinned else f"{pinned} (through DNS: {dns})"


def _cause(dns: Door, pinned: Door, text: str) -> str:
    """Which part of the way through DNS is broken, given that the origin is not."""
    name = dns.endpoint.name
    if dns.stage == "name":
        return text
    if dns.stage == "TLS":
        text = f"TLS differs from the origin's: {text}"
    if set(dns.addresses) & set(pinned.addresses):
        return f"{name} resolves to the same address, so it comes and goes: {text}"
    return f"{name} resolves to {', '.join(dns.addresses)} instead: {text}"

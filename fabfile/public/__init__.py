"""Checks the public side from outside, as users reach it: what must hold before a hand-over is confirmed, and more."""

from fabfile.public.check import Answer, Check, mark
from fabfile.public.suite import checks, not_good, until_good

__all__ = ["Answer", "Check", "checks", "mark", "not_good", "until_good"]

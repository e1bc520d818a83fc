"""The public side, asked from outside as users do: what has to hold before a hand-over is confirmed, and more."""

from fabfile.public.check import Answer, Check, mark
from fabfile.public.suite import checks, until_good

__all__ = ["Answer", "Check", "checks", "mark", "until_good"]

"""Hands the Islandflow app from Docker Compose to native systemd and back. `inv` and `fab` read the collection here."""

import sys

# Invoke and Fabric keep Python from caching what it compiles, which suits one tasks.py: this whole package would be
# compiled anew by each command. Whoever forbids it to Python itself still does.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from fabfile import bug  # noqa: E402  caching must be on before the package is imported
from fabfile.tasks import namespace  # noqa: E402  for the same reason

sys.excepthook = bug.uncaught

__all__ = ["namespace"]

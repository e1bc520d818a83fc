"""Hands the Islandflow app from Docker Compose to native systemd and back. `inv` and `fab` read the collection here."""

from fabfile.tasks import namespace

__all__ = ["namespace"]

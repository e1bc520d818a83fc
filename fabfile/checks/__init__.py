"""Checks: inventory and facts → findings and rows. Nothing here touches a host."""

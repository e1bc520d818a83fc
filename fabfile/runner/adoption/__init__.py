"""Reads a VPS that has no inventory yet: the facts that an inventory is written from."""

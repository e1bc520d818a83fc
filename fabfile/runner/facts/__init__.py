"""Reads what is so on the VPS, each fact in one place."""

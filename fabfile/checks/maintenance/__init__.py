"""Maintenance, in which the edge answers 503 by itself."""

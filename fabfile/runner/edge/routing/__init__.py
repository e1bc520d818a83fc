"""Which location of nginx serves a path, and where it leads."""

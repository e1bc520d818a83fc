"""Templates and values → the bytes of files."""

"""What the app depends on in its servers."""

"""Maintenance: nginx itself answers 503 for the app's hostnames."""

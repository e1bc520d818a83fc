"""Nginx Proxy Manager: its rows, files, container, API and access logs."""

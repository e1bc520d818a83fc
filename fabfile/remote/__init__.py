"""The VPS over SSH: connect, ship the runner, read its answers."""

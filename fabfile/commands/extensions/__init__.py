"""The operator's own parts around a plan: hooks on this machine, and a webhook."""

"""Thin Invoke tasks: each names its plan and its checks, and lets `operation` do the rest."""

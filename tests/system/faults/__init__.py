"""Faults, injected into a plan that runs on the lab, and what is left of the app afterwards."""

"""Samples the running app for hours and changes nothing."""

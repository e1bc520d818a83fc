"""Executes plans on the VPS. Standard library only, Python 3.9 or newer: shipped as one zipapp."""

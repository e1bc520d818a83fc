"""A VPS in a box: a Debian system booted by systemd-nspawn, with the app, the edge and Docker, to try everything on."""

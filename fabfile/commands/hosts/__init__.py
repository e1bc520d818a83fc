"""Several hosts: which they are, and a process for each."""

"""DNS at Cloudflare: what the records are, whether they go through its proxy, and what the API token is worth.

None of this is a plan for the runner. DNS is one for all, not one for each VPS, so no VPS holds its lock or its
journal; the API token would have to travel to the VPS; and whether a change did any harm shows only from outside. So a
change is made, watched and put back from here, while the command runs.
"""

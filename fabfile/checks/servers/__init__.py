"""The servers themselves: their versions, and what the app depends on in them."""

"""The programs on the VPS and in images: their versions, and what a user lacks."""

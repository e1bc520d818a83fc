"""What is on a VPS that nobody has described yet: the facts that an inventory is written from."""

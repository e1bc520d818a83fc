"""What a variable's value says: a URL's parts, and names that only a container resolves. Values stay on the VPS."""

"""What writes the pages that are made from code."""

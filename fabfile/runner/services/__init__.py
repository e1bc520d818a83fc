"""The owner's services as they run: their log lines, and commands in their environment."""

"""What a task does with services that run: their logs, and commands in their environment."""

"""What processes and data take up: memory, and space on disks."""

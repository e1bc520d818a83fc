"""What travels between the two machines, as data, and how it is written."""

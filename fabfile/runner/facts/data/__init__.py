"""What each server holds, asked in its own protocol."""

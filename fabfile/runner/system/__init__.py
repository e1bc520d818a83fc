"""The VPS's own programs and files, one module each."""

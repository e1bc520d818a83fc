"""Everything that changes the VPS: each kind of change once, with its way back."""

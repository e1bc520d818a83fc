"""Questions on a terminal, in place of the options that say the same."""

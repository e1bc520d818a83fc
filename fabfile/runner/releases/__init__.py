"""The app's releases on the VPS: the register that says what is known of each, and how they are read."""

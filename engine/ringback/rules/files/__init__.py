"""Rule files: reading them, checking them, and compiling them into rules."""

"""People: one file a command; errors become words and exit codes."""

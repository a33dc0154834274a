"""One run: its configuration, its key, its execution and its record."""

"""The training engine: every network that this benchmark trains goes through it."""

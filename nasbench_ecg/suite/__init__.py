"""Suites: many runs planned in one TOML file, and executed in child processes."""

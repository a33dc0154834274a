"""The shipped suites and the published figures, as TOML files."""

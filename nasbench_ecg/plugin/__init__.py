"""Plugins: what they declare, how they are found and loaded, and how their components are used."""

"""Generators of Markdown, one module for each kind of page."""

"""Makers of Markdown, one for each kind of generated page."""

"""Trained networks of finished runs: load them as PyTorch modules, export them to files."""

"""Leaderboards: made from run records, compared, and shown as tables."""

"""Comparison of annotations beat by beat, as ANSI/AAMI EC57 prescribes."""

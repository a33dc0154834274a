"""Statistics of scores: over seeds, over patients and over datasets.

The intervals and tests that need numbers only are in :mod:`nasbench_ecg.statistics`.
"""

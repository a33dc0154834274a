"""Where ``correlate`` stores the evaluations of a sample and its result."""

from __future__ import annotations

FOLDER = "correlation"
"""Folder of all samples, in a folder of results."""

RESULT = "correlation.json"
"""File of the result, in the folder of the sample."""

INPUTS = "inputs.json"
"""File of the fingerprints of the beats and of the split, beside it."""

FORMAT = 1
"""Format of the result."""

"""Read WFDB records, cut labeled beats, cache them, and split them by a protocol."""

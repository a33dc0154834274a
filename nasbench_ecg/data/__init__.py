"""From WFDB records to labelled beats, and from beats to the parts of a protocol."""

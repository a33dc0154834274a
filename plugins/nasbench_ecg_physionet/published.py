"""Comparing the class counts of a loaded database with those that are published."""

from __future__ import annotations

from collections.abc import Mapping

from nasbench_ecg.api import CutBeats


def compared(prepared: CutBeats, published: Mapping[str, int] | None) -> str:
    """Return a line that tells how the beats of each class compare with the published numbers.

    Beats dropped because their window leaves the record count as labelled: whether they can be
    cut depends on the window, not on the records.

    Args:
        prepared: The beats of the database.
        published: Beats of each class, or None where nothing is published for these options.
    """
    n_beats = len(prepared.beats)
    counts = ", ".join(f"{name} {n:,}" for name, n in prepared.beats.counts().items())
    if published is None:
        return f"{n_beats:,} beats: {counts}."
    labelled = prepared.labelled()
    differing = [name for name in published if labelled.get(name, 0) != published[name]]
    if differing:
        differences = ", ".join(
            f"{name} {labelled.get(name, 0):,} instead of {published[name]:,}" for name in differing
        )
        return f"{n_beats:,} beats: class counts differ from the published ones: {differences}."
    n_dropped = sum(prepared.dropped.values())
    with_dropped = f" together with the {n_dropped:,} dropped" if n_dropped else ""
    return f"{n_beats:,} beats ({counts}): class counts{with_dropped} equal the published ones."

"""Comparison of the class counts of loaded beats with the published ones."""

from __future__ import annotations

from collections.abc import Mapping

from nasbench_ecg.api import Beats


def count_note(
    beats: Beats, published: Mapping[str, int] | None, dropped: Mapping[str, int] | None = None
) -> str:
    """Return a note with the class counts, and whether they equal the published ones.

    Dropped beats are included in the comparison, because they depend on the window and not on the
    records.

    Args:
        beats: The beats.
        published: Published number of beats of each class; None if none are published for the
            options of the dataset.
        dropped: Number of beats of each class whose window exceeds the record; None: no beat.
    """
    counts, dropped = beats.counts(), dropped or {}
    listed = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    if published is None:
        return f"{len(beats):,} beats: {listed}."
    labeled = {name: counts.get(name, 0) + dropped.get(name, 0) for name in published}
    differing = [name for name, n in published.items() if labeled[name] != n]
    if differing:
        differences = ", ".join(
            f"{name} {labeled[name]:,} instead of {published[name]:,}" for name in differing
        )
        return f"{len(beats):,} beats: class counts differ from the published ones: {differences}."
    n_dropped = sum(dropped.values())
    with_dropped = f" including the {n_dropped:,} dropped" if n_dropped else ""
    return f"{len(beats):,} beats ({listed}): class counts{with_dropped} equal the published ones."

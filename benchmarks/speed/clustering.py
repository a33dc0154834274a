"""The targets of clustering by immune evolution, from the figures that ``iemmc.py`` measures."""

from __future__ import annotations

import iemmc
from measure import Target

_ALL_BEATS = 94_013


def generation() -> list[Target]:
    """Time a generation of 100 antibodies on the beats of the paper, after one decomposition."""
    x = iemmc.measured("iemmc-beats")
    beats = iemmc.generated(iemmc.PAPER_BEATS) if x is None else x
    published = {"flips": 0, "newcomers": "labels"}
    rows = []
    for what, changes in (("as published", published), ("with what is ours", {})):
        figures = iemmc.generation(beats, **changes)
        rows.append(
            Target(
                what=f"IEMMC, {iemmc.PAPER_BEATS:,} beats: a generation of 100 antibodies, {what}",
                target="≤ 20 ms",
                seconds={"generation": figures["ms_for_100_antibodies"] / 1e3},
                held=figures["ms_for_100_antibodies"] <= 20,
                note=f"{figures['times_faster_than_direct_formula']:.0f}× faster than the direct "
                f"formula, {_beats(x)}",
                figures=figures,
            )
        )
    return rows


def all_beats() -> Target:
    """Time clustering all beats of the 40 MIT-BIH records into five clusters."""
    x = iemmc.measured("mitbih-features")
    figures = iemmc.everything(iemmc.generated(_ALL_BEATS) if x is None else x)
    return Target(
        what=f"IEMMC, {_ALL_BEATS:,} beats into {iemmc.CLUSTERS} clusters",
        target="≤ 60 s on two cores",
        seconds={"all": figures["seconds"]},
        held=figures["seconds"] <= 60,
        note=_beats(x),
        figures=figures,
    )


def _beats(x: object | None) -> str:
    return "generated beats" if x is None else "features of real beats"

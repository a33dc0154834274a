"""The table of speed targets in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasbench_ecg.text import duration

_HEADER = "| what | target | measured | ratio | same | held |\n|---|---|---|---|---|---|\n"
_HELD = {True: "yes", False: "no", None: ""}


def markdown(targets: Sequence[dict[str, Any]], *, header: bool = True) -> str:
    """Return one row for each entry of a report's ``targets``."""
    rows = [
        "| {what} | {target} | {measured} | {ratio} | {same} | {held} |".format(
            what=target["what"],
            target=target["target"],
            measured="<br>".join(
                [*(f"{name}: {duration(s, exact=True)}" for name, s in target["seconds"].items())]
                + ([target["note"]] if target["note"] else [])
            ),
            ratio="" if target["ratio"] is None else f"{target['ratio']:.2f}",
            same=target["same"] or "",
            held=_HELD[target["held"]],
        )
        for target in targets
    ]
    return (_HEADER if header else "") + "\n".join(rows)

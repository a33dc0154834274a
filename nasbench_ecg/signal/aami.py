"""The five heartbeat classes of ANSI/AAMI EC57 and their PhysioNet annotation symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

CLASSES = ("N", "S", "V", "F", "Q")
"""Normal or bundle branch block, supraventricular ectopic, ventricular ectopic, fusion, unknown."""

SYMBOLS = {
    "N": "N", "L": "N", "R": "N", "e": "N", "j": "N",
    "A": "S", "J": "S", "S": "S", "a": "S",
    "V": "V", "E": "V",
    "F": "F",
    "/": "Q", "f": "Q", "Q": "Q",
}  # fmt: skip
"""AAMI class of each PhysioNet annotation symbol, as in Table I of the Heart-DARTS paper.

All other symbols (``!`` and the non-beat annotations) are not beats. The paper's counts of INCART
leave out ``n`` and ``B``.
"""


AAMI_SYMBOLS = {**SYMBOLS, "B": "N", "n": "N", "r": "V", "?": "Q"}
"""AAMI class of every PhysioNet beat symbol.

Adds to :data:`SYMBOLS` the bundle branch block beat of either side (``B``), the supraventricular
escape beat (``n``), the R-on-T premature ventricular contraction (``r``) and the beat that was not
classified during learning (``?``). These classes are those of the WFDB library (``mamap`` in
``ecgmap.h``), which EC57 refers to. ``!`` is a flutter wave and not a beat.
"""

SymbolMap = Literal["papers", "aami"]
"""``papers``: :data:`SYMBOLS`; ``aami``: :data:`AAMI_SYMBOLS`."""


def symbol_map(name: SymbolMap | None) -> Mapping[str, str]:
    """Return the AAMI class of each beat symbol; None is ``papers``."""
    return AAMI_SYMBOLS if name == "aami" else SYMBOLS


def describe_symbols(counts: Mapping[str, int], classes: Mapping[str, str]) -> str:
    """Return one clause with the number of annotations of each symbol.

    Args:
        counts: Number of annotations with each symbol.
        classes: AAMI class of each symbol that is kept.
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [f"{symbol} {n:,} as {classes[symbol]}" for symbol, n in ordered if symbol in classes]
    others = [f"{symbol} {n:,}" for symbol, n in ordered if symbol not in classes]
    return f"{', '.join(kept) or 'no beats'}; without a class: {', '.join(others) or 'none'}"


def labels_of(
    symbols: NDArray[np.str_],
    classes: Sequence[str] = CLASSES,
    table: Mapping[str, str] = SYMBOLS,
) -> NDArray[np.int64]:
    """Return the index into ``classes`` of each symbol, int64 [n]; -1 for all other symbols.

    Args:
        symbols: Annotation symbols, [n].
        classes: The AAMI classes to use, a subset of :data:`CLASSES`.
        table: AAMI class of each symbol.
    """
    position = {name: index for index, name in enumerate(classes)}
    unique, inverse = np.unique(symbols, return_inverse=True)
    labels = [position.get(table.get(str(symbol), ""), -1) for symbol in unique]
    return np.asarray(labels, dtype=np.int64)[inverse]

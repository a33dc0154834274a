"""The five heartbeat classes of ANSI/AAMI EC57 and their PhysioNet annotation symbols."""

from __future__ import annotations

from collections.abc import Sequence

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

All other symbols (``!`` and the non-beat annotations) are not beats.
"""


def labels_of(symbols: NDArray[np.str_], classes: Sequence[str] = CLASSES) -> NDArray[np.int64]:
    """Return the index into ``classes`` of each symbol, int64 [n]; -1 for all other symbols.

    Args:
        symbols: Annotation symbols, [n].
        classes: The AAMI classes to use, a subset of :data:`CLASSES`.
    """
    position = {name: index for index, name in enumerate(classes)}
    unique, inverse = np.unique(symbols, return_inverse=True)
    table = [position.get(SYMBOLS.get(str(symbol), ""), -1) for symbol in unique]
    return np.asarray(table, dtype=np.int64)[inverse]

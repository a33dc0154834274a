"""Where a clustering has come to, so that it can be stopped and goes on to the same end."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import numpy as np

from nasbench_ecg.api import Checkpoint
from nasbench_ecg_immune.bisection import Split
from nasbench_ecg_immune.evolution import ImmuneEvolution

Figures = dict[str, float]


class Journal:
    """Splits that are done, and the state of the evolution that runs.

    Everything random before an evolution, such as which points it is given, is drawn again from
    the state that the generator had when the split began; the evolution itself is restored.

    Args:
        checkpoint: Where this is kept.
        rng: Generator of all that is random.
        deadline: Reading of the monotonic clock at which the search should end; seconds that were
            spent before a stop count.

    Attributes:
        done: Finished splits in order, each with the figures of its evolution.
        deadline: When the search should end.
    """

    def __init__(self, checkpoint: Checkpoint, rng: np.random.Generator, deadline: float) -> None:
        self.deadline = deadline
        self.done: list[tuple[Split, Figures]] = []
        self._checkpoint, self._rng = checkpoint, rng
        self._begun: Any = None
        self._stopped: Mapping[str, Any] | None = None
        if (saved := checkpoint.load()) is not None:
            self.done = [_read(data) for data in saved["done"]]
            self._begun, self._stopped = saved["begun"], saved["evolution"]
            if saved["seconds_left"] is not None:
                self.deadline = monotonic() + saved["seconds_left"]

    def begin(self) -> None:
        """Begin a split: note the generator's state, or go back to the state noted at the time."""
        if self._stopped is None:
            self._begun = self._rng.bit_generator.state
        else:
            self._rng.bit_generator.state = self._begun

    def evolve(
        self,
        evolution: ImmuneEvolution[Any],
        given: Sequence[Any],
        after: Callable[[Mapping[str, float]], None],
    ) -> None:
        """Run an evolution from the genotypes ``given``, or on from where it was stopped."""
        if self._stopped is None:
            evolution.start(given)
        else:
            evolution.restore(self._stopped)
            self._stopped = None

        def keep(figures: Mapping[str, float]) -> None:
            after(figures)
            if self._checkpoint.due():
                self._checkpoint.save(self._state(evolution))

        evolution.run(deadline=self.deadline, after=keep)

    def end(self, split: Split, figures: Figures) -> None:
        """Note a finished split."""
        self.done.append((split, figures))

    def _state(self, evolution: ImmuneEvolution[Any]) -> dict[str, Any]:
        left = self.deadline - monotonic()
        return {
            "done": [_written(split, figures) for split, figures in self.done],
            "begun": self._begun,
            "evolution": evolution.state(),
            "seconds_left": left if math.isfinite(left) else None,
        }


def _written(split: Split, figures: Figures) -> dict[str, Any]:
    bits = base64.b64encode(np.packbits(split.labels > 0).tobytes()).decode("ascii")
    return {
        "points": len(split.labels),
        "labels": bits,
        "objective": split.objective,
        "figures": figures,
    }


def _read(data: Mapping[str, Any]) -> tuple[Split, Figures]:
    packed = np.frombuffer(base64.b64decode(data["labels"]), np.uint8)
    bits = np.unpackbits(packed, count=data["points"]).astype(np.int8)
    return Split((2 * bits - 1).astype(np.int8), data["objective"]), dict(data["figures"])

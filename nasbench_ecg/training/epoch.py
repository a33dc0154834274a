"""The order in which an epoch goes through the beats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


class Epoch:
    """The order of the beats in each epoch, and how far it is gone through.

    Args:
        n_beats: Number of beats.
        seed: Seed of all orders.
    """

    def __init__(self, n_beats: int, seed: int) -> None:
        self.n_beats = n_beats
        self.number = 0
        self.step = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._order = self._draw()

    def remaining(self, batch_size: int, device: str) -> Iterator[Tensor]:
        """Yield the batches of beats still to come, counting each as done when it is yielded.

        A last batch of one beat, which has no variance to normalise by, is left out.
        """
        batches = torch.split(self._order.to(device), batch_size)
        for batch in batches[self.step : n_batches(self.n_beats, batch_size)]:
            self.step += 1
            yield batch

    def next(self) -> None:
        """Go on to the next epoch."""
        self.number += 1
        self.step = 0
        self._order = self._draw()

    def state(self) -> dict[str, object]:
        """Return where it stands."""
        return {
            "number": self.number,
            "step": self.step,
            "order": self._order,
            "generator": self._generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state` was called."""
        self.number, self.step = state["number"], state["step"]
        self._order = state["order"]
        self._generator.set_state(state["generator"])

    def _draw(self) -> Tensor:
        return torch.randperm(self.n_beats, generator=self._generator)


def n_batches(n_beats: int, batch_size: int) -> int:
    """Return the number of batches in an epoch; a last batch of one beat does not count."""
    full, rest = divmod(n_beats, batch_size)
    return full + (rest > 1 or n_beats == 1 < batch_size)

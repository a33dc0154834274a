"""Steps of a search, which a GPU replays from CUDA graphs."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

from nasbench_ecg.api import GraphedStep, rate_from
from nasbench_ecg_darts.bilevel import Batch
from nasbench_ecg_darts.state import SearchState


class Stepper:
    """Takes the steps of a search: replayed on a GPU where each is like the last, else as they are.

    Not replayed are steps of the second order, whose unrolling reads numbers from the host, and
    those of relatives that are not :attr:`~nasbench_ecg_darts.variant.Variant.steady`.
    """

    def __init__(self, state: SearchState) -> None:
        self.state = state
        self._rate = torch.zeros((), device=state.train.labels.device)
        self._graphed: dict[bool, GraphedStep[None]] = {}

    def __call__(self, pair: tuple[Batch, Batch], *, with_alpha: bool) -> None:
        """Take one step; see :meth:`SearchState.step`."""
        train, validation = pair
        inputs = train.x, train.y, validation.x, validation.y
        if with_alpha not in self._graphed:
            self._graphed[with_alpha] = self._graph(inputs, with_alpha)
        if self._graphed[with_alpha].replays:
            self._rate.fill_(self.state.schedule.get_last_lr()[0])
        self._graphed[with_alpha](*inputs)

    def _graph(self, inputs: tuple[Tensor, ...], with_alpha: bool) -> GraphedStep[None]:
        state = self.state

        def step(x: Tensor, y: Tensor, x_validation: Tensor, y_validation: Tensor) -> None:
            pair = Batch(x, y), Batch(x_validation, y_validation)
            with rate_from(state.optimizer, self._rate) if graphed.replays else nullcontext():
                state.step(pair, with_alpha=with_alpha)

        alike = state.variant.steady and state.options.order == "first"
        graphed = GraphedStep(step, *(value.clone() for value in inputs), enabled=alike)
        return graphed

"""DARTS and its relatives as search strategies: alternating steps of α and of the weights.

References:
    Lv et al. 2021, "Heart-Darts: Classification of Heartbeats Using Differentiable Architecture
    Search", Algorithm 1, steps 1–6.

    Liu, Simonyan, Yang 2019, "DARTS: Differentiable Architecture Search", ICLR.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from time import monotonic

import torch
from torch import Tensor

from nasbench_ecg.api import Builder, OptionError, SearchContext, SearchResult, SearchSpace, Task
from nasbench_ecg.training import GraphedStep, arithmetic, rate_from, seconds_per_step
from nasbench_ecg_cells.network import check_length
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.architect import Batch
from nasbench_ecg_darts.hessian import alpha_eigenvalue
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.relaxation import skip_share
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.variants.base import DARTS, Variant


class Darts:
    """Searches cells by gradient descent on a relaxed network.

    Choose it as the reference of its family: one search costs about as much as training a few
    networks. Its known weakness, a collapse to skip connections, is watched: the trajectory holds
    the share of skips and the dominant eigenvalue of the Hessian of α.

    Args:
        options: Options of the strategy.
        variant: Which member of the family; by default DARTS itself.
    """

    def __init__(self, options: DartsOptions, variant: Variant = DARTS) -> None:
        self.options = options
        self.variant = variant

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the cells that α stands for after the last epoch, or when the budget ends."""
        variant = self.variant
        allowed = ctx.budget.seconds
        state = self._start(task, space, ctx)
        if (saved := ctx.checkpoint.load()) is not None:
            state.restore(saved)
        deadline = math.inf if allowed is None else monotonic() + allowed - ctx.seconds
        steps = state.steps()
        take = Stepper(state)
        with (
            arithmetic(ctx.device, self.options.precision),
            ctx.progress.track("Searching", sum(steps)) as bar,
        ):
            bar.advance(sum(steps[: state.epoch]) + state.position)
            while state.epoch < len(steps) and monotonic() < deadline:
                for pair in state.remaining():
                    take(pair, with_alpha=state.epoch >= self.options.warmup_epochs)
                    bar.advance()
                    if ctx.checkpoint.due():
                        ctx.checkpoint.save(state.snapshot())
                    if monotonic() >= deadline:
                        break
                figures = state.end_epoch()
                if self.options.hessian_eigenvalue and state.epoch <= self.options.epochs:
                    figures["hessian_eigenvalue"] = alpha_eigenvalue(state)
                f1 = figures["f1_of_macro"]
                ctx.log(f1, epoch=state.epoch, **figures)
                bar.advance(0, epoch=f"{state.epoch}/{len(steps)}", F1=f1)
                if variant.after_epoch is None or monotonic() >= deadline:
                    continue
                if variant.after_epoch(state, figures):
                    break
        genotype = state.genotype()
        return SearchResult(
            genotype.to_architecture(),
            {
                "operations": list(state.space.operations),
                "mixing_weights": {
                    name: [[round(v, 6) for v in row] for row in weights.tolist()]
                    for name, weights in variant.strengths(state.alpha).items()
                },
                "skip_share": skip_share(genotype),
                "search_parameters": sum(p.numel() for p in state.net.parameters()),
                **variant.report(state),
            },
        )

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float:
        """Return the seconds that the search will take here, from a few timed steps."""
        state = self._start(task, space, ctx)
        train, validation = next(state.remaining())

        def step(n: int) -> None:
            pair = Batch(train.x[:n], train.y[:n]), Batch(validation.x[:n], validation.y[:n])
            state.step(pair, with_alpha=True)

        seconds = seconds_per_step(step, state.batch_size, ctx.device)
        return seconds * (sum(state.steps()) + self.variant.extra_steps(state))

    def _start(self, task: Task, space: SearchSpace, ctx: SearchContext) -> SearchState:
        if not isinstance(space, ConvCells):
            raise OptionError(
                f"{self.variant.name} cannot relax the search space {space.name!r}.",
                fix="It searches conv-cells: leave --space out.",
            )
        check_length(task.n_samples)
        return SearchState.start(self.options, task, space, ctx, self.variant)


class Stepper:
    """Takes the steps of a search: replayed on a GPU where each is like the last, else as they are.

    Not replayed are steps of the second order, whose unrolling reads numbers from the host, and
    those of relatives that are not :attr:`~nasbench_ecg_darts.variants.base.Variant.steady`.
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


def draw(
    labels: Tensor, n: int, majority_share: float | None, generator: torch.Generator
) -> Tensor:
    """Return ``n`` indices in random order; fewer than ``n`` beats are gone through repeatedly.

    With ``majority_share``, at most that share of them is of the most frequent class, as far as the
    other classes have beats enough.
    """
    order = torch.randperm(len(labels), generator=generator)
    if majority_share is not None:
        majority = labels[order] == labels.bincount().argmax()
        frequent, rare = order[majority], order[~majority]
        n_frequent = min(max(round(majority_share * n), n - len(rare)), len(frequent))
        order = torch.cat([frequent[:n_frequent], rare[: n - n_frequent]])
        order = order[torch.randperm(len(order), generator=generator)]
    return order.repeat(-(-n // len(order)))[:n]

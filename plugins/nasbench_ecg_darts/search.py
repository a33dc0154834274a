"""DARTS and its variants as search strategies.

:meth:`Darts.search` is Algorithm 1 of the DARTS paper: alternate a step of α on validation beats
with a step of the weights on training beats, then derive the cells from α.

References:
    Liu, Simonyan, Yang 2019, "DARTS: Differentiable Architecture Search", ICLR; Algorithm 1.

    Lv et al. 2021, "Heart-Darts: Classification of Heartbeats Using Differentiable Architecture
    Search"; its search, steps 1-6, is the same on ECG beats.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from time import monotonic

import torch
from torch import Tensor, nn

from nasbench_ecg.api import Builder, OptionError, SearchContext, SearchResult, SearchSpace, Task
from nasbench_ecg.training import (
    GraphedStep,
    arithmetic,
    count_parameters,
    rate_from,
    seconds_per_step,
)
from nasbench_ecg_cells.network import check_length
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.architect import (
    Batch,
    Mix,
    first_order,
    pure_loss,
    relaxed_loss,
    second_order,
    velocities,
)
from nasbench_ecg_darts.hessian import alpha_eigenvalue
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.relaxation import Alpha, entropy, mixing_weights, skip_share
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.variant import DARTS, Variant


class Darts:
    """Searches cells by gradient descent on a relaxed network.

    Choose it as the reference of its family: one search costs about as much as training a few
    networks. Its known weakness is a collapse to skip connections, so the trajectory holds the
    share of skips and the dominant eigenvalue of the Hessian of the validation loss in α.

    Args:
        options: Options of the strategy.
        variant: Member of the family; by default DARTS itself.
    """

    def __init__(self, options: DartsOptions, variant: Variant = DARTS) -> None:
        self.options = options
        self.variant = variant

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the cells derived from α after the last epoch, or when the budget ends.

        Raises:
            OptionError: ``space`` is not ``conv-cells``, or the beats are too short.
        """
        variant, options = self.variant, self.options
        state = self._start(task, space, ctx)
        if (saved := ctx.checkpoint.load()) is not None:
            state.restore(saved)
        allowed = ctx.budget.seconds
        deadline = math.inf if allowed is None else monotonic() + allowed - ctx.seconds
        steps = steps_of_epochs(state, variant)
        take_step = GraphedSearchStep(state, variant)
        with (
            arithmetic(ctx.device, options.precision),
            ctx.progress.track("Searching", sum(steps)) as bar,
        ):
            bar.advance(sum(steps[: state.epoch]) + state.position)
            while state.epoch < len(steps) and monotonic() < deadline:
                for train, validation in state.batches(steps[state.epoch]):
                    with_alpha = state.epoch >= options.warmup_epochs
                    take_step(train, validation, with_alpha=with_alpha)
                    bar.advance()
                    if ctx.checkpoint.due():
                        ctx.checkpoint.save(state.snapshot())
                    if monotonic() >= deadline:
                        break
                figures = end_epoch(state, variant)
                f1 = figures["f1_of_macro"]
                ctx.log(f1, epoch=state.epoch, **figures)
                bar.advance(0, epoch=f"{state.epoch}/{len(steps)}", F1=f1)
                if variant.after_epoch is None or monotonic() >= deadline:
                    continue
                if variant.after_epoch(state, figures):
                    break
        genotype = variant.derive(state)
        return SearchResult(
            genotype.to_architecture(),
            {
                "operations": list(state.space.operations),
                "mixing_weights": {
                    name: [[round(v, 6) for v in row] for row in weights.tolist()]
                    for name, weights in variant.strengths(state.alpha).items()
                },
                "skip_share": skip_share(genotype),
                "search_parameters": count_parameters(state.net),
                **variant.details(state),
            },
        )

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float:
        """Return the seconds that the search will take on this machine, from a few timed steps."""
        state = self._start(task, space, ctx)
        steps = steps_of_epochs(state, self.variant)
        train, validation = next(state.batches(steps[0]))

        def step(n: int) -> None:
            search_step(
                state,
                self.variant,
                Batch(train.x[:n], train.y[:n]),
                Batch(validation.x[:n], validation.y[:n]),
                with_alpha=True,
            )

        seconds = seconds_per_step(step, state.batch_size, ctx.device)
        total = seconds * (sum(steps) + self.variant.extra_steps(state))
        return total if ctx.budget.seconds is None else min(total, ctx.budget.seconds)

    def _start(self, task: Task, space: SearchSpace, ctx: SearchContext) -> SearchState:
        if not isinstance(space, ConvCells):
            raise OptionError(
                f"{self.variant.name} cannot relax the search space {space.name!r}.",
                fix="It searches conv-cells: leave --space out.",
            )
        check_length(task.n_samples)
        return self.variant.start(self.options, task, space, ctx)


def steps_of_epochs(state: SearchState, variant: Variant) -> list[int]:
    """Return the number of steps of each epoch, and of each tuning round after the last epoch."""
    rounds = variant.tuning_rounds(state.space)
    steps_per_round = max(1, round(variant.epochs_per_round * state.steps_per_epoch))
    return [state.steps_per_epoch] * state.options.epochs + [steps_per_round] * rounds


def search_step(
    state: SearchState, variant: Variant, train: Batch, validation: Batch, *, with_alpha: bool
) -> None:
    """Take one iteration of Algorithm 1: update α, then the weights.

    Args:
        state: The search.
        variant: Member of the family.
        train: Batch for the weights.
        validation: Batch for α; it is scored without an update of α too.
        with_alpha: Whether α is updated.
    """
    mix = variant.mixing(state)
    options = state.options
    with torch.set_grad_enabled(with_alpha and options.order == "first"):
        validation_loss, logits = relaxed_loss(
            state.net, state.alpha, validation, options.precision, mix
        )
    if with_alpha:
        update_alpha(state, variant, train, validation, validation_loss)
    train_loss = update_weights(state, train, mix)
    state.count(validation.y, logits, train_loss=train_loss, validation_loss=validation_loss)


def update_alpha(
    state: SearchState, variant: Variant, train: Batch, validation: Batch, validation_loss: Tensor
) -> None:
    """Update α by descending ∇α L_val(w − ξ ∇w L_train(w, α), α), Algorithm 1, line 1.

    With ``order="first"`` ξ is 0: the gradient is that of ``validation_loss`` at w.
    """
    options = state.options
    if options.order == "first":
        gradients = first_order(validation_loss, state.alpha)
    else:
        gradients = second_order(
            pure_loss(state.net, options.precision, variant.mixing(state)),
            dict(state.net.named_parameters()),
            state.alpha,
            train=train,
            validation=validation,
            lr=float(state.schedule.get_last_lr()[0]),
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            velocity=velocities(state.net, state.optimizer),
        )
    if variant.penalty is not None:
        penalty = variant.penalty(state.alpha, state.progress)
        of_penalty = torch.autograd.grad(penalty, tuple(state.alpha.values()))
        gradients = tuple(g + p for g, p in zip(gradients, of_penalty, strict=True))
    for value, gradient in zip(state.alpha.values(), gradients, strict=True):
        value.grad = gradient
    state.alpha_optimizer.step()


def update_weights(state: SearchState, train: Batch, mix: Mix) -> Tensor:
    """Update w by descending ∇w L_train(w, α), Algorithm 1, line 2; return the loss."""
    state.optimizer.zero_grad(set_to_none=True)
    fixed: Alpha = {name: value.detach() for name, value in state.alpha.items()}
    loss, _ = relaxed_loss(state.net, fixed, train, state.options.precision, mix)
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in state.net.parameters():
        if parameter.grad is None:  # not part of this step; momentum and weight decay still apply
            parameter.grad = torch.zeros_like(parameter)
    nn.utils.clip_grad_norm_(state.net.parameters(), state.options.grad_clip)
    state.optimizer.step()
    return loss


def end_epoch(state: SearchState, variant: Variant) -> dict[str, float]:
    """Advance to the next epoch; return the figures that the trajectory holds of this one.

    They are the scores of :meth:`SearchState.end_epoch` and indicators of collapse: entropy of
    softmax(α), largest mixing weight, share of skips, and dominant eigenvalue.
    """
    figures = state.end_epoch()
    columns = len(state.space.operations)
    operations: Alpha = {name: value[:, :columns] for name, value in state.alpha.items()}
    figures |= {
        "alpha_entropy": entropy(mixing_weights(operations)),
        "largest_weight": max(
            float(w.detach().max()) for w in variant.strengths(state.alpha).values()
        ),
        "skip_share": skip_share(variant.derive(state)),
    }
    if state.options.hessian_eigenvalue and state.epoch <= state.options.epochs:
        mix = variant.deterministic_mixing(state)
        figures["hessian_eigenvalue"] = alpha_eigenvalue(state, mix)
    return figures


class GraphedSearchStep:
    """Takes the steps of a search, replayed from a CUDA graph where possible.

    Steps of the second order are not captured, as their unrolled step reads numbers from the host;
    neither are those of variants that are not
    :attr:`~nasbench_ecg_darts.variant.Variant.capturable`.
    """

    def __init__(self, state: SearchState, variant: Variant) -> None:
        self.state, self.variant = state, variant
        self._rate = torch.zeros((), device=state.train.labels.device)
        self._graphed: dict[bool, GraphedStep[None]] = {}

    def __call__(self, train: Batch, validation: Batch, *, with_alpha: bool) -> None:
        """Take one step, see :func:`search_step`."""
        inputs = train.x, train.y, validation.x, validation.y
        if with_alpha not in self._graphed:
            self._graphed[with_alpha] = self._graph(inputs, with_alpha)
        if self._graphed[with_alpha].replays:
            self._rate.fill_(self.state.schedule.get_last_lr()[0])
        self._graphed[with_alpha](*inputs)

    def _graph(self, inputs: tuple[Tensor, ...], with_alpha: bool) -> GraphedStep[None]:
        state, variant = self.state, self.variant

        def step(x: Tensor, y: Tensor, x_validation: Tensor, y_validation: Tensor) -> None:
            train, validation = Batch(x, y), Batch(x_validation, y_validation)
            with rate_from(state.optimizer, self._rate) if graphed.replays else nullcontext():
                search_step(state, variant, train, validation, with_alpha=with_alpha)

        capturable = variant.capturable and state.options.order == "first"
        graphed = GraphedStep(step, *(value.clone() for value in inputs), enabled=capturable)
        return graphed

"""DARTS as a search strategy: alternating steps of α and of the weights.

References:
    Lv et al. 2021, "Heart-Darts: Classification of Heartbeats Using Differentiable Architecture
    Search", Algorithm 1, steps 1–6.

    Liu, Simonyan, Yang 2019, "DARTS: Differentiable Architecture Search", ICLR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import torch
from torch import Tensor, nn

from nasbench_ecg.api import (
    Builder,
    DeviceBeats,
    OptionError,
    Recipe,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
    cosine,
    scores,
    seconds_per_step,
    to_device,
    weight_optimizer,
)
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.network import check_length
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.bilevel import (
    Batch,
    first_order,
    pure_loss,
    relaxed_loss,
    second_order,
    velocities,
)
from nasbench_ecg_darts.merged import MergedEdges
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.relaxation import (
    Alpha,
    discretise,
    entropy,
    initial_alpha,
    mixing_weights,
    skip_share,
)
from nasbench_ecg_darts.supernet import SuperNet


class Darts:
    """Searches cells by gradient descent on a relaxed network.

    Choose it as the reference of its family: one search costs about as much as training a few
    networks. Its known weakness, a collapse to skip connections, is watched: the trajectory holds
    the share of skips.
    """

    def __init__(self, options: DartsOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the cells that α stands for after the last epoch, or when the budget ends."""
        options = self.options
        allowed = ctx.budget.seconds
        deadline = math.inf if allowed is None else monotonic() + allowed
        state = self._start(task, space, ctx)
        steps = state.steps_per_epoch
        with ctx.progress.track("Searching", options.epochs * steps) as bar:
            for epoch in range(options.epochs):
                figures = state.run_epoch(
                    with_alpha=epoch >= options.warmup_epochs,
                    deadline=deadline,
                    after_step=bar.advance,
                )
                f1 = figures["f1_of_macro"]
                ctx.log(f1, epoch=epoch + 1, **figures)
                bar.advance(0, epoch=f"{epoch + 1}/{options.epochs}", F1=f1)
                if monotonic() >= deadline:
                    break
        genotype = state.genotype()
        return SearchResult(
            genotype.to_architecture(),
            {
                "operations": list(state.space.operations),
                "mixing_weights": {
                    name: [[round(v, 6) for v in row] for row in weights.tolist()]
                    for name, weights in mixing_weights(state.alpha).items()
                },
                "skip_share": skip_share(genotype),
                "search_parameters": sum(p.numel() for p in state.net.parameters()),
            },
        )

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float:
        """Return the seconds that the search will take here, from a few timed steps."""
        state = self._start(task, space, ctx)
        train, validation = next(state.draw())

        def step(n: int) -> object:
            pair = Batch(train.x[:n], train.y[:n]), Batch(validation.x[:n], validation.y[:n])
            return state.step(pair, with_alpha=True)

        seconds = seconds_per_step(step, state.batch_size, ctx.device)
        return seconds * self.options.epochs * state.steps_per_epoch

    def _start(self, task: Task, space: SearchSpace, ctx: SearchContext) -> _State:
        if not isinstance(space, ConvCells):
            raise OptionError(
                f"darts cannot relax the search space {space.name!r}.",
                fix="It searches conv-cells: leave --space out.",
            )
        check_length(task.n_samples)
        return _State.start(self.options, task, space, ctx)


@dataclass
class _State:
    """Everything that changes during a search."""

    options: DartsOptions
    space: ConvCells
    macro: tuple[tuple[str, ...], tuple[str, ...]]
    net: SuperNet
    alpha: Alpha
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    alpha_optimizer: torch.optim.Optimizer
    train: DeviceBeats
    validation: DeviceBeats
    train_labels: Tensor
    validation_labels: Tensor
    generator: torch.Generator

    @classmethod
    def start(
        cls, options: DartsOptions, task: Task, space: ConvCells, ctx: SearchContext
    ) -> _State:
        net = SuperNet(
            MergedEdges,
            operations=space.operations,
            nodes=space.nodes,
            cells=options.cells,
            channels=options.channels,
            stem_filters=options.stem_filters,
            n_leads=task.n_leads,
            n_classes=task.n_classes,
        ).to(ctx.device)
        alpha = initial_alpha(space.nodes, len(space.operations), ctx.device)
        recipe = Recipe(
            epochs=options.epochs,
            lr=options.lr,
            lr_min=options.lr_min,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
        )
        optimizer = weight_optimizer(net, recipe)
        return cls(
            options=options,
            space=space,
            macro=(task.train.classes, task.macro_classes),
            net=net.train(),
            alpha=alpha,
            optimizer=optimizer,
            schedule=cosine(optimizer, recipe),
            alpha_optimizer=torch.optim.Adam(
                list(alpha.values()),
                lr=options.alpha_lr,
                betas=(0.5, 0.999),
                weight_decay=options.alpha_weight_decay,
            ),
            train=to_device(task.train, ctx.device),
            validation=to_device(task.validation, ctx.device),
            train_labels=torch.as_tensor(task.train.labels),
            validation_labels=torch.as_tensor(task.validation.labels),
            generator=torch.Generator().manual_seed(int(ctx.rng.integers(2**31))),
        )

    @property
    def batch_size(self) -> int:
        return min(self.options.batch_size, len(self.train), len(self.validation))

    @property
    def steps_per_epoch(self) -> int:
        beats = min(self.options.beats or len(self.train), len(self.train))
        return max(1, beats // self.batch_size)

    def draw(self) -> Iterator[tuple[Batch, Batch]]:
        """Yield an epoch's pairs of a training and a validation batch, all of equal size."""
        n = self.steps_per_epoch * self.batch_size
        share = self.options.majority_share
        train = _draw(self.train_labels, n, share, self.generator)
        validation = _draw(self.validation_labels, n, share, self.generator)
        device = self.train.labels.device
        for t, v in zip(
            torch.split(train.to(device), self.batch_size),
            torch.split(validation.to(device), self.batch_size),
            strict=True,
        ):
            yield (
                Batch(self.train.signals[t], self.train.labels[t]),
                Batch(self.validation.signals[v], self.validation.labels[v]),
            )

    def run_epoch(
        self, *, with_alpha: bool, deadline: float, after_step: Callable[[], None]
    ) -> dict[str, float]:
        """Take the steps of an epoch; return its losses and scores on the validation batches.

        The epoch ends early, after one step or more, once the monotonic clock passes ``deadline``.
        """
        classes, macro_classes = self.macro
        n = len(classes)
        device = self.train.labels.device
        confusion = torch.zeros(n * n, dtype=torch.int64, device=device)
        losses = torch.zeros(2, device=device)
        steps = 0
        for train, validation in self.draw():
            train_loss, validation_loss, logits = self.step(
                (train, validation), with_alpha=with_alpha
            )
            cells = validation.y * n + logits.argmax(1)
            confusion += torch.bincount(cells, minlength=n * n)
            losses += torch.stack([train_loss, validation_loss])
            after_step()
            steps += 1
            if monotonic() >= deadline:
                break
        self.schedule.step()
        weights = mixing_weights(self.alpha)
        means = (losses / steps).tolist()
        overall = scores(confusion.view(n, n).cpu().numpy(), classes, macro_classes)
        return {
            "train_loss": means[0],
            "validation_loss": means[1],
            "accuracy": overall["accuracy"],
            "f1_of_macro": overall["f1_of_macro"],
            "alpha_entropy": entropy(weights),
            "largest_weight": max(float(w.max()) for w in weights.values()),
            "skip_share": skip_share(self.genotype()),
        }

    def step(self, pair: tuple[Batch, Batch], *, with_alpha: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Take one step of α (Algorithm 1, step 4) and one of the weights (step 5)."""
        train, validation = pair
        options = self.options
        if with_alpha:
            validation_loss, logits = relaxed_loss(
                self.net, self.alpha, validation, options.precision
            )
            if options.order == "first":
                gradients = first_order(validation_loss, self.alpha)
            else:
                gradients = second_order(
                    pure_loss(self.net, options.precision),
                    dict(self.net.named_parameters()),
                    self.alpha,
                    train=train,
                    validation=validation,
                    lr=float(self.schedule.get_last_lr()[0]),
                    momentum=options.momentum,
                    weight_decay=options.weight_decay,
                    velocity=velocities(self.net, self.optimizer),
                )
            for value, gradient in zip(self.alpha.values(), gradients, strict=True):
                value.grad = gradient
            self.alpha_optimizer.step()
        else:
            with torch.no_grad():
                validation_loss, logits = relaxed_loss(
                    self.net, self.alpha, validation, options.precision
                )
        self.optimizer.zero_grad(set_to_none=True)
        fixed: Alpha = {name: value.detach() for name, value in self.alpha.items()}
        train_loss, _ = relaxed_loss(self.net, fixed, train, options.precision)
        train_loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), options.grad_clip)
        self.optimizer.step()
        return train_loss.detach(), validation_loss.detach(), logits.detach()

    def genotype(self) -> Genotype:
        """Return the discrete cells that α stands for now."""
        return discretise(mixing_weights(self.alpha), self.space.operations, self.space.nodes)


def _draw(
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

"""The state of a DARTS search: network, α, optimisers, and how far the epoch is gone through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nasbench_ecg.api import SearchContext, Task
from nasbench_ecg.metrics import scores
from nasbench_ecg.training import DeviceBeats, cosine, to_device, weight_optimizer
from nasbench_ecg_cells.genotype import Genotype
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
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.relaxation import (
    Alpha,
    entropy,
    initial_alpha,
    mixing_weights,
    skip_share,
)
from nasbench_ecg_darts.search import draw
from nasbench_ecg_darts.supernet import EdgeWeights, SuperNet
from nasbench_ecg_darts.variants.base import DARTS, Moment, Variant

_POSITION = ("epoch", "position", "order", "confusion", "losses")


@dataclass
class SearchState:
    """Everything that changes during a search.

    ``memory`` is what a relative of DARTS remembers between steps: nested plain data and tensors,
    which are on the CPU when a search goes on.
    """

    options: DartsOptions
    variant: Variant
    space: ConvCells
    classes: tuple[str, ...]
    macro_classes: tuple[str, ...]
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
    confusion: Tensor
    losses: Tensor
    epoch: int = 0
    position: int = 0
    order: tuple[Tensor, Tensor] | None = None
    memory: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        options: DartsOptions,
        task: Task,
        space: ConvCells,
        ctx: SearchContext,
        variant: Variant = DARTS,
    ) -> SearchState:
        """Return the state before the first step."""
        net = SuperNet(
            variant.edges,
            operations=space.operations,
            nodes=space.nodes,
            cells=options.cells,
            channels=options.channels,
            stem_filters=options.stem_filters,
            n_leads=task.n_leads,
            n_classes=task.n_classes,
        ).to(ctx.device)
        columns = len(space.operations) + variant.columns
        alpha = initial_alpha(space.nodes, columns, ctx.device)
        optimizer = weight_optimizer(net, options.recipe)
        return cls(
            options=options,
            variant=variant,
            space=space,
            classes=task.train.classes,
            macro_classes=task.macro_classes,
            net=net.train(),
            alpha=alpha,
            optimizer=optimizer,
            schedule=cosine(optimizer, options.recipe),
            alpha_optimizer=torch.optim.Adam(
                list(alpha.values()),
                lr=options.alpha_lr,
                betas=(0.5, 0.999),
                weight_decay=options.alpha_weight_decay,
                capturable=torch.device(ctx.device).type == "cuda",
            ),
            confusion=torch.zeros(task.n_classes**2, dtype=torch.int64, device=ctx.device),
            losses=torch.zeros(2, device=ctx.device),
            train=to_device(task.train, ctx.device),
            validation=to_device(task.validation, ctx.device),
            train_labels=torch.as_tensor(task.train.labels),
            validation_labels=torch.as_tensor(task.validation.labels),
            generator=torch.Generator().manual_seed(int(ctx.rng.integers(2**31))),
        )

    @property
    def batch_size(self) -> int:
        """Beats of a step."""
        return min(self.options.batch_size, len(self.train), len(self.validation))

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch; a ragged last batch is left out."""
        beats = min(self.options.beats or len(self.train), len(self.train))
        return max(1, beats // self.batch_size)

    def steps(self) -> list[int]:
        """Return the steps of each epoch of the search, and of each round that follows them."""
        rounds = self.variant.rounds(self.space)
        steps = max(1, round(self.variant.round_epochs * self.steps_per_epoch))
        return [self.steps_per_epoch] * self.options.epochs + [steps] * rounds

    def mix(self, alpha: Alpha) -> EdgeWeights:
        """Return the mixing weights of a step now."""
        return self.variant.mix(alpha, self._moment())

    def noiseless(self, alpha: Alpha) -> EdgeWeights:
        """Return the mixing weights of a step now, but for chance."""
        return (self.variant.noiseless or self.variant.mix)(alpha, self._moment())

    def _moment(self) -> Moment:
        return Moment(self.epoch, self.options.epochs, self.space.operations, self.memory)

    def probe(self, beats: int | None) -> Batch:
        """Return validation beats that are the same at any time; None is all of them."""
        if beats is None or beats >= len(self.validation):
            return Batch(self.validation.signals, self.validation.labels)
        chosen = draw(
            self.validation_labels,
            beats,
            self.options.majority_share,
            torch.Generator().manual_seed(0),
        ).to(self.validation.labels.device)
        return Batch(self.validation.signals[chosen], self.validation.labels[chosen])

    def remaining(self) -> Iterator[tuple[Batch, Batch]]:
        """Yield an epoch's pairs of a training and a validation batch that are still to come.

        All are of equal size. Each counts as done when it is yielded.
        """
        device = self.train.labels.device
        if self.order is None:
            n = self.steps()[self.epoch] * self.batch_size
            share = self.options.majority_share
            self.order = (
                draw(self.train_labels, n, share, self.generator),
                draw(self.validation_labels, n, share, self.generator),
            )
            self.confusion.zero_()
            self.losses.zero_()
        train, validation = (torch.split(o.to(device), self.batch_size) for o in self.order)
        for t, v in zip(train[self.position :], validation[self.position :], strict=True):
            self.position += 1
            yield (
                Batch(self.train.signals[t], self.train.labels[t]),
                Batch(self.validation.signals[v], self.validation.labels[v]),
            )

    def end_epoch(self) -> dict[str, float]:
        """Go on to the next epoch; return the figures of this one.

        Scores are those of the validation batches, each taken before its step of α.
        """
        confusion = self.confusion.view(len(self.classes), -1).cpu().numpy()
        overall = scores(confusion, self.classes, self.macro_classes)
        train_loss, validation_loss = (self.losses / self.position).tolist()
        if self.epoch < self.options.epochs:
            self.schedule.step()
        self.epoch, self.position, self.order = self.epoch + 1, 0, None
        operations = len(self.space.operations)
        strengths = self.variant.strengths(self.alpha)
        return {
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "accuracy": overall["accuracy"],
            "f1_of_macro": overall["f1_of_macro"],
            "alpha_entropy": entropy(
                mixing_weights({name: a[:, :operations] for name, a in self.alpha.items()})
            ),
            "largest_weight": max(float(w.detach().max()) for w in strengths.values()),
            "skip_share": skip_share(self.genotype()),
        }

    def snapshot(self) -> dict[str, Any]:
        """Return everything that changes, to be restored."""
        return {
            "net": self.net.state_dict(),
            "alpha": dict(self.alpha),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "alpha_optimizer": self.alpha_optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "memory": self.memory,
            **{name: getattr(self, name) for name in _POSITION},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to where :meth:`snapshot` was called."""
        device = self.train.labels.device
        self.net.load_state_dict(saved["net"])
        for name, value in self.alpha.items():
            value.data.copy_(saved["alpha"][name])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.alpha_optimizer.load_state_dict(saved["alpha_optimizer"])
        self.generator.set_state(saved["generator"])
        self.memory = saved.get("memory", {})
        for field_name in _POSITION:
            value = saved[field_name]
            setattr(self, field_name, value.to(device) if isinstance(value, Tensor) else value)

    def step(self, pair: tuple[Batch, Batch], *, with_alpha: bool) -> None:
        """Take one step of α (Algorithm 1, step 4) and one of the weights (step 5)."""
        train, validation = pair
        options = self.options
        mix: Mix = self.mix
        with torch.set_grad_enabled(with_alpha and options.order == "first"):
            validation_loss, logits = relaxed_loss(
                self.net, self.alpha, validation, options.precision, mix
            )
        if with_alpha:
            if options.order == "first":
                gradients = first_order(validation_loss, self.alpha)
            else:
                gradients = second_order(
                    pure_loss(self.net, options.precision, mix),
                    dict(self.net.named_parameters()),
                    self.alpha,
                    train=train,
                    validation=validation,
                    lr=float(self.schedule.get_last_lr()[0]),
                    momentum=options.momentum,
                    weight_decay=options.weight_decay,
                    velocity=velocities(self.net, self.optimizer),
                )
            if self.variant.penalty is not None:
                penalty = self.variant.penalty(self.alpha, self._moment())
                further = torch.autograd.grad(penalty, tuple(self.alpha.values()))
                gradients = tuple(g + f for g, f in zip(gradients, further, strict=True))
            for value, gradient in zip(self.alpha.values(), gradients, strict=True):
                value.grad = gradient
            self.alpha_optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        fixed: Alpha = {name: value.detach() for name, value in self.alpha.items()}
        train_loss, _ = relaxed_loss(self.net, fixed, train, options.precision, mix)
        train_loss.backward()  # type: ignore[no-untyped-call]
        for parameter in self.net.parameters():
            if parameter.grad is None:  # not computed in this step; momentum and decay go on
                parameter.grad = torch.zeros_like(parameter)
        nn.utils.clip_grad_norm_(self.net.parameters(), options.grad_clip)
        self.optimizer.step()
        cells = validation.y * len(self.classes) + logits.detach().argmax(1)
        self.confusion.scatter_add_(0, cells, torch.ones_like(cells))
        self.losses += torch.stack([train_loss.detach(), validation_loss.detach()])

    def genotype(self) -> Genotype:
        """Return the discrete cells that α stands for now."""
        return self.variant.derive(self)

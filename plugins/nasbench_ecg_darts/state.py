"""The state of a DARTS search: supernet, α, both optimizers, and the position in the epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nasbench_ecg.api import SearchContext, Task
from nasbench_ecg.metrics import scores
from nasbench_ecg.training import (
    DeviceBeats,
    cosine,
    raise_if_diverged,
    to_device,
    weight_optimizer,
)
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.architect import Batch
from nasbench_ecg_darts.edges import MergedEdges
from nasbench_ecg_darts.matrix_edges import edges_on
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.relaxation import Alpha, initial_alpha
from nasbench_ecg_darts.supernet import SuperNet

_PLAIN_FIELDS = ("epoch", "position", "order", "confusion", "losses")
"""Fields that a snapshot holds as they are."""


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is, for mixing weights and penalties that change over its epochs.

    Attributes:
        epoch: Completed epochs.
        epochs: Epochs of the search.
        operations: Candidate operations, the columns of α.
        memory: What the variant stores between steps, see :attr:`SearchState.memory`.
    """

    epoch: int
    epochs: int
    operations: tuple[str, ...]
    memory: Mapping[str, Any]


@dataclass
class SearchState:
    """Everything that changes during a search, and the data that it works on.

    Attributes:
        options: Options of the strategy.
        space: The search space.
        classes: Beat classes.
        macro_classes: Classes over which macro scores average.
        net: The supernet, in training mode.
        alpha: α, the architecture parameters.
        optimizer: SGD over the supernet's weights w.
        schedule: Learning rate of ``optimizer`` over the epochs.
        alpha_optimizer: Adam over α.
        train: Training beats on the device, for w.
        validation: Validation beats on the device, for α.
        train_labels: Training labels on the CPU, to draw batches from.
        validation_labels: Validation labels on the CPU.
        generator: Draws the beats of each epoch.
        confusion: Validation predictions of the epoch so far [n_classes²].
        losses: Sums of training and validation loss over the epoch so far, and number of steps
            before the first loss that is not finite [3].
        epoch: Completed epochs.
        position: Steps taken in the current epoch.
        order: Indices of this epoch's training and validation beats; None between epochs.
        memory: What a variant of DARTS stores between steps: nested plain data and tensors. After
            a restore its tensors are on the CPU.
    """

    options: DartsOptions
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
        *,
        edges: Callable[..., nn.Module] = MergedEdges,
        extra_columns: int = 0,
        alpha_scale: float = 1e-3,
        alpha_betas: tuple[float, float] = (0.5, 0.999),
    ) -> SearchState:
        """Return the state before the first step.

        Args:
            options: Options of the strategy.
            task: Training and validation beats.
            space: The search space.
            ctx: Gives device and random generator.
            edges: Makes the mixed edges of a cell, see :class:`SuperNet`, in the form for a CPU.
            extra_columns: Columns of α beyond one per operation.
            alpha_scale: Standard deviation of the first α.
            alpha_betas: Betas of Adam over α.
        """
        net = SuperNet(
            edges_on(ctx.device, edges),
            operations=space.operations,
            nodes=space.nodes,
            cells=options.cells,
            channels=options.channels,
            stem_filters=options.stem_filters,
            n_leads=task.n_leads,
            n_classes=task.n_classes,
        ).to(ctx.device)
        columns = len(space.operations) + extra_columns
        alpha = initial_alpha(space.nodes, columns, ctx.device, alpha_scale)
        optimizer = weight_optimizer(net, options.recipe)
        return cls(
            options=options,
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
                betas=alpha_betas,
                weight_decay=options.alpha_weight_decay,
                capturable=torch.device(ctx.device).type == "cuda",
            ),
            confusion=torch.zeros(task.n_classes**2, dtype=torch.int64, device=ctx.device),
            losses=torch.zeros(3, device=ctx.device),
            train=to_device(task.train, ctx.device),
            validation=to_device(task.validation, ctx.device),
            train_labels=torch.tensor(task.train.labels),
            validation_labels=torch.tensor(task.validation.labels),
            generator=torch.Generator().manual_seed(int(ctx.rng.integers(2**31))),
        )

    @property
    def progress(self) -> SearchProgress:
        """How far the search is."""
        return SearchProgress(self.epoch, self.options.epochs, self.space.operations, self.memory)

    @property
    def batch_size(self) -> int:
        """Beats per step."""
        return min(self.options.batch_size, len(self.train), len(self.validation))

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch; an incomplete last batch is dropped."""
        beats = min(self.options.beats or len(self.train), len(self.train))
        return max(1, beats // self.batch_size)

    def batches(self, steps: int) -> Iterator[tuple[Batch, Batch]]:
        """Yield the remaining pairs of a training and a validation batch of this epoch.

        All batches have the same size. A pair counts as done as soon as it is yielded.

        Args:
            steps: Steps of the whole epoch.
        """
        device = self.train.labels.device
        if self.order is None:
            self.order = (
                self._draw(self.train_labels, steps),
                self._draw(self.validation_labels, steps),
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

    def _draw(self, labels: Tensor, steps: int) -> Tensor:
        """Return the beats of ``steps``, drawn anew for each epoch that these last."""
        share, whole = self.options.majority_share, self.steps_per_epoch
        drawn = [
            draw_beats(labels, min(whole, steps - start) * self.batch_size, share, self.generator)
            for start in range(0, steps, whole)
        ]
        return torch.cat(drawn)

    def fixed_validation_batch(self, beats: int | None) -> Batch:
        """Return validation beats that are the same on every call; all of them for None."""
        if beats is None or beats >= len(self.validation):
            return Batch(self.validation.signals, self.validation.labels)
        index = draw_beats(
            self.validation_labels,
            beats,
            self.options.majority_share,
            torch.Generator().manual_seed(0),
        ).to(self.validation.labels.device)
        return Batch(self.validation.signals[index], self.validation.labels[index])

    def count(
        self, labels: Tensor, logits: Tensor, *, train_loss: Tensor, validation_loss: Tensor
    ) -> None:
        """Add the predictions and losses of one step to the sums of the epoch."""
        cells = labels * len(self.classes) + logits.detach().argmax(1)
        self.confusion.scatter_add_(0, cells, torch.ones_like(cells))
        self.losses[:2] += torch.stack([train_loss.detach(), validation_loss.detach()])
        self.losses[2] += self.losses[:2].isfinite().all()

    def end_epoch(self) -> dict[str, float]:
        """Advance to the next epoch; return mean losses, accuracy and F1 of this one.

        Each validation batch is scored before the step of α that uses it.

        Raises:
            DivergedError: A loss, a weight or α is not finite.
        """
        state = [*self.net.state_dict().values(), *self.alpha.values()]
        raise_if_diverged(self.losses[2], state, epoch=self.epoch + 1, steps=self.position)
        confusion = self.confusion.view(len(self.classes), -1).cpu().numpy()
        overall = scores(confusion, self.classes, self.macro_classes)
        train_loss, validation_loss = (self.losses[:2] / self.position).tolist()
        if self.epoch < self.options.epochs:
            self.schedule.step()
        self.epoch, self.position, self.order = self.epoch + 1, 0, None
        return {
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "accuracy": overall["accuracy"],
            "f1_of_macro": overall["f1_of_macro"],
        }

    def snapshot(self) -> dict[str, Any]:
        """Return everything that changes, for :meth:`restore`."""
        return {
            "net": self.net.state_dict(),
            "alpha": dict(self.alpha),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "alpha_optimizer": self.alpha_optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "memory": self.memory,
            **{name: getattr(self, name) for name in _PLAIN_FIELDS},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Set the state to a snapshot."""
        device = self.train.labels.device
        self.net.load_state_dict(saved["net"])
        for name, value in self.alpha.items():
            value.data.copy_(saved["alpha"][name])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.alpha_optimizer.load_state_dict(saved["alpha_optimizer"])
        self.generator.set_state(saved["generator"])
        self.memory = saved["memory"]
        for field_name in _PLAIN_FIELDS:
            value = saved[field_name]
            setattr(self, field_name, value.to(device) if isinstance(value, Tensor) else value)


def draw_beats(
    labels: Tensor, n: int, majority_share: float | None, generator: torch.Generator
) -> Tensor:
    """Return ``n`` beat indices in random order; the order repeats where there are fewer beats.

    With ``majority_share``, at most that share of the indices is of the most frequent class, unless
    the other classes have too few beats to fill the rest.

    Args:
        labels: Class of each beat, on the CPU.
        n: Number of indices.
        majority_share: Largest share of the most frequent class; None for no limit.
        generator: Draws the order.
    """
    order = torch.randperm(len(labels), generator=generator)
    if majority_share is not None:
        majority = labels[order] == labels.bincount().argmax()
        frequent, rare = order[majority], order[~majority]
        n_frequent = min(max(round(majority_share * n), n - len(rare)), len(frequent))
        order = torch.cat([frequent[:n_frequent], rare[: n - n_frequent]])
        order = order[torch.randperm(len(order), generator=generator)]
    return order.repeat(-(-n // len(order)))[:n]

"""Training of many members side by side on a GPU, by the recipe that one member is trained by."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import StacksNetworks, Task
from nasbench_ecg.errors import DivergedError, OptionError
from nasbench_ecg.run.environment import cpu_name
from nasbench_ecg.tables.card import Recipe
from nasbench_ecg.tables.clock import Clock, layer_work, with_seconds_of
from nasbench_ecg.tables.plan import Plan
from nasbench_ecg.tables.training import MemberResult, draw_beats, training_recipe
from nasbench_ecg.training.costs import build_network
from nasbench_ecg.training.engine import (
    DeviceBeats,
    Epoch,
    n_batches,
    to_device,
)
from nasbench_ecg.training.graphs import GraphedStep, rate_from
from nasbench_ecg.training.optimizers import rate_schedule, weight_optimizer
from nasbench_ecg.training.precision import arithmetic
from nasbench_ecg.training.recipe import Precision
from nasbench_ecg.training.seeding import seeded

PRECISION: Precision = "tf32"
"""Arithmetic of matrix products on a GPU; the difference is far below that of two seeds."""

STACKED = "trained side by side"
"""Marks the machine of such trainings in a table's card."""

STACK = 192
"""Members in a stack; with networks of 200,000 parameters it takes about 20 GB."""

_SCORED = 2048
"""Beats that are scored at once."""


class StackTrainer:
    """Trains members of one stack key together.

    Each member has its own beats, initial weights, order of batches and limit of gradients, as
    :func:`nasbench_ecg.tables.training.train_member` gives them; only rounding differs.

    Args:
        plan: The table, its data, and the builder, which can stack networks.
        clock: Predicts the seconds that a processor would take.
        device: Where to train.

    Raises:
        OptionError: The builder cannot stack networks.
    """

    def __init__(self, plan: Plan, clock: Clock, device: str) -> None:
        task, builder = plan.task, plan.builder
        if not isinstance(builder, StacksNetworks):
            raise OptionError(
                f"The builder {type(builder).__name__} trains its networks one by one.",
                where="--device",
                fix="Build the table on the CPU, or implement nasbench_ecg.api.StacksNetworks.",
            )
        self._stacks: StacksNetworks = builder
        self.task, self.builder, self.recipe = task, builder, plan.card.recipe
        self.clock, self.device = clock, device
        name = torch.cuda.get_device_name() if device == "cuda" else cpu_name()
        self.machine = with_seconds_of(
            f"{name}, {STACKED}, torch {torch.__version__}", clock.processor
        )
        self._train = to_device(task.train, device)
        self._scored = [to_device(beats, device) for beats in (task.validation, plan.test)]

    def stacks(self, trainings: Sequence[tuple[Architecture, int]]) -> list[list[int]]:
        """Divide trainings into lists of at most :data:`STACK` indices with one stack key."""
        groups: dict[Hashable, list[int]] = {}
        for index, (arch, _) in enumerate(trainings):
            groups.setdefault(self._stacks.stack_key(arch), []).append(index)
        return [
            group[start : start + STACK]
            for group in groups.values()
            for start in range(0, len(group), STACK)
        ]

    def train(self, members: Sequence[tuple[Architecture, int]]) -> list[MemberResult]:
        """Train architectures of one stack key, each with a seed.

        Raises:
            DivergedError: The loss of a member is not finite.
        """
        recipe = training_recipe(self.recipe)
        n_classes = self.task.n_classes
        networks = []
        for arch, seed in members:
            with seeded(seed):
                networks.append(build_network(arch, self.task, self.builder))
        model = self._stacks.stack(networks).to(self.device)
        parameters = list(self._stacks.stacked_parameters(model))
        optimizer = weight_optimizer(model, recipe)
        seeds, rows = np.unique([seed for _, seed in members], return_inverse=True)
        orders = [_Order(self.task, self.recipe, int(seed)) for seed in seeds]
        row = torch.from_numpy(rows).to(self.device)
        shift = torch.from_numpy(np.stack([order.shift for order in orders])).to(self.device)[row]
        schedule = rate_schedule(optimizer, recipe, orders[0].steps)
        rate = torch.zeros((), device=self.device)

        def step(batch: Tensor) -> Tensor:
            with rate_from(optimizer, rate) if graphed.replays else nullcontext():
                return _step(model, parameters, optimizer, self._train, batch, recipe.grad_clip)

        example = torch.zeros(
            recipe.batch_size, len(members), dtype=torch.int64, device=self.device
        )
        graphed = GraphedStep(step, example)
        shape = (len(members), self.recipe.epochs, 2)
        confusion = np.zeros((*shape, n_classes, n_classes), np.uint32)
        nll = np.zeros(shape, np.float16)
        with arithmetic(self.device, PRECISION):
            for epoch in range(self.recipe.epochs):
                model.train()
                finite = torch.ones(len(members), dtype=torch.bool, device=self.device)
                batches = [order.batches() for order in orders]
                sizes = [len(batch) for batch in batches[0]]
                beats = torch.stack([torch.cat(own) for own in batches], dim=1).to(self.device)
                for batch in torch.split(beats, sizes):
                    rate.fill_(schedule.get_last_lr()[0])
                    finite &= graphed(batch[:, row]).isfinite()
                    schedule.step()
                _raise_if_diverged(finite, members, epoch + 1)
                for part, scored in enumerate(self._scored):
                    found = _score(model, scored, shift, n_classes)
                    confusion[:, epoch, part], nll[:, epoch, part] = found
        work = [layer_work(arch, self.builder, self.task) for arch, _ in members]
        seconds = self.clock.predict(work)
        return [MemberResult(*one) for one in zip(confusion, nll, seconds, strict=True)]


class _Order:
    """The beats of a seed, batch by batch."""

    def __init__(self, task: Task, recipe: Recipe, seed: int) -> None:
        chosen, self.shift = draw_beats(task.train.labels, task.n_classes, recipe, seed)
        self._chosen = torch.from_numpy(chosen)
        self._epoch = Epoch(len(chosen), seed)
        self._size = recipe.batch_size
        self.steps = n_batches(len(chosen), recipe.batch_size)

    def batches(self) -> list[Tensor]:
        """Return the batches of the next epoch, as indices of training beats."""
        found = [self._chosen[batch] for batch in self._epoch.remaining(self._size, "cpu")]
        self._epoch.next()
        return found


def _step(
    model: nn.Module,
    parameters: Sequence[tuple[nn.Parameter, Tensor]],
    optimizer: torch.optim.Optimizer,
    data: DeviceBeats,
    batch: Tensor,
    grad_clip: float,
) -> Tensor:
    """Take one step of all members on the beats at [batch, members]; return their losses."""
    optimizer.zero_grad(set_to_none=True)
    logits = model(data.signals[batch])
    losses = F.cross_entropy(
        logits.flatten(0, 1), data.labels[batch].flatten(), reduction="none"
    ).view_as(batch)
    loss = losses.mean(dim=0)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    squares = loss.new_zeros(len(loss))
    for parameter, rows in parameters:
        assert parameter.grad is not None
        squares.index_add_(0, rows, parameter.grad.square().flatten(1).sum(dim=1))
    factor = (grad_clip / (squares.sqrt() + 1e-6)).clamp(max=1)  # as in clip_grad_norm_
    for parameter, rows in parameters:
        assert parameter.grad is not None
        parameter.grad.mul_(factor[rows].view(-1, *[1] * (parameter.dim() - 1)))
    optimizer.step()
    return loss.detach()


@torch.inference_mode()
def _score(
    model: nn.Module, beats: DeviceBeats, shift: Tensor, n_classes: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return confusion matrices [members, C, C] and mean negative log-likelihoods [members]."""
    model.eval()
    members = len(shift)
    offset = n_classes**2 * torch.arange(members, device=shift.device)
    counts = torch.zeros(members * n_classes**2, dtype=torch.int64, device=shift.device)
    total = torch.zeros(members, dtype=torch.float64, device=shift.device)
    for x, y in zip(
        torch.split(beats.signals, _SCORED), torch.split(beats.labels, _SCORED), strict=True
    ):
        logits = model(x[:, None].expand(-1, members, -1, -1))
        probabilities = logits.softmax(dim=2) * shift
        probabilities /= probabilities.sum(dim=2, keepdim=True)
        cell = y[:, None] * n_classes + probabilities.argmax(dim=2) + offset
        counts += torch.bincount(cell.flatten(), minlength=len(counts))
        likelihood = probabilities.gather(2, y[:, None, None].expand(-1, members, 1))
        total -= likelihood.squeeze(2).clamp(min=1e-12).double().log().sum(dim=0)
    matrices = counts.view(members, n_classes, n_classes).cpu().numpy()
    return matrices, (total / len(beats)).cpu().numpy()


def _raise_if_diverged(
    finite: Tensor, members: Sequence[tuple[Architecture, int]], epoch: int
) -> None:
    if not bool(finite.all()):
        arch, seed = members[int((~finite).nonzero()[0])]
        raise DivergedError(
            "The training of a member diverged: loss not finite.",
            where=f"{arch.genotype}, seed {seed}, epoch {epoch}",
            fix="Lower the learning rate of the recipe.",
        )

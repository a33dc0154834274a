"""A supernet whose weights all architectures share: training, subnetworks, and their predictions.

Each training step samples one architecture and trains its weights only. To score an architecture,
batch normalization is first calibrated to it.

References:
    Bender, Kindermans, Zoph, Vasudevan, Le 2018, "Understanding and Simplifying One-Shot
    Architecture Search", ICML; section 3.1 (calibration).

    Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV;
    section 3.4 (calibration).

    Li, Talwalkar 2020, "Random Search and Reproducibility for Neural Architecture Search", UAI;
    section 3.3 (training).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasbench_ecg.api import Architecture, Beats, Progress
from nasbench_ecg.metrics import confusion_matrix
from nasbench_ecg.training import (
    arithmetic,
    cosine,
    predict,
    raise_if_diverged,
    seconds_per_step,
    to_device,
    training_step,
    weight_optimizer,
)
from nasbench_ecg_cells.genotype import Cell, Genotype
from nasbench_ecg_cells.layers import to_fast_layout
from nasbench_ecg_cells.network import DiscreteCell, check_length
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.state import draw_beats
from nasbench_ecg_darts.supernet import (
    MixedOperation,
    PlainEdges,
    SearchCell,
    SuperNet,
    edge_index,
)
from nasbench_ecg_weight_sharing.options import SharedTrainingOptions

_PLAIN_FIELDS = ("epoch", "step", "order")
"""Fields that a snapshot holds as they are."""

_CALIBRATION_BATCH = 500


class SharedSupernet:
    """A supernet with shared weights, and the state of its training.

    The weights are initialized from torch's global generator, which also seeds the order of the
    beats.

    Args:
        options: Size and training of the supernet.
        space: Architectures are sampled from it.
        beats: Training beats.
        rng: Generator of the architectures.
        device: Device of the supernet.

    Attributes:
        net: The supernet.
        seed: Seed of the beats' order.
        epoch: Completed epochs.

    Raises:
        OptionError: The beats are too short.
    """

    def __init__(
        self,
        options: SharedTrainingOptions,
        space: ConvCells,
        beats: Beats,
        rng: np.random.Generator,
        *,
        device: str,
    ) -> None:
        check_length(beats.n_samples)
        self.options, self.space, self.rng = options, space, rng
        self.net = SuperNet(
            PlainEdges,
            operations=space.real_operations,
            nodes=space.nodes,
            cells=options.cells,
            channels=options.channels,
            stem_filters=options.stem_filters,
            n_leads=beats.n_leads,
            n_classes=beats.n_classes,
        ).to(device)
        self.seed = int(torch.randint(2**31, ()))
        self.generator = torch.Generator().manual_seed(self.seed)
        self.device = device
        self.beats = to_device(beats, device)
        self.batch_size = min(options.batch_size, len(beats))
        self.optimizer = weight_optimizer(self.net, options.recipe)
        for weight in self.net.parameters():  # fused SGD requires a buffer for all or for none
            self.optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        self.schedule = cosine(self.optimizer, options.recipe)
        self.calibration = self._draw_calibration()
        self.epoch = self.step = 0
        self.order = self._draw_order()
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch; an incomplete last batch is dropped."""
        return len(self.order) // self.batch_size

    @property
    def trained(self) -> bool:
        """Whether all epochs are completed."""
        return self.epoch >= self.options.epochs

    def train(
        self,
        progress: Progress,
        *,
        deadline: float = math.inf,
        after_step: Callable[[], None] = lambda: None,
        after_epoch: Callable[[dict[str, float]], None] = lambda figures: None,
    ) -> None:
        """Continue the training to its end, or until a deadline.

        Args:
            progress: Shows the steps.
            deadline: When to stop, in seconds of the monotonic clock.
            after_step: Called after each step.
            after_epoch: Called after each epoch with its mean loss and accuracy.
        """
        steps = self.steps_per_epoch
        with (
            progress.track("Sharing weights", self.options.epochs * steps) as bar,
            arithmetic(self.device, self.options.precision),
        ):
            bar.advance(self.epoch * steps + self.step)
            while not self.trained and monotonic() < deadline:
                while self.step < steps:
                    self._next_step()
                    bar.advance()
                    after_step()
                    if monotonic() >= deadline:
                        return
                figures = self._end_epoch()
                bar.advance(0, epoch=f"{self.epoch}/{self.options.epochs}", **figures)
                after_epoch(figures)

    def _next_step(self) -> None:
        start = self.step * self.batch_size
        batch = self.order[start : start + self.batch_size].to(self.device)
        y = self.beats.labels[batch]
        loss, logits = self.train_random_subnetwork(self.beats.signals[batch], y)
        self.sums[:2] += torch.stack([loss, (logits.argmax(1) == y).float().mean()])
        self.sums[2] += self.sums[0].isfinite()
        self.step += 1

    def train_random_subnetwork(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Train the weights of one random architecture on a batch; return loss and logits.

        All other weights stay unchanged; momentum and weight decay do not apply to them.
        """
        subnetwork = self.subnetwork(self.space.sample(self.rng)).train()
        self.optimizer.zero_grad(set_to_none=True)
        return training_step(subnetwork, self.optimizer, x, y, recipe=self.options.recipe)

    def _end_epoch(self) -> dict[str, float]:
        state = self.net.state_dict().values()
        raise_if_diverged(self.sums[2], state, epoch=self.epoch + 1, steps=self.step)
        loss, accuracy = (self.sums[:2] / self.steps_per_epoch).tolist()
        self.sums.zero_()
        self.schedule.step()
        self.epoch, self.step = self.epoch + 1, 0
        self.order = self._draw_order()
        return {"loss": loss, "accuracy": accuracy}

    def subnetwork(self, arch: Architecture) -> Subnetwork:
        """Return an architecture of the space as a network with the shared weights."""
        return Subnetwork(self.net, Genotype.from_architecture(arch), self.space.real_operations)

    def predict(self, arch: Architecture, beats: Beats) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the predicted classes [n_beats] of an architecture, after calibration.

        They do not depend on earlier calibrations.
        """
        subnetwork = self.subnetwork(arch)
        with arithmetic(self.device, "float32"):
            drawn = self.beats.signals[self.calibration]
            # Of about equal size: the statistics of each batch count the same.
            calibrate(subnetwork, drawn.chunk(-(-len(drawn) // _CALIBRATION_BATCH)))
        classes: np.ndarray[Any, np.dtype[np.int64]] = predict(
            subnetwork, beats, device=self.device
        ).argmax(axis=1)
        return classes

    def confusion(self, arch: Architecture, beats: Beats) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the confusion matrix [true class, predicted class] of an architecture."""
        return confusion_matrix(beats.labels, self.predict(arch, beats), beats.n_classes)

    def estimate_seconds(self) -> float:
        """Return the seconds that the whole training will take, from a few timed steps."""
        batch = self.order[: self.batch_size].to(self.device)
        x, y = self.beats.signals[batch], self.beats.labels[batch]

        def step(n: int) -> None:
            self.train_random_subnetwork(x[:n], y[:n])

        seconds = seconds_per_step(step, len(batch), self.device)
        return seconds * self.options.epochs * self.steps_per_epoch

    def snapshot(self) -> dict[str, Any]:
        """Return everything that changes, for :meth:`restore`."""
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "rng": self.rng.bit_generator.state,
            "calibration": self.calibration,
            "sums": self.sums,
            **{name: getattr(self, name) for name in _PLAIN_FIELDS},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Set the state to a snapshot."""
        self.net.load_state_dict(saved["net"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.generator.set_state(saved["generator"])
        self.rng.bit_generator.state = saved["rng"]
        self.calibration = saved["calibration"].to(self.device)
        self.sums = saved["sums"].to(self.device)
        for name in _PLAIN_FIELDS:
            setattr(self, name, saved[name])

    def _draw_calibration(self) -> Tensor:
        n = min(self.options.calibration_beats, len(self.beats))
        return torch.randperm(len(self.beats), generator=self.generator)[:n].to(self.device)

    def _draw_order(self) -> Tensor:
        n = min(self.options.beats or len(self.beats), len(self.beats))
        n = max(n, self.batch_size)  # an epoch has at least one step
        labels = self.beats.labels.cpu()
        return draw_beats(labels, n, self.options.majority_share, self.generator)


class Subnetwork(nn.Module):
    """The network of one architecture, with the weights of a supernet.

    Each edge computes only the operation that the architecture has there, so a forward pass costs
    as much as the architecture, not as much as the supernet.

    Args:
        net: The supernet, made with :class:`PlainEdges`.
        genotype: The architecture; its cells have as many nodes as the supernet's.
        operations: Names of the supernet's operations, in its order.
    """

    def __init__(self, net: SuperNet, genotype: Genotype, operations: Sequence[str]) -> None:
        super().__init__()
        cells = {"normal": genotype.normal, "reduction": genotype.reduction}
        self.stem, self.head = net.stem, net.head
        self.cells = nn.ModuleList(
            Subcell(cell, cells[name], operations)
            for name, cell in zip(net.names, net.cells, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map beats [batch, leads, samples] to logits [batch, classes]."""
        s0 = s1 = self.stem(to_fast_layout(x))
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        return self.head(s1)  # type: ignore[no-any-return]


class Subcell(DiscreteCell):
    """A cell of the supernet, restricted to the edges and operations of one architecture."""

    def __init__(self, cell: nn.Module, discrete: Cell, operations: Sequence[str]) -> None:
        super().__init__()
        assert isinstance(cell, SearchCell)
        edges = cell.edges
        assert isinstance(edges, PlainEdges)
        self.preprocess0, self.preprocess1 = cell.preprocess0, cell.preprocess1
        self.sources = tuple(tuple(edge.source for edge in node) for node in discrete)
        self.operations = nn.ModuleList(
            nn.ModuleList(
                _operation(edges, edge_index(i, edge.source), operations.index(edge.operation))
                for edge in node
            )
            for i, node in enumerate(discrete)
        )


def _operation(edges: PlainEdges, edge: int, column: int) -> nn.Module:
    mixed = edges.edges[edge]
    assert isinstance(mixed, MixedOperation)
    return mixed.operations[column]


@torch.no_grad()
def calibrate(subnetwork: nn.Module, batches: Sequence[Tensor]) -> None:
    """Set the running statistics of batch normalization to those of one architecture.

    The statistics from the training of the supernet mix all architectures; a single one predicts
    poorly with them (Bender et al. 2018, section 3.1; Guo et al. 2020, section 3.4).

    Args:
        subnetwork: The architecture; it is left in evaluation mode.
        batches: Training beats [batch, leads, samples]; the statistics are averaged over them.
    """
    for module in subnetwork.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # a plain average over the batches
    subnetwork.train()
    for batch in batches:
        subnetwork(batch)
    subnetwork.eval()

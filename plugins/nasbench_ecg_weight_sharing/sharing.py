"""The training of shared weights: in each step those of one random architecture.

References:
    Li, Talwalkar 2020, "Random Search and Reproducibility for Neural Architecture Search", UAI,
    section 3.3.

    Bender, Kindermans, Zoph, Vasudevan, Le 2018, "Understanding and Simplifying One-Shot
    Architecture Search", ICML.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasbench_ecg.api import Architecture, Beats, Progress
from nasbench_ecg.metrics import confusion_matrix
from nasbench_ecg.training import (
    arithmetic,
    cosine,
    predict,
    seconds_per_step,
    to_device,
    training_step,
    weight_optimizer,
)
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.network import check_length
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.supernet import PlainEdges, SuperNet
from nasbench_ecg_weight_sharing.options import SharedTrainingOptions
from nasbench_ecg_weight_sharing.path import Path, calibrate

_POSITION = ("epoch", "step", "order")
_CALIBRATION_BATCH = 500


class Sharing:
    """A supernet, and how far its training has come.

    The weights start from torch's global generator, which also seeds the order of the beats.

    Args:
        options: How it is trained.
        space: What architectures are drawn from.
        beats: What it is trained on.
        rng: What architectures are drawn by.
        device: Where.

    Attributes:
        net: The supernet.
        seed: Seed of all draws of beats.
        epoch: Passes that are over.

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
        for weight in self.net.parameters():  # fused SGD takes no weights with and without momentum
            self.optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        self.schedule = cosine(self.optimizer, options.recipe)
        self.calibration = self._draw_calibration()
        self.epoch = self.step = 0
        self.order = self._draw_order()
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in a pass; a last batch that is not full is left out."""
        return len(self.order) // self.batch_size

    @property
    def trained(self) -> bool:
        """Whether all epochs are over."""
        return self.epoch >= self.options.epochs

    def path(self, arch: Architecture) -> Path:
        """Return an architecture of the space as a network with the shared weights."""
        return Path(self.net, Genotype.from_architecture(arch), self.space.real_operations)

    def train(
        self,
        progress: Progress,
        *,
        deadline: float = math.inf,
        after_step: Callable[[], None] = lambda: None,
        after_epoch: Callable[[dict[str, float]], None] = lambda figures: None,
    ) -> None:
        """Go on with the training to its end, or to a reading of the monotonic clock.

        Args:
            progress: Where the steps are shown.
            deadline: When to stop.
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
                    self._one_step()
                    bar.advance()
                    after_step()
                    if monotonic() >= deadline:
                        return
                figures = self._end_epoch()
                bar.advance(0, epoch=f"{self.epoch}/{self.options.epochs}", **figures)
                after_epoch(figures)

    def _one_step(self) -> None:
        start = self.step * self.batch_size
        batch = self.order[start : start + self.batch_size].to(self.device)
        y = self.beats.labels[batch]
        loss, logits = self.learn(self.beats.signals[batch], y)
        self.sums += torch.stack([loss, (logits.argmax(1) == y).float().mean()])
        self.step += 1

    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Train the weights of one random architecture on a batch; return loss and logits.

        Weights that are not on its path stay as they are, momentum and decay included.
        """
        path = self.path(self.space.sample(self.rng)).train()
        self.optimizer.zero_grad(set_to_none=True)
        return training_step(path, self.optimizer, x, y, recipe=self.options.recipe)

    def _end_epoch(self) -> dict[str, float]:
        loss, accuracy = (self.sums / self.steps_per_epoch).tolist()
        self.sums.zero_()
        self.schedule.step()
        self.epoch, self.step = self.epoch + 1, 0
        self.order = self._draw_order()
        return {"loss": loss, "accuracy": accuracy}

    def predict(self, arch: Architecture, beats: Beats) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the class [n_beats] that an architecture gives each beat, once calibrated.

        The answer does not depend on what was calibrated before.
        """
        path = self.path(arch)
        with arithmetic(self.device, "float32"):
            calibrate(path, torch.split(self.beats.signals[self.calibration], _CALIBRATION_BATCH))
        classes: np.ndarray[Any, np.dtype[np.int64]] = predict(
            path, beats, device=self.device
        ).argmax(axis=1)
        return classes

    def confusion(self, arch: Architecture, beats: Beats) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the confusion matrix [true class, predicted class] of an architecture."""
        return confusion_matrix(beats.labels, self.predict(arch, beats), beats.n_classes)

    def seconds(self) -> float:
        """Return the seconds that the whole training will take, from a few timed steps."""
        batch = self.order[: self.batch_size].to(self.device)
        x, y = self.beats.signals[batch], self.beats.labels[batch]
        each = seconds_per_step(lambda n: self.learn(x[:n], y[:n]), len(batch), self.device)
        return each * self.options.epochs * self.steps_per_epoch

    def snapshot(self) -> dict[str, Any]:
        """Return everything that changes, to be restored."""
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "rng": self.rng.bit_generator.state,
            "calibration": self.calibration,
            "sums": self.sums,
            **{name: getattr(self, name) for name in _POSITION},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to where :meth:`snapshot` was called."""
        self.net.load_state_dict(saved["net"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.generator.set_state(saved["generator"])
        self.rng.bit_generator.state = saved["rng"]
        self.calibration = saved["calibration"].to(self.device)
        self.sums = saved["sums"].to(self.device)
        for name in _POSITION:
            setattr(self, name, saved[name])

    def _draw_calibration(self) -> Tensor:
        n = min(self.options.calibration_beats, len(self.beats))
        return torch.randperm(len(self.beats), generator=self.generator)[:n].to(self.device)

    def _draw_order(self) -> Tensor:
        n = self.options.beats or len(self.beats)
        labels = self.beats.labels.cpu()
        return draw(labels, n, self.options.majority_share, self.generator)


def draw(
    labels: Tensor, n: int, majority_share: float | None, generator: torch.Generator
) -> Tensor:
    """Return the indices of ``n`` beats, or of all if there are fewer, in random order.

    With ``majority_share``, at most that share is of the most frequent class, as far as the other
    classes have beats enough.
    """
    order = torch.randperm(len(labels), generator=generator)
    n = min(n, len(order))
    if majority_share is None:
        return order[:n]
    majority = labels[order] == labels.bincount().argmax()
    frequent, rare = order[majority], order[~majority]
    n_frequent = min(max(round(majority_share * n), n - len(rare)), len(frequent))
    drawn = torch.cat([frequent[:n_frequent], rare[: n - n_frequent]])
    return drawn[torch.randperm(len(drawn), generator=generator)]

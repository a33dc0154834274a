"""Training and prediction with all beats on the device, without loader processes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nasbench_ecg.contracts import Checkpoint
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.progress import Progress
from nasbench_ecg.training.augmentation import Augmenter
from nasbench_ecg.training.averaging import WeightAverage
from nasbench_ecg.training.checkpoint import NoCheckpoint
from nasbench_ecg.training.divergence import check_outputs, check_state, raise_if_diverged
from nasbench_ecg.training.fast_layers.fallback import (
    compute_without,
    in_fast_layers,
    is_computed_without,
)
from nasbench_ecg.training.graphs import GraphedStep, rate_from
from nasbench_ecg.training.losses import Loss, loss_function
from nasbench_ecg.training.optimizers import rate_schedule, weight_optimizer
from nasbench_ecg.training.precision import arithmetic, autocast
from nasbench_ecg.training.recipe import Recipe
from nasbench_ecg.training.shapes import with_shapes

__all__ = [
    "DeviceBeats",
    "Epoch",
    "autocast",
    "fit",
    "n_batches",
    "predict",
    "raise_if_diverged",
    "seconds_per_call",
    "seconds_per_step",
    "to_device",
    "training_step",
]

_LONG_STEP = 1.0  # seconds


@dataclass(frozen=True)
class DeviceBeats:
    """Beats as tensors on a device.

    Attributes:
        signals: float32 [n_beats, n_leads, n_samples].
        labels: int64 [n_beats].
    """

    signals: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def to_device(beats: Beats, device: str) -> DeviceBeats:
    """Return the signals and labels of ``beats`` on ``device``.

    On the CPU the tensors share the memory of the beats: do not write to them.
    """
    with warnings.catch_warnings():  # the arrays of a task are read-only; tensors cannot be
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return DeviceBeats(
            signals=torch.from_numpy(np.ascontiguousarray(beats.signals)).to(device),
            labels=torch.from_numpy(np.ascontiguousarray(beats.labels)).to(device),
        )


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    *,
    recipe: Recipe,
    loss_of: Loss = cross_entropy,
    fast: bool = True,
) -> tuple[Tensor, Tensor]:
    """Take one optimizer step on a batch; return loss and logits before the step, detached.

    Args:
        model: The network.
        optimizer: Its optimizer.
        x: float32 [batch, n_leads, n_samples].
        y: int64 [batch].
        recipe: States precision and limit of the gradient.
        loss_of: The loss, of :func:`~nasbench_ecg.training.loss_function` for that of the recipe.
        fast: Whether a CPU computes the layers in their fastest forms, such as those of
            :class:`~nasbench_ecg.training.FastLayers`; False is slower and computes the same within
            rounding. A network without such forms is computed as if False.
    """

    def passes(layers: AbstractContextManager[object]) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad(set_to_none=True)
        with autocast(x.device.type, recipe.precision), layers:
            logits = model(x)
        logits = logits.float()
        loss = loss_of(logits, y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss, logits

    if fast and x.device.type == "cpu":
        loss, logits = in_fast_layers(model, x, passes)
    else:
        loss, logits = passes(nullcontext())
    nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
    optimizer.step()
    return loss.detach(), logits.detach()


def fit(
    model: nn.Module,
    beats: Beats,
    recipe: Recipe,
    *,
    seed: int,
    device: str,
    progress: Progress,
    label: str = "Training",
    checkpoint: Checkpoint | None = None,
    graphs: bool = True,
    fast: bool = True,
    after_epoch: Callable[[int], None] = lambda epoch: None,
    stop_after: int | None = None,
) -> dict[str, list[float]]:
    """Train ``model`` in place on ``beats`` for the recipe's epochs and keep the last state.

    If the recipe averages the weights, the model ends with their average so far.

    Args:
        model: Maps [batch, n_leads, n_samples] to logits.
        beats: The training beats.
        recipe: The hyperparameters.
        seed: Seed of the order of the beats, which does not depend on the device.
        device: Device to train on; the model is moved there.
        progress: Where progress is shown.
        label: Label of the progress bar.
        checkpoint: Where the state is saved and resumed from.
        graphs: Whether a GPU replays steps as CUDA graphs; False is slower and computes the same.
        fast: Whether a CPU computes the layers in their fastest forms, such as those of
            :class:`~nasbench_ecg.training.FastLayers`; False is slower and computes the same within
            rounding.
        after_epoch: Called with the number of finished epochs after each; it may use the model,
            which is set to training mode again afterwards, and which holds the last step's weights.
        stop_after: Stop after so many epochs, and save the state if this is before the last one.
            A later call with the same checkpoint goes on from there, as if there had been no stop.

    Returns:
        Curves with one value an epoch: ``loss`` and ``accuracy`` of the training beats, measured
        during training, and ``lr``.

    Raises:
        DivergedError: A loss was not finite, or the state of the network is not finite after an
            epoch. Both are checked at the end of each epoch, so that a GPU never waits within one.
        PluginError: The state of the network holds values that are no tensors.
    """
    check_state(with_shapes(model, beats.n_leads, beats.n_samples))
    checkpoint = checkpoint or NoCheckpoint()
    model.to(device).train()
    data = to_device(beats, device)
    optimizer = weight_optimizer(model, recipe)
    epoch = Epoch(len(data), seed)
    curves: dict[str, list[float]] = {"loss": [], "accuracy": [], "lr": []}
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    steps = n_batches(len(data), recipe.batch_size)
    used = min(steps * recipe.batch_size, len(data))
    schedule = rate_schedule(optimizer, recipe, steps)
    every_step = recipe.schedule == "one-cycle"
    average = WeightAverage(model, recipe, steps * recipe.epochs) if recipe.averaging else None
    augment = Augmenter(recipe, beats.leads, beats.fs, seed, device) if recipe.augment else None
    loss_of = loss_function(recipe, data.labels, beats.n_classes)

    last_epoch = recipe.epochs if stop_after is None else min(stop_after, recipe.epochs)

    def state() -> dict[str, Any]:
        return {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": epoch.state(),
            "curves": curves,
            "sums": sums,
            **({"average": average.state()} if average else {}),
            **({"without_fast_layers": True} if is_computed_without(model) else {}),
        }

    if (saved := checkpoint.load()) is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        epoch.restore(saved["epoch"])
        curves = saved["curves"]
        sums.copy_(saved["sums"])
        if average:
            average.restore(saved["average"])
        if saved.get("without_fast_layers"):
            compute_without(model)

    step, rate = _counted_step(
        model, optimizer, data, sums, recipe, loss_of, augment, graphs=graphs, fast=fast
    )
    with progress.track(label, last_epoch * steps) as bar, arithmetic(device, recipe.precision):
        bar.advance(epoch.number * steps + epoch.step)
        while epoch.number < last_epoch:
            rate.fill_(schedule.get_last_lr()[0])
            draws = augment.draws(len(data), epoch.number, recipe.batch_size) if augment else ()
            for batch in epoch.remaining(recipe.batch_size, device):
                step(batch, *(draws[epoch.step - 1 : epoch.step]))
                bar.advance()
                if average:
                    average.update(model)
                if every_step:
                    schedule.step()
                    rate.fill_(schedule.get_last_lr()[0])
                if checkpoint.due():
                    checkpoint.save(state())
            raise_if_diverged(
                sums[2], model.state_dict().values(), epoch=epoch.number + 1, steps=steps
            )
            means = (sums[:2] / used).tolist()
            for name, value in zip(curves, (*means, schedule.get_last_lr()[0]), strict=True):
                curves[name].append(float(value))
            sums.zero_()
            if not every_step:
                schedule.step()
            epoch.next()
            after_epoch(epoch.number)
            model.train()
            bar.advance(0, epoch=f"{epoch.number}/{last_epoch}", loss=means[0])
    if last_epoch < recipe.epochs:
        checkpoint.save(state())
    if average:
        with arithmetic(device, "float32"):
            batches = Epoch(len(data), seed).remaining(recipe.batch_size, device)
            average.apply(model, (data.signals[batch] for batch in batches))
    return curves


def _counted_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: DeviceBeats,
    sums: Tensor,
    recipe: Recipe,
    loss_of: Loss,
    augment: Augmenter | None,
    *,
    graphs: bool,
    fast: bool,
) -> tuple[GraphedStep[None], Tensor]:
    """Return a step on the beats at given indices, and the learning rate that it uses on a GPU.

    The step takes the indices, int64 [batch], and the random numbers of ``augment`` if there is
    one. Each step adds to ``sums``, float64 [3]: its loss, its number of correct predictions, and
    one if its loss and all earlier ones of the epoch were finite.
    """
    device = data.labels.device
    rate = torch.zeros((), device=device)

    def step(batch: Tensor, *draws: Tensor) -> None:
        x, y = data.signals[batch], data.labels[batch]
        x = augment(x, *draws) if augment else x
        with rate_from(optimizer, rate) if graphed.replays else nullcontext():
            loss, logits = training_step(
                model, optimizer, x, y, recipe=recipe, loss_of=loss_of, fast=fast
            )
        sums[:2].add_(torch.stack([loss * len(batch), (logits.argmax(1) == y).sum()]))
        sums[2].add_(sums[0].isfinite())

    examples = [torch.zeros(recipe.batch_size, dtype=torch.int64, device=device)]
    if augment:
        examples.append(torch.zeros(recipe.batch_size, augment.n_draws, device=device))
    graphed = GraphedStep(step, *examples, enabled=graphs)
    return graphed, rate


class Epoch:
    """The random order of the beats in each epoch, and the position in it.

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
        """Yield the remaining batches, as indices of beats; a yielded batch counts as done.

        A last batch of a single beat is left out: batch normalization needs a variance.
        """
        batches = torch.split(self._order.to(device), batch_size)
        for batch in batches[self.step : n_batches(self.n_beats, batch_size)]:
            self.step += 1
            yield batch

    def next(self) -> None:
        """Start the next epoch."""
        self.number += 1
        self.step = 0
        self._order = self._draw()

    def state(self) -> dict[str, object]:
        """Return the state that :meth:`restore` takes."""
        return {
            "number": self.number,
            "step": self.step,
            "order": self._order,
            "generator": self._generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state` returned."""
        self.number, self.step = state["number"], state["step"]
        self._order = state["order"]
        self._generator.set_state(state["generator"])

    def _draw(self) -> Tensor:
        return torch.randperm(self.n_beats, generator=self._generator)


def n_batches(n_beats: int, batch_size: int) -> int:
    """Return the number of batches in an epoch, without a last batch of a single beat."""
    full, rest = divmod(n_beats, batch_size)
    return full + (rest > 1 or n_beats == 1 < batch_size)


@torch.inference_mode()
def predict(
    model: nn.Module, beats: Beats, *, device: str, batch_size: int = 1024
) -> NDArray[np.float32]:
    """Return the class probabilities of ``beats``, float32 [n_beats, n_classes].

    Args:
        model: From beats [batch, leads, samples] to logits [batch, n_classes]. It is moved to
            ``device`` and set to evaluation mode.
        beats: The beats.
        device: ``cpu`` or ``cuda``.
        batch_size: Beats that are computed at a time.

    Raises:
        DivergedError: The outputs for a beat are not finite.
    """
    model.to(device).eval()
    signals = to_device(beats, device).signals
    with arithmetic(device, "float32"):
        parts = [model(part).float().softmax(dim=1) for part in torch.split(signals, batch_size)]
    probabilities = torch.cat(parts).cpu()
    check_outputs(probabilities)
    return probabilities.numpy()


def seconds_per_call(call: Callable[[], object], device: str, *, repeats: int = 3) -> float:
    """Return the median wall time of ``call`` in seconds, after one warm-up call."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[1:])


def seconds_per_step(step: Callable[[int], object], batch_size: int, device: str) -> float:
    """Estimate the wall time of ``step(batch_size)`` in seconds from a few steps.

    A quarter of the batch is timed first. If the whole batch would take long, half of it is timed
    too and the time is extrapolated linearly; otherwise the whole batch is timed.
    """
    quarter = seconds_per_call(lambda: step(max(2, batch_size // 4)), device, repeats=1)
    if 4 * quarter <= _LONG_STEP:
        return seconds_per_call(lambda: step(batch_size), device)
    half = seconds_per_call(lambda: step(max(2, batch_size // 2)), device, repeats=1)
    return max(half, half + 2 * (half - quarter))

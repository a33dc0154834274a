"""Training and prediction with all beats on the device, without loader processes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
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
from nasbench_ecg.errors import DivergedError
from nasbench_ecg.progress import Progress
from nasbench_ecg.training.checkpoint import NoCheckpoint
from nasbench_ecg.training.graphs import GraphedStep, rate_from
from nasbench_ecg.training.precision import arithmetic, autocast
from nasbench_ecg.training.recipe import Recipe

__all__ = [
    "DeviceBeats",
    "Epoch",
    "autocast",
    "cosine",
    "fit",
    "n_batches",
    "predict",
    "raise_if_diverged",
    "rate_schedule",
    "seconds_per_call",
    "seconds_per_step",
    "to_device",
    "training_step",
    "weight_optimizer",
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


def weight_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer, fused into one kernel."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            model.parameters(),
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            fused=True,
            capturable=any(weights.is_cuda for weights in model.parameters()),
        )
    return torch.optim.SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def cosine(
    optimizer: torch.optim.Optimizer, recipe: Recipe
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the cosine schedule from ``lr`` to ``lr_min`` over the epochs."""
    return _Cosine(optimizer, T_max=recipe.epochs, eta_min=recipe.lr_min)


def rate_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the recipe's schedule, which advances after each epoch, or one-cycle each step.

    Args:
        optimizer: The optimizer.
        recipe: The hyperparameters.
        steps: Steps of an epoch.
    """
    if recipe.schedule == "cosine":
        return cosine(optimizer, recipe)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=steps * recipe.epochs + 1, cycle_momentum=False
    )


class _Cosine(torch.optim.lr_scheduler.CosineAnnealingLR):
    """The schedule without PyTorch's warning for a resumed epoch that had no step left."""

    def step(self, epoch: int | None = None) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            super().step(epoch)


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    *,
    recipe: Recipe,
) -> tuple[Tensor, Tensor]:
    """Take one optimizer step on a batch; return loss and logits before the step, detached."""
    optimizer.zero_grad(set_to_none=True)
    with autocast(x.device.type, recipe.precision):
        logits = model(x)
    logits = logits.float()
    loss = cross_entropy(logits, y)
    loss.backward()  # type: ignore[no-untyped-call]
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
    after_epoch: Callable[[int], None] = lambda epoch: None,
    stop_after: int | None = None,
) -> dict[str, list[float]]:
    """Train ``model`` in place on ``beats`` for the recipe's epochs and keep the last state.

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
        after_epoch: Called with the number of finished epochs after each; it may use the model,
            which is set to training mode again afterwards.
        stop_after: Stop after so many epochs, and save the state if this is before the last one.
            A later call with the same checkpoint goes on from there, as if there had been no stop.

    Returns:
        Curves with one value an epoch: ``loss`` and ``accuracy`` of the training beats, measured
        during training, and ``lr``.

    Raises:
        DivergedError: A loss was not finite, or the state of the network is not finite after an
            epoch. Both are checked at the end of each epoch, so that a GPU never waits within one.
    """
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

    last_epoch = recipe.epochs if stop_after is None else min(stop_after, recipe.epochs)

    def state() -> dict[str, Any]:
        return {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": epoch.state(),
            "curves": curves,
            "sums": sums,
        }

    if (saved := checkpoint.load()) is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        epoch.restore(saved["epoch"])
        curves = saved["curves"]
        sums.copy_(saved["sums"])

    step, rate = _counted_step(model, optimizer, data, sums, recipe, graphs=graphs)
    with progress.track(label, last_epoch * steps) as bar, arithmetic(device, recipe.precision):
        bar.advance(epoch.number * steps + epoch.step)
        while epoch.number < last_epoch:
            rate.fill_(schedule.get_last_lr()[0])
            for batch in epoch.remaining(recipe.batch_size, device):
                step(batch)
                bar.advance()
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
    return curves


def _counted_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: DeviceBeats,
    sums: Tensor,
    recipe: Recipe,
    *,
    graphs: bool,
) -> tuple[GraphedStep[None], Tensor]:
    """Return a step on the beats at given indices, and the learning rate that it uses on a GPU.

    Each step adds to ``sums``, float64 [3]: its loss, its number of correct predictions, and one
    if its loss and all earlier ones of the epoch were finite.
    """
    device = data.labels.device
    rate = torch.zeros((), device=device)

    def step(batch: Tensor) -> None:
        x, y = data.signals[batch], data.labels[batch]
        with rate_from(optimizer, rate) if graphed.replays else nullcontext():
            loss, logits = training_step(model, optimizer, x, y, recipe=recipe)
        sums[:2].add_(torch.stack([loss * len(batch), (logits.argmax(1) == y).sum()]))
        sums[2].add_(sums[0].isfinite())

    example = torch.zeros(recipe.batch_size, dtype=torch.int64, device=device)
    graphed = GraphedStep(step, example, enabled=graphs)
    return graphed, rate


def raise_if_diverged(
    finite_steps: Tensor, state: Iterable[Tensor], *, epoch: int, steps: int
) -> None:
    """Check at the end of an epoch that the training has not diverged; a GPU waits for it once.

    Args:
        finite_steps: Number of steps of this epoch before the first loss that is not finite, [].
        state: Weights and buffers of the network.
        epoch: Number of the epoch, from 1.
        steps: Steps of the epoch.

    Raises:
        DivergedError: A loss is not finite, or a value of ``state``.
    """
    checks = [tensor.detach().isfinite().all() for tensor in state if tensor.is_floating_point()]
    state_finite = torch.stack(checks).all() if checks else torch.ones_like(finite_steps)
    n_finite, finite = torch.stack([finite_steps, state_finite.to(finite_steps)]).tolist()
    if n_finite == steps and finite:
        return
    what, step = ("loss", n_finite + 1) if n_finite < steps else ("weights", steps)
    raise DivergedError(
        f"The training diverged: {what} not finite.",
        where=f"epoch {epoch}, step {int(step)} of {steps}",
        fix="Lower the learning rate or the limit of gradients; in bfloat16, try float32.",
    )


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
    """Return the class probabilities of ``beats``, float32 [n_beats, n_classes]."""
    model.to(device).eval()
    signals = to_device(beats, device).signals
    with arithmetic(device, "float32"):
        parts = [model(part).float().softmax(dim=1) for part in torch.split(signals, batch_size)]
    return torch.cat(parts).cpu().numpy()


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

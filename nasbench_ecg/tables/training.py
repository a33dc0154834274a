"""Training of one member by a table's recipe, and what its network costs."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.metrics import confusion_matrix
from nasbench_ecg.progress import Silent
from nasbench_ecg.tables.table import Recipe
from nasbench_ecg.training.costs import network_costs
from nasbench_ecg.training.engine import fit, predict
from nasbench_ecg.training.recipe import Recipe as TrainingRecipe
from nasbench_ecg.training.seeding import seeded


@dataclass(frozen=True)
class MemberResult:
    """The learning curve of one training.

    Attributes:
        confusion: [E, 2, C, C], validation and test, rows the true class.
        nll: [E, 2], mean negative log-likelihood in nats.
        seconds: [E], processor seconds until the end of each epoch with its validation, without the
            test set.
    """

    confusion: NDArray[np.uint32]
    nll: NDArray[np.float16]
    seconds: NDArray[np.float32]


def train_member(
    arch: Architecture, task: Task, test: Beats, builder: Builder, recipe: Recipe, seed: int
) -> MemberResult:
    """Train a member from scratch on the CPU and score it after every epoch.

    Args:
        arch: The member.
        task: Training and validation set.
        test: Test set; it is scored and chooses nothing.
        builder: Makes the network.
        recipe: How to train.
        seed: Draws the training beats, the initial weights and the order of the batches.
    """
    n_classes = task.n_classes
    confusion = np.zeros((recipe.epochs, 2, n_classes, n_classes), np.uint32)
    nll = np.zeros((recipe.epochs, 2), np.float16)
    seconds = np.zeros(recipe.epochs, np.float32)
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(task.train))[: recipe.beats]
    started, testing = time.process_time(), 0.0

    with seeded(seed):
        model = builder.build(
            arch, n_leads=task.n_leads, n_samples=task.n_samples, n_classes=n_classes
        )

        def score(epoch: int) -> None:
            nonlocal testing
            for part, beats in enumerate((task.validation, test)):
                before = time.process_time()
                probabilities = predict(model, beats, device="cpu")
                predicted = probabilities.argmax(axis=1)
                confusion[epoch - 1, part] = confusion_matrix(beats.labels, predicted, n_classes)
                likelihood = probabilities[np.arange(len(beats)), beats.labels]
                nll[epoch - 1, part] = -np.log(np.maximum(likelihood, 1e-12)).mean()
                if part == 0:
                    seconds[epoch - 1] = time.process_time() - started - testing
                else:
                    testing += time.process_time() - before
            model.train()

        fit(
            model,
            task.train.take(chosen),
            training_recipe(recipe),
            seed=seed,
            device="cpu",
            progress=Silent(),
            after_epoch=score,
        )
    return MemberResult(confusion, nll, seconds)


def training_recipe(recipe: Recipe) -> TrainingRecipe:
    """Return a table's recipe as the training engine takes it."""
    return TrainingRecipe(
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        optimizer="adamw",
        schedule="one-cycle",
    )


def member_costs(arch: Architecture, builder: Builder, task_shape: tuple[int, int, int]) -> dict[str, float]:
    """Return what a member's network costs.

    Args:
        arch: The member.
        builder: Makes the network.
        task_shape: Leads, samples and classes.

    Returns:
        ``parameters`` (trainable); ``macs`` of one beat; ``int8_bytes``, the flash that its weights
        take with one byte a weight of a convolution or linear layer and four bytes a bias, batch
        normalisation folded into biases; ``peak_activations``, the largest number of values that
        enter and leave one layer together.
    """
    n_leads, n_samples, n_classes = task_shape
    with seeded(0):
        model = builder.build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes).eval()
    peak = 0

    def watch(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal peak
        peak = max(peak, sum(x.numel() for x in inputs) + output.numel())

    hooks = [
        module.register_forward_hook(watch)
        for module in model.modules()
        if not list(module.children())
    ]
    with torch.inference_mode():
        model(torch.zeros(1, n_leads, n_samples))
    for hook in hooks:
        hook.remove()
    layers = [m for m in model.modules() if isinstance(m, nn.Conv1d | nn.Linear)]
    return {
        **network_costs(model, n_leads, n_samples),
        "int8_bytes": float(sum(m.weight.numel() + 4 * m.weight.shape[0] for m in layers)),
        "peak_activations": float(peak),
    }

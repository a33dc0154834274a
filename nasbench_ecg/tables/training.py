"""Training of one member by a table's recipe, and costs and proxies of its untrained network."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, Evaluator, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.metrics import confusion_matrix
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import ValidationContext
from nasbench_ecg.tables.card import Recipe
from nasbench_ecg.tables.table import PROXY
from nasbench_ecg.training.costs import build_network, size_costs
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
    chosen, shift = draw_beats(task.train.labels, n_classes, recipe, seed)
    started, testing = time.process_time(), 0.0

    with seeded(seed):
        model = build_network(arch, task, builder)

        def score(epoch: int) -> None:
            nonlocal testing
            for part, beats in enumerate((task.validation, test)):
                before = time.process_time()
                probabilities = predict(model, beats, device="cpu") * shift
                probabilities /= probabilities.sum(axis=1, keepdims=True)
                predicted = probabilities.argmax(axis=1)
                confusion[epoch - 1, part] = confusion_matrix(beats.labels, predicted, n_classes)
                likelihood = probabilities[np.arange(len(beats)), beats.labels]
                nll[epoch - 1, part] = -np.log(np.maximum(likelihood, 1e-12)).mean()
                if part == 0:
                    seconds[epoch - 1] = time.process_time() - started - testing
                else:
                    testing += time.process_time() - before

        fit(
            model,
            task.train.take(chosen),
            training_recipe(recipe),
            seed=seed,
            device="cpu",
            progress=Silent(),
            fast=False,  # the members of published tables were trained so, to the last bit
            after_epoch=score,
        )
    return MemberResult(confusion, nll, seconds)


def draw_beats(
    labels: NDArray[np.int64], n_classes: int, recipe: Recipe, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Draw the training beats of a recipe.

    Args:
        labels: Class of each beat of the training set.
        n_classes: Number of classes.
        recipe: States how many beats are drawn, and from which classes.
        seed: Seed of the draw.

    Returns:
        Indices of the beats, and the factor of each class's probability [n_classes] that corrects
        for the classes' shares in the draw; 1 for a class that was not drawn.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels, minlength=n_classes)
    common = labels == counts.argmax()
    wanted = min(recipe.beats, len(labels))
    n_rare = min(round(wanted * recipe.rare_share), int((~common).sum()))
    n_common = min(wanted - n_rare, int(common.sum()))
    chosen = np.concatenate(
        [
            rng.permutation(np.flatnonzero(~common))[: wanted - n_common],
            rng.permutation(np.flatnonzero(common))[:n_common],
        ]
    )
    drawn = np.bincount(labels[chosen], minlength=n_classes)
    factor = np.ones(n_classes)
    np.divide(counts / len(labels), drawn / len(chosen), out=factor, where=drawn > 0)
    return chosen, factor.astype(np.float32)


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


def member_costs(arch: Architecture, builder: Builder, task: Task) -> dict[str, float]:
    """Return what a member's network costs.

    Returns:
        ``parameters`` (trainable), ``macs`` of one beat, ``flash_bytes`` and ``ram_bytes`` in int8,
        by the definitions of :mod:`nasbench_ecg.training.costs`.
    """
    with seeded(0):
        model = build_network(arch, task, builder).eval()
    costs = size_costs(model, task.n_leads, task.n_samples)
    return {name: float(cost) for name, cost in costs.items()}


def proxy_array(name: str) -> str:
    """Return the name of the array of an evaluator's scores."""
    return PROXY + name.replace("-", "_")


def score_untrained(
    members: Sequence[Architecture], evaluator: Evaluator, task: Task, builder: Builder, seed: int
) -> Iterator[float]:
    """Yield the score of each untrained member by an evaluator such as ``synflow``.

    Args:
        members: The members.
        evaluator: Scores untrained networks.
        task: Training and validation set.
        builder: Makes the networks.
        seed: Seed of the initial weights and of the batch, the same for each member.
    """
    ctx = ValidationContext(task, "cpu", Silent())
    for arch in members:
        with seeded(seed):
            yield float(evaluator.evaluate(arch, task, builder, ctx).score)

"""Training from scratch, as published results are made."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic

import numpy as np
import torch

from nasbench_ecg.api import Architecture, Builder, Evaluation, EvaluationContext, Task
from nasbench_ecg.metrics import confusion_matrix, scores
from nasbench_ecg.training import (
    Recipe,
    build_network,
    fit,
    predict,
    seconds_per_step,
    to_device,
    training_step,
    weight_optimizer,
)
from nasbench_ecg_evaluators.options import TrainOptions


class Train:
    """Trains the network from scratch for a fixed number of epochs and scores the last epoch.

    The recipe may average the weights over the steps; the last average is scored then.

    The scored part influences no choice: there is no early stopping and no best epoch.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.options = options

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return the scores of the trained network on the second of ``ctx.parts()``."""
        started = monotonic()
        fit_on, score_on = ctx.parts()
        recipe, max_beats = self._recipe(ctx)
        generator = torch.Generator().manual_seed(torch.initial_seed() % 2**31)
        if max_beats is not None and max_beats < len(fit_on):
            fit_on = fit_on.take(
                torch.randperm(len(fit_on), generator=generator)[:max_beats].numpy()
            )
        model = build_network(arch, task, builder)
        seed = int(torch.randint(2**31, (), generator=generator))
        curves = fit(
            model,
            fit_on,
            recipe,
            seed=seed,
            device=ctx.device,
            progress=ctx.progress,
            checkpoint=ctx.checkpoint,
            stop_after=None if ctx.fidelity is None else ctx.fidelity.epochs,
        )
        predicted = predict(model, score_on, device=ctx.device).argmax(axis=1)
        confusion = confusion_matrix(score_on.labels, predicted, task.n_classes)
        metrics = scores(confusion, task.train.classes, task.macro_classes)
        return Evaluation(
            architecture=arch,
            score=metrics["f1_of_macro"],
            metrics=metrics,
            seconds=monotonic() - started,
            confusion=confusion.tolist(),
            curves=curves,
            state={name: value.cpu() for name, value in model.state_dict().items()},
            predictions=predicted.tolist(),
        )

    def estimate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> float:
        """Return the estimated seconds of training on this device, from a few timed steps.

        A candidate of a search (with a fidelity) is trained on the training part and scored on
        validation; the final architecture is trained on both.
        """
        recipe, max_beats = self._recipe(ctx)
        n_beats = len(task.train) + (len(task.validation) if ctx.fidelity is None else 0)
        if max_beats is not None:
            n_beats = min(max_beats, n_beats)
        model = build_network(arch, task, builder).to(ctx.device).train()
        optimizer = weight_optimizer(model, recipe)
        first = np.arange(min(recipe.batch_size, len(task.train)))
        batch = to_device(task.train.take(first), ctx.device)

        def step(n: int) -> object:
            x, y = batch.signals[:n], batch.labels[:n]
            return training_step(model, optimizer, x, y, recipe=recipe)

        seconds = seconds_per_step(step, len(batch), ctx.device)
        epochs = recipe.epochs
        if ctx.fidelity is not None:
            epochs = (ctx.fidelity.epochs or epochs) - (ctx.fidelity.continues or 0)
        steps = epochs * -(-n_beats // recipe.batch_size)
        if ctx.fidelity is not None:  # a forward pass takes about a third of a training step
            steps += len(task.validation) // recipe.batch_size // 3
        return seconds * steps

    def _recipe(self, ctx: EvaluationContext) -> tuple[Recipe, int | None]:
        """Return the recipe and the most beats to train on, as the fidelity asks."""
        options = self.options
        recipe = options.recipe
        if ctx.fidelity is None:
            return recipe, options.beats
        epochs = ctx.fidelity.schedule_epochs or ctx.fidelity.epochs
        return (
            recipe if epochs is None else replace(recipe, epochs=epochs),
            ctx.fidelity.beats or options.beats,
        )

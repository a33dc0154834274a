"""Grouped cross-validation of a candidate: one training for each fold of the training persons."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nasbench_ecg.contracts import Evaluation, Task
from nasbench_ecg.data.beats import join
from nasbench_ecg.metrics import scores
from nasbench_ecg.run.consistency import score_metric


def n_folds(task: Task) -> int:
    """Return the number of trainings of a candidate: 1, or the folds of the task."""
    return 1 if task.validation_folds is None else int(task.validation_folds.max()) + 1


def fold_task(task: Task, fold: int) -> Task:
    """Return the task of a fold: validation on its beats, training on all others."""
    assert task.validation_folds is not None
    parts = (task.train, task.validation)
    inside = np.split(task.validation_folds == fold, [len(task.train)])
    return Task(
        train=join(
            [p.take(np.flatnonzero(~chosen)) for p, chosen in zip(parts, inside, strict=True)]
        ),
        validation=join(
            [p.take(np.flatnonzero(chosen)) for p, chosen in zip(parts, inside, strict=True)]
        ),
        macro_classes=task.macro_classes,
    )


def cross_validated(task: Task, evaluate: Callable[[Task, int], Evaluation]) -> Evaluation:
    """Return one evaluation of all folds.

    Metrics are those of the sum of the confusion matrices, in which every beat is scored once; the
    score is the metric that it is in each fold. Where an evaluator gives no confusion matrix, both
    are means over the folds. Seconds and reused epochs are sums, curves are left out.

    Args:
        task: Training and validation part with their folds.
        evaluate: Evaluates the candidate on the task of a fold of a number.
    """
    folds = [evaluate(fold_task(task, fold), fold) for fold in range(n_folds(task))]
    first = folds[0]
    metrics = _means([one.metrics for one in folds])
    score = float(np.mean([one.score for one in folds]))
    confusion = None
    if all(one.confusion is not None for one in folds):
        pooled = np.sum([np.asarray(one.confusion, np.int64) for one in folds], axis=0)
        confusion = pooled.tolist()
        metrics |= {
            name: value
            for name, value in scores(pooled, task.train.classes, task.macro_classes).items()
            if name in metrics
        }
        if name := _metric_of_all(folds, metrics):
            score = metrics[name] if name in metrics else -metrics[name.removeprefix("-")]
    return replace(
        first,
        score=score,
        metrics=metrics,
        seconds=sum(one.seconds for one in folds),
        confusion=confusion,
        curves={},
        state=None,
        predictions=None,
        epochs_reused=sum(one.epochs_reused for one in folds),
    )


def _metric_of_all(folds: Sequence[Evaluation], known: Collection[str]) -> str:
    """Return the metric that the score is in every fold, as :func:`score_metric` names it, or "".

    In a single fold, a score may equal a metric by chance.

    Args:
        folds: The evaluations.
        known: Metrics that all of them have.
    """
    same: dict[str, float] = {}
    for name in known:
        for sign in (1, -1):
            if all(one.score == sign * one.metrics[name] for one in folds):
                same[name] = sign * folds[0].score
    return score_metric(folds[0].score, same, "f1_of_macro")


def _means(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric that all folds have."""
    names = set.intersection(*(set(own) for own in metrics))
    return {
        name: float(np.mean([own[name] for own in metrics])) for name in metrics[0] if name in names
    }

"""The evaluator and the builder ``clustering``: how well clusters agree with classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nasbench_ecg.api import (
    Architecture,
    Beats,
    Builder,
    Evaluation,
    EvaluationContext,
    OptionError,
    Task,
)
from nasbench_ecg.metrics import class_table, confusion_matrix, scores
from nasbench_ecg.training import predict
from nasbench_ecg_immune.clustering import Standardization, standardization
from nasbench_ecg_immune.kernels import ROWS, median_width, rbf
from nasbench_ecg_immune.objective import Floats
from nasbench_ecg_immune.options import ClusteringEvaluatorOptions, ClusteringOptions
from nasbench_ecg_immune.space import Codes, from_architecture

Ints = NDArray[np.int64]


class ClusteringEvaluator:
    """Scores a labeling on the clustered beats and on held-out beats.

    Each cluster stands for the class that most of its beats have. A held-out beat goes to the
    cluster whose function is largest for it; the functions are kernel ridge regressions of the
    labeling, for every strategy. The score and the confusion matrix are those of the held-out
    beats. Metrics named ``clustered_…`` are those of the clustered beats, as in the paper;
    ``assigned_…`` are those with clusters and classes matched one to one, if their numbers are
    equal.

    If each record was clustered on its own, all this is done record by record: a cluster stands
    for a class of its record, and a held-out beat goes to a cluster of its record. The metrics are
    those of all beats; ``clustered_accuracy_of_records`` and ``accuracy_of_records`` are the means
    over the records, and ``clustered_accuracy_R`` is that of record R. No network is stored then.
    """

    def __init__(self, options: ClusteringEvaluatorOptions) -> None:
        self.options = options

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Return the scores of a labeling of the training and the validation part.

        Raises:
            OptionError: The labeling has another number of beats, or features are unusable.
        """
        started = monotonic()
        codes = _codes(arch, task)
        fit_on, score_on = ctx.parts()
        codes = codes[: len(fit_on)]
        model = builder.build(
            arch, n_leads=task.n_leads, n_samples=task.n_samples, n_classes=task.n_classes
        )
        if not isinstance(model, KernelClassifier):
            raise OptionError(
                "The evaluator 'clustering' only fits models of the builder 'clustering'.",
                fix="Omit --builder.",
            )
        rng = np.random.default_rng(torch.initial_seed() % 2**63)
        fit, state = _Fit(model, 1 / (2 * self.options.C), ctx.device, rng), None
        if arch.genotype.get("within") == "record":
            predicted, clustered = _each_record(fit, codes, fit_on, score_on, task)
        else:
            predicted, table = fit.predict(codes, fit_on, score_on)
            clustered = clustered_metrics(table, task)
            state = {name: value.cpu() for name, value in model.state_dict().items()}
        confusion = confusion_matrix(score_on.labels, predicted, task.n_classes)
        metrics = scores(confusion, task.train.classes, task.macro_classes)
        return Evaluation(
            architecture=arch,
            score=metrics["f1_of_macro"],
            metrics={**metrics, **clustered},
            seconds=monotonic() - started,
            confusion=confusion.tolist(),
            state=state,
            predictions=predicted.tolist(),
        )


@dataclass(frozen=True, eq=False)
class _Fit:
    """How the functions of clusters are fitted, and the network that holds them."""

    model: KernelClassifier
    lam: float
    device: str
    rng: np.random.Generator

    def predict(
        self, codes: Codes, fit_on: Beats, score_on: Beats, *, ignore_constant: bool = False
    ) -> tuple[Ints, Ints]:
        """Return the classes of ``score_on``, and the beats of each class in each cluster."""
        model = self.model
        table = contingency_table(codes, fit_on.labels, len(model.bias), fit_on.n_classes)
        standardized = standardization(fit_on, ignore_constant=ignore_constant)
        _fit(model, fit_on, standardized, codes, map_by_majority(table), self.lam, self.rng)
        return predict(model, score_on, device=self.device).argmax(axis=1), table


def _each_record(
    fit: _Fit, codes: Codes, fit_on: Beats, score_on: Beats, task: Task
) -> tuple[Ints, dict[str, float]]:
    """Return the classes of ``score_on``, and the scores of the clustered beats.

    Raises:
        OptionError: A record to score has no clustered beats.
    """
    unknown = np.setdiff1d(score_on.record, fit_on.record)
    if len(unknown):
        raise OptionError(
            f"Record {score_on.records[unknown[0]]} has no clustered beats, so its beats cannot go "
            "to one of its clusters.",
            where="space.within",
            fix="Use the protocol intra-patient, or cluster all beats together.",
        )
    predicted = np.empty(len(score_on), np.int64)
    confusion = np.zeros((task.n_classes, task.n_classes), np.int64)
    clustered: dict[str, float] = {}
    held_out: list[float] = []
    for number in np.unique(fit_on.record):
        own, new = np.flatnonzero(fit_on.record == number), score_on.record == number
        part = score_on.take(np.flatnonzero(new))
        fitted = fit.predict(codes[own], fit_on.take(own), part, ignore_constant=True)
        predicted[new], table = fitted
        if len(part):
            held_out.append(float(np.mean(predicted[new] == part.labels)))
        of_record = _confusion(table, map_by_majority(table))
        confusion += of_record
        share = float(np.trace(of_record) / of_record.sum())
        clustered[f"clustered_accuracy_{fit_on.records[number]}"] = share
    overall = scores(confusion, task.train.classes, task.macro_classes)
    means = {"clustered_accuracy_of_records": fmean(clustered.values())}
    means |= {"accuracy_of_records": fmean(held_out)} if held_out else {}
    metrics = {f"clustered_{key}": value for key, value in overall.items()}
    return predicted, {**metrics, **_by_class("clustered", confusion, task), **means, **clustered}


def clustered_metrics(table: Ints, task: Task) -> dict[str, float]:
    """Return the scores of the clustered beats.

    Args:
        table: int64 [clusters, classes], beats of each class in each cluster.
        task: The task, which names the classes.
    """
    mappings = {"clustered": map_by_majority(table)}
    if table.shape[0] == table.shape[1]:
        mappings["assigned"] = map_by_assignment(table)
    metrics: dict[str, float] = {"clusters": float(np.count_nonzero(table.sum(axis=1)))}
    for name, classes in mappings.items():
        confusion = _confusion(table, classes)
        overall = scores(confusion, task.train.classes, task.macro_classes)
        metrics |= {f"{name}_{key}": value for key, value in overall.items()}
        metrics |= _by_class(name, confusion, task)
    return metrics


def _by_class(name: str, confusion: Ints, task: Task) -> dict[str, float]:
    """Return Se, Spe and Acc of every class, the paper's three indicators."""
    rows: Mapping[str, Mapping[str, float]] = class_table(confusion, task.train.classes)
    total, agree = confusion.sum(), np.diag(confusion)
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * agree
    accuracies = {
        f"{name}_acc_{row.lower()}": float(1 - n / total)
        for row, n in zip(rows, wrong, strict=True)
    }
    return accuracies | {
        f"{name}_{key}_{row.lower()}": values[key]
        for row, values in rows.items()
        for key in ("se", "spe")
        if key in values
    }


def _confusion(table: Ints, classes: Ints) -> Ints:
    """Return int64 [classes, classes], rows by true class; cluster k stands for classes[k]."""
    confusion = np.zeros((table.shape[1], table.shape[1]), np.int64)
    np.add.at(confusion.T, classes, table)
    return confusion


def contingency_table(codes: NDArray[Any], labels: Ints, clusters: int, classes: int) -> Ints:
    """Return int64 [clusters, classes], the number of beats of each class in each cluster."""
    table = np.zeros((clusters, classes), np.int64)
    np.add.at(table, (codes, labels), 1)
    return table


def map_by_majority(table: Ints) -> Ints:
    """Return int64 [clusters], the most frequent class of each cluster.

    An empty cluster gets the most frequent class of all beats.
    """
    chosen: Ints = table.argmax(axis=1)
    chosen[table.sum(axis=1) == 0] = table.sum(axis=0).argmax()
    return chosen


def map_by_assignment(table: Ints) -> Ints:
    """Return int64 [clusters], the one-to-one mapping to classes by which most beats agree.

    It is found by the Hungarian method; ``table`` must be square.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    chosen = np.empty(len(table), np.int64)
    chosen[rows] = columns
    return chosen


def _codes(arch: Architecture, task: Task) -> Codes:
    """Return the clusters of all beats that a strategy may use, uint8 [n]."""
    codes = from_architecture(arch)
    n = len(task.train) + len(task.validation)
    if len(codes) != n:
        raise OptionError(
            f"This labeling has {len(codes)} beats; training and validation part have {n}.",
            fix=f"Set space.beats={n} for strategies that draw random labelings.",
        )
    return codes


def _fit(
    model: KernelClassifier, beats: Beats, standardized: Standardization, codes: Codes,
    classes: Ints, lam: float, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Fit one function a cluster: least squares on ±1 with penalty λ‖f‖² over the landmarks."""
    x = standardized.apply(beats)
    chosen = _landmarks(codes, min(len(model.landmarks), len(x)), rng)
    z, width = x[chosen], median_width(x, rng)
    y = 2.0 * (codes[:, None] == np.arange(len(model.bias))) - 1
    coefficients, bias = _ridge(x, z, y, width, lam)
    m = len(z)
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(standardized.mean))
        model.scale.copy_(torch.from_numpy(standardized.scale))
        model.landmarks[:m].copy_(torch.from_numpy(z))
        model.width.fill_(width)
        model.coefficients.zero_()  # a network is fitted to one record after another
        model.coefficients[:m].copy_(torch.from_numpy(coefficients))
        model.bias.copy_(torch.from_numpy(bias))
        model.classes.copy_(torch.from_numpy(classes))


def _landmarks(codes: Codes, size: int, rng: np.random.Generator) -> Ints:
    """Return ``size`` indices, half of them in equal numbers from every cluster."""
    used = np.unique(codes)
    share = size // (2 * len(used))
    chosen = np.zeros(len(codes), bool)
    for cluster in used:
        members = np.flatnonzero(codes == cluster)
        chosen[rng.permutation(members)[:share]] = True
    rest = np.flatnonzero(~chosen)
    chosen[rng.choice(rest, size - int(chosen.sum()), replace=False)] = True
    return np.flatnonzero(chosen)


def _ridge(x: Floats, z: Floats, y: Floats, width: float, lam: float) -> tuple[Floats, Floats]:
    """Return coefficients [m, K] and biases [K] of min ‖Y − K_xz A − b‖² + λ tr(Aᵀ K_zz A)."""
    m, n = len(z), len(x)
    gram, moment, total = np.zeros((m, m)), np.zeros((m, y.shape[1])), np.zeros(m)
    for i in range(0, n, ROWS):
        block = rbf(x[i : i + ROWS], z, width)
        gram += block.T @ block
        moment += block.T @ y[i : i + ROWS]
        total += block.sum(axis=0)
    mean, offset = total / n, y.mean(axis=0)
    gram -= n * np.outer(mean, mean)
    moment -= n * np.outer(mean, offset)
    system = gram + lam * rbf(z, z, width) + 1e-8 * np.eye(m)
    coefficients = np.asarray(np.linalg.solve(system, moment))
    return coefficients, np.asarray(offset - mean @ coefficients)


_NO_CLUSTER = -1e4
"""Logit of a class without a cluster."""


class KernelClassifier(nn.Module):
    """Kernel classifier: one RBF expansion over landmarks for each cluster, and its class.

    Its buffers are set by the evaluator: ``mean`` and ``scale`` [d] of the features, standardized
    ``landmarks`` [m, d], ``width``, ``coefficients`` [m, K], ``bias`` [K], and ``classes`` [K], the
    class of each cluster.
    """

    def __init__(self, n_features: int, landmarks: int, clusters: int, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.mean: Tensor
        self.scale: Tensor
        self.landmarks: Tensor
        self.width: Tensor
        self.coefficients: Tensor
        self.bias: Tensor
        self.classes: Tensor
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.register_buffer("landmarks", torch.zeros(landmarks, n_features))
        self.register_buffer("width", torch.ones(()))
        self.register_buffer("coefficients", torch.zeros(landmarks, clusters))
        self.register_buffer("bias", torch.zeros(clusters))
        self.register_buffer("classes", torch.zeros(clusters, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Map beats [batch, leads, samples] to logits [batch, classes].

        The logit of a class is the value of its best cluster.
        """
        clusters = self.cluster_scores(x)
        beats = x.shape[0]  # not len(x), which would fix it in an exported network
        logits = clusters.new_full((beats, self.n_classes), _NO_CLUSTER)
        index = self.classes.expand(beats, -1)
        return logits.scatter_reduce(1, index, clusters, reduce="amax")

    def cluster_scores(self, x: Tensor) -> Tensor:
        """Map beats [batch, leads, samples] to the values of the K functions, [batch, K]."""
        z = (x.flatten(1) - self.mean) / self.scale
        squared = z.square().sum(1, keepdim=True) + self.landmarks.square().sum(1)
        squared = (squared - 2 * z @ self.landmarks.T).clamp_min(0)
        return torch.exp(squared / (-2 * self.width**2)) @ self.coefficients + self.bias


class Clustering:
    """Builds kernel classifiers for labelings."""

    def __init__(self, options: ClusteringOptions) -> None:
        self.options = options

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> nn.Module:
        """Return a module from [batch, n_leads, n_samples] to logits [batch, n_classes].

        Raises:
            OptionError: The architecture is not a labeling.
        """
        n = len(from_architecture(arch))
        clusters: int = arch.genotype["clusters"]
        landmarks = min(self.options.landmarks, n)
        return KernelClassifier(n_leads * n_samples, landmarks, clusters, n_classes)

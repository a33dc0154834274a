"""What the harness checks after a component was called: evaluations, convergence, beats."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Evaluation
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import DivergedError, PluginError
from nasbench_ecg.io import jsonable
from nasbench_ecg.metrics import confusion_matrix, scores, without_macro_scores
from nasbench_ecg.run.numbers import LARGEST, TOLERANCE, is_fraction
from nasbench_ecg.run.validation import check_json
from nasbench_ecg.text import is_name


def check_evaluation(
    found: Any,
    arch: Architecture,
    scored: Beats,
    evaluator: str,
    macro_classes: Sequence[str] | None = None,
) -> Evaluation:
    """Return ``found`` if it is a valid evaluation, with numbers that are Python's.

    Args:
        found: What the evaluator returned.
        arch: The architecture that it had to evaluate.
        scored: The beats that it had to score.
        evaluator: The evaluator, named in the error.
        macro_classes: The classes that macro scores average over; None: macro scores are not
            compared with the confusion matrix.

    Raises:
        PluginError: It is not valid.
    """
    try:
        fault = evaluation_fault(found, arch, scored, macro_classes)
    except Exception as error:  # a value that numpy cannot read
        fault = f"the evaluation cannot be read: {type(error).__name__}: {error}"
    if fault:
        raise PluginError(
            f"The {evaluator}, returned an evaluation that is not valid: {fault}.",
            where=f"architecture {arch.hash[:12]}",
            fix="'nasbench-ecg plugin check' shows all faults; report them to its authors.",
        )
    assert isinstance(found, Evaluation)
    return replace(  # numbers of any type are valid, but not all can be stored
        found,
        score=float(found.score),
        seconds=float(found.seconds),
        metrics={name: float(value) for name, value in found.metrics.items()},
        confusion=None if found.confusion is None else _whole_numbers(found.confusion).tolist(),
        predictions=None if found.predictions is None else _whole_numbers(found.predictions),
        curves={name: [float(value) for value in curve] for name, curve in found.curves.items()},
    )


def _whole_numbers(values: Any) -> Any:
    return np.asarray(values).astype(np.int64)


def details_fault(details: Any) -> str:
    """Return why the details of a search result cannot be recorded; "" if they can."""
    if not isinstance(details, Mapping):
        return f"they are a {type(details).__name__}, not a mapping"
    for name, value in details.items():
        try:
            text = json.dumps(jsonable({name: value}), allow_nan=False)
            check_json(json.loads(text), "search_details", 1)
        except (TypeError, ValueError, RecursionError) as error:
            return f"{name!r:.40} is not JSON data: {error}"
    return ""


def fault_of_stated_score(evaluation: Evaluation, stated: str | None) -> str:
    """Return why the score is not the metric that the evaluator's spec states; "" if it is."""
    if stated is None or float(evaluation.score) == evaluation.metrics.get(stated):
        return ""
    return f"its spec states that the score is the metric {stated!r}, but it is another value"


def fault_without_test_part(evaluation: Evaluation) -> str:
    """Return which scores of beats an evaluation has, if any, although no beats were requested."""
    named = [name for name in evaluation.metrics if is_fraction(name)]
    if evaluation.confusion is not None:
        named.append("a confusion matrix")
    if evaluation.predictions is not None:
        named.append("predictions")
    return f"returns {', '.join(named)}" if named else ""


def check_unchanged(before: tuple[str, ...], beats: tuple[Beats, ...], call: str) -> None:
    """Check that beats still have their fingerprints.

    Raises:
        PluginError: They were changed, other than through numpy, which refuses.
    """
    if tuple(part.fingerprint() for part in beats) != before:
        raise PluginError(
            f"The {call}, has changed the beats of the run, so its scores would be wrong.",
            fix="A component must copy what it changes: a tensor from torch.from_numpy or "
            "torch.as_tensor shares the memory of the beats, one from torch.tensor does not.",
        )


def check_not_modified(arch: Architecture) -> None:
    """Check that an architecture is what it was when its hash was computed.

    Scores are found by the hash, so an architecture that was changed would get those of another.

    Raises:
        PluginError: Its genotype was changed.
    """
    if Architecture(arch.space, arch.genotype).hash != arch.hash:
        raise PluginError(
            "The genotype of an architecture was changed after the architecture was evaluated.",
            where=f"architecture {arch.hash[:12]}",
            fix="A search must make a new Architecture of a copy of the genotype: "
            "copy.deepcopy(arch.genotype).",
        )


def check_converged(evaluation: Evaluation) -> None:
    """Raise DivergedError if the evaluator's training ended with a loss or weights not finite.

    A value that is no evaluation is left to :func:`check_evaluation`.
    """
    if evaluation_type_fault(evaluation) or _fault_of_curves(evaluation):
        return
    fix = "Lower the learning rate, or check the evaluator's training."
    losses = evaluation.curves.get("loss", ())
    if len(losses) and not math.isfinite(losses[-1]):
        epochs = range(1, len(losses) + 1)
        first = next(n for n, loss in zip(epochs, losses, strict=True) if not math.isfinite(loss))
        raise DivergedError(
            "The training diverged: loss not finite.", where=f"epoch {first}", fix=fix
        )
    for name, weights in (evaluation.state or {}).items():
        if weights.is_floating_point() and not weights.isfinite().all():
            raise DivergedError("The training diverged: weights not finite.", where=name, fix=fix)


def evaluation_fault(
    found: Any, arch: Architecture, scored: Beats, macro_classes: Sequence[str] | None = None
) -> str:
    """Return what is wrong with the evaluation of ``arch`` on the beats ``scored``; "" if nothing.

    Numbers must be finite and of the right type, metrics of known names between 0 and 1, the
    confusion matrix and the predictions must match the beats and each other, and the metrics of
    known names must be the scores of the confusion matrix.
    """
    if fault := evaluation_type_fault(found):
        return fault
    if not isinstance(found.architecture, Architecture) or found.architecture != arch:
        return "it evaluates a different architecture"
    return (
        _fault_of_numbers(found)
        or _fault_of_predictions(found, scored)
        or _fault_of_scores(found, scored.classes, macro_classes)
        or _fault_of_state(found.state)
    )


def evaluation_type_fault(found: object) -> str:
    """Return that a value is not an evaluation; "" if it is."""
    if isinstance(found, Evaluation):
        return ""
    return f"it is a value of type {type(found).__name__}, not an Evaluation"


def _fault_of_numbers(found: Evaluation) -> str:
    if not _is_finite(found.score):
        return f"the score is {found.score!r}"
    if abs(float(found.score)) > LARGEST:
        return f"the score is {float(found.score):g}: its magnitude may be {LARGEST:g} at most"
    if not _is_finite(found.seconds) or found.seconds < 0:
        return f"it took {found.seconds!r} seconds"
    if not isinstance(found.metrics, Mapping) or not isinstance(found.curves, Mapping):
        return "metrics and curves must be mappings"
    for name, value in found.metrics.items():
        if not is_name(name):
            return f"{name!r} is not the name of a metric"
        if not _is_finite(value):
            return f"the metric {name} is {value!r}: leave it out instead"
        if abs(float(value)) > LARGEST:
            return f"the metric {name} is {float(value):g}: leave it out instead"
        if is_fraction(name) and not -TOLERANCE <= value <= 1 + TOLERANCE:
            return f"the metric {name} is {float(value):g}, not a fraction between 0 and 1"
    if fault := _fault_of_curves(found):
        return fault
    for name, values in found.curves.items():
        if not all(map(_is_finite, values)):
            return f"the curve {name} is not finite"
    return ""


def _fault_of_curves(found: Evaluation) -> str:
    if not isinstance(found.curves, Mapping):
        return "metrics and curves must be mappings"
    for name, values in found.curves.items():
        if not is_name(name):
            return f"{name!r} is not the name of a curve"
        listed = hasattr(values, "__len__") and not isinstance(values, str | Mapping)
        if not listed or getattr(values, "ndim", 1) != 1:
            return f"the curve {name} is of the type {type(values).__name__}, not a list of numbers"
    return ""


def _is_finite(value: Any) -> bool:
    """Return whether ``value`` is a finite real number, of Python, numpy or torch."""
    if isinstance(value, bool | np.bool_ | str | bytes) or value is None:
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _fault_of_predictions(found: Evaluation, beats: Beats) -> str:
    n, k = len(beats), beats.n_classes
    table = predicted = None
    if found.confusion is not None:
        table = np.asarray(found.confusion)
        if table.shape != (k, k):
            return f"the confusion has shape {table.shape}, not {(k, k)}"
        if not (np.issubdtype(table.dtype, np.number) and (table == np.floor(table)).all()):
            return "the confusion does not consist of whole numbers"
        if (table < 0).any():
            return "the confusion has negative entries"
        rows, true = table.sum(axis=1).tolist(), list(beats.counts().values())
        if rows != true:
            return f"the rows of the confusion sum to {rows}; there are {true} beats"
    if found.predictions is not None:
        predicted = np.asarray(found.predictions)
        if predicted.shape != (n,):
            return f"{predicted.shape} predictions for {n} beats"
        if not np.issubdtype(predicted.dtype, np.integer):
            return f"the predictions are of type {predicted.dtype}, not whole numbers"
        if not ((predicted >= 0) & (predicted < k)).all():
            return "a prediction is not a class"
    if table is not None and predicted is not None:
        counted = confusion_matrix(beats.labels, predicted.astype(np.int64), k)
        if not np.array_equal(counted, table):
            return "confusion and predictions disagree"
    return ""


def _fault_of_scores(
    found: Evaluation, classes: Sequence[str], macro_classes: Sequence[str] | None
) -> str:
    if found.confusion is None:
        return ""
    expected = scores(np.asarray(found.confusion).astype(np.int64), classes, macro_classes)
    if macro_classes is None:
        expected = without_macro_scores(expected)
    for name, value in expected.items():
        said = float(found.metrics.get(name, value))
        if abs(said - value) > TOLERANCE:
            return f"the metric {name} is {said:g}, but {value:g} by its confusion matrix"
    return ""


def _fault_of_state(state: Any) -> str:
    if state is None:
        return ""
    if not isinstance(state, Mapping):
        return f"its weights are a {type(state).__name__}, not a mapping of tensors"
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            return f"its weight {name!r} is not a named tensor"
        if value.device.type != "cpu":
            return f"its weight {name!r} is not on the CPU"
    return ""

"""What a record says of its command, costs, beats and predictions, compared with what is found."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from nasbench_ecg.metrics import confusion_matrices, confusion_matrix
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.record import DatasetRecord, RunRecord, SplitRecord
from nasbench_ecg.run.request import ROLES

_FACTS = ("records", "leads", "fs", "n_samples", "counts")
"""What follows from the beats of a run and their split; notes may be worded anew."""


def fault_of_options(record: RunRecord, config: RunConfig) -> str:
    """Return which option of a record its command does not give, one sentence; "" if it gives all.

    Args:
        record: The record.
        config: What the command of the record gives with components of the same revisions.
    """
    given = {role: one.options.model_dump(mode="json") for role, one in config.components().items()}
    stored = {role: used.options for role, used in record.components.items()}
    given["protocol"] = config.protocol_options.model_dump(mode="json")
    stored["protocol"] = record.protocol_options
    for role, options in given.items():
        for name in sorted(options.keys() | stored[role].keys()):
            value, own = options.get(name), stored[role].get(name)
            if value != own:
                return (
                    f"{role}.{name} is {own!r:.40}, but the profile {record.profile!r} and the "
                    f"changed options give {value!r:.40}."
                )
    return ""


def stored_command(record: RunRecord, registry: Registry) -> str:
    """Return the command of a record without options that change no result: it lacks these.

    Raises:
        PluginError: A component whose option the command sets is not installed.
    """
    kept: list[str] = []
    for word in shlex.split(record.command):
        role, _, option = word.partition("=")[0].partition(".")
        if kept[-1:] == ["--set"] and role in record.components:
            component = registry.get(ROLES[role], record.components[role].name)
            field = component.options_model().model_fields.get(option)
            if field is not None and field.exclude:
                kept.pop()
                continue
        kept.append(word)
    return shlex.join(kept)


def words_of(command: str) -> list[str]:
    """Return the words of a command, with JSON values in one form, in any order."""
    words = []
    for word in shlex.split(command):
        name, equals, value = word.partition("=")
        with contextlib.suppress(ValueError):
            value = json.dumps(json.loads(value), sort_keys=True) if equals else value
        words.append(name + equals + value)
    return sorted(words)


def fault_of_costs(record: RunRecord, found: Mapping[str, float]) -> str:
    """Return which cost of a record is another one, one sentence; "" if none is.

    Args:
        record: The record; costs that it does not state are not compared.
        found: The costs of its network by name.
    """
    for name, cost in found.items():
        if (stated := record.costs.get(name)) not in (None, cost):
            return f"{name} is {stated:,g} in the record, and {cost:,g} in its network."
    return ""


def fault_of_beats(
    before: DatasetRecord | SplitRecord | None, now: DatasetRecord | SplitRecord | None
) -> str:
    """Return what a record says otherwise of its beats or split than they give; "" if nothing.

    ``fingerprint`` is returned where beats or split themselves are others. What a record that is
    older than a field does not say is not compared.
    """
    if before is None or now is None or before.fingerprint != now.fingerprint:
        return "fingerprint"
    for name in _FACTS:
        if getattr(before, name, None) != getattr(now, name, None):
            return name
    for field in ("by_record", "persons"):
        stated, own = getattr(before, field, {}), getattr(now, field, {})
        # excluded records may be here or not
        if any(stated[name] != own[name] for name in stated.keys() & own):
            return field
    return ""


def fault_of_predictions(record: RunRecord, stored: Mapping[str, list[Any]]) -> str:
    """Return why predictions are not those of a record, one sentence; "" if they are.

    Args:
        record: The record of the run.
        stored: ``classes``, and ``truth``, ``predicted`` and ``record``, one entry a beat.
    """
    truth, predicted, names = stored["truth"], stored["predicted"], stored["record"]
    n = len(record.classes)
    if stored["classes"] != record.classes or record.confusion is None:
        return "The predictions are of other classes than the confusion matrix."
    if len(truth) != len(predicted) or not _are_classes([*truth, *predicted], n):
        return "predictions.json does not hold one class for each beat."
    if len(names) != len(truth) or not all(type(name) is str for name in names):
        return "predictions.json does not name the record of each beat."
    true, found = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    if confusion_matrix(true, found, n).tolist() != record.confusion:
        return "The predictions give another confusion matrix than that of the record."
    known, of_beat = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    of_record = confusion_matrices(of_beat, true, found, n_groups=len(known), n_classes=n)
    matrices = dict(zip(known.tolist(), of_record.tolist(), strict=True))
    if record.per_record and matrices != record.per_record:
        return "The predictions give other matrices of single records than per_record."
    return ""


def _are_classes(values: list[Any], n_classes: int) -> bool:
    return all(type(value) is int and 0 <= value < n_classes for value in values)

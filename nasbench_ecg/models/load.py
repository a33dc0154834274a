"""Load the trained network of a run as a PyTorch module."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.io import sha256
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.store import WEIGHTS, weights_path

if TYPE_CHECKING:
    from torch import nn

    from nasbench_ecg.plugin.registry import Registry


def load_model(record: RunRecord, out: Path, registry: Registry | None = None) -> nn.Module:
    """Return the trained network of a run, on the CPU and set to evaluation.

    It maps beats [batch, leads, samples], prepared as those of the run, to logits [batch, classes].

    Args:
        record: The run.
        out: Folder of all results, in which the record and its weights lie; the weights of a result
            that was copied from another suite lie there.
        registry: The available components; by default those installed.

    Raises:
        OptionError: The run failed, trained no network, or its builder has changed since.
        PluginError: The builder is not installed.
        StorageError: The weights are missing, are not those of the record, or cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if record.status != "ok" or record.architecture is None or record.dataset is None:
        raise OptionError(
            f"The run {record.run_key} ended as {record.status!r} and left no model.",
            fix=f"'{shlex.join(['nasbench-ecg', 'show', record.run_key[:8], '--out', str(out)])}' "
            "shows its record.",
        )
    path = weights_path(record, out)
    words = [*shlex.split(record.command), "--suite", record.suite, "--out", str(out), "--rerun"]
    repeat = f"To train it again: {shlex.join(words)}"
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise StorageError(
            f"The weights of the run {record.run_key} are missing.", where=str(path), fix=repeat
        ) from None
    except OSError as error:
        raise StorageError(
            f"The weights cannot be read: {(error.strerror or str(error)).lower()}.",
            where=str(path),
            fix="Change the permissions of the file, or ask its owner.",
        ) from error
    model = build_model(record, registry)
    try:
        weights = load_file(path)
        if record.files.get(WEIGHTS) not in (None, sha256(path)):
            raise StorageError(
                f"The weights are not those of the run {record.run_key}: their SHA-256 differs.",
                where=str(path),
                fix=repeat,
            )
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise _changed(record, error) from error
    except (SafetensorError, OSError) as error:
        raise StorageError(
            f"The weights cannot be read: {str(error).rstrip('.')}.", where=str(path), fix=repeat
        ) from error
    return model.eval()


def build_model(record: RunRecord, registry: Registry | None = None) -> nn.Module:
    """Return the untrained network of a successful run.

    Raises:
        OptionError: Its builder has changed since.
        PluginError: The builder is not installed.
    """
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.training.shapes import with_shapes

    assert record.architecture is not None and record.dataset is not None
    used = record.components["builder"]
    component = (registry or load_registry()).get("builder", used.name)
    try:
        builder = component.create(component.options_model()(**used.options))
        model: nn.Module = builder.build(
            Architecture.from_dict(record.architecture),
            n_leads=len(record.dataset.leads),
            n_samples=record.dataset.n_samples,
            n_classes=len(record.classes),
        )
        model = with_shapes(model, len(record.dataset.leads), record.dataset.n_samples)
    except (ValidationError, RuntimeError) as error:
        raise _changed(record, error) from error
    return model


def _changed(record: RunRecord, error: Exception) -> OptionError:
    used = record.components["builder"]
    return OptionError(
        f"The builder {used.name!r} no longer builds the network of the run {record.run_key}.",
        where=first_line(error),
        fix=f"Install the version that trained it: {used.distribution} {used.version}.",
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its type if it has no text."""
    return next(iter(str(error).splitlines()), type(error).__name__)

"""Export the trained network of a run to one file that runs without this package."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nasbench_ecg.arguments import file_of, switch
from nasbench_ecg.data.declarations import requirements_of
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import RecordError
from nasbench_ecg.front.progress import progress_of
from nasbench_ecg.front.results import Runs, one_run
from nasbench_ecg.front.running import entered
from nasbench_ecg.io import check_writable, replace_atomically, storage_errors
from nasbench_ecg.physionet.catalog import DATABASES
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.progress import Progress
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.downloads import fetch_missing
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import DEFAULT_OUT, RunRequest
from nasbench_ecg.run.store import INT8, INT8_PROGRAM, RecordStore

if TYPE_CHECKING:
    from torch import nn

    from nasbench_ecg.models.quantization import Int8Scores


@dataclass(frozen=True)
class ExportedModel:
    """A network that was written to a file.

    Attributes:
        path: The file.
        card: Its model card, a Markdown file beside it.
        difference: Largest difference of its probabilities from those of the stored network.
        int8: Scores of the quantized network; None if it was not quantized.
    """

    path: Path
    card: Path
    difference: float
    int8: Int8Scores | None = None


def export(
    run: Runs | RunRecord | pd.Series[Any] | str,
    path: Path | str,
    *,
    int8: bool = False,
    data: Path | str | None = None,
    out: Path | str = DEFAULT_OUT,
    progress: Progress | None = None,
) -> ExportedModel:
    """Write the trained network of a run to one standalone file, with a model card beside it.

    The file needs no nasbench-ecg. Its input are beats [batch, leads, samples], its output
    probabilities [batch, classes].

    Args:
        run: A table of one run, a row of a table, a record, or the first characters of a run key.
        path: The file, which ends in ``.pt2`` (PyTorch), ``.onnx`` (needs the extra ``onnx``) or
            ``.pte`` (needs the extra ``executorch``).
        int8: Quantize to 8-bit integers and score the result; needs the run's records.
        data: Folder of databases, for ``int8``; None: ``NASBENCH_ECG_DATA``, or the cache.
        out: Folder of results, for a record or a key.
        progress: Where progress is shown; None: bars in a notebook, elsewhere notes to the logger
            ``nasbench_ecg``.

    Raises:
        NasbenchError: There is no such run, its weights are not here, a component or a library is
            not installed, or the file cannot be written.
    """
    record, folder = one_run(run, out)
    # torch is imported only for a run that exists
    from nasbench_ecg.models.card import card_path, model_card
    from nasbench_ecg.models.export import check_path, exported, write
    from nasbench_ecg.models.load import load_model

    path, int8, progress = file_of("path", path), switch("int8", int8), progress_of(progress)
    check_path(path, int8=int8)
    check_writable(path)
    registry = load_registry()
    network = load_model(record, folder, registry)
    content, difference = exported(network, record, path.suffix.lower())
    found: Int8Scores | None = None
    if int8:
        with entered(progress) as shown:
            source = LocalSource(None if data is None else Path(data))
            content, found = _quantized(network, content, path, record, registry, source, shown)
    card = card_path(path)
    text = model_card(record, path.name, licenses=_licenses(record, registry), int8=found)
    with storage_errors(path, option="-o"), replace_atomically(path) as temporary:
        temporary.write_bytes(content)
        card.unlink(missing_ok=True)  # a kill must not leave that of another network beside it
    write(text.encode(), card)
    if found is not None:
        name = INT8 if path.suffix.lower() == ".onnx" else INT8_PROGRAM
        RecordStore(folder, record.suite).add_artifact(record.run_key, name, asdict(found))
    return ExportedModel(path, card, difference, found)


def _quantized(
    network: nn.Module,
    content: bytes,
    path: Path,
    record: RunRecord,
    registry: Registry,
    source: LocalSource,
    progress: Progress,
) -> tuple[bytes, Int8Scores]:
    """Return the network in 8-bit integers, and its scores on the test part of the run."""
    from nasbench_ecg.models import quantization as int8
    from nasbench_ecg.models.executorch import constant_bytes
    from nasbench_ecg.models.export import metadata
    from nasbench_ecg.run.prepare import prepare_run

    config = configure(registry, replace(RunRequest.from_record(record), device="cpu"))
    fetch_missing([config], source, progress)
    prepared = prepare_run(config, source=source, progress=progress, suite=record.suite)
    if _fingerprints(prepared.record) != _fingerprints(record):
        raise RecordError(
            f"The beats of {record.dataset_name} are not those that the run {record.run_key} used.",
            where=config.dataset.component.source,
            fix="Train the network again, or restore the records.",
        )
    calibration = int8.calibration_beats(prepared.task.train)
    test = prepared.test.load()
    signals = np.asarray(test.signals, dtype=np.float32)
    compared = partial(
        int8.scores_of_int8,
        test=test,
        macro_classes=tuple(prepared.task.macro_classes),
        n_calibration=len(calibration),
    )
    with progress.track("Quantizing", 2) as bar:
        if path.suffix.lower() == ".onnx":
            made = int8.quantize(content, calibration)
            bar.advance()
            found = compared(
                int8.predictions(made, signals),
                int8.predictions(content, signals),
                n_bytes=int8.weight_bytes(made),
            )
            written = int8.with_metadata(made, found)
        else:
            program, made = int8.quantized_program(network, calibration)
            bar.advance()
            found = compared(
                int8.program_predictions(made, signals),
                int8.network_predictions(network, signals),
                n_bytes=constant_bytes(program),
            )
            written = int8.program_with_metadata(program, metadata(record), found)
        bar.advance()
    return written, found


def _fingerprints(record: RunRecord) -> tuple[str, str]:
    """Return the fingerprints of the beats and of the split."""
    assert record.dataset is not None and record.split is not None
    return record.dataset.fingerprint, record.split.fingerprint


def _licenses(record: RunRecord, registry: Registry) -> list[str]:
    """Return the licenses of the databases that the run's dataset reads, where they are known."""
    used = record.components["dataset"]
    component = registry.get("dataset", used.name)
    needed = requirements_of(component.create(component.options_model()(**used.options)))
    return [DATABASES[n.database].license for n in needed if n.database in DATABASES]

"""``nasbench-ecg export``: the trained network of a run as one standalone file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import RichProgress, stderr

if TYPE_CHECKING:
    from nasbench_ecg.models.int8 import Int8Scores
    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.run.record import RunRecord


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run key, or its first characters.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write to FILE, which ends in .pt2 (PyTorch), .onnx (needs the extra 'onnx') or "
            ".pte (ExecuTorch, extra 'executorch').",
        ),
    ],
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Quantize to 8-bit integers and score the result; needs the run's records.",
        ),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds databases.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of run records.")] = Path(
        "results"
    ),
) -> None:
    """Export the trained network of a run to one standalone file, with a model card beside it.

    The file runs without nasbench-ecg.
    """
    from dataclasses import asdict

    from nasbench_ecg.run.store import RecordStore, find_record

    record = find_record(out, run)
    # torch is imported only for a run that exists
    from nasbench_ecg.models.card import card_path, model_card
    from nasbench_ecg.models.export import check_path, exported, metadata, write
    from nasbench_ecg.models.int8 import with_metadata
    from nasbench_ecg.models.load import load_model
    from nasbench_ecg.plugin.registry import load_registry

    check_path(output, int8=int8)
    registry = load_registry()
    model = load_model(record, out, registry)
    with stderr().status(f"Exporting {record.strategy} on {record.dataset_name}"):
        content, difference = exported(model, record, output.suffix.lower())
    found: Int8Scores | None = None
    if int8:
        content, found = _quantized(content, record, registry, data)
        content = with_metadata(content, found)
    write(content, output)
    card = card_path(output)
    text = model_card(record, output.name, licenses=_licenses(record, registry), int8=found)
    write(text.encode(), card)
    if found is not None:
        RecordStore(out, record.suite).add_artifact(record.run_key, "int8.json", asdict(found))
    described = metadata(record)
    if found is None:
        accuracy = f"they differ from those of the stored network by at most {difference:.0e}."
    else:
        accuracy = (
            f"{found.agreement:.2%} of {found.test_beats:,} test beats get the class of the float "
            f"network; F1 {found.f1_of_macro:.2%}, {-found.loss * 100:+.2f} points."
        )
    stderr().print(
        f"Written: {output}, {output.stat().st_size / 1e6:.2f} MB, "
        f"{record.costs.get('parameters', 0):,.0f} parameters; model card {card.name}.\n"
        f"Input: beats [{'1' if output.suffix.lower() == '.pte' else 'batch'}, "
        f"{len(described['leads'])} leads, {described['samples']} samples]. "
        f"Output: probabilities of {', '.join(described['classes'])}; {accuracy}",
        markup=False,
        soft_wrap=True,
    )


def _quantized(
    content: bytes, record: RunRecord, registry: Registry, data: Path | None
) -> tuple[bytes, Int8Scores]:
    """Return the network in 8-bit integers, and its scores on the test part of the run."""
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.errors import RecordError
    from nasbench_ecg.models.int8 import calibration_beats, quantize, scores_of_int8
    from nasbench_ecg.run.config import configure
    from nasbench_ecg.run.downloads import fetch_missing
    from nasbench_ecg.run.request import RunRequest
    from nasbench_ecg.run.runner import prepare_run

    config = configure(registry, RunRequest.from_record(record))
    source = LocalSource(data)
    with RichProgress() as progress:
        fetch_missing([config], source, progress)
        prepared = prepare_run(config, source=source, progress=progress, suite=record.suite)
    if _fingerprints(prepared.record) != _fingerprints(record):
        raise RecordError(
            f"The beats of {record.dataset_name} are not those that the run {record.run_key} used.",
            where=config.dataset.component.source,
            fix="Train the network again, or restore the records.",
        )
    calibration = calibration_beats(prepared.task.train)
    with stderr().status("Quantizing"):
        quantized = quantize(content, calibration)
        scores = scores_of_int8(
            quantized,
            content,
            prepared.test.load(),
            tuple(prepared.task.macro_classes),
            n_calibration=len(calibration),
        )
    return quantized, scores


def _fingerprints(record: RunRecord) -> tuple[str, str]:
    """Return the fingerprints of the beats and of the split."""
    assert record.dataset is not None and record.split is not None
    return record.dataset.fingerprint, record.split.fingerprint


def _licenses(record: RunRecord, registry: Registry) -> list[str]:
    """Return the licenses of the databases that the run's dataset reads, where they are known."""
    from nasbench_ecg.physionet.catalog import DATABASES

    used = record.components["dataset"]
    component = registry.get("dataset", used.name)
    needed = component.create(component.options_model()(**used.options)).requires()
    return [DATABASES[n.database].license for n in needed if n.database in DATABASES]

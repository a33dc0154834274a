"""The embedded dataset ``synthetic-2lead``: made on this machine, nothing to download."""

from __future__ import annotations

from collections.abc import Iterator

from nasbench_ecg.api import DatasetSpec, hookimpl

REVISION = 1
"""Raise it when the same options give other records: it names their folder and is in run keys."""


@hookimpl
def nasbench_ecg_datasets() -> Iterator[DatasetSpec]:
    """Yield the embedded dataset."""
    yield DatasetSpec(
        name="synthetic-2lead",
        target="nasbench_ecg_synthetic.dataset:Synthetic",
        options="nasbench_ecg_synthetic.options:SyntheticOptions",
        summary="Synthetic ECG in MLII and V1, all five AAMI classes; nothing to download",
        revision=REVISION,
        protocols=("intra-patient", "inter-patient", "patient-kfold"),
    )

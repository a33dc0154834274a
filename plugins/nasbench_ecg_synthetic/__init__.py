"""The built-in dataset ``synthetic-2lead``, which is generated locally without any download."""

from __future__ import annotations

from collections.abc import Iterator

from nasbench_ecg.api import DatasetSpec, hookimpl

PLUGIN_API_VERSION = "1.0"

REVISION = 1
"""Increase it if the same options give different records: it is in run keys and folder names."""


@hookimpl
def nasbench_ecg_datasets() -> Iterator[DatasetSpec]:
    """Yield the dataset."""
    yield DatasetSpec(
        name="synthetic-2lead",
        target="nasbench_ecg_synthetic.dataset:Synthetic",
        options="nasbench_ecg_synthetic.dataset:SyntheticOptions",
        summary="Synthetic ECG in MLII and V1, all five AAMI classes; nothing to download",
        revision=REVISION,
        protocols=("intra-patient", "inter-patient", "patient-kfold"),
        generated=True,
    )

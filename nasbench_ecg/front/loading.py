"""Load datasets with their split, and trained networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nasbench_ecg.arguments import folder_of
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.fitting import fitted
from nasbench_ecg.data.protocols import split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import OptionError
from nasbench_ecg.front.progress import progress_of
from nasbench_ecg.front.results import Runs, one_run
from nasbench_ecg.front.running import overrides_of
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import DatasetSpec
from nasbench_ecg.progress import Progress
from nasbench_ecg.run.configure import resolve_dataset
from nasbench_ecg.run.downloads import fetch_records
from nasbench_ecg.run.loading import beats_of
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import DEFAULT_OUT

if TYPE_CHECKING:
    from nasbench_ecg.models.trained import TrainedModel


@dataclass(frozen=True)
class SplitBeats:
    """The beats of a dataset, and the parts that a protocol makes of them.

    Attributes:
        name: Name of the dataset.
        protocol: Name of the protocol.
        beats: All beats.
        train: The beats that a search trains on.
        validation: The beats that a search scores its candidates on.
        test: The beats that are used only after the search.
        macro_classes: The classes that macro scores average over.
        fingerprint: SHA-256 of all beats, as run records have it.
        split_fingerprint: SHA-256 of the split, likewise.
        notes: Notes of the dataset and of the split.
    """

    name: str
    protocol: str
    beats: Beats
    train: Beats
    validation: Beats
    test: Beats
    macro_classes: tuple[str, ...]
    fingerprint: str
    split_fingerprint: str
    notes: tuple[str, ...]

    def counts(self) -> pd.DataFrame:
        """Return the number of beats by class (rows) and part (columns)."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return pd.DataFrame({name: part.counts() for name, part in parts.items()})

    def __repr__(self) -> str:
        data = self.beats
        return (
            f"{self.name}: {len(data)} beats [{data.n_leads} leads, {data.n_samples} samples] at "
            f"{data.fs:g} Hz, {self.protocol}\n{self.counts()}"
        )


def load_dataset(
    name: str,
    *,
    protocol: str | None = None,
    profile: str = "quick",
    set: Mapping[str, Any] | None = None,
    data: Path | str | None = None,
    progress: Progress | None = None,
) -> SplitBeats:
    """Return the beats of a dataset with their split; missing records are downloaded.

    Args:
        name: Dataset.
        protocol: How beats are split; None: as the dataset does by default.
        profile: Presets of the options of dataset and protocol.
        set: Options, for example ``{"dataset.minutes": 1, "protocol.seed": 1}``.
        data: Folder of databases; None: ``NASBENCH_ECG_DATA``, or the cache.
        progress: Where progress is shown; None: bars in a notebook, elsewhere notes to the logger
            ``nasbench_ecg``.

    Raises:
        NasbenchError: The dataset, the protocol or an option is unknown, or records are missing.
    """
    progress = progress_of(progress)
    component = load_registry().get("dataset", name)
    assert isinstance(component.spec, DatasetSpec)
    overrides = overrides_of(set or {})
    if others := sorted({*overrides} - {"dataset", "protocol"}):
        raise OptionError(
            f"Options of the {others[0]} cannot be set.",
            fix='For example: set={"dataset.denoise": "none"}',
        )
    options, protocol, protocol_set = resolve_dataset(component, protocol, profile, overrides)
    source = LocalSource(None if data is None else folder_of("data", data))
    dataset = component.create(options)
    fetch_records([dataset], source, progress)
    loaded = beats_of(component, options, dataset, source, progress)
    parts = split(protocol, protocol_set, loaded.beats, dataset)
    beats = fitted(loaded.beats, dataset, parts.train)
    return SplitBeats(
        name=name,
        protocol=protocol,
        beats=beats,
        train=beats.take(parts.train),
        validation=beats.take(parts.validation),
        test=beats.take(parts.test),
        macro_classes=tuple(parts.macro_classes),
        fingerprint=loaded.fingerprint,
        split_fingerprint=parts.fingerprint,
        notes=(*loaded.notes, *parts.notes),
    )


def load_model(
    run: Runs | RunRecord | pd.Series[Any] | str, out: Path | str = DEFAULT_OUT
) -> TrainedModel:
    """Return the trained network of a run as a PyTorch module, with its preprocessing.

    Args:
        run: A table of one run, a row of a table, a record, or the first characters of a run key.
        out: Folder of results, for a record or a key.

    Raises:
        NasbenchError: There is no such run, its weights are not here, or a component is missing.
    """
    from nasbench_ecg.models.trained import trained_model

    return trained_model(*one_run(run, out))

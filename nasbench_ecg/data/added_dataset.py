"""The datasets that the user added, as components.

Each has an options model of its own, whose defaults are those of its description; it is made when
asked for, as ``options_of_<name>``, and the dataset itself as ``dataset_of_<name>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, create_model

from nasbench_ecg.contracts import DataSource, Requirement
from nasbench_ecg.data.added import DATASET_OF, OPTIONS_OF, Added, find
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.preparation import WaveformOptions, prepare
from nasbench_ecg.data.records import Record
from nasbench_ecg.progress import Progress


class AddedOptions(WaveformOptions):
    """Options of a dataset that was added."""

    annotations: str = "atr"
    """Ending of the annotation files."""

    subjects: dict[str, str] = Field({})
    """Person behind each record that is not the only one of its person."""


class AddedDataset:
    """Beats of a folder of WFDB records.

    Args:
        name: Name of the dataset and of its database.
        options: Records, leads, window and processing.
    """

    def __init__(self, name: str, options: AddedOptions) -> None:
        self.name = name
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        added, records = find(self.name), self.options.records
        # Signals may also lie in files of other names, which the headers tell.
        usual = added is not None and (Path(added.folder) / f"{records[0]}.dat").is_file()
        endings = ("hea", *(("dat",) if usual else ()), self.options.annotations)
        return [Requirement(self.name, records, endings)]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and cut their beats.

        Raises:
            RecordError: A record is missing or damaged, or lacks a lead.
        """
        prepared = prepare(
            source.folder(self.name),
            self.options,
            progress,
            subject=self._subject,
            extension=self.options.annotations,
        )
        return prepared.beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return None: no protocol fixes the records."""
        return None

    def _subject(self, record: Record) -> str:
        return self.options.subjects.get(record.name, record.name)


def __getattr__(name: str) -> Any:
    for prefix, made in ((OPTIONS_OF, _model), (DATASET_OF, _factory)):
        if name.startswith(prefix):
            added = find(name.removeprefix(prefix).replace("_", "-"))
            if added is not None:
                return made(added)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _factory(added: Added) -> Callable[[AddedOptions], AddedDataset]:
    return partial(AddedDataset, added.name)


def _model(added: Added) -> type[AddedOptions]:
    """Return the options model whose defaults are those of the description."""
    fields: dict[str, Any] = {}
    for name, value in added.options.items():
        field = AddedOptions.model_fields[name]
        default = tuple(value) if isinstance(value, list) else value
        fields[name] = (field.annotation, Field(default, description=field.description))
    model: type[AddedOptions] = create_model(
        f"{added.name.title().replace('-', '')}Options",
        __base__=AddedOptions,
        __doc__=f"Options of ``{added.name}``.",
        **fields,
    )
    return model

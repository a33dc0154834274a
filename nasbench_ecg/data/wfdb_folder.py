"""The dataset of a folder of WFDB records, described by a few lines of TOML.

:func:`describe` reads the TOML file and the headers and annotations of its records. The registry
refers to the datasets by :func:`~nasbench_ecg.data.user_datasets.spec_targets`; ``__getattr__`` of
this module resolves these targets.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
)

from nasbench_ecg.contracts import DataSource, Requirement
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.folder_checks import (
    check_annotated,
    check_rates,
    check_window,
    notes_of,
    subjects_with_beats,
)
from nasbench_ecg.data.persons import stated_persons
from nasbench_ecg.data.preparation import cut_beats
from nasbench_ecg.data.record_options import WaveformOptions, rate_of_beats
from nasbench_ecg.data.user_datasets import (
    DATASET_PREFIX,
    NAME,
    OPTIONS_PREFIX,
    UserDataset,
    find_user_dataset,
)
from nasbench_ecg.errors import OptionError, RecordError, first_invalid, nearest
from nasbench_ecg.physionet.catalog import record_names
from nasbench_ecg.progress import Progress
from nasbench_ecg.signal.aami import SymbolMap
from nasbench_ecg.signal.filtering import Denoising
from nasbench_ecg.signal.median_beat import Differences
from nasbench_ecg.signal.records import Record, RecordSummary, check_leads, summarize_record
from nasbench_ecg.signal.rhythm import Rhythm
from nasbench_ecg.signal.windows import Normalization
from nasbench_ecg.text import counted

Model = TypeVar("Model", bound=BaseModel)


class WfdbFolderOptions(WaveformOptions):
    """Options of a dataset that the user added."""

    annotations: str = "atr"
    """Extension of the annotation files."""

    symbols: SymbolMap | None = "aami"
    """AAMI classes of the annotation symbols: of all beats (aami), or of the papers."""

    subjects: dict[str, str] = Field({})
    """Subject of each record; a record that is not listed is a subject of its own."""

    persons: dict[str, str] | None = None
    """Person of records across databases, as database/name; others are subjects of this dataset."""

    @field_validator("persons")
    @classmethod
    def _names_of_persons(cls, persons: dict[str, str] | None) -> dict[str, str] | None:
        for record, person in (persons or {}).items():
            database, slash, name = person.partition("/")
            if not (database and slash and name):
                raise ValueError(f"{record}: name the person as database/name, as in mitdb/213")
        return persons


class WfdbFolder:
    """Beats of a folder of WFDB records.

    Args:
        name: Name of the dataset and of its database.
        options: Records, leads, window and processing.
    """

    def __init__(self, name: str, options: WfdbFolderOptions) -> None:
        self.name = name
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Return the records of the options."""
        description, records = find_user_dataset(self.name), self.options.used_records
        # Headers may refer to signal files of any name, so .dat is required only where it is used.
        folder = None if description is None else Path(description.folder)
        with_dat: list[str] = []
        without_dat: list[str] = []
        for name in records:
            has_dat = folder is not None and (folder / f"{name}.dat").is_file()
            (with_dat if has_dat else without_dat).append(name)
        annotations = self.options.annotations
        parts = ((with_dat, ("hea", "dat", annotations)), (without_dat, ("hea", annotations)))
        own = [Requirement(self.name, tuple(names), needed) for names, needed in parts if names]
        return [*own, *self.options.noise_requirements]

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and return their beats.

        Raises:
            RecordError: A record is missing or damaged, or has no such lead.
        """
        return cut_beats(
            source.folder(self.name),
            self.options,
            progress,
            subject=self._subject,
            extension=self.options.annotations,
            source=source,
        ).beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return None: no protocol has fixed records."""
        return None

    def persons(self) -> Mapping[str, str]:
        """Return the person of each record: as stated, of it or another record of its subject."""
        subject_of = {name: self.options.subjects.get(name, name) for name in self.options.records}
        return stated_persons(self.options.persons or {}, subject_of, self.name)

    def _subject(self, record: Record) -> str:
        return self.options.subjects.get(record.name, record.name)


# Targets of the registry


def __getattr__(name: str) -> Any:
    """Return the options model or the factory of an added dataset, by its target name."""
    for prefix, make in ((OPTIONS_PREFIX, _options_model), (DATASET_PREFIX, _factory)):
        if name.startswith(prefix):
            description = find_user_dataset(name.removeprefix(prefix).replace("_", "-"))
            if description is not None:
                return make(description)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _factory(description: UserDataset) -> Callable[[WfdbFolderOptions], WfdbFolder]:
    return partial(WfdbFolder, description.name)


def _options_model(description: UserDataset) -> type[WfdbFolderOptions]:
    """Return an options model with the defaults of the description."""
    fields: dict[str, Any] = {}
    for name, value in description.options.items():
        field = WfdbFolderOptions.model_fields[name]
        default = tuple(value) if isinstance(value, list) else value
        fields[name] = (field.annotation, Field(default, description=field.description))
    model: type[WfdbFolderOptions] = create_model(
        f"{description.name.title().replace('-', '')}Options",
        __base__=WfdbFolderOptions,
        __doc__=f"Options of ``{description.name}``.",
        **fields,
    )
    return model


# From a TOML file to a description

_BEFORE, _AFTER = 99 / 360, 200 / 360
"""Default window around the R peak in seconds: that of the Heart-DARTS paper."""

_COPIED = ("head", "tail", "denoise", "normalise", "rhythm", "differences", "annotations")
"""Entries that are options of the same name."""

_MIN_SUBJECTS = 3
"""Subjects that ``patient-kfold`` needs: one for each part."""


class _TomlFile(BaseModel):
    """The entries that the TOML file may have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    folder: str
    summary: str = ""
    records: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    leads: tuple[str, ...] | None = None
    before: int | None = None
    after: int | None = None
    rate: float | None = None
    head: int = 0
    tail: int = 0
    denoise: Denoising = "db5"
    normalise: Normalization = "per-beat"
    rhythm: Rhythm | None = None
    differences: Differences | None = None
    annotations: str = "atr"
    symbols: SymbolMap = "aami"
    max_missing: float | None = None
    subjects: dict[str, str] = {}
    persons: dict[str, str] | None = None

    @field_validator("rate")
    @classmethod
    def _of_beats(cls, rate: float | None) -> float | None:
        return rate_of_beats(rate)


@dataclass(frozen=True)
class FolderDescription:
    """A dataset that can be added, and the contents of its records.

    Attributes:
        dataset: The dataset.
        beats: Number of annotated beats of each AAMI class.
        n_subjects: Number of subjects with annotated beats.
        symbols: Number of annotations with each symbol.
        notes: What a user should know about the records, although they can be read.
    """

    dataset: UserDataset
    beats: dict[str, int]
    n_subjects: int
    symbols: dict[str, int]
    notes: tuple[str, ...]


def describe(path: Path) -> FolderDescription:
    """Read a TOML file, and the headers and annotations of its records.

    Raises:
        OptionError: The file cannot be read, or an entry is unknown or invalid; or the window is
            longer than every record.
        RecordError: A record is missing, damaged or without annotations, or the records differ in
            their leads or sampling rates, or a lead is not in volts; one is sampled too slowly for
            beats; or no record has a beat.
    """
    file = _read_toml(path)
    folder = (path.parent / Path(file.folder).expanduser()).resolve()
    if not folder.is_dir():
        raise RecordError(
            "The folder of the records does not exist.",
            where=str(folder),
            fix=f"Correct the entry folder in {path}; it is relative to that file.",
        )
    names = _record_names(file, folder, path)
    summaries = [summarize_record(folder, name, file.annotations, file.symbols) for name in names]
    check_annotated(summaries, folder, file.annotations)
    check_rates(summaries, folder)
    rate = _window_rate(file, summaries, folder)
    leads = list(_lead_names(file, summaries, folder))
    options: dict[str, Any] = {
        "records": list(names),
        "leads": leads,
        "before": round(_BEFORE * rate) if file.before is None else file.before,
        "after": round(_AFTER * rate) if file.after is None else file.after,
        "rate": file.rate,
        **{name: getattr(file, name) for name in _COPIED},
        "subjects": dict(file.subjects),
    }
    options.update(symbols=file.symbols, max_missing=file.max_missing, persons=file.persons)
    _validated(WfdbFolderOptions, options, path)
    check_window(options["before"], options["after"], rate, summaries, path)
    beats: Counter[str] = Counter()
    symbols: Counter[str] = Counter()
    for summary in summaries:
        check_leads(folder, summary.name, leads)
        beats.update(summary.beats or {})
        symbols.update(summary.symbols)
    n_subjects = len(subjects_with_beats(summaries, file.subjects))
    enough = n_subjects >= _MIN_SUBJECTS
    dataset = UserDataset(
        name=file.name,
        summary=file.summary or f"{counted(len(names), 'record')} of {folder}",
        folder=str(folder),
        protocols=("intra-patient", "patient-kfold") if enough else ("intra-patient",),
        options=options,
    )
    notes = tuple(notes_of(summaries))
    return FolderDescription(dataset, dict(beats), n_subjects, dict(symbols), notes)


def _read_toml(path: Path) -> _TomlFile:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OptionError(
            f"The file cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="Give the path of a TOML file with the entries name and folder.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(
            f"The file is not valid TOML: {error}.", where=str(path), fix="Correct the file."
        ) from error
    unknown = sorted(set(data) - set(_TomlFile.model_fields))
    if unknown:
        raise OptionError(
            f"There is no entry {unknown[0]!r}.",
            where=str(path),
            fix=nearest(unknown[0], _TomlFile.model_fields),
        )
    file = _validated(_TomlFile, data, path)
    if not NAME.fullmatch(file.name):
        raise OptionError(
            f"{file.name!r} is not a valid name of a dataset.",
            where=f"{path}, entry name",
            fix="Use lower-case words and digits joined by hyphens, for example my-ward.",
        )
    if "\n" in file.summary:
        raise OptionError(
            "The summary has more than one line.",
            where=f"{path}, entry summary",
            fix="Shorten it to one line.",
        )
    return file


def _validated(model: type[Model], data: Mapping[str, Any], path: Path) -> Model:
    """Return an instance of ``model``; the first validation error becomes an OptionError."""
    try:
        return model(**data)
    except ValidationError as error:
        entry, reason = first_invalid(error)
        raise OptionError(
            f"The entry {entry!r} is not valid: {reason}." if entry else f"{reason}.",
            where=str(path),
            fix="Correct this entry.",
        ) from None


def _record_names(file: _TomlFile, folder: Path, path: Path) -> Sequence[str]:
    names = list(file.records) if file.records is not None else record_names(folder)
    if not names:
        raise RecordError(
            "The folder contains no records.",
            where=str(folder),
            fix="Correct the entry folder, or the file RECORDS.",
        )
    listed = {"subjects": file.subjects, "persons": file.persons or {}, "exclude": file.exclude}
    for entry, given in listed.items():
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise OptionError(
                f"There is no record {unknown[0]!r}.",
                where=f"{path}, entry {entry}",
                fix=nearest(unknown[0], names),
            )
    excluded = frozenset(file.exclude)
    kept = [name for name in names if name not in excluded]
    if not kept:
        raise OptionError(
            "All records are excluded.", where=f"{path}, entry exclude", fix="Shorten this entry."
        )
    return kept


def _lead_names(file: _TomlFile, summaries: Sequence[RecordSummary], folder: Path) -> Sequence[str]:
    if file.leads is not None:
        return file.leads
    first = summaries[0]
    for summary in summaries[1:]:
        if summary.leads != first.leads:
            raise RecordError(
                f"Record {summary.name} has the leads {', '.join(summary.leads)}, but "
                f"{first.name} has {', '.join(first.leads)}.",
                where=str(folder),
                fix="Choose leads in the entry leads; '#0' is the first lead of each record.",
            )
    return first.leads if _are_names(first.leads) else [f"#{i}" for i in range(len(first.leads))]


def _are_names(leads: Sequence[str]) -> bool:
    """Return whether each lead has a name of its own that can be an option."""
    plain = all(lead and lead[0] not in "#*" and "," not in lead for lead in leads)
    return plain and len(set(leads)) == len(leads)


def _window_rate(file: _TomlFile, summaries: Sequence[RecordSummary], folder: Path) -> float:
    """Return the sampling rate of the windows in hertz."""
    if file.rate is not None:
        return file.rate
    rates = {summary.fs: summary.name for summary in summaries}
    if len(rates) > 1:
        listed = ", ".join(f"{fs:g} Hz ({name})" for fs, name in sorted(rates.items()))
        raise RecordError(
            f"The records have several sampling rates: {listed}.",
            where=str(folder),
            fix="Set one rate for all records in the entry rate.",
        )
    return summaries[0].fs

"""Datasets that the user added: one small file each, in the user's own folder of settings.

A description holds what ``nasbench-ecg data add`` made of a TOML file; records stay where they are.
Nothing heavy is imported here, since the registry reads the descriptions every time.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from nasbench_ecg.contracts import DataSource, Requirement
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.preparation import WaveformOptions, cut_beats
from nasbench_ecg.errors import OptionError, RecordError, StorageError, nearest
from nasbench_ecg.io import write_atomically
from nasbench_ecg.physionet.catalog import record_names
from nasbench_ecg.progress import Progress
from nasbench_ecg.signal.denoising import Denoising
from nasbench_ecg.signal.records import Record
from nasbench_ecg.signal.summary import RecordSummary, summarise
from nasbench_ecg.signal.windows import Normalisation

CONFIG_VARIABLE = "NASBENCH_ECG_CONFIG"
"""Environment variable that names the folder of settings, used instead of the user's."""

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FORMAT = 1

OPTIONS_OF, DATASET_OF = "options_of_", "dataset_of_"
_MODULE = "nasbench_ecg.data.user_datasets"


@dataclass(frozen=True)
class Added:
    """A dataset that the user added.

    Attributes:
        name: The name users type; also that of its database.
        summary: One line for ``nasbench-ecg list``.
        folder: Folder of its records, as an absolute path.
        protocols: The protocols that it can be split by.
        options: Defaults of its options.
    """

    name: str
    summary: str
    folder: str
    protocols: tuple[str, ...]
    options: Mapping[str, Any]


def added_folder() -> Path:
    """Return the folder of the descriptions; it need not exist yet."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser() / "datasets"
    import platformdirs

    return platformdirs.user_config_path("nasbench-ecg") / "datasets"


def read_all() -> tuple[list[Added], list[tuple[str, str]]]:
    """Return the sound descriptions by name, and name and fault of each of the others."""
    found, faults = [], []
    for path in sorted(added_folder().glob("*.json")):
        try:
            found.append(_read(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            faults.append((path.stem, f"{path} cannot be read: {reason}"))
    return found, faults


def find(name: str) -> Added | None:
    """Return the dataset called ``name``; None where the user added none, or it cannot be read."""
    if not NAME.fullmatch(name):
        return None
    try:
        return _read(_path(name))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def addresses(name: str) -> tuple[str, str]:
    """Return the target and the options of the dataset ``name``, as a spec states them."""
    word = name.replace("-", "_")
    return f"{_MODULE}:{DATASET_OF}{word}", f"{_MODULE}:{OPTIONS_OF}{word}"


def store(added: Added) -> Path:
    """Write a description, whole or not at all, and return its file.

    Raises:
        StorageError: It cannot be written.
    """
    path = _path(added.name)
    text = json.dumps({"format": _FORMAT, **asdict(added)}, indent=1, sort_keys=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise StorageError(
            f"The dataset cannot be added: {error.strerror or error}.",
            where=str(path),
            fix=f"Name a writable folder in {CONFIG_VARIABLE}.",
        ) from error
    return path


def remove(name: str) -> None:
    """Forget a dataset; its records stay.

    Raises:
        OptionError: No dataset of that name was added.
    """
    path = _path(name)
    if not NAME.fullmatch(name) or not path.is_file():
        raise OptionError(
            f"No dataset {name!r} was added.",
            where=str(path.parent),
            fix=nearest(name, [one.stem for one in path.parent.glob("*.json")]),
        )
    path.unlink()


def _path(name: str) -> Path:
    return added_folder() / f"{name}.json"


def _read(path: Path) -> Added:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.pop("format", None) != _FORMAT:
        raise ValueError(f"it has not the format {_FORMAT}")
    if data.get("name") != path.stem or not NAME.fullmatch(path.stem):
        raise ValueError("its name is not that of the file")
    added = Added(**{**data, "protocols": tuple(data["protocols"])})
    if not isinstance(added.options, dict) or not isinstance(added.folder, str):
        raise ValueError("folder or options are missing")
    return added


BEFORE, AFTER = 99 / 360, 200 / 360
"""The window around the R peak, in seconds, where the file states none: that of Heart-DARTS."""

FEWEST_PERSONS = 3
"""Persons that a protocol needs which tests, validates and trains on different ones."""


class _File(BaseModel):
    """What the TOML file may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    folder: str
    summary: str = ""
    records: tuple[str, ...] | None = None
    leads: tuple[str, ...] | None = None
    before: int | None = None
    after: int | None = None
    rate: float | None = None
    head: int = 0
    tail: int = 0
    denoise: Denoising = "db5"
    normalise: Normalisation = "per-beat"
    annotations: str = "atr"
    subjects: dict[str, str] = {}


@dataclass(frozen=True)
class Described:
    """A dataset that can be added, and what its records hold.

    Attributes:
        added: The dataset.
        beats: Annotated beats of each AAMI class.
        persons: Number of persons.
    """

    added: Added
    beats: dict[str, int]
    persons: int


def describe(path: Path) -> Described:
    """Read a TOML file and the headers and annotations of the records that it is about.

    Raises:
        OptionError: The file cannot be read, or an entry is unknown or not allowed.
        RecordError: A record is missing, damaged, without annotations, or unlike the others.
    """
    file = _read_file(path)
    folder = (path.parent / Path(file.folder).expanduser()).resolve()
    if not folder.is_dir():
        raise RecordError(
            "The folder of the records is not there.",
            where=str(folder),
            fix=f"Mend the entry folder of {path}; it is taken from where that file lies.",
        )
    names = _records(file, folder, path)
    summaries = [summarise(folder, name, file.annotations) for name in names]
    _check_annotated(summaries, folder, file.annotations)
    rate = _rate(file, summaries, folder)
    options: dict[str, Any] = {
        "records": list(names),
        "leads": list(_leads(file, summaries, folder)),
        "before": round(BEFORE * rate) if file.before is None else file.before,
        "after": round(AFTER * rate) if file.after is None else file.after,
        "rate": file.rate,
        **{n: getattr(file, n) for n in ("head", "tail", "denoise", "normalise", "annotations")},
        "subjects": dict(file.subjects),
    }
    _check_options(options, path)
    persons = len({file.subjects.get(name, name) for name in names})
    beats: dict[str, int] = {}
    for summary in summaries:
        for label, n in (summary.beats or {}).items():
            beats[label] = beats.get(label, 0) + n
    summary_line = file.summary or f"{len(names)} records of {folder}"
    protocols = (
        ("intra-patient", "patient-kfold") if persons >= FEWEST_PERSONS else ("intra-patient",)
    )
    return Described(
        Added(file.name, summary_line, str(folder), protocols, options), beats, persons
    )


def _read_file(path: Path) -> _File:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(
            f"The file cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="Name a TOML file that says which folder of records is meant.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"This is not TOML: {error}.", where=str(path)) from error
    unknown = sorted(set(data) - set(_File.model_fields))
    if unknown:
        raise OptionError(
            f"There is no entry {unknown[0]!r}.",
            where=str(path),
            fix=nearest(unknown[0], _File.model_fields),
        )
    try:
        file = _File(**data)
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"])
        raise OptionError(
            f"The entry {entry!r} is not as it should be: {first['msg']}.", where=str(path)
        ) from None
    if not NAME.fullmatch(file.name):
        raise OptionError(
            f"{file.name!r} is no name of a dataset.",
            where=f"{path}, entry name",
            fix="Names are lower-case words and digits joined by hyphens, as in my-ward.",
        )
    if "\n" in file.summary:
        raise OptionError("The summary is more than one line.", where=f"{path}, entry summary")
    return file


def _records(file: _File, folder: Path, path: Path) -> Sequence[str]:
    names = list(file.records) if file.records is not None else record_names(folder)
    if not names:
        raise RecordError("The folder holds no record.", where=str(folder))
    strange = sorted(set(file.subjects) - set(names))
    if strange:
        raise OptionError(
            f"There is no record {strange[0]!r}.",
            where=f"{path}, entry subjects",
            fix=nearest(strange[0], names),
        )
    return names


def _check_annotated(summaries: Sequence[RecordSummary], folder: Path, ending: str) -> None:
    bare = [summary.name for summary in summaries if summary.beats is None]
    if bare:
        raise RecordError(
            f"{len(bare)} records have no annotations: {', '.join(bare[:3])}.",
            where=f"{folder}, files ending in .{ending}",
            fix="Name the annotated ones in the entry records, or their ending in annotations.",
        )


def _leads(file: _File, summaries: Sequence[RecordSummary], folder: Path) -> Sequence[str]:
    if file.leads is not None:
        return file.leads
    first = summaries[0]
    for summary in summaries[1:]:
        if summary.leads != first.leads:
            raise RecordError(
                f"Record {summary.name} has the leads {', '.join(summary.leads)} and "
                f"{first.name} {', '.join(first.leads)}.",
                where=str(folder),
                fix="Name those wanted in the entry leads; '#0' is the first one of each record.",
            )
    return first.leads


def _rate(file: _File, summaries: Sequence[RecordSummary], folder: Path) -> float:
    """Return the rate of the windows in hertz."""
    if file.rate is not None:
        return file.rate
    rates = {summary.fs: summary.name for summary in summaries}
    if len(rates) > 1:
        told = ", ".join(f"{fs:g} Hz ({name})" for fs, name in sorted(rates.items()))
        raise RecordError(
            f"The records have several rates: {told}.",
            where=str(folder),
            fix="State in the entry rate to which all are to be resampled.",
        )
    return summaries[0].fs


def _check_options(options: dict[str, Any], path: Path) -> None:
    try:
        AddedOptions(**options)
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"])
        raise OptionError(
            f"The entry {entry!r} is not allowed as given: {first['msg']}.", where=str(path)
        ) from None


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
        prepared = cut_beats(
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

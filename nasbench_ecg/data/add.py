"""From a few lines of TOML to a dataset: what they leave open is looked up in the records."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nasbench_ecg.data.added import NAME, Added
from nasbench_ecg.data.added_dataset import AddedOptions
from nasbench_ecg.data.denoise import Denoising
from nasbench_ecg.data.listing import record_names
from nasbench_ecg.data.segment import Normalisation
from nasbench_ecg.data.summary import RecordSummary, summarise
from nasbench_ecg.errors import OptionError, RecordError, nearest

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
    file = _read(path)
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
    protocols = ("paper", "patient-kfold") if persons >= FEWEST_PERSONS else ("paper",)
    return Described(
        Added(file.name, summary_line, str(folder), protocols, options), beats, persons
    )


def _read(path: Path) -> _File:
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

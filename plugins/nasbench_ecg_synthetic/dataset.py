"""The dataset ``synthetic-2lead``: its options, its WFDB database in the cache, and its beats."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from nasbench_ecg.api import (
    Beats,
    DataSource,
    OptionError,
    Progress,
    Requirement,
    WaveformOptions,
    canonical_json,
    cut_beats,
    storage_errors,
)
from nasbench_ecg_synthetic import REVISION
from nasbench_ecg_synthetic.patients import record_names
from nasbench_ecg_synthetic.synthesis import BITS, FS, GAIN, ZERO, Recording, synthesize
from nasbench_ecg_synthetic.waves import LEADS


class SyntheticOptions(WaveformOptions):
    """Options for the synthetic patients, their records, and how beats are cut."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"patients": 12, "minutes": 3.0}
    }

    seed: int = Field(default=0, ge=0)
    """Seed of the patients and their records."""

    patients: int = Field(default=24, ge=12, le=999)
    """Number of patients, with one record each."""

    minutes: float = Field(default=5.0, ge=1.0, le=60.0)
    """Duration of each record in minutes."""

    noise: float = Field(default=1.0, ge=0.0, le=10.0)
    """Factor of wander, muscle and mains noise; 0 is no noise, 1 that of an ambulatory recorder."""

    records: tuple[str, ...] = ()
    """Names of the records, s001, s002 and so on; empty: all records."""

    leads: tuple[str, ...] = Field(default=("MLII", "V1"), min_length=1)
    """Lead names."""

    before: int = Field(default=99, ge=0)
    """Samples of the window before the R peak."""

    after: int = Field(default=200, ge=0)
    """Samples of the window after the R peak; the R peak itself is one more sample."""

    @field_validator("records", "leads")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("give no name twice")
        return names


class Synthetic:
    """Beats of synthetic patients, recorded like those of the MIT-BIH Arrhythmia Database.

    Use it for first steps, teaching and tests: it needs no download and has all five AAMI classes.
    Scores on it do not apply to real patients.

    Args:
        options: The dataset's options.

    Raises:
        OptionError: The options contain an unknown record.
    """

    def __init__(self, options: SyntheticOptions) -> None:
        names = record_names(options.patients)
        named = [*options.records, *(options.exclude or ())]
        unknown = [name for name in named if name not in names]
        if unknown:
            raise OptionError(
                f"dataset synthetic-2lead has no record {unknown[0]!r}.",
                where="option 'records'",
                fix=f"With {options.patients} patients, use records {names[0]} to {names[-1]}.",
            )
        self.options = options.model_copy(update={"records": options.records or names})

    def requires(self) -> Sequence[Requirement]:
        """Return the noise record, if noise is added; the other records are generated."""
        return self.options.noise_requirements

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Return the beats of the records, which are generated if they are not in the cache.

        Raises:
            RecordError: A record in the cache is damaged.
            StorageError: The records cannot be written.
        """
        folder = generate_database(self.options, source, progress)
        return cut_beats(folder, self.options, progress, source=source).beats

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return the records of ``inter-patient``: of each diagnosis, one patient in each part."""
        if protocol != "inter-patient":
            return None
        names = record_names(self.options.patients)
        return {
            "train": [name for name in names[0::2] if name in self.options.used_records],
            "test": [name for name in names[1::2] if name in self.options.used_records],
        }


def generate_database(options: SyntheticOptions, source: DataSource, progress: Progress) -> Path:
    """Return the folder of the records of ``options``; they are generated if it does not exist.

    The folder is created by one rename, so it is always complete. If several processes generate
    the same records, the first one to finish creates the folder and all use it. The records are
    compared with the digests written beside them; damaged ones are generated again.

    Raises:
        StorageError: The records cannot be written.
    """
    parent = source.made("synthetic-2lead")
    folder = parent / _folder_name(options)
    if _is_whole(folder):
        return folder
    if folder.exists():
        progress.note("The synthetic records in the cache are damaged: they are generated again.")
    temporary = parent / f".unfinished-{uuid.uuid4().hex}"
    old = temporary.with_name(f"{temporary.name}-old")
    try:
        with storage_errors(parent, option="NASBENCH_ECG_CACHE", what="Synthetic records"):
            temporary.mkdir()
            with progress.track("Making synthetic records", options.patients) as steps:
                for index in range(options.patients):
                    seconds = 60 * options.minutes
                    write_record(temporary, synthesize(options.seed, index, seconds, options.noise))
                    steps.advance()
            (temporary / SUMS).write_text(_sums(temporary), encoding="utf-8")
            _flush(temporary)
            if folder.exists() and not _is_whole(folder):
                folder.rename(old)
            _rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.is_file():
            old.unlink()
        shutil.rmtree(old, ignore_errors=True)
    return folder


SUMS = "SHA256SUMS.txt"
"""File with the SHA-256 of each other file of a folder, in the form of PhysioNet's."""


def _sums(folder: Path) -> str:
    """Return the SHA-256 and the name of each file, one line for each."""
    paths = sorted(path for path in folder.iterdir() if path.name != SUMS)
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths
    )


def _is_whole(folder: Path) -> bool:
    """Return whether the folder has all files, with the content that they were written with."""
    try:
        return (folder / SUMS).read_text(encoding="utf-8") == _sums(folder)
    except (OSError, ValueError):
        return False


def _folder_name(options: SyntheticOptions) -> str:
    contents = options.model_dump(include={"seed", "patients", "minutes", "noise"})
    key = hashlib.sha256(canonical_json({**contents, "revision": REVISION}).encode()).hexdigest()
    return f"seed-{options.seed}-patients-{options.patients}-{key[:16]}"


def write_record(folder: Path, recording: Recording) -> None:
    """Write a record's header, signals (format 212) and annotations (``atr``) into ``folder``."""
    import wfdb

    name, n_leads = recording.patient.name, len(LEADS)
    record = wfdb.Record(
        record_name=name,
        fs=int(FS),
        units=["mV"] * n_leads,
        sig_name=list(LEADS),
        d_signal=recording.digital.T,
        fmt=["212"] * n_leads,
        adc_gain=[float(GAIN)] * n_leads,
        baseline=[ZERO] * n_leads,
        adc_res=[BITS] * n_leads,
        adc_zero=[ZERO] * n_leads,
        comments=[f"Synthetic: {recording.patient.diagnosis.text}"],
    )
    record.set_d_features()
    record.set_defaults()
    record.wrsamp(write_dir=str(folder))
    samples, symbols, notes = zip(*sorted(_annotations(recording)), strict=True)
    wfdb.wrann(
        name,
        "atr",
        np.array(samples),
        symbol=list(symbols),
        aux_note=list(notes),
        write_dir=str(folder),
    )


def _annotations(recording: Recording) -> Iterator[tuple[int, str, str]]:
    """Yield (sample, symbol, note) of each beat, and of each start or change of the rhythm."""
    beats = [*zip(recording.samples.tolist(), recording.symbols, strict=True)]
    for sample, symbol in beats:
        yield sample, symbol, ""
    yield beats[0][0] // 2, "+", "(P" if beats[0][1] == "/" else "(N"
    steady = [beat for beat in beats if beat[1] != "f"]
    for (earlier, before), (later, after) in pairwise(steady):
        if (before == "/") != (after == "/"):
            yield (earlier + later) // 2, "+", "(P" if after == "/" else "(N"


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def _rename(temporary: Path, folder: Path) -> None:
    """Rename the folder; another process may have created ``folder`` first."""
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise

"""Writing the synthetic records as a WFDB database, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from nasbench_ecg.api import DataSource, Progress, StorageError, canonical_json
from nasbench_ecg_synthetic import REVISION
from nasbench_ecg_synthetic.options import SyntheticOptions
from nasbench_ecg_synthetic.synthesis import BITS, FS, GAIN, ZERO, Recording, synthesise
from nasbench_ecg_synthetic.waves import LEADS


def database(options: SyntheticOptions, source: DataSource, progress: Progress) -> Path:
    """Return the folder of the records that ``options`` describe, made unless it is there.

    The folder appears by one rename, so it is complete or absent, and of several processes that
    make it at once one wins and the others use its records, which are the same.

    Raises:
        StorageError: The records cannot be written.
    """
    home = source.made("synthetic-2lead")
    folder = home / _name(options)
    if folder.is_dir():
        return folder
    unfinished = home / f".unfinished-{uuid.uuid4().hex}"
    try:
        unfinished.mkdir()
        with progress.track("Making synthetic records", options.patients) as steps:
            for index in range(options.patients):
                seconds = 60 * options.minutes
                write(unfinished, synthesise(options.seed, index, seconds, options.noise))
                steps.advance()
        _flush(unfinished)
        _publish(unfinished, folder)
    except OSError as error:
        raise StorageError(
            f"The synthetic records cannot be written: {error.strerror or error}.",
            where=str(home),
            fix="Free some space there, or choose another cache folder.",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def write(folder: Path, recording: Recording) -> None:
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
    """Yield sample, symbol and note of beats, and of the rhythm where it starts or changes."""
    beats = [*zip(recording.samples.tolist(), recording.symbols, strict=True)]
    for sample, symbol in beats:
        yield sample, symbol, ""
    yield beats[0][0] // 2, "+", "(P" if beats[0][1] == "/" else "(N"
    steady = [beat for beat in beats if beat[1] != "f"]
    for (earlier, before), (later, after) in pairwise(steady):
        if (before == "/") != (after == "/"):
            yield (earlier + later) // 2, "+", "(P" if after == "/" else "(N"


def _name(options: SyntheticOptions) -> str:
    contents = options.model_dump(include={"seed", "patients", "minutes", "noise"})
    key = hashlib.sha256(canonical_json({**contents, "revision": REVISION}).encode()).hexdigest()
    return f"seed-{options.seed}-patients-{options.patients}-{key[:16]}"


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def _publish(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise

"""Annotate recordings with the network of a run, or with an exported one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError
from nasbench_ecg.front.progress import progress_of
from nasbench_ecg.front.results import Runs, one_run
from nasbench_ecg.front.running import entered
from nasbench_ecg.progress import Progress
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import DEFAULT_OUT
from nasbench_ecg.signal.annotations import read_annotations
from nasbench_ecg.signal.headers import read_header
from nasbench_ecg.signal.recordings import Recording, open_recording
from nasbench_ecg.signal.rhythm import BEAT_SYMBOLS
from nasbench_ecg.signal.tables import recording_of_table

if TYPE_CHECKING:
    from nasbench_ecg.models.annotate import AnnotatedRecording
    from nasbench_ecg.models.classifier import BeatClassifier


def annotate(
    recording: Recording | pd.DataFrame | Path | str,
    run: Runs | RunRecord | pd.Series[Any] | str | None = None,
    *,
    model: Path | str | None = None,
    fs: float | None = None,
    leads: Sequence[str] | None = None,
    peaks: Sequence[int] | NDArray[np.integer[Any]] | str | None = None,
    out: Path | str = DEFAULT_OUT,
    progress: Progress | None = None,
) -> AnnotatedRecording:
    """Find the beats of a recording, and classify them; for research, not for diagnosis.

    ``to_dataframe()`` of the result is a table of the beats, and
    :func:`nasbench_ecg.plot.strips` draws them.

    Args:
        recording: A WFDB record (``mitdb/100``), a .csv or an .edf file; or a table with a column
            of millivolts for each lead, such as ``pandas.DataFrame(array, columns=["II", "V5"])``.
        run: The network of this run: a table of one run, a row of a table, a record, or the first
            characters of a run key.
        model: A file that :func:`nasbench_ecg.export` wrote, in place of a run.
        fs: Sampling rate of a .csv file or a table in hertz.
        leads: Leads of the recording in place of those that the network was trained on, in their
            order; None: those of the same names, and for others the first that are left.
        peaks: Sample index of each R peak, or the extension of the annotation file beside a WFDB
            record that has them; None: they are detected.
        out: Folder of results, for a record or a key.
        progress: Where progress is shown; None: bars in a notebook, elsewhere notes to the logger
            ``nasbench_ecg``.

    Raises:
        NasbenchError: There is no such recording or network, the recording has too few leads, or a
            peak is outside of it.
    """
    progress, opened = progress_of(progress), _opened(recording, fs)
    at = None if peaks is None else _checked_peaks(recording, opened, peaks)
    classifier = classifier_of(run, model, out)
    # torch is imported only for a recording and a network that exist
    from nasbench_ecg.models.annotate import annotate as classified

    with entered(progress) as shown:
        return classified(opened, classifier, shown, leads=leads, peaks=at)


def _opened(recording: Recording | pd.DataFrame | Path | str, fs: float | None) -> Recording:
    if isinstance(recording, pd.DataFrame):
        return recording_of_table(recording, fs)
    if isinstance(recording, (np.ndarray, list, tuple)):
        raise OptionError(
            "An array does not name its leads.",
            fix="Give pandas.DataFrame(array, columns=['II', 'V5']), of shape [samples, leads] and "
            "in millivolts, and fs=360, its sampling rate in hertz.",
        )
    path = Path(recording) if isinstance(recording, (str, Path)) else None
    if fs is not None and (path is None or path.suffix.lower() != ".csv"):
        raise OptionError(
            "The recording states its sampling rate, so fs has no effect.", fix="Leave it out."
        )
    if isinstance(recording, (str, Path)):
        return open_recording(Path(recording), fs)
    return recording


def _checked_peaks(
    recording: Recording | pd.DataFrame | Path | str,
    opened: Recording,
    peaks: Sequence[int] | NDArray[np.integer[Any]] | str,
) -> NDArray[np.int64]:
    """Return the sample index of each R peak, int64 [n_beats]."""
    if isinstance(peaks, str):
        if not isinstance(recording, (str, Path)):
            raise OptionError(
                "A recording in memory has no annotation file.", fix="Give sample indices."
            )
        return marked_beats(Path(recording), opened, peaks)
    samples = np.asarray(peaks)
    if samples.ndim != 1 or (len(samples) and not np.issubdtype(samples.dtype, np.integer)):
        raise OptionError("peaks are no list of sample indices.", fix="For example: [77, 370]")
    if len(samples) and not 0 <= samples.min() <= samples.max() < opened.n_samples:
        raise OptionError(
            f"A peak is outside of the {opened.n_samples:,} samples of {opened.name}.",
            fix="Give sample indices from 0.",
        )
    return samples.astype(np.int64)


def classifier_of(
    run: Runs | RunRecord | pd.Series[Any] | str | None,
    model: Path | str | None,
    out: Path | str = DEFAULT_OUT,
) -> BeatClassifier:
    """Return the network of a run, or an exported one, with its preprocessing.

    Raises:
        OptionError: None or both of them are named.
        NasbenchError: There is no such network.
    """
    if (run is None) == (model is None):
        raise OptionError(
            "Name one network.",
            fix="Name a run (--run KEY), or an exported file (--model FILE, model=FILE).",
        )
    found = None if run is None else one_run(run, out)
    from nasbench_ecg.models.classifier import classifier_of_file, classifier_of_run

    if found is not None:
        return classifier_of_run(*found)
    assert model is not None
    return classifier_of_file(Path(model))


def marked_beats(path: Path, recording: Recording, extension: str) -> NDArray[np.int64]:
    """Return the samples of the beats in an annotation file beside a WFDB record, int64 [n_beats].

    Raises:
        OptionError: The recording is no WFDB record.
        RecordError: There is no such file, or it cannot be read.
    """
    if path.suffix.lower() in (".csv", ".edf"):
        raise OptionError(
            f"A {path.suffix.lower()} file has no annotation file beside it.",
            where=str(path),
            fix="Leave --peaks out; from Python, give sample indices.",
        )
    header = read_header(path.parent, recording.name)
    marks = read_annotations(path.parent, header, extension)
    inside = marks.samples < recording.n_samples
    given: NDArray[np.int64] = marks.samples[np.isin(marks.symbols, list(BEAT_SYMBOLS)) & inside]
    return given

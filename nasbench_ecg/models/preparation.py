"""How beats are prepared for a network: the options of its run, and the steps in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nasbench_ecg.data.record_options import (
    DISTURBANCES,
    RecordsOptions,
    WaveformOptions,
    denoise_rate,
)
from nasbench_ecg.errors import OptionError
from nasbench_ecg.signal.median_beat import MOST_BEATS
from nasbench_ecg.signal.rhythm import LARGEST_RATIO, SMALLEST_RATIO
from nasbench_ecg.text import counted


def waveform_options(given: Mapping[str, Any], leads: Sequence[str]) -> WaveformOptions:
    """Return window, denoising, normalization and added leads of a network's beats.

    Args:
        given: Options of its dataset, as JSON data.
        leads: Names of the leads of its beats.

    Raises:
        ValidationError: The beats are not cut from a signal.
    """
    left_out = (*RecordsOptions.model_fields, *DISTURBANCES)
    known = {
        key: value
        for key, value in given.items()
        if key in WaveformOptions.model_fields and key not in left_out
    }
    return WaveformOptions(records=("recording",), leads=tuple(leads), **known)


def check_shape(shape: Sequence[int], leads: Sequence[str], n_samples: int) -> None:
    """Raise OptionError if beats do not have the leads and samples of a network.

    Args:
        shape: Shape of one beat.
        leads: Names of the leads of the network's beats.
        n_samples: Samples of the network's beats.
    """
    if tuple(shape) != (len(leads), n_samples):
        raise OptionError(
            f"These beats have {' × '.join(map(str, shape)) or 'no'} values; the network needs "
            f"{len(leads)} leads × {n_samples} samples.",
            fix=f"Leads: {', '.join(leads)}. 'prepare' cuts beats out of records.",
        )


def preparation_steps(options: WaveformOptions, fs: float) -> Iterator[str]:
    """Yield the steps from a recording in millivolts to the beats of a network, as Markdown text.

    Args:
        options: How the beats were prepared.
        fs: Sampling rate of the beats in hertz.
    """
    yield "Interpolate missing samples linearly."
    if options.denoise != "none":
        yield _denoising(options, denoise_rate(options, fs))
    yield (
        f"Resample to {fs:g} Hz, if the recording has another rate, with an anti-aliasing filter "
        "(`scipy.signal.resample_poly` with `padtype='line'`)."
    )
    if options.normalise == "per-record":
        yield f"{_NORMALIZE} of the whole recording where it has a signal. {_FLAT}"
    width = options.before + 1 + options.after
    yield (
        f"Cut {counted(width, 'sample')}: {options.before} before the R peak, the peak, and "
        f"{options.after} after it."
    )
    if options.normalise == "per-beat":
        yield f"{_NORMALIZE} of this window. {_FLAT}"
    if options.differences is not None:
        yield (
            "Append each lead minus the median beat of the recording, which is the median of its "
            f"prepared windows at each sample (of {MOST_BEATS:,} evenly spaced ones if it has "
            "more), as a further lead."
        )
    if options.rhythm is not None:
        yield (
            f"Append constant leads: {'; '.join(options.plane_names)}. RR is the interval between "
            f"two beats, and log the natural logarithm of a ratio clipped to {SMALLEST_RATIO:g} … "
            f"{LARGEST_RATIO:g}; it is 0 where an interval does not exist. `rhythm_planes` of "
            "`nasbench_ecg.signal` defines them."
        )


_NORMALIZE = "Subtract the mean of each lead and divide by its standard deviation, those"
_FLAT = "A flat lead becomes zero."


def _denoising(options: WaveformOptions, rate: float | None) -> str:
    at = "" if rate is None else f" at {rate:g} Hz (from another rate: resample to it, and back)"
    text = (
        f"Denoise each whole lead{at} with the discrete wavelet transform `{options.denoise}` of "
        "nine levels, or as many as the length allows (PyWavelets): set the two finest details to "
        "zero, and soft-threshold the others with σ·√(2 ln n). σ is the median of the finest "
        "detail's absolute values, without those of missing samples, over 0.6745, n the number of "
        "samples."
    )
    return f"{text} Set the approximation to zero." if options.denoise == "db6" else text

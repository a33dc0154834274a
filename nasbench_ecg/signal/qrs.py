"""QRS detection by the slope of the signal in all leads.

The slope of each lead is divided by its typical peak. Leads are weighted by the contrast and the
regularity of their peaks and added to one curve. Peaks of that curve are selected by the rules of
the IEMMC paper: a threshold, a refractory period of 200 ms and a search back in long intervals.
Further rules remove steep T and P waves.

References:
    The IEMMC paper, section 2.1.2. Pan & Tompkins, "A real-time QRS detection algorithm",
    IEEE Trans Biomed Eng 32, 1985 (slope of T waves, search back at 1.66 times the interval).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.errors import OptionError
from nasbench_ecg.signal.beat_rates import BEAT_RATES
from nasbench_ecg.signal.delineation import flat_mask
from nasbench_ecg.signal.filtering import bridge

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BAND_HZ = (5.0, 20.0)  # QRS complexes dominate here over P and T waves, wander and muscle
_SMOOTHING = 0.09  # seconds: about the duration of a normal QRS complex
_BLOCK = 1.5  # seconds: contains a beat at 40 beats per minute
SHORTEST_SECONDS = 2 * _BLOCK
"""Shortest recording in which beats are detected."""
_SPAN = 21  # blocks for the typical peak of a lead: half a minute
_CLIP = 1.5  # typical peaks: the slope is clipped here, since higher values are artifacts
_IRREGULARITY = 2.5  # decay of the weight of a lead with the spread of its peaks
_REFRACTORY = 0.2  # seconds
_THRESHOLD = 0.35  # share of the height of neighboring beats
_LOW_THRESHOLD = 0.2  # the same in a search back
_LONG = 1.66  # typical intervals
_T_WAVE = (0.36, 0.55)  # seconds after a beat, share of its height
_P_WAVE = (0.28, 0.5)  # seconds before a beat, share of its height
_PEAK_BAND_HZ = (1.0, 40.0)
_PEAK_REACH = 0.08  # seconds: half of a wide QRS complex
_FLAT_SECONDS = 1.0  # a lead that is constant for so long has no signal
_SPLIT = (0.6, 1.3)  # share of both neighbors' heights; typical intervals between them


def detect_qrs(signals: Floats, fs: float) -> Ints:
    """Return the sample index of each QRS complex, in ascending order.

    Args:
        signals: float64 [n_leads, n_samples], millivolts, filtered or not. Missing samples (NaN)
            are first interpolated linearly; a lead without a valid sample is not used.
        fs: Sampling rate in hertz.

    Returns:
        int64 [n_beats], the middle of each complex; empty if there is none, or if the signals are
        shorter than :data:`SHORTEST_SECONDS`.

    Raises:
        OptionError: The sampling rate is 40 Hz or less.
        RecordError: A lead has an infinite sample.
    """
    from scipy.ndimage import median_filter
    from scipy.signal import find_peaks

    lowest, _ = BEAT_RATES
    if not fs > lowest:
        raise OptionError(
            f"QRS complexes cannot be detected at {fs:g} Hz.",
            fix=f"Use records sampled at more than {lowest:g} Hz.",
        )
    n_samples = signals.shape[-1]
    if n_samples < SHORTEST_SECONDS * fs:
        return np.empty(0, dtype=np.int64)
    signals = signals[~np.isnan(signals).all(axis=-1)]
    if not len(signals):
        return np.empty(0, dtype=np.int64)
    curve = _slope_curve(bridge(signals), fs, _missing(signals, fs))
    peaks, _ = find_peaks(curve, distance=int(_REFRACTORY * fs), height=_LOW_THRESHOLD / 2)
    peaks = peaks.astype(np.int64)
    heights = curve[peaks]
    strong = heights > _THRESHOLD
    if strong.sum() < 3:
        return peaks[strong]
    typical = median_filter(heights[strong], 9, mode="nearest")
    level = np.interp(peaks, peaks[strong], typical)
    beats = np.flatnonzero(heights > _THRESHOLD * level)
    beats = _without_t_waves(beats, peaks, heights, fs)
    beats = _without_p_waves(beats, peaks, heights, fs)
    beats = _without_splits(beats, peaks, heights)
    for _ in range(2):
        beats = _search_back(beats, peaks, heights, level, fs)
    return peaks[beats]


def detect_r_peaks(signals: Floats, fs: float) -> Ints:
    """Return the sample index of the R peak of each beat, in ascending order.

    The R peak is the largest deviation of the first lead that has a signal there, within 80 ms of a
    complex that :func:`detect_qrs` finds, in the band from 1 to 40 Hz. It may be a negative peak,
    as in the annotations of MIT-BIH: in 20 of its records 98% of the peaks are within 14 ms of
    these.

    Args:
        signals: As for :func:`detect_qrs`.
        fs: Sampling rate in hertz.

    Returns:
        int64 [n_beats]; empty if there is none.

    Raises:
        OptionError: The sampling rate is 40 Hz or less.
        RecordError: A lead has an infinite sample.
    """
    from scipy.signal import butter, sosfiltfilt

    complexes = detect_qrs(signals, fs)
    if not len(complexes):
        return complexes
    signals = signals[~np.isnan(signals).all(axis=-1)]
    of_lead = _missing(signals, fs)[:, complexes].argmin(axis=0)  # the first if all are missing
    low, high = _PEAK_BAND_HZ
    band = butter(2, (low, min(high, 0.45 * fs)), "band", fs=fs, output="sos")
    reach = round(_PEAK_REACH * fs)
    peaks: Ints = complexes - reach
    for i in np.unique(of_lead):
        height = np.abs(sosfiltfilt(band, bridge(signals[i][None])[0]))
        padded = np.pad(height, reach, constant_values=-1.0)
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
        own = of_lead == i
        peaks[own] += windows[complexes[own]].argmax(axis=1)
    return np.unique(peaks)


def _missing(signals: Floats, fs: float) -> NDArray[np.bool_]:
    """Return where a lead has no signal, bool [n_leads, n_samples]."""
    return np.isnan(signals) | flat_mask(signals, fs, _FLAT_SECONDS)


def _slope_curve(signals: Floats, fs: float, missing: NDArray[np.bool_]) -> Floats:
    """Return the weighted slope of all leads, [n_samples], about 1 at a typical QRS complex.

    A lead has no weight where it is missing, so that beats of the others keep their height.
    """
    from scipy.ndimage import median_filter, percentile_filter, uniform_filter1d
    from scipy.signal import butter, sosfiltfilt

    band = butter(2, _BAND_HZ, "bandpass", fs=fs, output="sos")
    slope = np.abs(np.gradient(sosfiltfilt(band, signals, axis=-1), axis=-1)) * fs
    slope = uniform_filter1d(slope, max(int(_SMOOTHING * fs), 1), axis=-1)

    width = int(_BLOCK * fs)
    n_blocks = slope.shape[-1] // width
    blocks = slope[:, : n_blocks * width].reshape(len(slope), n_blocks, width)
    highest = blocks.max(axis=-1)
    peak = median_filter(highest, (1, _SPAN), mode="nearest")
    rest = median_filter(np.median(blocks, axis=-1), (1, 11), mode="nearest")
    upper, lower = (percentile_filter(highest, q, (1, _SPAN), mode="nearest") for q in (80, 20))
    active = peak > 1e-3 * max(float(np.max(peak)), 1e-9)
    peak = np.where(active, peak, 1.0)
    contrast = peak / np.maximum(rest, 1e-3 * peak)
    weight = np.where(active, contrast**2 * np.exp(-_IRREGULARITY * (upper - lower) / peak), 0.0)

    centres, time = (np.arange(n_blocks) + 0.5) * width, np.arange(slope.shape[-1])
    peak, weight = (
        np.stack([np.interp(time, centres, row) for row in rows]) for rows in (peak, weight)
    )
    weight[missing] = 0.0
    weight /= np.maximum(weight.sum(axis=0), 1e-12)
    curve: Floats = (weight * np.minimum(slope / peak, _CLIP)).sum(axis=0)
    return curve


def _without_t_waves(beats: Ints, peaks: Ints, heights: Floats, fs: float) -> Ints:
    """Remove low peaks shortly after a beat."""
    seconds, share = _T_WAVE
    kept: list[int] = []
    for beat in beats:
        soon = kept and peaks[beat] - peaks[kept[-1]] < seconds * fs
        if not (soon and heights[beat] < share * heights[kept[-1]]):
            kept.append(int(beat))
    return np.asarray(kept, dtype=np.int64)


def _without_p_waves(beats: Ints, peaks: Ints, heights: Floats, fs: float) -> Ints:
    """Remove low peaks shortly before a beat."""
    seconds, share = _P_WAVE
    close = np.diff(peaks[beats]) < seconds * fs
    low = heights[beats[:-1]] < share * heights[beats[1:]]
    return np.delete(beats, np.flatnonzero(close & low))


def _without_splits(beats: Ints, peaks: Ints, heights: Floats) -> Ints:
    """Remove low peaks in the middle of one typical interval."""
    from scipy.ndimage import median_filter

    share, length = _SPLIT
    for _ in range(2):
        typical = median_filter(np.diff(peaks[beats]), 31, mode="nearest")
        around = peaks[beats[2:]] - peaks[beats[:-2]]
        neighbors = np.minimum(heights[beats[:-2]], heights[beats[2:]])
        low = heights[beats[1:-1]] < share * neighbors
        split = np.flatnonzero(low & (around < length * np.maximum(typical[1:], typical[:-1]))) + 1
        if not len(split):
            break
        isolated = np.insert(np.diff(split) > 1, 0, True)
        beats = np.delete(beats, split[isolated])
    return beats


def _search_back(beats: Ints, peaks: Ints, heights: Floats, level: Floats, fs: float) -> Ints:
    """Add the highest of the low peaks in each interval that is too long."""
    from scipy.ndimage import median_filter

    intervals = np.diff(peaks[beats])
    typical = median_filter(intervals, 9, mode="nearest")
    found = []
    for gap in np.flatnonzero(intervals > _LONG * typical):
        first, last = beats[gap], beats[gap + 1]
        between = np.arange(first + 1, last)
        free = peaks[between] - peaks[first] > _T_WAVE[0] * fs
        free &= peaks[last] - peaks[between] > 1.5 * _REFRACTORY * fs
        candidates = between[free & (heights[between] > _LOW_THRESHOLD * level[between])]
        if len(candidates):
            found.append(candidates[np.argmax(heights[candidates])])
    return np.sort(np.concatenate([beats, np.asarray(found, dtype=np.int64)]))

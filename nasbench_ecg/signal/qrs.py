"""Finding the heartbeats of a record: QRS complexes by the slope of the signal, in all leads.

Each lead's slope is measured against its own usual peak, and leads are weighted by how far their
peaks stand out and how regular they are. On the one curve that results, peaks are taken by the
rules of the IEMMC paper: a floor, a refractory period of 200 ms, a search back where an interval
is too long; and rules for T and P waves that are steep.

References:
    The IEMMC paper, section 2.1.2. Pan & Tompkins, "A real-time QRS detection algorithm",
    IEEE Trans Biomed Eng 32, 1985 (slope of T waves, search back at 1.66 times the interval).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BAND_HZ = (5.0, 20.0)  # where QRS complexes outweigh P and T waves, wander and muscle
_SMOOTHING = 0.09  # seconds: about the width of a normal QRS complex
_BLOCK = 1.5  # seconds, holds a beat at 40 a minute
_SPAN = 21  # blocks over which a lead's usual peak is taken, half a minute
_OUTLIER = 1.5  # usual peaks: more than this is an artefact, or counts no more
_IRREGULAR = 2.5  # how fast a lead loses weight with the spread of its peaks
_REFRACTORY = 0.2  # seconds
_FLOOR = 0.35  # share of the neighbouring beats' height
_LOW_FLOOR = 0.2  # the same in a search back
_LONG = 1.66  # usual intervals
_T_WAVE = (0.36, 0.55)  # seconds after a beat, share of its height
_P_WAVE = (0.28, 0.5)  # seconds before a beat, share of its height
_SPLIT = (0.6, 1.3)  # share of both neighbours' heights; usual intervals between the neighbours


def detect_qrs(signals: Floats, fs: float) -> Ints:
    """Return the sample index of every QRS complex, in order.

    Args:
        signals: float64 [n_leads, n_samples], millivolts, filtered or not.
        fs: Sampling rate in hertz.

    Returns:
        int64 [n_beats], the middle of each complex; empty where no lead has any.
    """
    from scipy.ndimage import median_filter
    from scipy.signal import find_peaks

    n_samples = signals.shape[-1]
    if n_samples < 2 * _BLOCK * fs:
        return np.empty(0, dtype=np.int64)
    curve = _slope_curve(signals, fs)
    peaks, _ = find_peaks(curve, distance=int(_REFRACTORY * fs), height=_LOW_FLOOR / 2)
    peaks = peaks.astype(np.int64)
    heights = curve[peaks]
    strong = heights > _FLOOR
    if strong.sum() < 3:
        return peaks[strong]
    usual = median_filter(heights[strong], 9, mode="nearest")
    level = np.interp(peaks, peaks[strong], usual)
    beats = np.flatnonzero(heights > _FLOOR * level)
    beats = _without_t_waves(beats, peaks, heights, fs)
    beats = _without_p_waves(beats, peaks, heights, fs)
    beats = _without_splits(beats, peaks, heights)
    for _ in range(2):
        beats = _search_back(beats, peaks, heights, level, fs)
    return peaks[beats]


def _slope_curve(signals: Floats, fs: float) -> Floats:
    """Return [n_samples]: the slope of all leads together, about 1 at a usual QRS complex."""
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
    alive = peak > 1e-3 * max(float(np.max(peak)), 1e-9)
    peak = np.where(alive, peak, 1.0)
    contrast = peak / np.maximum(rest, 1e-3 * peak)
    weight = np.where(alive, contrast**2 * np.exp(-_IRREGULAR * (upper - lower) / peak), 0.0)

    centres, time = (np.arange(n_blocks) + 0.5) * width, np.arange(slope.shape[-1])
    peak, weight = (
        np.stack([np.interp(time, centres, row) for row in rows]) for rows in (peak, weight)
    )
    weight /= np.maximum(weight.sum(axis=0), 1e-12)
    curve: Floats = (weight * np.minimum(slope / peak, _OUTLIER)).sum(axis=0)
    return curve


def _without_t_waves(beats: Ints, peaks: Ints, heights: Floats, fs: float) -> Ints:
    seconds, share = _T_WAVE
    kept: list[int] = []
    for beat in beats:
        soon = kept and peaks[beat] - peaks[kept[-1]] < seconds * fs
        if not (soon and heights[beat] < share * heights[kept[-1]]):
            kept.append(int(beat))
    return np.asarray(kept, dtype=np.int64)


def _without_p_waves(beats: Ints, peaks: Ints, heights: Floats, fs: float) -> Ints:
    seconds, share = _P_WAVE
    close = np.diff(peaks[beats]) < seconds * fs
    low = heights[beats[:-1]] < share * heights[beats[1:]]
    return np.delete(beats, np.flatnonzero(close & low))


def _without_splits(beats: Ints, peaks: Ints, heights: Floats) -> Ints:
    """Drop low peaks in the middle of what would be one usual interval."""
    from scipy.ndimage import median_filter

    share, length = _SPLIT
    for _ in range(2):
        if len(beats) < 3:
            break
        usual = median_filter(np.diff(peaks[beats]), 31, mode="nearest")
        around = peaks[beats[2:]] - peaks[beats[:-2]]
        neighbours = np.minimum(heights[beats[:-2]], heights[beats[2:]])
        low = heights[beats[1:-1]] < share * neighbours
        split = np.flatnonzero(low & (around < length * np.maximum(usual[1:], usual[:-1]))) + 1
        if not len(split):
            break
        alone = np.insert(np.diff(split) > 1, 0, True)
        beats = np.delete(beats, split[alone])
    return beats


def _search_back(beats: Ints, peaks: Ints, heights: Floats, level: Floats, fs: float) -> Ints:
    """Add the highest of the low peaks in every interval that is too long."""
    from scipy.ndimage import median_filter

    if len(beats) < 2:
        return beats
    intervals = np.diff(peaks[beats])
    usual = median_filter(intervals, 9, mode="nearest")
    found = []
    for gap in np.flatnonzero(intervals > _LONG * usual):
        first, last = beats[gap], beats[gap + 1]
        between = np.arange(first + 1, last)
        free = peaks[between] - peaks[first] > _T_WAVE[0] * fs
        free &= peaks[last] - peaks[between] > 1.5 * _REFRACTORY * fs
        candidates = between[free & (heights[between] > _LOW_FLOOR * level[between])]
        if len(candidates):
            found.append(candidates[np.argmax(heights[candidates])])
    return np.sort(np.concatenate([beats, np.asarray(found, dtype=np.int64)]))

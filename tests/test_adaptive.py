"""The adaptive filter takes noise and wander off and leaves the waves, at any sampling rate."""

from __future__ import annotations

import numpy as np
import pytest
from wfdb_files import real_database

from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.signal.filtering import WaveletLevels, adaptive_filter, levels_for, normalized_lms
from nasbench_ecg.signal.records import read_record


def lms_by_samples(d, x, taps, step):
    """Normalised LMS as the textbook writes it, one sample after another."""
    w, padded = np.eye(taps)[0], np.concatenate([np.zeros(taps - 1), x])
    history = [padded[n : n + taps][::-1] for n in range(len(d))]
    floor = np.mean([v @ v for v in history])
    out = []
    for v, sample in zip(history, d, strict=True):
        out.append(sample - w @ v)
        w = w + step * out[-1] * v / (floor + v @ v)
    return np.array(out)


@pytest.mark.parametrize("taps", [1, 2, 5])
@pytest.mark.parametrize("step", [1e-3, 0.3, 1.5])
def test_the_band_system_computes_what_the_loop_over_samples_computes(taps, step):
    rng = np.random.default_rng(taps)
    d, x = rng.normal(size=(2, 2, 9000))  # longer than one chunk
    fast = normalized_lms(d, x, taps=taps, step=step)
    slow = [lms_by_samples(*lead, taps, step) for lead in zip(d, x, strict=True)]
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-9)


def test_lms_unlearns_a_gain_that_is_not_one():
    x = np.random.default_rng(0).normal(size=(1, 20_000))
    error = normalized_lms(3 * x, x, taps=1, step=0.05)
    assert np.abs(error[0, :10]).max() > 0.5
    assert np.abs(error[0, -1000:]).max() < 1e-6


@pytest.mark.parametrize(
    ("fs", "levels"), [(360, (2, 8)), (257, (1, 8)), (250, (1, 8)), (128, (0, 7))]
)
def test_levels_follow_the_sampling_rate(fs, levels):
    assert levels_for(fs) == WaveletLevels(*levels)


@pytest.mark.parametrize("fs", [128.0, 250.0, 257.0, 360.0])
def test_wander_and_mains_noise_go_and_what_lies_between_stays(fs):
    time = np.arange(int(60 * fs)) / fs
    waves = np.sin(2 * np.pi * 8 * time)
    wander = 0.8 * np.sin(2 * np.pi * 0.15 * time) + 0.3
    noise = 0.2 * np.sin(2 * np.pi * 0.47 * fs * time)
    filtered = adaptive_filter((waves + wander + noise)[None], fs)[0]
    inner = slice(int(5 * fs), -int(5 * fs))
    assert np.std((filtered - waves)[inner]) < (0.1 if fs > 200 else 0.2)
    assert abs(filtered[inner].mean()) < 0.01


def test_each_lead_is_filtered_on_its_own():
    signals = read_record(real_database("mitdb"), "100").signals[:, :20_000]
    both = adaptive_filter(signals, 360.0)
    np.testing.assert_array_equal(both[1:], adaptive_filter(signals[1:], 360.0))


def test_real_wander_goes_and_r_peaks_stay():
    record = read_record(real_database("mitdb"), "101", ("MLII",))
    lead = record.signals[0, :108_000]
    filtered = adaptive_filter(lead[None], 360.0)[0]
    seconds = np.array([np.median(part) for part in np.split(filtered, 60)])
    before = np.array([np.median(part) for part in np.split(lead, 60)])
    assert seconds.std() < 0.5 * before.std()
    peaks = record.samples[(record.symbols == "N") & (record.samples < 107_000)]
    height = [np.ptp(lead[p - 30 : p + 30]) for p in peaks]
    kept = [np.ptp(filtered[p - 30 : p + 30]) for p in peaks]
    assert 0.9 < np.median(np.divide(kept, height)) < 1.05


def test_flat_lead_becomes_zero_and_no_nan():
    filtered = adaptive_filter(np.stack([np.full(5000, 1.25), np.zeros(5000)]), 360.0)
    np.testing.assert_allclose(filtered, 0, atol=1e-9)


def test_record_too_short_for_the_levels_is_refused_with_the_length_needed():
    with pytest.raises(RecordError, match="too short for 8 wavelet levels of db6") as error:
        adaptive_filter(np.zeros((1, 2000)), 360.0)
    assert "2,816 samples (7.8 s)" in error.value.fix
    assert adaptive_filter(np.zeros((1, 2816)), 360.0).shape == (1, 2816)
    with pytest.raises(RecordError):
        adaptive_filter(np.zeros((1, 0)), 360.0)


@pytest.mark.parametrize("fs", [50.0, 0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_cannot_hold_the_waves_is_refused(fs):
    with pytest.raises(OptionError, match="does not work at"):
        levels_for(fs)


@pytest.mark.parametrize(
    "options",
    [{"taps": 0}, {"step": 0.0}, {"step": 2.0}, {"wavelet": "db0"}, {"levels": WaveletLevels(3, 3)}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(OptionError):
        adaptive_filter(np.zeros((1, 9000)), 360.0, **options)

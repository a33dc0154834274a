"""Denoising and the adaptive filter remove noise and wander, and keep the waves."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
from wfdb_files import real_database, spiky_signals

from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.signal.filtering import (
    WaveletLevels,
    adaptive_filter,
    denoise,
    levels_for,
    normalized_lms,
)
from nasbench_ecg.signal.records import read_record


@pytest.mark.parametrize(("method", "keeps_wander"), [("db5", True), ("db6", False)])
@pytest.mark.parametrize("n_samples", [20_000, 20_001])
def test_denoising_equals_the_formula_for_each_coefficient(method, keeps_wander, n_samples):
    signals = spiky_signals(2, n_samples) + np.sin(np.arange(n_samples) / 700)
    for lead, found in zip(signals, denoise(signals, method), strict=True):
        approximation, *details = pywt.wavedec(lead, method, level=9)
        sigma = np.median(np.abs(details[-1])) / 0.6745
        T = sigma * np.sqrt(2 * np.log(n_samples))
        shrunk = [np.where(np.abs(d) > T, d - np.sign(d) * T, 0) for d in details[:7]]
        zeroed = [0 * d for d in details[7:]]
        kept = approximation if keeps_wander else 0 * approximation
        expected = pywt.waverec([kept, *shrunk, *zeroed], method)[:n_samples]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_samples_that_are_missing_say_nothing_of_the_noise():
    noise = np.random.default_rng(0).normal(0, 0.05, (2, 40_000))
    first = noise.copy()
    first[0, 10_000:] = np.nan
    most_missing, whole = denoise(first)[:, :9_900]
    assert most_missing.std() < 0.1 * 0.05
    np.testing.assert_array_equal(whole, denoise(noise)[1, :9_900])


def test_each_lead_is_denoised_by_its_own_noise_level():
    quiet, loud = spiky_signals(2, 20_000)
    together = denoise(np.stack([quiet, 10 * loud]))
    np.testing.assert_allclose(together[0], denoise(quiet[None])[0], atol=1e-12)


@pytest.mark.parametrize("method", ["db5", "db6", "none"])
@pytest.mark.parametrize("n_samples", [1, 30, 700, 20_000])
def test_short_and_flat_leads_stay_finite(method, n_samples):
    for signals in (np.full((1, n_samples), 0.7), spiky_signals(1, n_samples)):
        found = denoise(signals, method)
        assert found.shape == signals.shape and np.isfinite(found).all()


def test_db6_removes_wander_and_db5_keeps_it():
    seconds = np.arange(36_000) / 360
    wander = np.sin(2 * np.pi * 0.1 * seconds)[None]
    inner = slice(5_000, -5_000)  # away from the ends, where the record is mirrored
    assert np.abs(denoise(wander, "db6")[0, inner]).max() < 0.1
    np.testing.assert_allclose(denoise(wander, "db5")[0, inner], wander[0, inner], atol=0.02)


def lms_by_samples(d, x, step):
    """Return the error output of normalized LMS, computed one sample after another."""
    w, mean_power = 1.0, np.mean(x**2)
    out = []
    for desired, reference in zip(d, x, strict=True):
        out.append(desired - w * reference)
        w = w + step * out[-1] * reference / (mean_power + reference**2)
    return np.array(out)


@pytest.mark.parametrize("step", [1e-3, 0.3, 1.5])
def test_band_system_equals_a_loop_over_samples(step):
    d, x = np.random.default_rng(1).normal(size=(2, 2, 9000))  # longer than one chunk
    fast = normalized_lms(d, x, step=step)
    slow = [lms_by_samples(*lead, step) for lead in zip(d, x, strict=True)]
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-9)


def test_lms_adapts_to_another_gain():
    x = np.random.default_rng(0).normal(size=(1, 20_000))
    error = normalized_lms(3 * x, x, step=0.05)
    assert np.abs(error[0, :10]).max() > 0.5
    assert np.abs(error[0, -1000:]).max() < 1e-6


@pytest.mark.parametrize(
    ("fs", "levels"), [(360, (2, 8)), (257, (1, 8)), (250, (1, 8)), (128, (0, 7))]
)
def test_levels_depend_on_the_sampling_rate(fs, levels):
    assert levels_for(fs) == WaveletLevels(*levels)


@pytest.mark.parametrize("fs", [128.0, 250.0, 257.0, 360.0])
def test_wander_and_mains_noise_are_removed_and_waves_are_kept(fs):
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


def test_real_wander_is_removed_and_r_peaks_are_kept():
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


def test_error_for_a_short_record_states_the_required_length():
    with pytest.raises(RecordError, match="too short for 8 wavelet levels of db6") as error:
        adaptive_filter(np.zeros((1, 2000)), 360.0)
    assert "2,816 samples (7.8 s)" in error.value.fix
    assert adaptive_filter(np.zeros((1, 2816)), 360.0).shape == (1, 2816)
    with pytest.raises(RecordError):
        adaptive_filter(np.zeros((1, 0)), 360.0)


@pytest.mark.parametrize("fs", [50.0, 0.0, -1.0, float("nan"), float("inf")])
def test_too_low_or_invalid_sampling_rates_are_rejected(fs):
    with pytest.raises(OptionError, match="does not support"):
        levels_for(fs)


@pytest.mark.parametrize(
    "options",
    [{"step": 0.0}, {"step": 2.0}, {"wavelet": "db0"}, {"levels": WaveletLevels(3, 3)}],
)
def test_invalid_options_are_rejected(options):
    with pytest.raises(OptionError):
        adaptive_filter(np.zeros((1, 9000)), 360.0, **options)


@pytest.mark.parametrize(
    ("clean", "tolerance"),
    [(denoise, 1e-5), (lambda s: adaptive_filter(s, 360.0), 0)],  # σ is of the samples there are
)
def test_filters_bridge_missing_samples_and_refuse_infinite_ones(clean, tolerance):
    signals = np.random.default_rng(0).normal(0, 0.5, (2, 20_000))
    signals[1, 5000:5010] = np.nan
    bridged = signals.copy()
    bridged[1, 5000:5010] = np.interp(
        np.arange(5000, 5010), [4999, 5010], [signals[1, 4999], signals[1, 5010]]
    )
    np.testing.assert_allclose(clean(signals), clean(bridged), rtol=0, atol=tolerance)
    assert np.isnan(signals[1, 5000:5010]).all()  # the caller's array is left as it was
    signals[1, 7] = np.inf
    with pytest.raises(RecordError, match="infinite at sample 7") as error:
        clean(signals)
    assert "lead number 1" in error.value.where
    signals[1] = np.nan
    with pytest.raises(RecordError, match="no valid sample"):
        clean(signals)

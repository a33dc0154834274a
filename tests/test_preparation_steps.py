"""The steps of a model card, followed by other code, give the beats of the network."""

import re

import numpy as np
import pytest
import pywt
from pydantic import ValidationError
from scipy.signal import resample_poly

from nasbench_ecg.data.record_windows import windows_of
from nasbench_ecg.models.preparation import preparation_steps, waveform_options
from nasbench_ecg.signal.records import Record

FS = 250.0


def record():
    rng = np.random.default_rng(5)
    beats = np.arange(300, 7700, 200) + rng.integers(-20, 20, 37)
    signals = 0.05 * rng.normal(size=(2, 8000)) + 0.5 * np.sin(np.arange(8000) / 300)
    for beat in beats:
        signals[:, beat - 5 : beat + 6] += np.hanning(11) * [[1.0], [0.6]]
    return Record("r", FS, ("I", "II"), signals, np.full(len(beats), "N"), beats, ())


def as_the_card_says(steps, given):
    """Follow the text of a model card with PyWavelets, SciPy and NumPy alone."""
    signals, fs, beats = given.signals, given.fs, given.samples
    for step in steps:
        if step.startswith("Denoise"):
            at = re.search(r" at ([\d.]+) Hz", step)
            rate = round(float(at[1])) if at else int(fs)
            wavelet = re.search(r"`(db\d)`", step)[1]
            low, *details = pywt.wavedec(
                resample_poly(signals, rate, int(fs), axis=1, padtype="line"), wavelet, level=9
            )
            n = round(signals.shape[1] * rate / fs)
            sigma = np.median(np.abs(details[-1]), axis=1, keepdims=True) / 0.6745
            limit = sigma * np.sqrt(2 * np.log(n))
            kept = [np.sign(d) * np.maximum(np.abs(d) - limit, 0) for d in details[:-2]]
            kept += [np.zeros_like(d) for d in details[-2:]]
            low = 0 * low if "approximation to zero" in step else low
            clean = pywt.waverec([low, *kept], wavelet)[:, :n]
            back = resample_poly(clean, int(fs), rate, axis=1, padtype="line")
            signals = back[:, : given.signals.shape[1]]
        elif step.startswith("Resample"):
            rate = int(re.search(r"to ([\d.]+) Hz", step)[1])
            signals = resample_poly(signals, rate, int(fs), axis=1, padtype="line")
            beats = np.rint(beats * rate / fs).astype(int)
        elif step.startswith("Cut"):
            _, before, after = map(int, re.findall(r"\d+", step))
            signals = np.stack([signals[:, b - before : b + after + 1] for b in beats])
        elif step.startswith("Subtract"):
            mean, deviation = (f(signals, axis=-1, keepdims=True) for f in (np.mean, np.std))
            signals = (signals - mean) / deviation
        elif step.startswith("Append each lead minus"):
            median = np.median(signals, axis=0)
            signals = np.concatenate([signals, signals - median], axis=1)
        elif step.startswith("Append constant leads"):
            rr = np.diff(given.samples)
            planes = np.zeros((len(beats), 4))
            last = [rr[max(0, i - 9) : i + 1].mean() for i in range(len(rr))]
            planes[1:, 0], planes[:-1, 1] = np.log(rr / rr.mean()), np.log(rr / rr.mean())
            planes[2:, 2], planes[1:, 3] = np.log(rr[1:] / rr[:-1]), np.log(rr / last)
            constant = np.broadcast_to(planes[:, :, None], (*planes.shape, signals.shape[2]))
            signals = np.concatenate([signals, constant], axis=1)
        else:
            assert step == "Interpolate missing samples linearly."
    return signals


@pytest.mark.parametrize(
    "chosen",
    [
        {"denoise": "db5", "rate": 360.0, "denoise_rate": 360.0},
        {"denoise": "db6", "rate": 120.0, "normalise": "per-record"},
        {"denoise": "db5", "rhythm": "whole-record", "differences": "median-beat"},
        {"denoise": "none", "rate": 125.0, "normalise": "none", "rhythm": "whole-record"},
    ],
)
def test_the_steps_give_the_beats_of_the_network(chosen):
    options = waveform_options({"before": 40, "after": 60, **chosen}, ("I", "II"))
    steps = list(preparation_steps(options, options.rate or FS))
    expected = windows_of(record(), options.model_copy(update={"head": 0, "tail": 0}), "N", None)
    np.testing.assert_allclose(as_the_card_says(steps, record()), expected.signals, atol=1e-5)


def test_features_are_not_cut_from_a_signal():
    with pytest.raises(ValidationError):
        waveform_options({"lead": "MLII"}, ("RR",))

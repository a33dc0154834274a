"""The trained network of a run as a module: beats of other records, prepared for it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import resample_poly
from torch import nn
from wfdb_files import spiky_signals, write_record

from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.models.trained import TrainedModel
from nasbench_ecg.signal.filtering import denoise


def model(**changes):
    """Return a module that was trained on windows of 360 Hz, with 99 samples before the R peak."""
    given = {"records": ("100", "101"), "leads": ("MLII", "V1"), "before": 99, "after": 200}
    options = WaveformOptions(**{**given, "head": 0, "tail": 0, "normalise": "none", **changes})
    dataset = SimpleNamespace(fs=360.0, leads=["MLII", "V1"], n_samples=300)
    return TrainedModel(
        nn.Identity(), SimpleNamespace(dataset=dataset, classes=["N", "V"]), options
    )


@pytest.mark.parametrize("method", ["none", "db5"])
def test_records_of_another_rate_are_prepared_as_those_of_the_training(method, tmp_path):
    signals = spiky_signals(2, 4000)
    write_record(tmp_path, "800", fs=128, signals=signals, beats=[(500, "N"), (2000, "V")])
    beats = model(denoise=method).prepare(tmp_path, ["800"])
    there = denoise(resample_poly(signals, 45, 16, axis=1, padtype="line"), method)
    if method != "none":  # back and forth, as the dataset does for records of another rate
        back = resample_poly(there, 16, 45, axis=1, padtype="line")[:, :4000]
        there = resample_poly(back, 45, 16, axis=1, padtype="line")
    peaks = np.rint(np.array([500, 2000]) * 360 / 128).astype(int)
    expected = [there[:, peak - 99 : peak + 201] for peak in peaks]
    assert (beats.fs, beats.sample.tolist()) == (360.0, [500, 2000])
    np.testing.assert_allclose(beats.signals, expected, atol=1e-5)


def test_records_that_the_run_left_out_can_be_prepared(tmp_path):
    write_record(tmp_path, "100")
    write_record(tmp_path, "101")
    excluding = model(exclude=("101",))
    assert excluding.prepare(tmp_path).records == ("100",)
    assert excluding.prepare(tmp_path, ["101"]).records == ("101",)

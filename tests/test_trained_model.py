"""The trained network of a run as a module: beats of other records, prepared for it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly
from torch import nn
from wfdb_files import spiky_signals, write_record

from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.errors import OptionError
from nasbench_ecg.models.trained import TrainedModel
from nasbench_ecg.signal.filtering import denoise


def model(network=None, **changes):
    """Return a module that was trained on windows of 360 Hz, with 99 samples before the R peak."""
    given = {"records": ("100", "101"), "leads": ("MLII", "V1"), "before": 99, "after": 200}
    options = WaveformOptions(**{**given, "head": 0, "tail": 0, "normalise": "none", **changes})
    used = [name for name in given["records"] if name not in (options.exclude or ())]
    dataset = SimpleNamespace(fs=360.0, leads=["MLII", "V1"], n_samples=300, records=used)
    record = SimpleNamespace(dataset=dataset, classes=["N", "V"])
    return TrainedModel(network or nn.Identity(), record, options)


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


def test_of_a_dataset_that_names_no_records_those_of_the_run_are_prepared(tmp_path):
    write_record(tmp_path, "100")
    write_record(tmp_path, "101")
    made = model()
    made.options = made.options.model_copy(update={"records": ()})  # as of a generated dataset
    assert made.prepare(tmp_path).records == ("100", "101")
    assert made.prepare(tmp_path, ["101"]).records == ("101",)


@pytest.mark.parametrize("records", ["100", [], ""])
def test_records_that_are_no_list_of_names_are_refused(records, tmp_path):
    with pytest.raises(OptionError, match="is not a list of names"):
        model().prepare(tmp_path, records)


class Means(nn.Module):
    """Logits are the means of the leads, in bfloat16."""

    def forward(self, x):
        return x.mean(-1).bfloat16()


def test_beats_may_be_lists_and_logits_bfloat16():
    beats = np.zeros((3, 2, 300))
    beats[1, 0], beats[2, 1] = 1, 2
    expected = np.exp([[0, 0], [1, 0], [0, 2]]) / np.exp([[0, 0], [1, 0], [0, 2]]).sum(
        1, keepdims=True
    )
    made = model(Means())
    for given in (beats, beats.tolist(), torch.tensor(beats), torch.tensor(beats).bfloat16()):
        np.testing.assert_allclose(made.probabilities(given), expected, rtol=1e-6)
        assert made.classify(given) == ["N", "N", "V"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_beats_that_are_not_finite_are_refused(value):
    beats = np.zeros((3, 2, 300))
    beats[1:, 1, 7] = value
    with pytest.raises(OptionError, match=r"2 of 3 beats contain NaN or infinity. \(beat 1\)"):
        model(Means()).classify(beats)


@pytest.mark.parametrize(
    ("beats", "said"),
    [
        ([[[1, 2], [3]]], "not an array of numbers"),
        ("beats", "not an array of numbers"),
        (np.zeros((3, 2, 299)), "have 2 × 299 values"),
        (1.0, "have no values"),
        (np.zeros((3, 2, 300), complex), "values are complex"),
        (np.ma.masked_equal(np.zeros((3, 2, 300)), 0), "values are masked"),
    ],
)
def test_what_is_no_array_of_beats_is_one_clear_error(beats, said):
    with pytest.raises(OptionError, match=said):
        model(Means()).classify(beats)

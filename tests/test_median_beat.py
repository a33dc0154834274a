"""Differences from the median beat: their values, their place, and what augmentation does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import wfdb
from pydantic import ValidationError
from wfdb_files import real_database, spiky_signals, write_record

from nasbench_ecg.data.preparation import cut_beats
from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.progress import Silent
from nasbench_ecg.signal import BEAT_SYMBOLS, PLANES, segment
from nasbench_ecg.signal.added_leads import count_leads, difference_names
from nasbench_ecg.signal.median_beat import MOST_BEATS, beats_of_median, median_beat
from nasbench_ecg.signal.records import read_record
from nasbench_ecg.training.augmentation import Augmenter
from nasbench_ecg.training.recipe import AUGMENTATIONS, Recipe

LEADS = ("MLII", "V1")
WINDOW = {"before": 40, "after": 20}


@pytest.mark.parametrize("name", ["232", "207"])
@pytest.mark.parametrize("normalise", ["none", "per-beat", "per-record"])
def test_differences_in_real_records_are_those_of_a_loop_by_hand(name, normalise):
    folder = real_database("mitdb")
    record = read_record(folder, name, ("#0", "#1"))
    found = segment(
        record, **WINDOW, head=30, tail=20, classes=("S", "V"), normalise=normalise,
        differences="median-beat",
    )  # fmt: skip
    signals = wfdb.rdrecord(str(folder / name)).p_signal.T
    marks = wfdb.rdann(str(folder / name), "atr")
    if normalise == "per-record":
        signals = np.stack([(lead - lead.mean()) / lead.std() for lead in signals])
    windows = {}
    for place, symbol in zip(marks.sample.tolist(), marks.symbol, strict=True):
        window = signals[:, place - 40 : place + 21] if place >= 40 else signals[:, :0]
        if symbol in BEAT_SYMBOLS and window.shape[1] == 61:
            if normalise == "per-beat":
                window = np.stack([(lead - lead.mean()) / lead.std() for lead in window])
            windows[place] = window
    middle = np.empty((2, 61))
    for lead in range(2):
        for i in range(61):
            middle[lead, i] = sorted(one[lead, i] for one in windows.values())[len(windows) // 2]
    assert len(windows) > len(found.labels) > 100 and found.signals.shape[1:] == (4, 61)
    for place, beat in zip(found.sample.tolist(), found.signals, strict=True):
        np.testing.assert_allclose(beat[:2], windows[place], atol=1e-5)
        # with an even number of beats the median is between the two in the middle
        np.testing.assert_allclose(beat[2:], windows[place] - middle, atol=2e-2)


def test_the_median_of_a_lead_is_that_of_numpy_at_each_sample():
    windows = np.random.default_rng(0).normal(size=(8, 2, 5)).astype(np.float32)
    expected = [[np.median(windows[:, lead, i]) for i in range(5)] for lead in range(2)]
    np.testing.assert_array_equal(median_beat(windows), np.array(expected, dtype=np.float32))
    assert not median_beat(windows[:0]).any() and median_beat(windows[:0]).shape == (2, 5)


@pytest.mark.parametrize("n", [0, 1, MOST_BEATS, MOST_BEATS + 1, 100_003])
def test_a_long_record_has_the_median_of_beats_that_are_evenly_spaced(n):
    chosen = beats_of_median(n)
    assert len(chosen) == min(n, MOST_BEATS)
    steps = np.diff(chosen)
    assert not n or (chosen[0] == 0 and chosen[-1] < n and n - chosen[-1] <= n // MOST_BEATS + 2)
    assert not len(steps) or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "ward"
    for i, name in enumerate(("r1", "r2")):
        write_record(folder, name, signals=spiky_signals(2, 30_000, seed=i))
    return folder


@pytest.mark.parametrize("rhythm", [None, *PLANES])
def test_differences_stand_between_the_leads_of_the_record_and_the_planes(ward, rhythm):
    given = {"records": ("r1", "r2"), "leads": LEADS, **WINDOW}
    plain = cut_beats(ward, WaveformOptions(**given, rhythm=rhythm), Silent()).beats
    options = WaveformOptions(**given, rhythm=rhythm, differences="median-beat")
    added = cut_beats(ward, options, Silent()).beats
    names = difference_names(LEADS)
    assert added.leads == (*LEADS, *names, *(PLANES[rhythm] if rhythm else ()))
    assert count_leads(added.leads) == (2, 2, len(added.leads) - 4)
    np.testing.assert_array_equal(np.delete(added.signals, [2, 3], axis=1), plain.signals)
    for record in (0, 1):
        own = added.signals[added.record == record]
        np.testing.assert_allclose(
            own[:, 2:4], own[:, :2] - (own[:, :2] - own[:, 2:4])[0], atol=1e-6
        )
    if rhythm:
        few = options.model_copy(update={"planes": (1, 3)})
        some = cut_beats(ward, few, Silent()).beats
        assert some.leads == (*LEADS, *names, PLANES[rhythm][0], PLANES[rhythm][2])
        np.testing.assert_array_equal(some.signals, added.signals[:, [0, 1, 2, 3, 4, 6]])


def test_another_kind_of_difference_is_refused():
    with pytest.raises(ValidationError, match="'median-beat'"):
        WaveformOptions(records=("r1",), leads=LEADS, **WINDOW, differences="mean-beat")


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_augmentation_changes_a_difference_as_its_lead(kind):
    leads = (*LEADS, *difference_names(LEADS), *PLANES["local"])
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(300, 2, 120, generator=rng)
    template = torch.randn(2, 120, generator=rng).expand_as(x)
    planes = torch.randn(300, 7, 1, generator=rng).expand(-1, -1, 120)
    augmenter = Augmenter(Recipe(augment=(kind,)), leads, 120.0, 0, "cpu")
    (draws,) = augmenter.draws(300, 0, 300)
    got = augmenter(torch.cat([x, x - template, planes], dim=1), draws)
    alone = Augmenter(Recipe(augment=(kind,)), LEADS, 120.0, 0, "cpu")
    assert torch.equal(got[:, :2], alone(x, draws)) and torch.equal(got[:, 4:], planes)
    assert not torch.equal(got[:, :2], x)
    is_noise = kind in ("wander", "noise")  # which is in the beat and not in the median beat
    expected = template if is_noise else alone(template, draws)
    torch.testing.assert_close(got[:, :2] - got[:, 2:4], expected, atol=1e-5, rtol=0)

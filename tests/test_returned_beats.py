"""What a dataset returns is checked before it is used; errors name the dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import PluginError, ProtocolError, RecordError
from nasbench_ecg.options import NoOptions
from nasbench_ecg.progress import Silent


class Ward:
    def __init__(self, found):
        self.found = found

    def requires(self):
        return ()

    def load(self, source, progress):
        return self.found

    def partition(self, protocol):
        return None


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def beats(**changed):
    rng = np.random.default_rng(0)
    n = 12
    fields = {
        "signals": rng.normal(size=(n, 1, 20)).astype(np.float32),
        "labels": np.arange(n) % 2,
        "record": np.repeat(np.arange(3, dtype=np.int32), 4),
        "sample": np.arange(n) * 250,
        "classes": ("N", "V"),
        "records": ("a", "b", "c"),
        "subjects": ("a", "b", "c"),
        "leads": ("II",),
        "fs": 250.0,
    }
    return Beats(**(fields | changed))


def load(found, tmp_path, progress=None):
    return load_beats(
        name="ward", options=NoOptions(), dataset=Ward(found), source=LocalSource(cache=tmp_path),
        progress=progress or Silent(), revision=1,
    ).beats  # fmt: skip


def test_records_with_equal_beats_are_told(tmp_path):
    notes = Notes()
    found = beats(sample=np.tile(np.arange(4) * 250, 3))
    load(found, tmp_path, notes)
    assert not notes.notes  # equal places, but other signals
    signals = found.signals.copy()
    signals[8:] = signals[:4]
    load(replace(found, signals=signals), tmp_path, notes)
    (note,) = notes.notes
    assert note.startswith("The records a and c have the same beats")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "returns NoneType, not Beats"),
        ((1, 2), "returns tuple, not Beats"),
        (beats(classes=("N", "N")), "classes has 'N' twice"),
        (beats(classes=("N", "")), "classes has '', which is no name"),
        (beats(classes=(0, 1)), "classes has 0, which is no name"),
        (beats(classes=("N", "\ud800")), "classes has '\\ud800', which is no name"),
        (beats(signals=np.zeros((12, 0, 20), np.float32), leads=()), "without leads or samples"),
        (beats(signals=np.zeros((12, 1, 0), np.float32)), "without leads or samples"),
        (beats(records=("a", "a", "c")), "records has 'a' twice"),
        (beats(records=tuple(np.arange(3))), "records has np.int64(0), which is no name"),
        (beats(subjects=("a", None, "c")), "the record 'b' has no subject"),
        (beats(fs=0.0), "fs is 0.0"),
        (beats(fs=float("nan")), "fs is nan"),
    ],
)
def test_beats_that_cannot_be_used_are_blamed_on_their_dataset(found, said, tmp_path):
    with pytest.raises(PluginError, match="The dataset 'ward' returned beats that are not") as told:
        load(found, tmp_path)
    assert said in told.value.what


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        ("labels", [0] * 12, "labels is of the type list"),
        ("labels", np.tile(["N", "V"], 6), "labels has values of the type <U1"),
        ("labels", np.zeros(12), "labels has values of the type float64"),
        ("labels", np.zeros(12, bool), "labels has values of the type bool"),
        ("record", np.zeros(12), "record has values of the type float64"),
        ("sample", np.arange(12) / 2, "sample has values of the type float64"),
        ("signals", np.full((12, 1, 20), "x"), "signals has values of the type <U1"),
    ],
)
def test_fields_of_another_kind_are_refused_where_beats_are_made(field, values, said):
    with pytest.raises(ProtocolError, match=said):
        beats(**{field: values})


@pytest.mark.parametrize("signals", [np.float64, np.float16, np.int16, ">f4"])
@pytest.mark.parametrize("labels", [np.int32, np.int8, np.uint8])
def test_other_types_of_numbers_are_converted_to_those_that_networks_take(
    signals, labels, tmp_path
):
    made = beats()
    found = replace(made, signals=made.signals.astype(signals), labels=made.labels.astype(labels))
    loaded = load(replace(found, fs=np.float32(250)), tmp_path)
    assert loaded.signals.dtype == np.dtype(np.float32) and loaded.labels.dtype != np.int32
    assert loaded.signals == pytest.approx(made.signals.astype(signals).astype(np.float32))
    assert loaded.labels.tolist() == made.labels.tolist()
    assert loaded.fs == 250.0 and type(loaded.fs) is float


def test_signals_too_large_for_their_type_are_refused(tmp_path):
    made = beats()
    with pytest.raises(RecordError, match="12 of 12 beats contain NaN or infinity"):
        load(replace(made, signals=made.signals.astype(np.float64) * 1e300), tmp_path)


def test_beats_at_one_place_are_told(tmp_path):
    progress = Notes()
    load(beats(), tmp_path, progress)
    assert progress.notes == []
    load(beats(sample=np.array([0, 0, 0, 5] * 3)), tmp_path / "other", progress)
    assert progress.notes[0].startswith("6 beats are at the same sample of a record")

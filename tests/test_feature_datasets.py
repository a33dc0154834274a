"""Datasets of feature vectors: their beats, sampling, and missing values."""

from __future__ import annotations

import numpy as np
import pytest
from test_delineation import WAVES, synthetic_lead
from wfdb_files import real_database, write_record

from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.protocols import split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.options import resolve
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.prepare import prepare_run
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.signal.features import FEATURES, beat_features
from nasbench_ecg.signal.records import read_record
from nasbench_ecg_physionet.features import (
    IemmcBeats,
    IemmcBeatsOptions,
    MitBihFeatures,
    MitBihFeaturesOptions,
)
from nasbench_ecg_physionet.within_records import IemmcRecords, IemmcRecordsOptions


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def varied(seed=0, fs=360.0):
    """Return a lead whose beats differ in rhythm and in every wave, and its R peaks."""
    rng, seconds = np.random.default_rng(seed), 60
    time = np.arange(int(seconds * fs)) / fs
    peaks = 1 + np.cumsum(rng.uniform(0.75, 1.05, 62))
    peaks = peaks[peaks < seconds - 1]
    lead = 0.003 * rng.standard_normal(len(time))
    for height, delay, width in WAVES.values():
        for peak in peaks:
            own, late = height * rng.uniform(0.7, 1.4), delay * rng.uniform(0.85, 1.15)
            lead += own * np.exp(-((time - peak - late) ** 2) / (2 * width**2))
    return lead, np.rint(peaks * fs).astype(np.int64)


@pytest.fixture
def ward(tmp_path):
    """A folder with a database of two records, in which every fifth beat is ventricular."""
    for seed, name in enumerate(("r1", "r2")):
        lead, peaks = varied(seed)
        beats = [(int(p), "V" if i % 5 == 0 else "N") for i, p in enumerate(peaks)]
        write_record(tmp_path / "mitdb", name, signals=np.stack([lead, -lead]), beats=beats)
    return tmp_path


def load(dataset, folder):
    notes = Notes()
    return dataset.load(LocalSource(folder, folder / "cache"), notes), notes.notes


def standardized(dataset, folder):
    """Return beats whose features are standardized over all of them."""
    beats, _ = load(dataset, folder)
    return dataset.fitted(beats, np.arange(len(beats)))


def small(**options):
    usual = {"records": ("r1", "r2"), "counts": {"N": 30, "V": 8}}
    return IemmcBeats(IemmcBeatsOptions(**{**usual, **options}))


def all_of(**options):
    return MitBihFeatures(MitBihFeaturesOptions(**{"records": ("r1", "r2"), **options}))


# The real records


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    folder = real_database("mitdb").parent
    notes = Notes()
    source = LocalSource(folder, tmp_path_factory.mktemp("cache"))
    return IemmcBeats(IemmcBeatsOptions()).load(source, notes), notes.notes


def test_there_are_1682_beats_of_seven_records_and_five_classes(paper):
    beats, notes = paper
    assert beats.signals.shape == (1682, 1, 18) and beats.signals.dtype == np.float32
    assert beats.counts() == {"N": 800, "S": 240, "V": 330, "F": 112, "Q": 200}
    assert len(beats.records) == 7 and len(np.unique(beats.record)) == 7
    assert beats.leads == ("MLII",) and beats.fs == 360
    assert notes[0].startswith("1,682 beats: N 800, S 240, V 330, F 112, Q 200")


def test_its_features_are_finite_and_standard(paper):
    x = paper[0].signals[:, 0].astype(np.float64)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-5)


def test_every_beat_is_one_that_the_cardiologists_labelled_so(paper):
    beats, _ = paper
    record = read_record(real_database("mitdb"), "208", ("MLII",))
    own = beats.record == beats.records.index("208")
    labelled = dict(zip(record.samples.tolist(), record.symbols.tolist(), strict=True))
    found = [labelled[sample] for sample in beats.sample[own].tolist()]
    classes = {"N": "N", "S": "S", "V": "V", "F": "F", "Q": "Q"}
    assert [beats.classes[i] for i in beats.labels[own]] == [classes[symbol] for symbol in found]


def test_the_whole_of_mitbih_has_the_published_counts_in_the_records_of_one_lead(tmp_path):
    # Reading is what counts here; the features of three records stand for those of all.
    records = ("101", "207", "232")
    options = MitBihFeaturesOptions(records=records)
    beats = MitBihFeatures(options).load(
        LocalSource(real_database("mitdb").parent, tmp_path), Silent()
    )
    # Annotations of mitdb: the beats of each record less the first three and the last two marks.
    kept = 0
    for name in records:
        symbols = read_record(real_database("mitdb"), name).symbols[3:-2]
        kept += int(np.isin(symbols, list("NLRejAJSaVEF/fQ")).sum())
    assert len(beats) == kept
    assert np.isfinite(beats.signals).all()
    # 207 has 100 s of flutter without annotated beats; they are no RR interval.
    assert np.abs(beats.signals[:, 0, :2]).max() < 30


# Made records


def test_both_are_datasets_that_need_the_records_of_their_options():
    for dataset in (small(), all_of()):
        assert isinstance(dataset, Dataset)
        (requirement,) = dataset.requires()
        assert requirement.database == "mitdb" and requirement.records == ("r1", "r2")


def test_features_are_standardized_over_the_training_part(ward):
    dataset = all_of(head=0, tail=0)
    beats, _ = load(dataset, ward)
    tables = [beat_features(read_record(ward / "mitdb", name, ("MLII",))) for name in ("r1", "r2")]
    r_mv = np.concatenate([table.values[:, 7] for table in tables])
    np.testing.assert_allclose(beats.signals[:, 0, 7], r_mv, rtol=1e-6)
    train = np.flatnonzero(beats.record == 0)
    fitted = dataset.fitted(beats, train).signals[:, 0, 7]
    expected = (r_mv - r_mv[train].mean()) / r_mv[train].std()
    np.testing.assert_allclose(fitted, expected, atol=1e-4)
    assert abs(fitted[train].mean()) < 1e-5 < abs(fitted.mean())
    assert beats.sample.tolist() == [s for table in tables for s in table.sample.tolist()]


def test_first_and_last_annotations_are_left_out_as_for_waveforms(ward):
    whole, _ = load(all_of(head=0, tail=0), ward)
    beats, _ = load(all_of(), ward)
    assert len(whole) - len(beats) == 2 * (3 + 2)
    first = whole.sample[whole.record == 0]
    assert beats.sample[beats.record == 0].tolist() == first[3:-2].tolist()


def test_every_lead_gives_eighteen_features(ward):
    beats, _ = load(small(leads="MLII,V1"), ward)
    assert beats.signals.shape == (38, 2, 18) and beats.leads == ("MLII", "V1")
    # The second lead is the first one upside down.
    assert np.corrcoef(beats.signals[:, 0, 7], beats.signals[:, 1, 7])[0, 1] < -0.9


def test_missing_values_are_replaced_and_noted(ward):
    beats, notes = load(all_of(head=0, tail=0), ward)
    # The first beat of a record has none before it.
    assert np.isfinite(beats.signals).all()
    assert "missing and were replaced by medians" in notes[0]
    n = len(beats) // 2
    previous = beats.signals[:n, 0, 9:]
    np.testing.assert_allclose(previous[0], np.median(previous[1:], axis=0), atol=1e-5)


def test_the_same_seed_draws_the_same_beats(ward):
    first, again = (load(small(), ward)[0] for _ in range(2))
    other, _ = load(small(seed=1), ward)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert first.counts() == other.counts() == {"N": 30, "V": 8}
    assert (np.diff(first.sample[first.record == 0]) > 0).all()


def test_a_flat_lead_is_drawn_from_never_and_left_out_never(ward):
    lead, peaks = varied()
    lead[peaks[20] - 150 : peaks[30] + 200] = 1.0
    beats = [(int(p), "N") for p in peaks]
    write_record(ward / "mitdb", "r3", signals=np.stack([lead, lead]), beats=beats)
    flat = set(peaks[20:31].tolist())
    options = {"records": ("r1", "r3"), "counts": {"N": 60, "V": 3}}
    drawn, _ = load(small(**options), ward)
    assert not flat & set(drawn.sample[drawn.record == 1].tolist())
    everything, notes = load(all_of(records=("r1", "r3")), ward)
    assert flat <= set(everything.sample[everything.record == 1].tolist())
    assert np.isfinite(everything.signals).all()
    assert "beats are on a flat or saturated lead" in notes[0] and " 0 beats lie" not in notes[0]


@pytest.mark.parametrize("lead", ["MLII", "V1"])
def test_normalized_features_are_divided_by_their_mean_size_in_the_record(ward, lead):
    options = {"head": 0, "tail": 0, "leads": (lead,)}
    plain = standardized(all_of(records=("r1",), **options), ward)
    normalized = standardized(all_of(records=("r1",), normalize="record", **options), ward)
    # Within one record it is a change of unit, which standardization takes back.
    np.testing.assert_allclose(plain.signals, normalized.signals, atol=1e-5)
    both = standardized(all_of(normalize="record", **options), ward)
    tables = [beat_features(read_record(ward / "mitdb", name, (lead,))) for name in ("r1", "r2")]
    r_mv = np.concatenate([t.values[:, 7] / np.abs(t.values[:, 7]).mean() for t in tables])
    np.testing.assert_allclose(both.signals[:, 0, 7], (r_mv - r_mv.mean()) / r_mv.std(), atol=1e-4)


def test_nine_features_are_those_of_the_beat_alone(ward):
    whole, _ = load(small(), ward)
    nine, _ = load(small(features="nine"), ward)
    assert nine.signals.shape == (38, 1, 9)
    np.testing.assert_array_equal(nine.signals, whole.signals[:, :, :9])


@pytest.mark.slow
def test_features_of_absent_p_waves_are_missing_on_request(tmp_path):
    folder = real_database("mitdb")
    record = read_record(folder, "221", ("MLII",))
    usual, checked = (beat_features(record, check_p=check).values for check in (False, True))
    changed = np.any(np.nan_to_num(usual) != np.nan_to_num(checked), axis=0)
    names = {name for name, differs in zip(FEATURES, changed, strict=True) if differs}
    assert names == {"pr_s", "p_mv", "previous_pr_s", "previous_p_mv"}
    column = FEATURES.index("p_mv")
    assert np.isnan(checked[:, column]).mean() > 0.6 > np.isnan(usual[:, column]).mean()
    for absent_p in (None, "missing"):
        options = MitBihFeaturesOptions(records=("221",), absent_p=absent_p)
        beats = MitBihFeatures(options).load(LocalSource(folder.parent, tmp_path), Silent())
        constant = np.mean(beats.signals[:, 0, column] == np.median(beats.signals[:, 0, column]))
        assert (constant > 0.5) == (absent_p == "missing")


def within(**options):
    usual = {"records": ("r1", "r2"), "normal": 20, "other": 8}
    return IemmcRecords(IemmcRecordsOptions(**{**usual, **options}))


def test_each_record_has_the_same_numbers_of_normal_and_of_other_beats(ward):
    beats, _ = load(within(), ward)
    assert beats.classes == ("N", "other")
    for record in (0, 1):
        assert np.bincount(beats.labels[beats.record == record]).tolist() == [20, 8]
        symbols = read_record(ward / "mitdb", beats.records[record]).symbols
        samples = read_record(ward / "mitdb", beats.records[record]).samples
        found = dict(zip(samples.tolist(), symbols.tolist(), strict=True))
        own = np.flatnonzero(beats.record == record)
        assert [found[s] == "N" for s in beats.sample[own].tolist()] == (
            beats.labels[own] == 0
        ).tolist()


def test_the_records_of_the_second_reading_are_all_that_have_enough_beats():
    # Counted with wfdb alone; 102 and 104 have no lead MLII, and 107 has no normal beat.
    import wfdb

    folder, found = real_database("mitdb"), []
    for header in sorted(folder.glob("*.hea")):
        name = str(header.with_suffix(""))
        if "MLII" not in wfdb.rdheader(name).sig_name:
            continue
        symbols = np.array(wfdb.rdann(name, "atr").symbol)
        normal, other = np.isin(symbols, list("NLRej")).sum(), np.isin(symbols, list("AaJSVEF/fQ"))
        if normal >= 144 and other.sum() >= 96:
            found.append(header.stem)
    assert tuple(found) == IemmcRecordsOptions().records


def test_a_record_with_too_few_other_beats_is_named(ward):
    with pytest.raises(OptionError, match=r"Record r1 has .* class other, but 40") as error:
        load(within(other=40), ward)
    assert error.value.where == "dataset.other" and error.value.fix


# Bad input


def test_too_few_beats_of_a_class_are_rejected(ward):
    with pytest.raises(OptionError, match="0 usable beats of class S, but 5") as error:
        load(small(counts={"N": 10, "S": 5}), ward)
    assert error.value.where == "dataset.counts" and "dataset.records" in error.value.fix


def test_a_record_too_short_for_the_wavelets_is_named(ward):
    write_record(ward / "mitdb", "r4", n_samples=1000, beats=[(400, "N"), (700, "N")])
    with pytest.raises(RecordError, match="too short") as error:
        load(all_of(records=("r4",)), ward)
    assert "record r4" in error.value.where


def test_features_that_are_constant_are_named(ward):
    _, peaks = synthetic_lead(360.0)
    beats = [(int(p), "N") for p in peaks]
    write_record(ward / "mitdb", "r5", signals=np.zeros((2, 21_600)), beats=beats)
    dataset = all_of(records=("r5",))
    measured, _ = load(dataset, ward)
    with pytest.raises(OptionError, match="is the same in all"):
        dataset.fitted(measured, np.arange(len(measured)))


def test_records_of_two_sampling_rates_are_rejected(ward):
    lead, peaks = varied(fs=250.0)
    beats = [(int(p), "N") for p in peaks]
    write_record(ward / "mitdb", "r6", signals=np.stack([lead, lead]), beats=beats, fs=250)
    with pytest.raises(RecordError, match="250, 360 Hz"):
        load(all_of(records=("r1", "r6")), ward)


def test_records_without_beats_are_rejected(ward):
    with pytest.raises(RecordError, match="No record has a beat"):
        load(all_of(records=("r1",), head=10_000), ward)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counts": {"N": 10, "X": 5}}, "'X' is not one of the classes"),
        ({"counts": {"N": 0}}, "needs at least one beat"),
        ({"counts": {}}, "needs at least one beat"),
        ({"records": "106,106"}, "no name twice"),
        ({"head": -1}, "greater than or equal to 0"),
    ],
)
def test_invalid_options_are_rejected(options, message):
    with pytest.raises(OptionError, match=message):
        resolve(IemmcBeatsOptions, component="dataset iemmc-beats", overrides=options)


def test_between_patients_the_records_are_de_chazals():
    options = resolve(MitBihFeaturesOptions, component="x", protocol="inter-patient")
    dataset = MitBihFeatures(options)
    parts = dataset.partition("inter-patient")
    assert len(parts["train"]) == len(parts["test"]) == 22
    assert "202" not in dataset.partition("inter-patient-strict")["test"]
    assert dataset.partition("intra-patient") is None and small().partition("intra-patient") is None


def test_a_run_standardizes_training_validation_and_test_part_alike(ward, tmp_path):
    options = {"dataset": {"records": ["r1", "r2"], "head": 0, "tail": 0}}
    request = RunRequest("k-means", "mitbih-features", overrides=options)
    source = LocalSource(ward, tmp_path)
    config = configure(load_registry(), request)
    prepared = prepare_run(config, source=source, progress=Silent(), suite="runs")
    train = prepared.task.train.signals.astype(np.float64)
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1, atol=1e-5)
    raw, _ = load(all_of(head=0, tail=0), ward)
    parts = split("intra-patient", config.protocol_options, raw, config.dataset.create())
    fitting = raw.signals[parts.train].astype(np.float64)
    validation, test = prepared.task.validation, prepared.test.load()
    for part, index in ((validation, parts.validation), (test, parts.test)):
        expected = (raw.signals[index] - fitting.mean(axis=0)) / fitting.std(axis=0)
        np.testing.assert_allclose(part.signals, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "dataset", [IemmcBeats(IemmcBeatsOptions()), IemmcRecords(IemmcRecordsOptions())]
)
def test_a_sample_for_clustering_is_standardized_over_its_beats(dataset, tmp_path):
    beats = dataset.load(LocalSource(real_database("mitdb").parent, tmp_path), Silent())
    values = beats.signals[:, 0].astype(np.float64)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)

"""The PhysioNet datasets have the published beats, leads and windows."""

from __future__ import annotations

from collections import Counter
from math import log

import numpy as np
import pytest
import wfdb
from wfdb_files import real_database, write_incart_record, write_record

from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.protocols import protocol_options, split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import MissingDataError, OptionError, RecordError
from nasbench_ecg.options import resolve
from nasbench_ecg.progress import Silent
from nasbench_ecg.signal import PLANES
from nasbench_ecg.signal.aami import labels_of
from nasbench_ecg_physionet import incart, nasbench_ecg_datasets
from nasbench_ecg_physionet.incart import Incart, IncartOptions
from nasbench_ecg_physionet.mitbih import (
    DS1,
    DS2,
    PAPER_RECORDS,
    ContextOptions,
    MitBih,
    OneLeadOptions,
    RhythmOptions,
    TwoLeadOptions,
)
from nasbench_ecg_physionet.mitbih_svdb import MitBihSvdb, MitBihSvdbOptions
from nasbench_ecg_physionet.qt import RECORDS as QT_RECORDS
from nasbench_ecg_physionet.qt import Qt, QtOptions
from nasbench_ecg_physionet.svdb import RECORDS as SVDB_RECORDS
from nasbench_ecg_physionet.svdb import ContextOptions as SvdbContextOptions
from nasbench_ecg_physionet.svdb import RhythmOptions as SvdbRhythmOptions
from nasbench_ecg_physionet.svdb import Svdb, SvdbOptions


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def options_of(model, protocol="intra-patient", **overrides):
    return resolve(model, component="dataset x", protocol=protocol, overrides=overrides)


def load(dataset, database, tmp_path):
    """Return the beats and notes of a dataset from the real records."""
    notes = Notes()
    source = LocalSource(real_database(database).parent, tmp_path)
    return dataset.load(source, notes), notes.notes


@pytest.fixture(scope="module")
def paper_beats(tmp_path_factory):
    dataset = MitBih(options_of(TwoLeadOptions))
    return load(dataset, "mitdb", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def de_chazal_labels(tmp_path_factory):
    """All labelled beats of the 44 records, with windows of one sample, so that none is dropped."""
    options = options_of(TwoLeadOptions, "inter-patient", before=0, after=0, denoise="none")
    dataset = MitBih(options)
    return dataset, *load(dataset, "mitdb", tmp_path_factory.mktemp("cache"))


def test_the_plugin_registers_thirteen_datasets():
    specs = {spec.name: spec for spec in nasbench_ecg_datasets()}
    assert sorted(specs) == [
        "iemmc-beats", "iemmc-records", "incart-2lead", "mitbih-1lead", "mitbih-2lead",
        "mitbih-2lead-context", "mitbih-2lead-rhythm", "mitbih-features", "mitbih-svdb-rhythm",
        "qt-1lead", "svdb-2lead", "svdb-2lead-context", "svdb-2lead-rhythm",
    ]  # fmt: skip
    assert "inter-patient" in specs["mitbih-2lead"].protocols
    assert "inter-patient" not in specs["qt-1lead"].protocols
    assert isinstance(MitBih(TwoLeadOptions()), Dataset)


def test_the_forty_records_are_those_with_mlii_and_v1():
    folder = real_database("mitdb")
    leads = {p.stem: wfdb.rdheader(str(p.with_suffix(""))).sig_name for p in folder.glob("*.hea")}
    both = {name for name, own in leads.items() if own == ["MLII", "V1"]}
    assert set(PAPER_RECORDS) == both and len(PAPER_RECORDS) == 40


def test_mitbih_beats_of_the_paper_are_94013_with_the_published_counts(paper_beats):
    beats, notes = paper_beats
    assert beats.counts() == {"N": 79_508, "S": 2_696, "V": 7_129, "F": 793, "Q": 3_887}
    assert beats.signals.shape == (94_013, 2, 300) and beats.fs == 360
    assert beats.leads == ("MLII", "V1") and beats.records == PAPER_RECORDS
    assert notes[-1].startswith("94,013 beats") and "equal the published ones" in notes[-1]


def test_every_beat_has_mean_0_and_deviation_1_in_each_lead(paper_beats):
    sample = paper_beats[0].signals[::97]
    np.testing.assert_allclose(sample.mean(axis=2), 0, atol=1e-4)
    np.testing.assert_allclose(sample.std(axis=2), 1, atol=1e-3)


def test_201_and_202_are_one_subject(paper_beats):
    beats, _ = paper_beats
    of = dict(zip(beats.records, beats.subjects, strict=True))
    assert of["201"] == of["202"] and len(set(of.values())) == 39


def test_patient_kfold_keeps_201_and_202_together(paper_beats):
    beats, _ = paper_beats
    dataset = MitBih(options_of(TwoLeadOptions, "patient-kfold"))
    both = {beats.records.index("201"), beats.records.index("202")}
    for fold in range(5):
        made = split("patient-kfold", protocol_options("patient-kfold")(fold=fold), beats, dataset)
        for part in (made.train, made.validation, made.test):
            assert len(both & set(beats.record[part].tolist())) in (0, 2)


def test_de_chazal_records_are_44_without_the_paced_ones():
    assert len(set(DS1)) == len(set(DS2)) == 22 and not set(DS1) & set(DS2)
    assert not {"102", "104", "107", "217"} & {*DS1, *DS2}


@pytest.mark.parametrize(
    ("part", "published"),
    [("train", (45_866, 944, 3_788, 415, 8)), ("test", (44_259, 1_837, 3_221, 388, 7))],
)
def test_de_chazal_parts_have_the_published_counts(de_chazal_labels, part, published):
    dataset, beats, _ = de_chazal_labels
    records = [beats.records.index(name) for name in dataset.partition("inter-patient")[part]]
    own = beats.labels[np.isin(beats.record, records)]
    assert tuple(np.bincount(own, minlength=5)) == published


def test_inter_patient_parts_share_no_record_and_the_shared_subject_is_noted(
    de_chazal_labels,
):
    dataset, beats, notes = de_chazal_labels
    made = split("inter-patient", protocol_options("inter-patient")(), beats, dataset)
    names = [
        {beats.records[i] for i in beats.record[part]}
        for part in (made.train, made.validation, made.test)
    ]
    assert names[2] == set(DS2) and names[0] | names[1] == set(DS1) and not names[0] & names[1]
    for part in (made.train, made.validation):
        assert (np.bincount(beats.labels[part], minlength=5)[:4] > 10).all()
    assert any("201" in note for note in made.notes)
    assert "equal the published ones" in notes[-1]


def test_strict_leaves_out_202(de_chazal_labels):
    dataset, beats, _ = de_chazal_labels
    strict, plain = (
        split(name, protocol_options(name)(), beats, dataset)
        for name in ("inter-patient-strict", "inter-patient")
    )
    tested = {beats.records[i] for i in beats.record[strict.test]}
    assert tested == set(DS2) - {"202"} and strict.notes == ()
    np.testing.assert_array_equal(strict.train, plain.train)


def test_mlii_is_the_first_inter_patient_lead_even_if_it_is_second_in_the_file(tmp_path):
    options = options_of(
        TwoLeadOptions, "inter-patient", records=("114", "101"), normalise="none", denoise="none"
    )
    beats, _ = load(MitBih(options), "mitdb", tmp_path)
    assert beats.leads == ("MLII", "other")
    oracle = wfdb.rdrecord(str(real_database("mitdb") / "114")).p_signal  # channels V5, MLII
    peak = beats.sample[0]
    np.testing.assert_allclose(beats.signals[0], oracle[peak - 99 : peak + 201, ::-1].T, atol=1e-6)


def test_one_lead_is_v1_for_intra_patient_and_mlii_for_inter_patient(tmp_path):
    paper = options_of(OneLeadOptions, records=("101",))
    between = options_of(OneLeadOptions, "inter-patient", records=("100",))
    assert load(MitBih(paper), "mitdb", tmp_path)[0].leads == ("V1",)
    assert load(MitBih(between), "mitdb", tmp_path)[0].leads == ("MLII",)


def test_context_is_three_seconds_at_120_hz_with_the_r_peak_at_two(tmp_path):
    options = options_of(ContextOptions, records=("101",), normalise="none")
    beats, notes = load(MitBih(options), "mitdb", tmp_path)
    assert beats.signals.shape[1:] == (2, 360) and beats.fs == 120
    peaks = beats.signals[beats.labels == 0, 0, 200:280].argmax(axis=1) + 200
    assert abs(np.median(peaks) - 240) <= 1
    assert any("dropped" in note for note in notes)


def test_rhythm_is_the_context_with_four_planes(tmp_path):
    records = ("100", "207")
    context = options_of(ContextOptions, "inter-patient", records=records)
    rhythm = options_of(RhythmOptions, "inter-patient", records=records)
    assert rhythm.model_dump() == {**context.model_dump(), "rhythm": "whole-record"}
    plain, _ = load(MitBih(context), "mitdb", tmp_path)
    beats, _ = load(MitBih(rhythm), "mitdb", tmp_path)
    assert beats.leads == (*plain.leads, *PLANES["whole-record"])
    np.testing.assert_array_equal(beats.signals[:, :2], plain.signals)
    early = beats.signals[beats.labels == 1, 2, 0]  # class S
    assert np.median(early) < log(0.9)


@pytest.mark.parametrize(
    ("planes", "rhythm"), [((1,), "whole-record"), ("2, 4", "whole-record"), (3, "causal")]
)
def test_planes_can_be_chosen_by_their_numbers(tmp_path, planes, rhythm):
    changes = {"records": ("100",), "rhythm": rhythm}
    all_planes, _ = load(
        MitBih(options_of(RhythmOptions, "inter-patient", **changes)), "mitdb", tmp_path
    )
    chosen = options_of(RhythmOptions, "inter-patient", **changes, planes=planes)
    beats, _ = load(MitBih(chosen), "mitdb", tmp_path)
    numbers = {(1,): [1], "2, 4": [2, 4], 3: [3]}[planes]
    leads = [0, 1, *(number + 1 for number in numbers)]
    assert beats.leads == tuple(all_planes.leads[i] for i in leads)
    np.testing.assert_array_equal(beats.signals, all_planes.signals[:, leads])


@pytest.mark.parametrize(
    "wrong",
    [
        {"planes": (5,)}, {"planes": (0,)}, {"planes": (2, 1)}, {"planes": (1, 1)}, {"planes": ()},
        {"planes": (4,), "rhythm": "causal"}, {"planes": (1,), "rhythm": None},
    ],
)  # fmt: skip
def test_planes_that_do_not_exist_are_refused(wrong):
    with pytest.raises(OptionError, match="planes"):
        options_of(RhythmOptions, **wrong)


def test_without_rhythm_the_options_in_a_run_key_are_those_of_before():
    assert "rhythm" not in TwoLeadOptions().model_dump(exclude_none=True)
    assert "rhythm" not in ContextOptions().model_dump(exclude_none=True)
    assert "planes" not in RhythmOptions().model_dump(exclude_none=True)


def test_svdb_records_are_the_78_with_two_leads_at_128_hz():
    folder = real_database("svdb")
    headers = {path.stem: wfdb.rdheader(str(path.with_suffix(""))) for path in folder.glob("*.hea")}
    assert set(SVDB_RECORDS) == set(headers) and len(SVDB_RECORDS) == 78
    for header in headers.values():
        assert header.sig_name == ["ECG1", "ECG2"] and header.fs == 128


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "start", "end"), [(SvdbOptions, 35, 71), (SvdbContextOptions, 256, 127)]
)
def test_svdb_has_all_beats_of_n_s_and_v_whose_window_is_in_the_record(tmp_path, model, start, end):
    """The symbols are counted by wfdb; the ends of the windows are in samples at 128 Hz."""
    folder = real_database("svdb")
    beats, notes = load(Svdb(options_of(model)), "svdb", tmp_path)
    counts, dropped = Counter(), Counter()
    for name in SVDB_RECORDS:
        marks = wfdb.rdann(str(folder / name), "atr")
        n_samples = wfdb.rdheader(str(folder / name)).sig_len
        for sample, symbol in zip(marks.sample, marks.symbol, strict=True):
            label = {"N": "N", "S": "S", "J": "S", "a": "S", "V": "V"}.get(symbol)
            inside = sample - start >= 0 and sample + end < n_samples
            (counts if inside else dropped)[label] += 1
    assert counts[None] + dropped[None] == 79 + 23 + 1 + 2211 + 1082 + 1  # Q F B | ~ +
    for one in (counts, dropped):
        del one[None]
    assert counts + dropped == {"N": 162_339, "S": 12_188 + 9 + 1, "V": 9_943}
    assert beats.classes == ("N", "S", "V") and beats.counts() == counts
    assert notes[0].startswith(f"{dropped.total()} beats were dropped")
    assert beats.subjects == beats.records == SVDB_RECORDS


def test_svdb_windows_are_those_of_mitbih_in_seconds(tmp_path):
    records = ("800", "860")
    short, _ = load(Svdb(options_of(SvdbOptions, records=records)), "svdb", tmp_path)
    assert short.signals.shape[1:] == (2, 107) and short.fs == 128
    seconds = [np.array([99, 200]) / 360, np.array([35, 71]) / 128]
    np.testing.assert_allclose(*seconds, atol=1 / 256)
    beats, _ = load(Svdb(options_of(SvdbRhythmOptions, records=records)), "svdb", tmp_path)
    assert beats.signals.shape[1:] == (6, 360) and beats.fs == 120
    assert beats.leads == ("ECG1", "ECG2", *PLANES["whole-record"])


@pytest.mark.slow
def test_mitbih_svdb_trains_on_ds1_and_svdb_and_tests_on_ds2(tmp_path):
    """Class counts by wfdb and de Chazal's table; test beats are those of mitbih-2lead-rhythm."""
    mitdb, folder = real_database("mitdb"), real_database("svdb")
    dataset = MitBihSvdb(options_of(MitBihSvdbOptions, "inter-patient"))
    alone = MitBih(options_of(RhythmOptions, "inter-patient"))
    beats, _ = load(dataset, "svdb", tmp_path)
    expected, _ = load(alone, "mitdb", tmp_path)
    assert beats.fs == 120 and beats.signals.shape[1:] == (6, 360)
    assert beats.leads == expected.leads == ("MLII", "other", *PLANES["whole-record"])

    parts = split("inter-patient", protocol_options("inter-patient")(), beats, dataset)
    same = split("inter-patient", protocol_options("inter-patient")(), expected, alone)
    test, as_ever = beats.take(parts.test), expected.take(same.test)
    for name in ("signals", "labels", "sample"):
        np.testing.assert_array_equal(getattr(test, name), getattr(as_ever, name))
    assert parts.macro_classes == same.macro_classes

    of = {
        s: c
        for c, group in {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"}.items()
        for s in group
    }
    counts = Counter()
    for base, names, before, after in ((mitdb, DS1, 720, 357), (folder, SVDB_RECORDS, 256, 127)):
        for name in names:
            marks = wfdb.rdann(str(base / name), "atr")
            last = wfdb.rdheader(str(base / name)).sig_len - after
            for sample, symbol in zip(marks.sample, marks.symbol, strict=True):
                if symbol in of and before <= sample < last:
                    counts[of[symbol]] += 1
    training = beats.take(np.concatenate([parts.train, parts.validation]))
    assert training.counts() == counts
    assert training.counts()["S"] > 13_000

    of_subject = np.asarray(beats.subjects)[beats.record]
    people = [set(of_subject[index]) for index in (parts.train, parts.validation)]
    assert (
        not people[0] & people[1] and len(people[0] | people[1]) == 22 + 78 and len(people[1]) == 20
    )


def test_mitbih_svdb_has_beats_of_one_sampling_rate(tmp_path):
    mitdb, few = real_database("mitdb"), {"records": ("101", "100", "800"), "rate": None}
    dataset = MitBihSvdb(options_of(MitBihSvdbOptions, "inter-patient", **few))
    with pytest.raises(OptionError, match="sampled at 128 and 360 Hz"):
        dataset.load(LocalSource(mitdb.parent, tmp_path), Notes())


def test_mitbih_svdb_names_the_persons_of_both_databases():
    dataset = MitBihSvdb(MitBihSvdbOptions())
    persons = dataset.persons()
    assert persons["202"] == "mitdb/201" and persons["800"] == "svdb/800" and len(persons) == 122
    assert [need.database for need in dataset.requires()] == ["mitdb", "svdb"]
    few = MitBihSvdb(MitBihSvdbOptions(records=("101", "100", "800", "801"), exclude=("801",)))
    parts = few.partition("inter-patient")
    assert parts == {"train": ["101", "800"], "test": ["100"]}
    assert few.partition("patient-kfold") is None and few.partition("intra-patient") is None


def test_the_last_beat_of_860_is_behind_its_end_and_dropped(tmp_path):
    options = options_of(SvdbOptions, records=("860",), before=0, after=0)
    beats, notes = load(Svdb(options), "svdb", tmp_path)
    assert notes[0].startswith("1 beat was dropped")
    assert beats.sample.max() < 230_400


def test_qt_beats_are_86595_with_the_published_counts(tmp_path):
    beats, notes = load(Qt(options_of(QtOptions)), "qtdb", tmp_path)
    assert beats.counts() == {"N": 81_022, "S": 1_485, "V": 1_691, "F": 251, "Q": 2_146}
    assert beats.signals.shape == (86_595, 1, 220) and beats.fs == 250
    assert "equal the published ones" in notes[-1]


def test_qt_records_are_the_82_that_have_annotations():
    annotated = {path.stem for path in real_database("qtdb").glob("*.atr")}
    assert set(QT_RECORDS) == annotated and len(QT_RECORDS) == 82


def test_other_records_are_not_compared_with_the_published_counts(tmp_path):
    _, notes = load(MitBih(options_of(TwoLeadOptions, records=("101",))), "mitdb", tmp_path)
    assert "published" not in notes[-1] and " beats: N " in notes[-1]


def test_difference_from_the_published_counts_is_noted(tmp_path):
    beats = [(400 + 300 * i, "N") for i in range(12)]
    for name in PAPER_RECORDS:
        write_record(tmp_path / "mitdb", name, beats=beats, n_samples=5000)
    notes = Notes()
    MitBih(TwoLeadOptions(denoise="none")).load(LocalSource(tmp_path, tmp_path / "c"), notes)
    assert "N 280 instead of 79,508" in notes.notes[-1]


def test_requirements_are_the_records_of_the_options():
    assert MitBih(TwoLeadOptions()).requires()[0].records == PAPER_RECORDS
    only = options_of(TwoLeadOptions, records="100,101")
    assert MitBih(only).requires()[0].records == ("100", "101")
    assert len(Incart(IncartOptions()).requires()[0].records) == 75


@pytest.mark.parametrize(
    "overrides",
    [
        {"records": ()},
        {"records": ("100", "100")},
        {"leads": []},
        {"before": -1},
        {"tail": -1},
        {"rate": 0},
        {"rate": float("nan")},
        {"rate": 5},
        {"rate": 1e9},
        {"denoise_rate": 5},
        {"denoise_rate": float("inf")},
        {"normalise": "l2"},
        {"denoise": "db9"},
    ],
)
def test_invalid_options_are_rejected(overrides):
    with pytest.raises(OptionError):
        options_of(TwoLeadOptions, **overrides)


@pytest.mark.parametrize(
    "model",
    [
        OneLeadOptions,
        TwoLeadOptions,
        ContextOptions,
        RhythmOptions,
        QtOptions,
        IncartOptions,
        SvdbOptions,
        SvdbContextOptions,
        SvdbRhythmOptions,
    ],
)
def test_every_option_is_described(model):
    assert all(field.description for field in model.model_fields.values())


def test_missing_database_is_an_error(tmp_path):
    with pytest.raises(MissingDataError, match="mitdb"):
        MitBih(TwoLeadOptions()).load(LocalSource(tmp_path, tmp_path), Silent())


INCART_BEATS = [
    *[(300 * i, symbol) for i, symbol in enumerate("NNNNAVFQn+NRjSBNN", start=1)],
    (5900, "N"),
]


def load_incart(tmp_path, patients):
    for name, patient in patients.items():
        write_incart_record(tmp_path / "incartdb", name, patient=patient, beats=INCART_BEATS)
    notes = Notes()
    options = IncartOptions(records=tuple(patients), denoise="none", normalise="none")
    return Incart(options).load(LocalSource(tmp_path, tmp_path / "c"), notes), notes.notes


def test_incart_has_four_classes_in_leads_ii_and_v1(tmp_path):
    beats, _ = load_incart(tmp_path, {"I01": 1})
    assert beats.classes == ("N", "S", "V", "F") and beats.leads == ("II", "V1")
    assert beats.signals.shape[1:] == (2, 250) and beats.fs == 257
    # three leading and two trailing annotations trimmed; Q, n, + and B are no beats here
    assert beats.counts() == {"N": 5, "S": 2, "V": 1, "F": 1}


def test_incart_records_of_one_patient_are_one_subject(tmp_path):
    beats, notes = load_incart(tmp_path, {"I01": 1, "I02": 1, "I03": 12})
    assert beats.subjects == ("patient-01", "patient-01", "patient-12")
    assert not any("patient" in note for note in notes)


def test_incart_record_without_patient_number_is_a_subject_of_its_own_and_noted(tmp_path):
    beats, notes = load_incart(tmp_path, {"I01": 1, "I22": None})
    assert beats.subjects == ("patient-01", "I22")
    assert any("1 headers contain no patient number" in note for note in notes)


INCART_SYMBOLS = {
    "N": 150_410, "V": 20_013, "R": 3_174, "A": 1_944, "F": 219, "j": 92, "n": 32, "S": 16,
    "Q": 6, "B": 1, "+": 12,
}  # fmt: skip
"""Annotations of the 75 records, as a public description of the database counts them."""


def test_the_published_counts_of_incart_follow_from_its_symbols():
    # Here only symbols are counted: the records are 825 MB.
    symbols, n = np.array(list(INCART_SYMBOLS)), np.array(list(INCART_SYMBOLS.values()))
    labels = labels_of(symbols, incart._CLASSES)
    counts = {name: int(n[labels == i].sum()) for i, name in enumerate(incart._CLASSES)}
    assert counts == {"N": 153_676, "S": 1_960, "V": 20_013, "F": 219}
    # The paper has fewer, but at most the three first and two last annotations of each record.
    missing = {name: counts[name] - published for name, published in incart._COUNTS.items()}
    assert min(missing.values()) >= 0
    first_and_last = (IncartOptions().head + IncartOptions().tail) * len(incart.RECORDS)
    assert sum(missing.values()) == 369 <= first_and_last == 375
    # With n and B as beats of N there would be more missing than is left out.
    assert sum(missing.values()) + INCART_SYMBOLS["n"] + INCART_SYMBOLS["B"] > first_and_last


def test_records_of_several_rates_need_the_option_rate(tmp_path):
    beats = [(400 + 300 * i, "N") for i in range(12)]
    for name, fs in (("100", 360), ("101", 250)):
        write_record(tmp_path / "mitdb", name, beats=beats, n_samples=5000, fs=fs)
    source = LocalSource(tmp_path, tmp_path / "c")
    with pytest.raises(RecordError, match="record 101 has 250 Hz, the first record 360 Hz"):
        MitBih(TwoLeadOptions(records=("100", "101"))).load(source, Silent())
    options = TwoLeadOptions(records=("100", "101"), rate=125.0)
    assert MitBih(options).load(source, Silent()).fs == 125

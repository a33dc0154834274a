"""Persons across databases: who they are, and that splits and transfers keep them apart."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from run_records import run_record, with_f1
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tiny_beats import tiny_beats
from wfdb_files import real_database, write_record

from nasbench_ecg.data.persons import persons_of, shared_records, with_persons
from nasbench_ecg.data.protocols import protocol_options, split
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.data.wfdb_folder import WfdbFolder, WfdbFolderOptions
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.progress import Silent
from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.leaderboard.tables import leaderboard_table
from nasbench_ecg.report.studies.generalization import generalization
from nasbench_ecg.report.studies.generalization_tables import as_data, tables
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.prepare import prepare_run
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.studies.generalize import (
    plan_transfers,
    recorded_persons,
    records_to_exclude,
    searched_persons,
)
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_physionet.features import IemmcBeats, IemmcBeatsOptions
from nasbench_ecg_physionet.mitbih import PAPER_RECORDS, MitBih, TwoLeadOptions
from nasbench_ecg_physionet.qt import Qt, QtOptions
from nasbench_ecg_physionet.svdb import Svdb, SvdbOptions

SHARED = ("sel116", "sel213", "sel221", "sel223", "sel230", "sel231", "sel232", "sel233")
"""The records of QT that are excerpts of records of mitbih-2lead, as their headers say."""


def persons(dataset, name, **more):
    return persons_of(dataset, name, dataset.options.used_records, **more)


MITBIH = persons(MitBih(TwoLeadOptions()), "mitbih-2lead")
QT = persons(Qt(QtOptions()), "qt-1lead")
SVDB = persons(Svdb(SvdbOptions()), "svdb-2lead")


def test_qt_shares_8_persons_with_the_paper_records_of_mitbih_and_13_with_svdb():
    assert shared_records(QT, MITBIH.values()) == SHARED
    assert len(shared_records(QT, SVDB.values())) == 13
    assert sum(person.startswith("mitdb/") for person in QT.values()) == 15
    assert not shared_records(MITBIH, SVDB.values())
    assert MITBIH["202"] == MITBIH["201"] == "mitdb/201"
    assert QT["sele0122"] == QT["sele0121"] and QT["sele0126"] == QT["sele0124"]
    assert len(set(QT.values())) == 80


def test_the_headers_of_qt_name_the_same_records():
    said = {}
    for name in QT:
        header = (real_database("qtdb") / f"{name}.hea").read_text()
        (source,) = re.findall(r"Produced by xform from record (\S+),", header)
        said[name] = source
    same = {"e0121": "e0121", "e0122": "e0121", "e0124": "e0124", "e0126": "e0124"}
    for name, source in said.items():
        if source == "mqt2":  # not a record of any database
            assert name in ("sel16265", "sel16272", "sel17152")
        else:
            assert QT[name].partition("/")[2] == same.get(source, source)
    mitdb = {path.stem for path in real_database("mitdb").glob("*.hea")}
    assert {s for s in said.values() if s in mitdb} == {
        person.removeprefix("mitdb/") for person in QT.values() if person.startswith("mitdb/")
    }


@pytest.mark.parametrize("one", ["sele0121", "sele0124"])
def test_headers_of_one_person_are_equal(one):
    lines = []
    for name in (one, one.replace("121", "122").replace("124", "126")):
        text = (real_database("qtdb") / f"{name}.hea").read_text()
        comments = [line for line in text.splitlines() if line.startswith("#")]
        lines.append([" ".join(line.split()) for line in comments if "xform" not in line])
    assert lines[0] == lines[1] and len(lines[0]) > 3


def test_the_feature_datasets_and_the_subjects_of_loaded_beats_name_persons():
    features = IemmcBeats(IemmcBeatsOptions())
    assert set(persons(features, "iemmc-beats").values()) <= {f"mitdb/{n}" for n in range(300)}
    loaded = persons_of(Svdb(SvdbOptions()), "svdb-2lead", ("800", "801"), ("p", "p"))
    assert loaded == {"800": "svdb/p", "801": "svdb/p"}


class Named:
    """A dataset whose records b and d are of one person, and a and b of one subject."""

    def persons(self):
        return {"b": "x/1", "d": "x/1", "c": "x/2"}

    def partition(self, protocol):
        return None


def beats_of(records, subjects):
    beats = tiny_beats(40 * len(records))
    record = np.repeat(np.arange(len(records), dtype=np.int32), 40)
    return replace(beats, record=record, records=records, subjects=subjects)


def test_subjects_and_persons_are_joined():
    beats = beats_of(tuple("abcdefgh"), ("p", "p", "c", "d", "e", "f", "g", "h"))
    assert with_persons(beats, Named()).subjects == ("d", "d", "c", "d", "e", "f", "g", "h")
    for fold in range(3):
        options = protocol_options("patient-kfold")(fold=fold, k=3)
        parts = split("patient-kfold", options, beats, Named())
        for part in (parts.train, parts.validation, parts.test):
            assert len({0, 1, 3} & set(beats.record[part].tolist())) in (0, 3)


@pytest.mark.parametrize("seed", range(5))
def test_subjects_are_joined_as_the_connected_components_of_records_and_persons(seed):
    rng = np.random.default_rng(seed)
    n = 60
    records = tuple(f"r{i}" for i in range(n))
    subject, person = rng.integers(40, size=(2, n))
    named = rng.random(n) < 0.7

    class Random(Named):
        def persons(self):
            return {records[i]: f"db/{person[i]}" for i in np.flatnonzero(named)}

    beats = replace(tiny_beats(5), records=records, subjects=tuple(f"s{i:02}" for i in subject))
    graph = coo_array((np.ones(n), (subject, np.where(named, 40 + person, subject))), (80, 80))
    _, component = connected_components(graph, directed=False)
    expected = [f"s{subject[component[subject] == component[own]].min():02}" for own in subject]
    assert with_persons(beats, Random()).subjects == tuple(expected)


def test_a_person_named_for_one_record_is_that_of_all_records_of_its_subject():
    options = WfdbFolderOptions(
        records=("x1", "x2", "x3"), leads=("#0",), before=1, after=1,
        subjects={"x1": "p1", "x2": "p1"}, persons={"x2": "mitdb/213"},
    )  # fmt: skip
    expected = {"x1": "mitdb/213", "x2": "mitdb/213", "x3": "ward/x3"}
    folder = WfdbFolder("ward", options)
    assert folder.persons() == expected
    assert persons_of(folder, "ward", ("x1", "x2", "x3")) == expected

    class NamesOne:
        def requires(self):
            return ()

        def persons(self):
            return {"x2": "mitdb/213"}

    assert persons_of(NamesOne(), "ward", ("x1", "x2", "x3"), ("p1", "p1", "x3")) == expected


def test_without_named_persons_the_beats_are_the_same_object():
    beats = beats_of(("a", "b"), ("a", "b"))
    assert with_persons(beats, object()) is beats


ARCH = ConvCells(ConvCellsOptions()).sample(np.random.default_rng(0)).to_dict()


def found_run(**fields):
    """Return a run of ``darts`` on all records of mitbih-2lead, recorded before persons were."""
    record = run_record(metrics=with_f1(0.96), architecture=ARCH, **fields)
    used = record.components["dataset"]
    used.options = TwoLeadOptions().model_dump(mode="json")
    record.components["space"].options = {}
    for component in record.components.values():
        component.changed = {}
    record.dataset.records = list(PAPER_RECORDS)
    record.split.records = {"train": list(PAPER_RECORDS), "validation": [], "test": []}
    return record


def test_older_records_get_their_persons_from_the_dataset():
    assert recorded_persons(found_run()) == MITBIH
    unknown = found_run()
    unknown.components["dataset"].name = "gone"
    assert recorded_persons(unknown)["213"] == "gone/213"


def test_persons_of_the_test_part_were_not_searched_on():
    record = found_run()
    record.split.records = {"train": ["213"], "validation": ["223"], "test": ["230"]}
    assert searched_persons(record) == {"mitdb/213", "mitdb/223"}


def test_transfers_leave_out_the_persons_of_the_search_unless_told_to_keep_them():
    registry = load_registry()
    for keep, expected in ((False, list(SHARED)), (True, None)):
        planned = plan_transfers(
            registry, [found_run()], ["qt-1lead"], baselines=["cnn-9"], device="cpu",
            keep_shared_persons=keep,
        )  # fmt: skip
        assert len(planned) == 2
        for run in planned:
            assert run.config.dataset.options.model_dump(mode="json")["exclude"] == expected
    target = {"dataset": "svdb-2lead", "protocol": "patient-kfold", "profile": "quick"}
    assert records_to_exclude(registry, found_run(), target) == ()


def test_where_records_are_fixed_only_test_records_are_left_out():
    registry = load_registry()
    target = {"dataset": "mitbih-1lead", "protocol": "inter-patient", "profile": "quick"}
    excluded = records_to_exclude(registry, found_run(), target)
    assert "200" in excluded and "101" not in excluded and "100" not in excluded
    with pytest.raises(OptionError, match="--keep-shared-persons"):
        records_to_exclude(registry, found_run(), {**target, "protocol": "intra-patient"})


def transferred(source, f1, *, exclude=(), by_record=None, **fields):
    origin = {"run_key": source.run_key, "strategy": "darts", "dataset": "mitbih-2lead"}
    origin |= {"protocol": "intra-patient", "search_seed": 0}
    record = run_record(
        "given", dataset="qt-1lead", metrics=with_f1(f1),
        changed={"strategy": {"architecture": {}, "origin": origin}}, **fields,
    )  # fmt: skip
    options = QtOptions(exclude=tuple(exclude) or None)
    record.components["dataset"].options = options.model_dump(mode="json")
    record.dataset.records = list(options.used_records)
    record.dataset.by_record = by_record or {}
    return record


def test_the_report_says_which_records_and_how_many_beats():
    source = found_run()
    counts = {name: {"N": 90} for name in QT} | {name: {"N": 10, "V": 5} for name in SHARED}
    apart = transferred(source, 0.9, exclude=SHARED, by_record=counts, beats="d" * 64)
    kept = transferred(source, 0.95)
    report = generalization([source, apart, kept])
    assert [target.excluded for target in report.targets] == [SHARED, ()]
    data = as_data(report)["datasets"]
    for target, (excluded, kept) in zip(data, ((SHARED, ()), ((), SHARED)), strict=True):
        (overlap,) = target["shared_persons"]
        assert overlap["excluded"] == excluded and overlap["kept"] == kept
        assert overlap["beats"] == {"N": 80, "V": 40}
        assert overlap["of"] == {"N": 80 + 74 * 90, "V": 40}
    scores, table, *_ = tables(report)
    headings = [column.heading for column in scores.columns]
    assert headings[2:] == [
        "qt-1lead without 8 records · intra-patient",
        "qt-1lead · intra-patient",
    ]
    first, second = ([cell.line for cell in row.cells] for row in table.rows)
    assert first[2].startswith("8 of 82, left out: sel116, ")
    assert second[2].startswith("8 of 82, kept: sel116, ")
    assert first[3] == second[3] == "N 80 (1.2%), V 40 (100.0%)"


def test_published_scores_of_all_records_are_not_set_beside_some_records():
    source = found_run()
    report = generalization([source, transferred(source, 0.9, exclude=SHARED)])
    (target,) = report.targets
    assert all(result.published is None for result in target.results.values())
    assert not any("published:" in str(row) for table in tables(report) for row in table.rows)


def test_a_leaderboard_states_the_records_of_searched_persons_and_of_other_databases():
    source = found_run()
    counts = {name: {"N": 90} for name in QT} | {name: {"N": 10, "V": 5} for name in SHARED}
    kept = transferred(source, 0.95, by_record=counts)
    mit, qt = build_report([source, kept], "All").leaderboards
    (overlap,) = qt.searched
    assert (overlap.dataset, overlap.kept, overlap.excluded) == ("mitbih-2lead", SHARED, ())
    assert overlap.beats == {"N": 80, "V": 40} and overlap.n_records == 82
    assert [(o.dataset, len(o.kept)) for o in mit.also_in] == [("qt-1lead", 8)]
    assert not mit.searched
    text = " ".join(leaderboard_table(qt, "markdown").footnotes)
    assert "8 of 82 records (sel116, sel213," in text
    assert "N 80 (1.2%), V 40 (100.0%), are of the persons on whom architectures were" in text
    assert "Published scores are of all 82 records. 15 of these are excerpts" in text


def test_a_leaderboard_without_some_records_has_no_published_scores():
    source = found_run()
    (board,) = build_report([transferred(source, 0.9, exclude=SHARED)], "All").leaderboards
    assert not board.published and all(row.published is None for row in board.rows)
    (overlap,) = board.searched  # by its dataset, as the run that searched is not here
    assert (overlap.excluded, overlap.kept) == (SHARED, ())
    table = leaderboard_table(board, "markdown")
    assert not [row for row in table.rows if row.kind == "published"]
    assert "left out here." in " ".join([*table.footnotes])
    assert "Published scores are of all records" in table.footnotes[-1]
    (usual,) = build_report([transferred(source, 0.9)], "All").leaderboards
    assert usual.published


def test_beats_that_no_record_counts_are_said_to_be_unknown():
    source = found_run()
    _, table, *_ = tables(generalization([source, transferred(source, 0.9)]))
    assert table.rows[0].cells[3].line == "not recorded"


@pytest.mark.slow
def test_qt_beats_of_shared_persons_are_as_the_documentation_says(tmp_path):
    folder = real_database("qtdb").parent
    beats = Qt(QtOptions(denoise="none")).load(LocalSource(folder, tmp_path), Silent())
    shared = np.isin(np.asarray(beats.records)[beats.record], SHARED)
    share = np.bincount(beats.labels[shared], minlength=5) / np.bincount(beats.labels, minlength=5)
    assert [f"{value:.1%}" for value in share] == ["9.2%", "49.2%", "66.3%", "92.8%", "0.0%"]


def test_a_run_record_names_persons_and_counts_beats_of_excluded_records_too(tmp_path):
    names = ("101", "201", "202", "213")
    for seed, name in enumerate(names):
        beats = [(400 + 300 * i, "NV"[i % 3 == seed % 3]) for i in range(40)]
        write_record(tmp_path / "mitdb", name, beats=beats, n_samples=13_000)
    changed = {"records": names, "exclude": ["202"], "denoise": "none"}
    request = RunRequest(
        "cnn-11", "mitbih-2lead", profile="smoke", overrides={"dataset": changed}, device="cpu"
    )
    config = configure(load_registry(), request)
    source = LocalSource(tmp_path, tmp_path / "cache")
    record = prepare_run(config, source=source, progress=Silent(), suite="runs").record.dataset
    assert record.records == ["101", "201", "213"]
    assert record.persons == {
        "101": "mitdb/101", "201": "mitdb/201", "213": "mitdb/213", "202": "mitdb/201",
    }  # fmt: skip
    assert sum(record.by_record["202"].values()) == 35
    total = sum(sum(counts.values()) for name, counts in record.by_record.items() if name != "202")
    assert total == sum(record.counts.values())
    (tmp_path / "mitdb" / "202.dat").unlink()
    again = prepare_run(config, source=source, progress=Silent(), suite="runs").record.dataset
    assert again.fingerprint == record.fingerprint and "202" not in again.by_record
    assert again.persons == record.persons

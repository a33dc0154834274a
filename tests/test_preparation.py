"""Beats do not depend on the number of threads that read the records."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import wfdb
from wfdb_files import real_database, write_record

from nasbench_ecg.data import preparation
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.preparation import cut_beats
from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import RecordError
from nasbench_ecg.progress import Silent
from nasbench_ecg.signal.filtering import denoise
from nasbench_ecg.signal.records import read_record
from nasbench_ecg.signal.windows import segment

NAMES = tuple(f"r{i}" for i in range(9))


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """Nine records; the first is the longest, so that others are read before it."""
    folder = tmp_path_factory.mktemp("data") / "ward"
    for i, name in enumerate(NAMES):
        n_samples = 60_000 if i == 0 else 4000 + 500 * i
        signals = np.random.default_rng(i).normal(0, 0.5, (2, n_samples)).round(2)
        write_record(folder, name, signals=signals)
    return folder


def options(names=NAMES, **changes):
    return WaveformOptions(
        **{"records": names, "leads": ("MLII", "V1"), "before": 99, "after": 200, **changes}
    )


def read_sequentially(folder, wanted):
    """Return signals and R peaks, each record read, denoised and cut after the other."""
    parts = []
    for name in wanted.records:
        record = read_record(folder, name, wanted.leads)
        object.__setattr__(record, "signals", denoise(record.signals, wanted.denoise))
        parts.append(
            segment(
                record,
                before=wanted.before,
                after=wanted.after,
                head=wanted.head,
                tail=wanted.tail,
                normalise=wanted.normalise,
            )
        )
    signals = np.concatenate([part.signals for part in parts])
    return signals, [part.sample for part in parts]


def assert_equals_sequential(folder, wanted):
    beats = cut_beats(folder, wanted, Silent()).beats
    signals, peaks = read_sequentially(folder, wanted)
    assert beats.records == wanted.records
    assert beats.signals.tobytes() == signals.tobytes()
    for i, own in enumerate(peaks):
        assert beats.sample[beats.record == i].tolist() == own.tolist()


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_beats_equal_those_of_sequential_reading(ward, monkeypatch, workers):
    monkeypatch.setattr(preparation, "_n_workers", lambda: workers)
    assert_equals_sequential(ward, options())


def test_real_records_give_the_same_beats_too():
    folder = real_database("mitdb")
    assert_equals_sequential(folder, options(("233", "101", "232", "208")))


def test_signals_are_those_that_wfdb_itself_converts():
    folder = real_database("mitdb")
    expected = wfdb.rdrecord(str(folder / "114")).p_signal
    record = read_record(folder, "114", ("MLII", "V5"))
    assert wfdb.rdheader(str(folder / "114")).sig_name == ["V5", "MLII"]
    assert np.array_equal(record.signals, expected.T[::-1])


def test_threads_of_torch_do_not_interfere(ward):
    left = torch.randn(256, 256)
    assert torch.isfinite(left @ left).all()
    assert_equals_sequential(ward, options())


def test_annotations_that_end_long_before_the_signals_are_noted(tmp_path):
    """Truncated annotation files with an end mark; published records end within two seconds."""
    write_record(tmp_path, "whole", n_samples=36_000, beats=[(500, "N"), (35_000, "N")])
    write_record(tmp_path, "cut", n_samples=36_000, beats=[(500, "N"), (18_000, "N")])
    told = []
    progress = Silent()
    progress.note = told.append
    cut_beats(tmp_path, options(("whole", "cut"), head=0, tail=0), progress)
    (note,) = [one for one in told if "truncated" in one]
    assert note.startswith("Record cut has no annotation in its last 50 s")


@pytest.mark.parametrize(
    ("fs", "changes", "said"),
    [
        (128, {"denoise": "db5"}, "Denoising at 128 Hz removes everything above 16 Hz"),
        (360, {"denoise": "db6", "denoise_rate": 100.0}, "at 100 Hz removes everything above 12.5"),
        (128, {"denoise": "none"}, None),
        (128, {"denoise": "db5", "denoise_rate": 360.0}, None),
        (250, {"denoise": "db5"}, None),
    ],
)
def test_denoising_that_takes_a_part_of_the_qrs_complexes_is_noted(tmp_path, fs, changes, said):
    write_record(tmp_path, "r", fs=fs)
    progress = Notes()
    cut_beats(tmp_path, options(("r",), **changes), progress)
    told = [one for one in progress.notes if one.startswith("Denoising")]
    assert len(told) == (said is not None) and (said is None or said in told[0])


def test_the_cache_key_does_not_depend_on_the_number_of_threads(ward, tmp_path, monkeypatch):
    class Ward:
        def requires(self):
            return ()

        def load(self, source, progress):
            return cut_beats(ward, options(), progress).beats

    def load(workers):
        monkeypatch.setattr(preparation, "_n_workers", lambda: workers)
        return load_beats(
            name="ward",
            revision=1,
            options=options(),
            dataset=Ward(),
            source=LocalSource(ward.parent, tmp_path),
            progress=Silent(),
            generated=True,
        )

    first, second = load(1), load(4)
    assert second.from_cache
    assert first.fingerprint == second.fingerprint


class Reads:
    """Counts the records that are read, and how many at once."""

    def __init__(self, monkeypatch):
        self.started, self.now, self.most = [], 0, 0
        self._lock = threading.Lock()
        monkeypatch.setattr(preparation, "read_record", self)

    def __call__(self, folder, name, *rest):
        with self._lock:
            self.started.append(name)
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return read_record(folder, name, *rest)
        finally:
            with self._lock:
                self.now -= 1


def test_not_more_records_are_in_memory_than_there_are_threads(ward, monkeypatch):
    reads = Reads(monkeypatch)
    monkeypatch.setattr(preparation, "_n_workers", lambda: 3)
    cut_beats(ward, options(), Silent())
    assert sorted(reads.started) == list(NAMES)
    assert reads.most <= 3


class Counting(Silent):
    """Counts steps and the threads that they come from; ``stop_at`` interrupts as Ctrl-C does."""

    def __init__(self, stop_at=None):
        self.steps, self.total, self.threads, self.stop_at = 0, 0, set(), stop_at

    @contextmanager
    def track(self, label, total):
        self.total = total
        yield self

    def advance(self, n=1, **figures):
        self.steps += n
        self.threads.add(threading.current_thread())
        if self.steps == self.stop_at:
            raise KeyboardInterrupt


def test_progress_advances_once_per_record_in_the_calling_thread(ward):
    progress = Counting()
    cut_beats(ward, options(), progress)
    assert (progress.steps, progress.total) == (len(NAMES), len(NAMES))
    assert progress.threads == {threading.current_thread()}


def test_ctrl_c_stops_all_threads_and_starts_no_further_record(ward, monkeypatch):
    reads = Reads(monkeypatch)
    monkeypatch.setattr(preparation, "_n_workers", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        cut_beats(ward, options(), Counting(stop_at=1))
    assert len(reads.started) < len(NAMES)
    assert not [t for t in threading.enumerate() if t.name.startswith("records")]


def test_the_first_of_several_damaged_records_is_reported(tmp_path):
    folder = tmp_path / "ward"
    for name in NAMES:
        write_record(folder, name, n_samples=40_000 if name < "r5" else 4000)
    for name in ("r5", "r7"):
        data = bytearray((folder / f"{name}.dat").read_bytes())
        data[100] ^= 1
        (folder / f"{name}.dat").write_bytes(data)
    with pytest.raises(RecordError, match="Record r5 is damaged"):
        cut_beats(folder, options(), Silent())


def test_a_record_of_another_sampling_rate_is_rejected(tmp_path):
    folder = tmp_path / "ward"
    write_record(folder, "a")
    write_record(folder, "b", fs=250)
    with pytest.raises(RecordError, match="record b has 250 Hz, the first record 360 Hz"):
        cut_beats(folder, options(("a", "b")), Silent())


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def with_gap(folder, name, first, last, value):
    """Replace samples ``first`` … ``last`` of the first lead, and state the new checksum."""
    digital = np.fromfile(folder / f"{name}.dat", "<i2").reshape(-1, 2)
    digital[first : last + 1, 0] = value
    digital.tofile(folder / f"{name}.dat")
    path = folder / f"{name}.hea"
    lines = path.read_text().splitlines()
    fields = lines[1].split()
    fields[6] = str(int(digital[:, 0].astype(int).sum()) % 65536)
    path.write_text("\n".join([lines[0], " ".join(fields), *lines[2:]]) + "\n")


@pytest.mark.parametrize("value", [-32768, 77], ids=["invalid", "constant"])
def test_beats_without_signal_are_dropped_and_counted(tmp_path, value):
    beats = [(s, "N") for s in range(200, 7800, 100)]
    write_record(tmp_path, "r1", n_samples=8000, beats=beats)
    with_gap(tmp_path, "r1", 3000, 4999, value)
    wanted = options(("r1",), head=0, tail=0)
    progress = Notes()
    cut = cut_beats(tmp_path, wanted, progress)
    # By hand: a window s - 99 … s + 200 (300 samples) may have 30 samples in 3000 … 4999.
    share = [sum(3000 <= i <= 4999 for i in range(s - 99, s + 201)) for s, _ in beats]
    kept = [s for (s, _), n in zip(beats, share, strict=True) if n <= 30]
    assert cut.beats.sample.tolist() == kept
    n_dropped = len(beats) - len(kept)
    assert cut.dropped["N"] == n_dropped == 22
    assert any(
        note.startswith("22 beats were dropped because the window has no")
        for note in progress.notes
    )
    everything = cut_beats(tmp_path, options(("r1",), head=0, tail=0, max_missing=1), Silent())
    assert len(everything.beats) == len(beats)


def test_a_record_without_any_signal_at_its_beats_says_so(tmp_path):
    write_record(tmp_path, "r1", n_samples=8000)
    with_gap(tmp_path, "r1", 10, 7999, -32768)
    with pytest.raises(RecordError, match=r"0 windows exceed it, \d+ have no signal") as error:
        cut_beats(tmp_path, options(("r1",)), Silent())
    assert "max_missing" in error.value.fix


def test_every_annotation_is_counted_in_the_notes(tmp_path):
    symbols = "+NBnr?N!VN"
    beats = [(300 + 300 * i, symbol) for i, symbol in enumerate(symbols)]
    write_record(tmp_path, "r1", n_samples=4000, beats=[*beats, (4000, "N"), (4100, "|")])
    for chosen, n_beats, said in (
        (None, 5, "N 4 as N, V 1 as V; without a class: ! 1, + 1, ? 1, B 1, n 1, r 1, | 1"),
        (
            "aami",
            9,
            "N 4 as N, ? 1 as Q, B 1 as N, V 1 as V, n 1 as N, r 1 as V; "
            "without a class: ! 1, + 1, | 1",
        ),
    ):
        progress = Notes()
        cut = cut_beats(tmp_path, options(("r1",), head=0, tail=0, symbols=chosen), progress)
        assert len(cut.beats) + sum(cut.dropped.values()) == n_beats
        assert f"Annotations: {said}; at or behind the end of a record: 2." in progress.notes


def test_excluded_records_are_not_read(ward):
    names = ("r1", "missing", "r2")
    cut = cut_beats(ward, options(names, exclude=("missing",)), Silent())
    expected = cut_beats(ward, options(("r1", "r2")), Silent())
    assert cut.beats.records == ("r1", "r2")
    assert cut.beats.fingerprint() == expected.beats.fingerprint()
    for exclude, reason in ((("r7",), "no record 'r7'"), (names, "leaves no record")):
        with pytest.raises(ValueError, match=reason):
            options(names, exclude=exclude)


@pytest.mark.slow
def test_all_records_of_svdb_load():
    folder = real_database("svdb")
    names = (
        tuple((folder / "RECORDS").read_text().split())
        if (folder / "RECORDS").is_file()
        else (tuple(sorted(path.stem for path in folder.glob("*.hea"))))
    )
    assert len(names) == 78
    wanted = WaveformOptions(
        records=names,
        leads=("#0",),
        before=35,
        after=71,
        head=0,
        tail=0,
        symbols="aami",
        denoise="none",
    )
    cut = cut_beats(folder, wanted, Silent())
    totals = {name: n + cut.dropped[name] for name, n in cut.beats.counts().items()}
    # The symbol totals of the database, added up by class; B 1 is a beat of class N.
    assert totals == {"N": 162_340, "S": 12_198, "V": 9_943, "F": 23, "Q": 79}

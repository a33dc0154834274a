"""The synthetic dataset: valid WFDB files, realistic rhythms and waves, deterministic by seed."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import wfdb
import wfdb.processing
from scipy.signal import welch

from nasbench_ecg.api import Beats, OptionError, Silent, StorageError
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.signal.filtering import denoise
from nasbench_ecg.signal.records import Record, read_record, verify_record
from nasbench_ecg_synthetic import dataset, nasbench_ecg_datasets
from nasbench_ecg_synthetic.dataset import Synthetic, SyntheticOptions
from nasbench_ecg_synthetic.patients import DIAGNOSES, draw_patient
from nasbench_ecg_synthetic.rhythm import TACHOGRAM_RATE, tachogram
from nasbench_ecg_synthetic.synthesis import synthesize
from nasbench_ecg_synthetic.waves import in_leads, trace

FS = 360
SINUS = ("N", "L", "R")
BEATS = (*SINUS, "A", "J", "a", "V", "F", "/", "f")
SHORT = SyntheticOptions(patients=12, minutes=1.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def beats(cache: Path) -> Beats:
    return Synthetic(SyntheticOptions()).load(LocalSource(cache=cache), Silent())


@pytest.fixture(scope="module")
def folder(beats: Beats, cache: Path) -> Path:
    (made,) = (cache / "made" / "synthetic-2lead").iterdir()
    return made


@pytest.fixture(scope="module")
def records(folder: Path, beats: Beats) -> list[Record]:
    return [read_record(folder, name) for name in beats.records]


@pytest.fixture(scope="module")
def clean() -> list[Record]:
    """Records of the same patients without noise, one of each pair."""
    return [_clean(index) for index in range(0, 2 * len(DIAGNOSES), 2)]


def _clean(index: int) -> Record:
    recording = synthesize(0, index, 180.0, 0.0)
    return Record(
        name=recording.patient.name,
        fs=FS,
        leads=("MLII", "V1"),
        signals=(recording.digital - 1024) / 200,
        symbols=np.array(recording.symbols),
        samples=recording.samples,
        comments=(recording.patient.diagnosis.text,),
    )


def _heartbeats(record: Record) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.isin(record.symbols, BEATS)
    return record.samples[chosen] / record.fs, record.symbols[chosen]


def _around(record: Record, symbols: tuple[str, ...], *, rested: float = 0.0) -> np.ndarray:
    """Return windows R−0.25 s … R+0.5 s of beats at least ``rested`` seconds after the last one."""
    previous = np.diff(record.samples, prepend=-10 * FS) / FS
    wanted = np.isin(record.symbols, symbols) & (previous >= rested)
    at = record.samples[wanted]
    at = at[(at > 90) & (at < record.signals.shape[1] - 181)]
    windows = [record.signals[:, r - 90 : r + 181] for r in at]
    return np.array(windows).reshape(-1, len(record.leads), 271)


def _with(records: list[Record], symbol: str, least: int) -> list[Record]:
    found = [record for record in records if np.sum(record.symbols == symbol) >= least]
    assert found
    return found


# --- files


@pytest.mark.slow
def test_records_have_the_format_of_mit_bih(folder: Path) -> None:
    record = wfdb.rdrecord(str(folder / "s001"))
    assert (record.fs, record.sig_len) == (FS, 5 * 60 * FS)
    assert record.sig_name == ["MLII", "V1"] and record.units == ["mV", "mV"]
    assert record.fmt == ["212", "212"] and record.adc_res == [11, 11]
    assert record.adc_gain == [200, 200] and record.baseline == record.adc_zero == [1024, 1024]
    annotation = wfdb.rdann(str(folder / "s001"), "atr")
    assert annotation.symbol[0] == "+" and annotation.aux_note[0].rstrip("\0") == "(N"
    assert list(annotation.sample) == sorted(annotation.sample)


@pytest.mark.slow
def test_every_record_verifies(folder: Path, beats: Beats) -> None:
    assert len(beats.records) == 24
    assert [verify_record(folder, name) for name in beats.records] == [[]] * 24


def test_no_signal_reaches_the_limits_of_the_converter(folder: Path, beats: Beats) -> None:
    for name in beats.records:
        digital = wfdb.rdrecord(str(folder / name), physical=False).d_signal
        assert digital.min() > 0 and digital.max() < 2047


# --- classes and subjects


def test_there_are_about_ten_thousand_beats_of_five_classes(beats: Beats) -> None:
    counts = beats.counts()
    assert beats.signals.shape[1:] == (2, 300) and beats.signals.dtype == np.float32
    assert 9_000 <= len(beats) <= 11_000
    assert counts["N"] > 0.7 * len(beats)
    assert min(counts, key=counts.__getitem__) == "F" and counts["F"] >= 100


def test_every_class_comes_from_several_subjects(beats: Beats) -> None:
    assert len(set(beats.subjects)) == len(beats.records)
    for label in range(beats.n_classes):
        assert np.sum(np.bincount(beats.record[beats.labels == label]) >= 5) >= 6


@pytest.mark.parametrize("patients", [12, 24])
@pytest.mark.slow
def test_both_parts_of_inter_patient_have_all_classes(patients: int) -> None:
    parts = Synthetic(SyntheticOptions(patients=patients)).partition("inter-patient")
    assert parts is not None
    assert not set(parts["train"]) & set(parts["test"])
    for names in parts.values():
        assert len(names) == patients // 2
        symbols: set[str] = set()
        for name in names:
            symbols.update(synthesize(0, int(name[1:]) - 1, 180.0, 0.0).symbols)
        assert {"N", "A", "V", "F", "/"} <= symbols


def test_other_protocols_have_no_fixed_records() -> None:
    assert Synthetic(SHORT).partition("intra-patient") is None
    assert Synthetic(SHORT).requires() == ()


def test_the_smoke_profile_stays_small(tmp_path: Path) -> None:
    options = SyntheticOptions(**SyntheticOptions.PROFILES["smoke"])
    beats = Synthetic(options).load(LocalSource(cache=tmp_path), Silent())
    assert len(beats) <= 3_000 and min(beats.counts().values()) >= 20


# --- rhythm


def test_heart_rates_are_physiological(records: list[Record]) -> None:
    for record in records:
        times, _ = _heartbeats(record)
        intervals = np.diff(times)
        assert 50 <= 60 / np.median(intervals) <= 120
        assert intervals.min() > 0.3 and intervals.max() < 2.2


def _isolated(record: Record, symbol: str) -> np.ndarray:
    """Return three RR intervals of each ``symbol`` between sinus beats: two before, one after."""
    times, symbols = _heartbeats(record)
    at = [
        i
        for i in range(2, len(times) - 1)
        if symbols[i] == symbol and all(symbols[i + k] in SINUS for k in (-2, -1, 1))
    ]
    found = [(times[i - 1] - times[i - 2], *np.diff(times[i - 1 : i + 2])) for i in at]
    return np.array(found).reshape(-1, 3)


def test_ventricular_premature_beats_have_a_fully_compensatory_pause(
    records: list[Record],
) -> None:
    for record in _with(records, "V", 10):
        sinus, ahead, after = _isolated(record, "V").T
        assert np.all(ahead < 0.85 * sinus)
        assert np.mean((ahead + after) / np.mean(sinus)) == pytest.approx(2.0, abs=0.05)


def test_atrial_premature_beats_reset_the_sinus_node(records: list[Record]) -> None:
    for record in _with(records, "A", 10):
        sinus, ahead, after = _isolated(record, "A").T
        assert np.all(ahead < 0.95 * sinus)
        assert np.all(after > ahead)
        assert np.mean((ahead + after) / np.mean(sinus)) < 1.92


def test_pauses_never_exceed_the_pacing_interval(records: list[Record]) -> None:
    for record in _with(records, "/", 30):
        times, symbols = _heartbeats(record)
        paced = np.diff(times)[symbols[1:] == "/"]
        assert np.std(paced) < 0.03
        # The R peak of a fusion beat may stand up to 45 ms off the paced one's.
        assert np.diff(times).max() < np.median(paced) + 0.090


def test_the_tachogram_has_the_requested_spectrum() -> None:
    rng = np.random.default_rng(3)
    parameters = replace(
        draw_patient(rng, 0).rhythm, mean_rr=0.8, sd_rr=0.03, lf_hf=2.0, breathing=0.28
    )
    series = tachogram(rng, parameters, 600.0)
    assert series.mean() == pytest.approx(0.8, abs=1e-3)
    assert series.std() == pytest.approx(0.03, abs=1e-3)
    power = np.abs(np.fft.rfft(series - series.mean())) ** 2
    f = np.fft.rfftfreq(len(series), 1 / TACHOGRAM_RATE)
    lf = power[(f > 0.04) & (f < 0.15)].sum()
    hf = power[(f > 0.15) & (f < 0.40)].sum()
    assert lf / hf == pytest.approx(2.0, rel=0.02)
    assert f[np.where(f > 0.15, power, 0).argmax()] == pytest.approx(0.28, abs=0.005)


# --- waves


def test_a_trace_is_the_sum_of_gaussians() -> None:
    waves = in_leads([(0.50, 0.02, 1.5), (0.80, 0.06, 0.3)], [(0.51, 0.03, -1.0)])
    t = np.arange(FS) / FS
    mlii = 1.5 * np.exp(-((t - 0.5) ** 2) / (2 * 0.02**2))
    mlii += 0.3 * np.exp(-((t - 0.8) ** 2) / (2 * 0.06**2))
    v1 = -np.exp(-((t - 0.51) ** 2) / (2 * 0.03**2))
    assert trace(waves, FS, FS) == pytest.approx(np.stack([mlii, v1]), abs=1e-3)


def test_waves_are_cut_at_the_ends_of_the_record() -> None:
    waves = in_leads([(-0.01, 0.02, 1.0), (9.0, 0.02, 1.0)], [(1.0, 0.02, 1.0)])
    cut = trace(waves, FS, FS)
    assert cut.shape == (2, FS)
    assert cut[0, 0] == pytest.approx(np.exp(-0.125)) and cut[1, -1] > 0.9


def test_an_independent_detector_finds_the_sinus_beats(records: list[Record]) -> None:
    for record in (records[0], records[3], records[8], records[14]):
        signal, until = record.signals[0, : 90 * FS], 90 * FS
        found = wfdb.processing.XQRS(signal, FS)
        found.detect(verbose=False)
        annotated = record.samples[np.isin(record.symbols, SINUS)]
        annotated = annotated[(annotated > 5 * FS) & (annotated < until - FS)]
        nearest = np.abs(annotated[:, None] - np.asarray(found.qrs_inds)).min(axis=1) / FS
        assert np.mean(nearest < 0.150) > 0.99


def test_annotations_are_at_the_r_peak(clean: list[Record]) -> None:
    for record in clean:
        mlii = np.abs(_around(record, ("N", "V"))[:, 0, 90 - 25 : 90 + 26])
        assert np.percentile(np.abs(mlii.argmax(axis=1) - 25) / FS, 95) <= 0.008


def _width(windows: np.ndarray) -> float:
    """Return the median duration in seconds of the QRS in MLII above a third of its peak."""
    qrs = np.abs(windows[:, 0, 90 - 36 : 90 + 37])
    return float(np.median(np.sum(qrs > qrs.max(axis=1, keepdims=True) / 3, axis=1)) / FS)


def test_ventricular_and_paced_beats_are_wide(clean: list[Record]) -> None:
    narrow = [_width(_around(r, ("N",))) for r in clean if np.sum(r.symbols == "N") > 20]
    wide = [_width(_around(r, (s,))) for s in "V/L" for r in clean if np.sum(r.symbols == s) > 8]
    assert max(narrow) < 0.050 < 0.060 < min(wide)


@pytest.mark.parametrize("symbol", ["V", "/", "L"])
def test_t_is_opposite_to_a_wide_qrs(clean: list[Record], symbol: str) -> None:
    for record in _with(clean, symbol, 10):
        windows = _around(record, (symbol,))
        t = windows[:, 0, 90 + 72 : 90 + 130].mean(axis=1)
        assert np.median(np.sign(windows[:, 0, 90]) * t) < -0.03


def test_sinus_beats_have_a_p_wave_and_ventricular_beats_have_none(clean: list[Record]) -> None:
    record = clean[0]
    before_qrs = slice(90 - 65, 90 - 38)
    p_of = {
        symbol: np.median(np.ptp(_around(record, (symbol,), rested=0.3)[:, 0, before_qrs], axis=1))
        for symbol in ("N", "F")
    }
    assert p_of["N"] > 0.06 and p_of["F"] > 0.06
    for ectopic in _with(clean, "V", 10):
        # A PVC's PR segment holds only the end of the T wave before it: no bump.
        windows = _around(ectopic, ("V",), rested=0.5)[:, 0, 90 - 65 : 90 - 45]
        for window in windows:
            assert np.interp(np.arange(20), [0, 19], window[[0, -1]]) == pytest.approx(
                window, abs=0.06
            )


def test_paced_beats_start_with_a_spike(clean: list[Record]) -> None:
    for record in _with(clean, "/", 10):
        slope = np.abs(np.diff(_around(record, ("/",))[:, 0], axis=1))
        spike = slope.argmax(axis=1) - 90
        assert np.median(spike) / FS == pytest.approx(-0.085, abs=0.012)


def test_fusion_beats_lie_between_sinus_and_ventricular_beats(clean: list[Record]) -> None:
    for record in _with(clean, "F", 4):
        qrs = slice(90 - 25, 90 + 26)
        sinus, ectopic, fused = (
            np.median(_around(record, (symbol,))[:, :, qrs], axis=0) for symbol in "NVF"
        )
        apart = np.linalg.norm(sinus - ectopic)
        assert 0.1 * apart < np.linalg.norm(fused - sinus) < apart
        assert 0.1 * apart < np.linalg.norm(fused - ectopic) < apart


# --- noise


@pytest.mark.slow
def test_mains_noise_is_present_and_denoising_removes_it(records: list[Record]) -> None:
    frequencies = set()
    for index, record in enumerate(records):
        mains = draw_patient(np.random.default_rng([0, index]), index).mains
        frequencies.add(mains)
        assert _line(record.signals, mains) > 3
        after = denoise(record.signals, "db5")
        assert _line(after, mains) < 3
        assert _power(after, mains) < 0.05 * _power(record.signals, mains)
    assert frequencies == {50.0, 60.0}


def _power(signals: np.ndarray, frequency: float) -> float:
    f, power = welch(signals[0], FS, nperseg=2 * FS)
    return float(power[np.abs(f - frequency) <= 0.5].max())


def _line(signals: np.ndarray, frequency: float) -> float:
    """Return the power of a spectral line relative to its neighborhood."""
    return _power(signals, frequency) / np.median(
        [_power(signals, frequency + step) for step in (-6, -4, 4, 6)]
    )


def test_noise_option_changes_signals_but_not_beats() -> None:
    noisy, quiet = (synthesize(0, 3, 60.0, level) for level in (1.0, 0.0))
    assert np.array_equal(noisy.samples, quiet.samples)
    difference = (noisy.digital - quiet.digital) / 200
    assert 0.02 < difference.std() < 0.4


# --- seeds, processes, failures


def _contents(cache: Path) -> dict[str, bytes]:
    return {
        path.relative_to(cache).as_posix(): path.read_bytes()
        for path in sorted(cache.rglob("*"))
        if path.is_file()
    }


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(tmp_path: Path) -> None:
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = SHORT.model_copy(update={"seed": seed})
        made[name] = Synthetic(options).load(LocalSource(cache=tmp_path / name), Silent())
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")
    assert made["a"].fingerprint() == made["b"].fingerprint() != made["c"].fingerprint()
    assert not set(_contents(tmp_path / "a")) & set(_contents(tmp_path / "c"))


def test_window_options_do_not_generate_new_records(tmp_path: Path) -> None:
    for changes in ({}, {"before": 50, "normalise": "none"}, {"records": ("s001", "s002")}):
        options = SyntheticOptions(patients=12, minutes=1.0, **changes)
        Synthetic(options).load(LocalSource(cache=tmp_path), Silent())
    assert len(list((tmp_path / "made" / "synthetic-2lead").iterdir())) == 1


@pytest.mark.slow
def test_two_concurrent_processes_create_one_complete_folder(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from nasbench_ecg.api import Silent\n"
        "from nasbench_ecg.data.source import LocalSource\n"
        "from nasbench_ecg_synthetic.dataset import Synthetic, SyntheticOptions\n"
        "data = Synthetic(SyntheticOptions(patients=12, minutes=1.0))\n"
        "print(data.load(LocalSource(cache=pathlib.Path(sys.argv[1])), Silent()).fingerprint())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert printed[0] == printed[1] != ""
    (folder,) = (tmp_path / "made" / "synthetic-2lead").iterdir()
    assert len(list(folder.glob("s*"))) == 3 * 12


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flipped", "truncated", "removed", "sums removed", "file"])
def test_damaged_records_in_the_cache_are_generated_again(tmp_path: Path, damage: str) -> None:
    class Notes(Silent):
        lines: ClassVar[list[str]] = []

        def note(self, message: str) -> None:
            self.lines.append(message)

    def load() -> str:
        return Synthetic(SHORT).load(LocalSource(cache=tmp_path), Notes()).fingerprint()

    Notes.lines.clear()
    fingerprint, contents = load(), _contents(tmp_path)
    (folder,) = (tmp_path / "made" / "synthetic-2lead").iterdir()
    path = folder / ("SHA256SUMS.txt" if damage == "sums removed" else "s003.dat")
    before = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(before[:500] + bytes([before[500] ^ 1]) + before[501:])
    elif damage == "truncated":
        path.write_bytes(before[:-3])
    elif damage == "file":
        shutil.rmtree(folder)
        folder.write_bytes(b"")
    else:
        path.unlink()
    assert load() == fingerprint
    assert _contents(tmp_path) == contents
    damaged = [line for line in Notes.lines if "damaged" in line]
    assert len(damaged) == 1
    assert [path.name for path in (tmp_path / "made" / "synthetic-2lead").iterdir()] == [
        folder.name
    ]


def test_a_folder_of_another_process_is_not_replaced(tmp_path: Path) -> None:
    winner, loser = tmp_path / "records", tmp_path / "unfinished"
    for folder, text in ((winner, "first"), (loser, "second")):
        folder.mkdir()
        (folder / "s001.hea").write_text(text)
    dataset._rename(loser, winner)
    assert (winner / "s001.hea").read_text() == "first"


def test_a_full_disk_raises_an_error_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, recording: object) -> None:
        (folder / "s001.dat").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(dataset, "write_record", full)
    with pytest.raises(StorageError, match="no space left on the disk"):
        Synthetic(SHORT).load(LocalSource(cache=tmp_path), Silent())
    assert _contents(tmp_path) == {}
    assert list((tmp_path / "made" / "synthetic-2lead").iterdir()) == []


# --- options and plugin


def test_an_unknown_record_is_rejected() -> None:
    with pytest.raises(OptionError, match=r"no record 's013'.*s001 to s012"):
        Synthetic(SyntheticOptions(patients=12, records=("s001", "s013")))


def test_the_plugin_registers_the_dataset() -> None:
    (spec,) = nasbench_ecg_datasets()
    assert spec.name == "synthetic-2lead"
    assert set(spec.protocols) == {"intra-patient", "inter-patient", "patient-kfold"}

"""Beats are prepared once, found again by what they were made of, and never half-written."""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner
from wfdb_files import write_record

import nasbench_ecg
from nasbench_ecg.cli import app
from nasbench_ecg.contracts import Requirement
from nasbench_ecg.data import cache, code
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.preparation import cut_beats
from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import MissingDataError, RecordError, StorageError
from nasbench_ecg.progress import Silent


class WardOptions(WaveformOptions):
    records: tuple[str, ...] = ("r1", "r2")
    leads: tuple[str, ...] = ("MLII", "V1")
    before: int = 99
    after: int = 200


class Ward:
    def __init__(self, options):
        self.options = options
        self.loads = 0

    def requires(self):
        return [Requirement("ward", self.options.used_records)]

    def load(self, source, progress):
        self.loads += 1
        return cut_beats(source.folder("ward"), self.options, progress).beats

    def partition(self, protocol):
        return None


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def source(tmp_path):
    write_record(tmp_path / "data" / "ward", "r1")
    write_record(
        tmp_path / "data" / "ward",
        "r2",
        beats=[
            (50, "N"),
            (400, "V"),
            (700, "N"),
            (1000, "A"),
            (2000, "N"),
            (3900, "F"),
            (3990, "N"),
        ],
    )
    return LocalSource(tmp_path / "data", tmp_path / "cache")


def load(source, *, options=None, name="ward", revision=1, progress=None, **kwargs):
    options = options or WardOptions(head=0, tail=0)
    return load_beats(
        name=name,
        revision=revision,
        options=options,
        dataset=Ward(options),
        source=source,
        progress=progress or Silent(),
        **kwargs,
    )


def entries(source):
    return sorted(p for p in source.beats_cache.iterdir() if not p.name.startswith("."))


def assert_equal(a, b):
    for name in ("signals", "labels", "record", "sample"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype
    for name in ("classes", "records", "subjects", "leads", "fs"):
        assert getattr(a, name) == getattr(b, name)


def test_second_load_comes_from_the_cache_and_is_the_same(source):
    cold, warm = load(source), load(source)
    assert not cold.from_cache and warm.from_cache
    assert cold.fingerprint == warm.fingerprint == warm.beats.fingerprint()
    assert_equal(cold.beats, warm.beats)
    assert isinstance(warm.beats.signals, np.memmap) and not warm.beats.signals.flags.writeable


def test_notes_of_the_load_are_told_again_when_it_is_warm(source):
    first, second = Notes(), Notes()
    cold, warm = load(source, progress=first), load(source, progress=second)
    assert first.notes == second.notes == list(cold.notes) == list(warm.notes)
    expected = "3 beats were dropped because the window exceeds the record (N 2, F 1)."
    assert expected in first.notes


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"revision": 2},
        {"version": "2.0"},
        {"options": WardOptions(head=0, tail=0, normalise="none")},
        {"options": WardOptions(head=1, tail=0)},
    ],
)
def test_another_name_revision_or_option_is_another_entry(source, change):
    load(source)
    assert not load(source, **change).from_cache
    assert len(entries(source)) == 2


def test_changed_record_is_another_entry_and_the_restored_one_the_first(source):
    load(source)
    path = source.data / "ward" / "r1.atr"
    before = path.read_bytes()
    write_record(source.data / "ward", "r1", beats=[(1000, "V")])
    assert not load(source).from_cache
    path.write_bytes(before)
    assert load(source).from_cache


def test_moved_record_files_give_the_same_entry(source, tmp_path):
    load(source)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    assert load(LocalSource(tmp_path / "elsewhere", source.cache)).from_cache


@pytest.mark.parametrize("file_name", ["signals.npy", "labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "removed", "altered", "header"])
def test_damaged_entry_is_rebuilt(source, file_name, damage):
    whole = load(source)
    signals = np.array(whole.beats.signals)
    path = entries(source)[0] / file_name
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    elif damage == "altered":
        os.utime(path, ns=(0, 0))
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif damage == "header":
        path.write_bytes(content.replace(b"}", b"(", 1))
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    rebuilt = load(source)
    assert not rebuilt.from_cache and rebuilt.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(rebuilt.beats.signals, signals)
    assert load(source).from_cache and len(list(source.beats_cache.iterdir())) == 1


@pytest.mark.parametrize("file_name", ["signals.npy", "sample.npy"])
def test_a_bit_flipped_on_disk_is_noticed_by_the_next_process(source, file_name, monkeypatch):
    whole = load(source)
    path = entries(source)[0] / file_name
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as the disk would: no new time
    monkeypatch.setattr(cache, "_verified", set())  # as in a new process
    notes = Notes()
    rebuilt = load(source, progress=notes)
    assert not rebuilt.from_cache and rebuilt.fingerprint == whole.fingerprint
    assert "The cached beats of ward are damaged: they are made again." in notes.notes
    assert load(source).from_cache


def test_the_content_of_an_entry_is_compared_once_in_a_process(source, monkeypatch):
    load(source)
    monkeypatch.setattr(Beats, "fingerprint", lambda beats: pytest.fail("compared again"))
    assert load(source).from_cache


def dataset_of(folder, monkeypatch, name="hospital"):
    """Return the class ``Data`` of a package in ``folder``, imported anew."""
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    code._digest_of.cache_clear()
    return importlib.import_module(f"{name}.dataset").Data


@pytest.mark.parametrize("changed", ["dataset.py", "windows.py"])
def test_beats_made_by_other_code_are_another_entry(source, tmp_path, monkeypatch, changed):
    package = tmp_path / "site" / "hospital"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "windows.py").write_text("SHIFT = 0\n")
    (package / "dataset.py").write_text("from test_cache import Ward\nclass Data(Ward): pass\n")

    def load_from_package():
        options = WardOptions(head=0, tail=0)
        data = dataset_of(tmp_path / "site", monkeypatch)(options)
        return load_beats(
            name="ward", revision=1, options=options, dataset=data, source=source,
            progress=Silent(),
        )  # fmt: skip

    assert [load_from_package().from_cache for _ in range(2)] == [False, True]
    with (package / changed).open("a") as file:
        file.write("# other code\n")
    assert not load_from_package().from_cache


def test_the_code_that_cuts_beats_is_part_of_the_key(monkeypatch):
    before = code.code_of(Ward(WardOptions()))
    assert before["core"] == nasbench_ecg.__version__
    assert (
        before["dataset"]
        == hashlib.sha256(
            f"test_cache.py\0{len(Path(__file__).read_bytes())}\0".encode()
            + Path(__file__).read_bytes()
        ).hexdigest()
    )
    monkeypatch.setattr(code, "_CORE_FOLDERS", ("data",))
    code._digest_of.cache_clear()
    assert code.code_of(Ward(WardOptions()))["preparation"] != before["preparation"]


def test_fresh_beats_are_made_from_the_records(source):
    load(source)
    again = load(source, fresh=True)
    assert not again.from_cache
    assert load(source).from_cache and len(entries(source)) == 1


def test_fresh_beats_replace_cached_ones_that_differ(source, monkeypatch):
    first = load(source)
    part = first.beats.take(np.arange(len(first.beats) - 1))
    monkeypatch.setattr(Ward, "load", lambda self, source, progress: part)
    notes = Notes()
    assert load(source, fresh=True, progress=notes).fingerprint == part.fingerprint()
    assert load(source).fingerprint == part.fingerprint() != first.fingerprint
    assert any("differ from those made now" in note for note in notes.notes)


def test_copied_entry_with_other_mtimes_is_still_valid(source):
    load(source)
    for path in entries(source)[0].glob("*.npy"):
        os.utime(path, ns=(10**18, 10**18))
    assert load(source).from_cache


def test_missing_file_is_an_error_even_if_the_beats_are_cached(source):
    load(source)
    (source.data / "ward" / "r2.atr").unlink()
    with pytest.raises(MissingDataError, match=r"r2\.atr"):
        load(source)


def test_failed_load_leaves_no_files(source):
    (source.data / "ward" / "r2.dat").write_bytes(b"")
    with pytest.raises(RecordError):
        load(source)
    assert list(source.beats_cache.iterdir()) == []


def test_what_killed_processes_left_is_removed_when_beats_are_read(source):
    load(source)
    made = source.made("synthetic-2lead")
    old = [source.beats_cache / ".tmp-old", made / ".unfinished-old"]
    young = [source.beats_cache / ".tmp-young", made / ".unfinished-young"]
    busy = source.beats_cache / ".tmp-busy"
    for folder in (*old, *young, busy):
        folder.mkdir()
        (folder / "signals.npy").write_bytes(b"half")
    for folder in (*old, busy):
        os.utime(folder, (0, 0))
    for folder in old:
        os.utime(folder / "signals.npy", (0, 0))
    leftover = source.cache / ".digests.json-x1"
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    assert load(source).from_cache
    assert all(folder.exists() for folder in (*young, busy))
    assert not any(path.exists() for path in (*old, leftover))


@pytest.mark.parametrize(
    "memo", ["{", "[]", "[" * 100_000, '{"%s": {"state": [%d, %d]}}', "\ud800"]
)
def test_a_file_of_digests_in_any_other_form_is_written_again(source, memo):
    load(source)
    path = source.data / "ward" / "r1.dat"
    if "%s" in memo:
        memo %= path.resolve(), path.stat().st_size, path.stat().st_mtime_ns
    (source.cache / "digests.json").write_bytes(memo.encode("utf-8", "surrogatepass"))
    assert load(source).from_cache


def test_cache_that_cannot_be_created_is_a_storage_error(source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as error:
        load(LocalSource(source.data, tmp_path / "file"))
    assert "NASBENCH_ECG_CACHE" in error.value.fix and error.value.where


def test_full_disk_is_a_storage_error_and_leaves_no_files(source, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.np, "save", full)
    with pytest.raises(StorageError, match="no space"):
        load(source)
    assert list(source.beats_cache.iterdir()) == []


def _load_in_process(source, start, fingerprints):
    start.wait()
    fingerprints.put(load(source).fingerprint)


def test_concurrent_processes_agree_and_leave_one_entry(source):
    context = multiprocessing.get_context("fork")
    start, fingerprints = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=_load_in_process, args=(source, start, fingerprints))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    found = {fingerprints.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert found == {load(source).fingerprint}
    assert len(list(source.beats_cache.iterdir())) == 1


@pytest.mark.parametrize("generated", [True, False])
def test_a_dataset_that_requires_nothing_is_cached_only_if_it_is_generated(source, generated):
    class Made(Ward):
        def requires(self):
            return []

    options = WardOptions()
    first, second = Made(options), Made(options)
    for dataset in (first, second):
        load_beats(
            name="made", revision=1, options=options, dataset=dataset, source=source,
            progress=Silent(), generated=generated,
        )  # fmt: skip
    assert (first.loads, second.loads) == (1, 0 if generated else 1)


def write_sums(folder, separator):
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}{separator}{path.name}"
        for path in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("separator", [" ", "  ", " *"], ids=["physionet", "sha256sum", "binary"])
def test_files_that_differ_from_the_published_checksums_are_refused(source, tmp_path, separator):
    folder = tmp_path / "data" / "ward"
    write_sums(folder, separator)
    progress = Notes()
    load(source, progress=progress)
    (said,) = [note for note in progress.notes if "SHA256SUMS.txt" in note]
    assert said.startswith("6 record files were compared")
    content = bytearray((folder / "r2.atr").read_bytes())
    content[1] ^= 4  # another symbol: N becomes V, which no other check can find
    (folder / "r2.atr").write_bytes(content)
    assert wfdb.rdann(str(folder / "r2"), "atr").symbol[0] != "N"
    with pytest.raises(RecordError, match=r"r2\.atr is not the published one") as error:
        load(source)
    assert error.value.where.endswith("r2.atr") and "exclude" in error.value.fix
    kept = load(source, options=WardOptions(head=0, tail=0, exclude=("r2",)))
    assert kept.beats.records == ("r1",)


def test_a_signal_file_of_another_name_is_compared_too(source, tmp_path):
    """A record's signal file may have any name; its header states it."""
    folder = tmp_path / "data" / "ward"
    (folder / "r2.dat").rename(folder / "signals.bin")
    header = folder / "r2.hea"
    header.write_text(header.read_text().replace("r2.dat", "signals.bin"))
    write_sums(folder, " ")

    class ByHeader(Ward):
        def requires(self):
            return [Requirement("ward", ("r1", "r2"), ("hea", "atr"))]

    def load_by_header():
        options = WardOptions(head=0, tail=0)
        return load_beats(
            name="ward", revision=1, options=options, dataset=ByHeader(options), source=source,
            progress=Silent(),
        )  # fmt: skip

    load_by_header()
    content = bytearray((folder / "signals.bin").read_bytes())
    content[100], content[102] = content[102] ^ 1, content[100] ^ 1
    (folder / "signals.bin").write_bytes(content)
    with pytest.raises(RecordError, match=r"signals\.bin is not the published one"):
        load_by_header()


def test_a_changed_file_with_the_old_time_stamp_is_noticed_when_it_is_read(source, tmp_path):
    """A bit that a disk loses changes neither the size nor the time stamp of its file."""
    folder = tmp_path / "data" / "ward"
    write_sums(folder, " ")
    load(source)
    path = folder / "r2.atr"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[1] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load(source).from_cache  # the right beats, made of the undamaged file
    with pytest.raises(RecordError, match=r"r2\.atr is not the published one"):
        load(source, fresh=True)


def test_files_without_published_checksums_are_not_compared(source):
    progress = Notes()
    load(source, progress=progress)
    assert not any("SHA256SUMS" in note for note in progress.notes)


# The verb


def verb(source, *words):
    done = CliRunner().invoke(app, ["cache", *words], env={"NASBENCH_ECG_CACHE": str(source.cache)})
    return done.exit_code, done.stdout, done.stderr


def test_cache_info_lists_beats_and_generated_records_with_their_state(source, monkeypatch):
    beats = load(source).beats
    load(source, name="other-2lead")
    records = source.made("synthetic-2lead") / "seed-0"
    records.mkdir()
    (records / "s001.dat").write_bytes(bytes(1000))
    labels = next(source.beats_cache.glob("other-2lead-*")) / "labels.npy"
    labels.write_bytes(labels.read_bytes()[:-1])
    status, out, _ = verb(source, "info", "--json")
    found = [
        (entry["dataset"], entry["kind"], entry["beats"], entry["damaged"])
        for entry in json.loads(out)["entries"]
    ]
    assert status == 0
    assert found == [
        ("other-2lead", "beats", None, True),
        ("ward", "beats", len(beats), False),
        ("synthetic-2lead", "records", None, False),
    ]
    status, out, err = verb(source, "info", "ward")
    assert status == 0 and "ward" in out and "other-2lead" not in out
    assert "1 entry" in err


def test_cache_clear_deletes_what_can_be_made_again_and_nothing_else(source):
    load(source)
    load(source, name="other")
    fetched = source.download_folder("mitdb")
    fetched.mkdir(parents=True)
    (fetched / "100.dat").write_bytes(b"fetched")
    (source.made("synthetic-2lead") / "seed-0").mkdir()
    assert verb(source, "clear", "--dry-run")[0] == 0 and len(entries(source)) == 2
    status, _, err = verb(source, "clear", "ward")
    assert status == 0 and "Deleted 1 entry" in err
    assert [entry.name.rpartition("-")[0] for entry in entries(source)] == ["other"]
    assert verb(source, "clear")[0] == 0
    assert entries(source) == [] == list(source.made("synthetic-2lead").iterdir())
    assert (fetched / "100.dat").read_bytes() == b"fetched"
    assert verb(source, "clear", "ward")[0] != 0

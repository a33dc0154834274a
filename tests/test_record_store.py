"""The store of run records: atomic writes, and a reader that skips damaged files."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from pathlib import Path
from stat import S_IMODE
from typing import Any

import pytest
import torch
from run_records import TWO_LEAD, run_record
from safetensors.torch import load_file

from nasbench_ecg.errors import StorageError
from nasbench_ecg.io import jsonable, storage_errors, write_atomically
from nasbench_ecg.run import store as module
from nasbench_ecg.run.locks import Holder
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import (
    find_record,
    read_record_file,
    read_records,
    record_path,
)
from nasbench_ecg.run.store import RecordStore, new_folder

pytestmark = pytest.mark.usefixtures("made_up_records")

KEY = "0123456789abcdef"


def made(key: str = KEY, seed: int = 0) -> RunRecord:
    return run_record("darts", seed, confusion=TWO_LEAD, run_key=key)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "deep" / "results", "suite")
    record = made()
    path = store.write(record)
    assert path == tmp_path / "deep" / "results" / "suite" / f"{KEY}.json"
    assert store.read(KEY) == record
    assert everything(store.out) == {"suite", f"suite/{KEY}.json"}


def test_a_run_without_a_record_reads_as_none(tmp_path: Path) -> None:
    assert RecordStore(tmp_path / "nowhere").read(KEY) is None


def test_files_and_weights_lie_beside_the_record(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    transposed = torch.arange(6.0).reshape(2, 3).t()
    store.write(made(), {"curves.json": {"loss": [1.0, 0.5]}}, {"w": transposed})
    folder = tmp_path / "runs" / KEY
    assert json.loads((folder / "curves.json").read_text()) == {"loss": [1.0, 0.5]}
    assert torch.equal(load_file(folder / "weights.safetensors")["w"], transposed)


def test_others_can_read_the_weights_as_they_can_the_other_files(tmp_path: Path) -> None:
    path = RecordStore(tmp_path).write(made(), {"curves.json": {}}, {"w": torch.zeros(2)})
    modes = {file.stat().st_mode for file in (path, *path.with_suffix("").iterdir())}
    assert len(modes) == 1


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_others_can_read_results_as_far_as_the_umask_says(
    mask: int, file: int, folder: int, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        path = RecordStore(tmp_path).write(made(), {"curves.json": {}}, {"w": torch.zeros(2)})
    finally:
        os.umask(before)
    of_run = path.with_suffix("")
    modes = {S_IMODE(one.stat().st_mode) for one in (path, *of_run.iterdir())}
    assert (modes, S_IMODE(of_run.stat().st_mode)) == ({file}, folder)


def test_a_copy_in_a_shared_folder_is_not_as_private_as_its_source(tmp_path: Path) -> None:
    path = RecordStore(tmp_path / "own").write(made(), {"curves.json": {}})
    of_run = path.with_suffix("")
    of_run.chmod(0o700)
    copy = RecordStore(tmp_path / "shared").copy(read_record_file(path), of_run)
    expected = S_IMODE(copy.parent.stat().st_mode)
    assert S_IMODE(copy.with_suffix("").stat().st_mode) == expected


def test_a_leftover_that_another_process_removes_first_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordStore(tmp_path)
    store.write(made())
    leftover = store.folder / f".{KEY}.json-0123abcd"
    leftover.touch()
    seen = Path.glob

    def glob(folder: Path, pattern: str) -> list[Path]:
        found = list(seen(folder, pattern))
        leftover.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "glob", glob)
    store.write(made())
    assert store.read(KEY) == made()


def test_a_folder_that_cannot_be_replaced_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "old").touch()
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if target == folder and not path.name.endswith("-old"):
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), new_folder(folder) as new:
        (new / "new").touch()
    assert everything(tmp_path) == {"run", "run/old"}


def test_weights_that_share_memory_or_are_conjugated_are_stored(tmp_path: Path) -> None:
    one = torch.arange(6.0)
    conjugated = torch.tensor([1 + 2j]).conj()
    given = {"a": one, "b": one, "part": one[1:3], "row": one[:1].expand(4), "c": conjugated}
    RecordStore(tmp_path).write(made(), weights=given)
    found = load_file(tmp_path / "runs" / KEY / "weights.safetensors")
    assert {name: value.tolist() for name, value in found.items()} == {
        "a": [0, 1, 2, 3, 4, 5],
        "b": [0, 1, 2, 3, 4, 5],
        "part": [1, 2],
        "row": [0, 0, 0, 0],
        "c": [1 - 2j],
    }


@pytest.mark.parametrize(
    "weights", [torch.zeros(2).to_sparse(), torch.zeros(2, dtype=torch.complex128)]
)
def test_weights_of_another_kind_are_one_clear_error(tmp_path: Path, weights: Any) -> None:
    with pytest.raises(StorageError, match="The weights cannot be stored"):
        RecordStore(tmp_path).write(made(), weights={"w": weights})
    assert not everything(tmp_path / "runs")


def test_the_files_of_a_record_are_replaced_together(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(made(), {"a.json": 1, "b.json": 2}, {"w": torch.ones(1)})
    store.write(made(), {"b.json": 3})
    assert everything(tmp_path / "runs") == {f"{KEY}.json", KEY, f"{KEY}/b.json"}
    assert json.loads((tmp_path / "runs" / KEY / "b.json").read_text()) == 3


def test_tests_made_later_stay_with_the_weights_that_they_are_of(tmp_path: Path) -> None:
    store, folder = RecordStore(tmp_path), tmp_path / "runs" / KEY
    store.write(made(), {}, {"w": torch.ones(1)})
    (folder / "evaluations").mkdir()
    (folder / "evaluations" / "qt.json").write_text("{}")
    store.add_artifact(KEY, "int8.json", {"f1": 0.5})
    store.write(made(), {"a.json": 1}, {"w": torch.ones(1)})
    assert store.made_later(KEY) == {"evaluations", "int8.json"}
    assert (folder / "evaluations" / "qt.json").is_file() and (folder / "a.json").is_file()
    assert set(store.read(KEY).files) == {"a.json", "weights.safetensors"}  # type: ignore[union-attr]
    store.write(made(), {}, {"w": torch.zeros(1)})
    assert store.made_later(KEY) == set()


def test_nan_and_infinity_are_written_as_null(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    store = RecordStore(tmp_path)
    store.write(made(), {"curves.json": {"loss": [math.nan, 1.0, math.inf, (-math.inf,)]}})
    text = (tmp_path / "runs" / KEY / "curves.json").read_text()
    assert json.loads(text, parse_constant=refuse) == {"loss": [None, 1.0, None, [None]]}
    assert jsonable({"a": [math.nan, {"b": 2.0}], "c": "NaN"}) == {
        "a": [None, {"b": 2.0}],
        "c": "NaN",
    }


# Nothing half-written


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_the_old_record_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    store = RecordStore(tmp_path)
    store.write(made(seed=1))
    before = everything(tmp_path)
    monkeypatch.setattr(broken, no_space)
    with pytest.raises(StorageError, match="no space left"):
        store.write(made(seed=2))
    monkeypatch.undo()
    kept = store.read(KEY)
    assert kept is not None and kept.search_seed == 1
    assert everything(tmp_path) == before


def test_weights_that_cannot_be_written_leave_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordStore(tmp_path)
    store.write(made(seed=1), {"a.json": 1}, {"w": torch.ones(1)})
    before = everything(tmp_path)
    monkeypatch.setattr("safetensors.torch.save_file", no_space)
    with pytest.raises(StorageError, match="no space left"):
        store.write(made(seed=2), {"a.json": 2}, {"w": torch.zeros(1)})
    monkeypatch.undo()
    kept = store.read(KEY)
    assert kept is not None and kept.search_seed == 1
    assert everything(tmp_path) == before
    assert load_file(tmp_path / "runs" / KEY / "weights.safetensors")["w"].item() == 1


def test_a_kill_before_the_replacement_leaves_the_old_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "file.json"
    write_atomically(path, "old")
    monkeypatch.setattr("pathlib.Path.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_text_is_on_the_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), sync(handle)))
    monkeypatch.setattr(
        Path, "replace", lambda self, other: (done.append("replace"), replace(self, other))[1]
    )
    write_atomically(tmp_path / "file.json", "text")
    assert done == ["fsync", "replace"]


def test_a_file_may_have_the_longest_name_that_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / f"{'é' * 126}.md"  # 255 bytes
    write_atomically(path, "text")
    write_atomically(path, "other")
    assert path.read_text() == "other" and everything(tmp_path) == {path.name}


def test_an_error_of_an_unwritable_folder_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    store = RecordStore(tmp_path / "file" / "results")
    for attempt in (store.check_writable, lambda: store.write(made())):
        with pytest.raises(StorageError) as caught:
            attempt()
        assert str(tmp_path / "file") in caught.value.where
        assert "--out" in caught.value.fix
    assert store.read(KEY) is None


def test_a_folder_that_may_not_be_written_is_found_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(module.tempfile, "TemporaryFile", denied)
    with pytest.raises(StorageError, match="Permission denied"):
        RecordStore(tmp_path).check_writable()


def test_a_record_that_may_not_be_read_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    store = RecordStore(tmp_path)
    store.write(made())
    monkeypatch.setattr(Path, "read_text", denied)
    assert store.read(KEY) is None


def test_temporary_files_of_a_killed_process_are_removed_by_the_next_write(tmp_path: Path) -> None:
    other = "f" * 16
    store = RecordStore(tmp_path)
    store.folder.mkdir()
    leftovers = [f".{KEY}-a1", f".{KEY}.json-a1", f".{other}-old", f".{other}.json-old"]
    busy = [f".{other}-new", f".{other}.json-new"]
    kept = [".unfinished", ".logs", ".lock", f".{other}"]
    for name in [*leftovers, *busy, *kept]:
        path = store.folder / name
        if "json" in name or name == ".lock":
            path.write_text("half")
        else:
            path.mkdir()
            (path / "weights.safetensors").write_bytes(b"half")
        if name.endswith("-old"):
            os.utime(path, (0, 0))
    unfinished = store.folder / ".unfinished"
    for name in (f".{KEY}-0123abcd", f".{other}-0123abcd", other):  # the first was being removed
        (unfinished / name).mkdir()
    store.write(made())
    names = {path.name for path in store.folder.iterdir()}
    assert names == {f"{KEY}.json", *busy, *kept}
    assert not (unfinished / f".{KEY}-0123abcd").exists()
    assert (unfinished / f".{other}-0123abcd").exists() and (unfinished / other).exists()


@pytest.mark.parametrize("writer", [KEY, "f" * 16])
def test_files_whose_replacement_was_killed_are_found_again(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordStore(tmp_path)
    folder = store.write(made(), {"curves.json": {"loss": [1.0]}}).with_suffix("")
    old = folder.rename(folder.with_name(f".{KEY}-0123abcd-old"))
    os.utime(old, (0, 0))
    if writer == KEY:  # a write that fails does not lose them either
        monkeypatch.setattr(module, "write_atomically", no_space)
        with pytest.raises(StorageError):
            store.write(made(), {"curves.json": {}})
    else:
        store.write(made(writer))
    assert json.loads((folder / "curves.json").read_text()) == {"loss": [1.0]}
    assert not old.exists()


def test_a_replacement_that_another_process_is_making_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordStore(tmp_path)
    old = store.folder / f".{KEY}-0123abcd-old"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    monkeypatch.setattr(module.RunLock, "holder", lambda lock: Holder("elsewhere", 1, "now"))
    store.write(made("f" * 16))
    assert old.is_dir()


# Damaged files


def test_damaged_files_are_named_with_a_reason_and_skipped(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    whole = store.write(made()).read_text()
    data = json.loads(whole)
    damaged = {
        "empty": b"",
        "truncated": whole[: len(whole) // 2].encode(),
        "binary": bytes(range(256)),
        "list": b"[]",
        "other-schema": json.dumps({**data, "schema_version": 99}).encode(),
        "no-schema": b"{}",
        "lacks-a-field": json.dumps({k: v for k, v in data.items() if k != "status"}).encode(),
        "unknown-field": json.dumps({**data, "surprise": 1}).encode(),
        "wrong-type": json.dumps({**data, "metrics": {"accuracy": "high"}}).encode(),
        "endless": b"[" * 100_000,
        "huge-number": b'{"schema_version": ' + b"9" * 5000 + b"}",
    }
    for name, content in damaged.items():
        (tmp_path / "runs" / f"{name}.json").write_bytes(content)
    (tmp_path / "runs" / "folder.json").mkdir()
    records, found = read_records(tmp_path)
    assert [record.run_key for record in records] == [KEY]
    assert {item.path.stem for item in found} == {*damaged, "folder"}
    assert all(item.reason for item in found)
    reasons = {item.path.stem: item.reason for item in found}
    assert "99" in reasons["other-schema"] and "not JSON" in reasons["truncated"]


def test_the_folder_of_one_suite_is_not_read_or_written_as_one_of_results(tmp_path: Path) -> None:
    RecordStore(tmp_path, "two").write(made())
    out = tmp_path / "two"
    for use in (read_records, lambda out: find_record(out, KEY), lambda out: record_path(out, KEY)):
        with pytest.raises(StorageError, match=rf"Name the folder {tmp_path}; the suite is 'two'"):
            use(out)
    with pytest.raises(StorageError, match="the folder of one suite"):
        RecordStore(out).check_writable()
    RecordStore(tmp_path).check_writable()


def test_a_damaged_record_reads_as_none_so_that_its_run_is_run_again(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(made())
    store.path(KEY).write_text("{")
    assert store.read(KEY) is None
    store.write(made())
    assert store.read(KEY) == made()


def test_a_record_with_nan_is_never_written(tmp_path: Path) -> None:
    record = made().model_copy(update={"metrics": {"accuracy": math.nan}})
    with pytest.raises(ValueError):
        RecordStore(tmp_path).write(record)
    assert not [path for path in (tmp_path / "runs").iterdir() if path.is_file()]


# Finding one


def test_a_record_is_found_by_the_start_of_its_key(tmp_path: Path) -> None:
    for suite, key in [("runs", "aaaa1111"), ("runs", "aaaa2222"), ("other", "bbbb3333")]:
        RecordStore(tmp_path, suite).write(made(key))
    assert find_record(tmp_path, "aaaa1").run_key == "aaaa1111"
    assert find_record(tmp_path, "b").suite == "other"  # the folder, also where it was renamed
    with pytest.raises(StorageError, match="aaaa1111, aaaa2222"):
        find_record(tmp_path, "aaaa")
    with pytest.raises(StorageError, match="no run 'c'"):
        find_record(tmp_path, "c")
    with pytest.raises(StorageError, match="no run"):
        find_record(tmp_path / "nowhere", "a")


def test_a_run_in_two_suites_is_one_run(tmp_path: Path) -> None:
    for suite in ("one", "two"):
        RecordStore(tmp_path, suite).write(made())
    assert find_record(tmp_path, KEY[:6]).run_key == KEY


def test_of_a_run_in_two_suites_the_successful_record_is_found(tmp_path: Path) -> None:
    RecordStore(tmp_path, "earlier").write(made().model_copy(update={"status": "failed"}))
    RecordStore(tmp_path, "later").write(made())
    assert find_record(tmp_path, KEY[:6]).status == "ok"


def test_keys_that_start_alike_are_counted_once_for_all_suites(tmp_path: Path) -> None:
    for suite, key in [("one", "aaaa1111"), ("two", "aaaa1111"), ("two", "aaaa2222")]:
        RecordStore(tmp_path, suite).write(made(key))
    with pytest.raises(StorageError, match="2 run keys start with 'aaaa'"):
        find_record(tmp_path, "aaaa")


def test_only_records_whose_keys_start_alike_are_read(tmp_path: Path, monkeypatch) -> None:
    for key in ("aaaa1111", "bbbb2222"):
        RecordStore(tmp_path).write(made(key))
    read = []
    monkeypatch.setattr(
        "nasbench_ecg.run.record_files._parse", lambda text: read.append(text) or made("bbbb2222")
    )
    assert find_record(tmp_path, "bb").run_key == "bbbb2222"
    assert len(read) == 1


def test_the_file_of_a_run_is_found_beside_a_damaged_one_of_a_similar_key(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    for key in ("aaaa1111", "aaaa2222"):
        store.write(made(key))
    store.path("aaaa2222").write_text("{")
    assert record_path(tmp_path, "aaaa") == store.path("aaaa1111")
    assert record_path(tmp_path, "aaaa2") == store.path("aaaa2222")


def test_a_damaged_record_is_not_reported_as_unknown(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(made())
    store.path(KEY).write_text("{")
    with pytest.raises(StorageError, match="damaged: not JSON") as raised:
        find_record(tmp_path, KEY[:6])
    assert str(store.path(KEY)) in str(raised.value.where)


def test_suites_are_read_together_or_one_alone(tmp_path: Path) -> None:
    RecordStore(tmp_path, "one").write(made("aa"))
    RecordStore(tmp_path, "two").write(made("bb"), {"architecture.json": {}})
    assert [r.run_key for r in read_records(tmp_path)[0]] == ["aa", "bb"]
    assert [r.run_key for r in read_records(tmp_path, "two")[0]] == ["bb"]
    assert read_records(tmp_path)[1] == []


def test_files_that_are_being_written_are_not_read(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(made())
    store.resume_folder("feedbeef").save_result("search", {"architecture": {}})
    (store.folder / f".{KEY}.json-x1y2").write_text("{")
    records, damaged = read_records(tmp_path)
    assert len(records) == 1 and damaged == []
    assert isinstance(read_record_file(store.path(KEY)), RunRecord)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "Free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Free some space"),
        # as NumPy's tofile and Rust's std::io report a full disk
        (OSError("125000 requested and 4096 written"), "Free some space"),
        (OSError("I/O error: No space left on device (os error 28)"), "Free some space"),
        (OSError('IoError(Os { code: 28, kind: StorageFull, message: "No space" })'), "Free some"),
        (OSError("I/O error: Permission denied (os error 13)"), "Choose a writable location"),
        (OSError(errno.EROFS, "Read-only file system"), "Choose a writable location"),
        # as shutil.copytree reports all files that it could not copy
        (shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]), "Free some space"),
        (shutil.Error([("a", "b", "[Errno 30] Read-only file system: 'b'")]), "Choose a writable"),
    ],
)
def test_a_full_disk_gets_other_advice_than_a_folder_that_cannot_be_written(
    error: OSError, advice: str
) -> None:
    with pytest.raises(StorageError) as raised, storage_errors(Path("out")):
        raise error
    assert advice in raised.value.fix
    assert "Errno" not in raised.value.what and len(raised.value.what) < 80

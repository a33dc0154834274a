"""Fetching from a faulty server, and verification of the files on disk."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import ssl
import traceback
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from http_server import Fault, Server, publish

from nasbench_ecg.contracts import Requirement
from nasbench_ecg.errors import OptionError, RecordError, StorageError
from nasbench_ecg.physionet.catalog import (
    DATABASES,
    describe_missing,
    estimate_bytes,
    read_sums,
    record_names,
)
from nasbench_ecg.physionet.fetch import fetch, split_credentials
from nasbench_ecg.physionet.fetch import server as server_address
from nasbench_ecg.physionet.verify import FileProblem, verify
from nasbench_ecg.progress import Silent

RECORDS = ("100", "101")
FILES = [f"{record}.{ending}" for record in RECORDS for ending in ("atr", "dat", "hea")]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Root folder of a server with a database of two short records, named mitdb."""
    return publish(tmp_path_factory.mktemp("published"))


@pytest.fixture
def origin(published, tmp_path) -> Path:
    """A copy of the published database that a test may change."""
    return Path(shutil.copytree(published, tmp_path / "origin"))


@pytest.fixture
def server(origin, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(origin) as running:
        yield running


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


def fetch_from(server: Server, folder: Path, **options):
    settings = {"timeout": 5.0, "backoff": 0.0, "progress": Silent()} | options
    return fetch("mitdb", folder, base_url=server.url, **settings)


def assert_identical(folder: Path, published: Path, files=FILES) -> None:
    for name in files:
        assert (folder / name).read_bytes() == (published / "mitdb/1.0.0" / name).read_bytes()
    assert not list(folder.glob("*.part"))


def test_a_fetched_database_is_identical_and_verifies(server, published, tmp_path):
    done = fetch_from(server, tmp_path / "mitdb")
    assert_identical(tmp_path / "mitdb", published, [*FILES, "RECORDS", "SHA256SUMS.txt"])
    assert (done.n_fetched, done.n_present) == (7, 0)
    assert list(verify(tmp_path / "mitdb", "mitdb", progress=Silent())) == []


def test_complete_files_are_not_fetched_again(server, tmp_path):
    fetch_from(server, tmp_path)
    server.requests.clear()
    done = fetch_from(server, tmp_path)
    assert [name for name, _ in server.requests] == ["SHA256SUMS.txt"]
    assert (done.n_fetched, done.n_present, done.n_bytes) == (0, 7, 0)


def test_a_file_that_was_changed_on_disk_is_fetched_again(server, published, tmp_path):
    fetch_from(server, tmp_path)
    (tmp_path / "100.atr").write_bytes(b"changed")
    assert fetch_from(server, tmp_path).n_fetched == 1
    assert_identical(tmp_path, published)


def test_only_the_requested_records_and_extensions_are_fetched(server, published, tmp_path):
    fetch_from(server, tmp_path, records=["101"], extensions=["hea", "dat"])
    names = {path.name for path in tmp_path.iterdir()} & set(FILES)
    assert names == {"101.hea", "101.dat"}


def test_a_dropped_connection_is_resumed(server, published, tmp_path):
    server.faults["100.dat"] = [Fault(drop_after=70_000), Fault(drop_after=20_000)]
    notes = Notes()
    fetch_from(server, tmp_path, progress=notes)
    assert_identical(tmp_path, published)
    first, second, third = (r and int(r[len("bytes=") : -1]) for r in server.ranges("100.dat"))
    assert first is None
    assert 0 < second <= 70_000
    assert second < third <= 90_000
    assert any("closed the connection" in line for line in notes.lines)


def test_a_server_that_often_drops_connections_is_used_to_the_end(server, published, tmp_path):
    server.faults["100.dat"] = [Fault(drop_after=17_000)] * 6
    fetch_from(server, tmp_path)
    assert_identical(tmp_path, published)


def test_a_server_that_ignores_range_makes_the_file_start_over(server, published, tmp_path):
    server.faults["100.dat"] = [Fault(drop_after=70_000), Fault(whole=True)]
    fetch_from(server, tmp_path)
    assert_identical(tmp_path, published)
    assert len(server.ranges("100.dat")) == 2


def test_a_wrong_byte_is_noticed_and_the_file_fetched_from_scratch(server, published, tmp_path):
    server.faults["101.dat"] = [Fault(wrong_byte=True)]
    notes = Notes()
    fetch_from(server, tmp_path, progress=notes)
    assert_identical(tmp_path, published)
    assert server.ranges("101.dat") == [None, None]
    assert any("101.dat" in line for line in notes.lines)


def test_a_byte_that_is_always_wrong_is_an_error_that_names_the_file(server, tmp_path):
    server.faults["101.dat"] = [Fault(wrong_byte=True)] * 9
    with pytest.raises(RecordError, match=r"101\.dat.*SHA-256"):
        fetch_from(server, tmp_path)
    assert len(server.ranges("101.dat")) == 2
    assert not (tmp_path / "101.dat").exists()
    assert not (tmp_path / "101.dat.part").exists()


def test_a_part_of_another_file_does_not_spoil_the_result(server, published, tmp_path):
    (tmp_path / "100.dat.part").write_bytes(bytes(50_000))
    (tmp_path / "101.dat.part").write_bytes(bytes(900_000))
    fetch_from(server, tmp_path)
    assert_identical(tmp_path, published)


def test_a_part_that_is_already_whole_needs_no_body(server, origin, published, tmp_path):
    whole = (origin / "mitdb/1.0.0/100.dat").read_bytes()
    (tmp_path / "100.dat.part").write_bytes(whole)
    fetch_from(server, tmp_path)
    assert_identical(tmp_path, published)
    assert server.ranges("100.dat") == [f"bytes={len(whole)}-"]


def test_a_file_the_server_lacks_is_an_error_at_once(server, origin, tmp_path):
    (origin / "mitdb/1.0.0/101.atr").unlink()
    with pytest.raises(RecordError, match=r"no such file: 101\.atr") as caught:
        fetch_from(server, tmp_path)
    assert server.url in caught.value.where
    assert len(server.ranges("101.atr")) == 1


def test_a_list_that_lacks_records_is_told(server, tmp_path):
    # A connection that ends early without a stated length gives a list that is only shorter.
    notes = Notes()
    fetch_from(server, tmp_path, progress=notes)
    assert notes.lines == ["The server lists 2 of the 48 records of mitdb."]
    fetch_from(server, tmp_path, progress=notes, records=["100"])
    assert len(notes.lines) == 1


def test_a_server_without_the_database_is_an_error_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "empty").mkdir()
    with (
        Server(tmp_path / "empty") as server,
        pytest.raises(RecordError, match=r"no such file: SHA256SUMS\.txt"),
    ):
        fetch_from(server, tmp_path / "mitdb")


def test_a_list_without_records_does_not_replace_one_with_records(server, origin, tmp_path):
    fetch_from(server, tmp_path)
    (origin / "mitdb/1.0.0/SHA256SUMS.txt").write_text("")
    with pytest.raises(RecordError, match="names no record") as caught:
        fetch_from(server, tmp_path)
    assert caught.value.where == f"{server.url}/mitdb/1.0.0/SHA256SUMS.txt"
    assert "100.dat" in read_sums(tmp_path / "SHA256SUMS.txt")


def test_a_refusal_is_an_error_at_once(server, tmp_path):
    server.faults["100.atr"] = [Fault(status=403)]
    with pytest.raises(RecordError, match="refused the request: 403"):
        fetch_from(server, tmp_path)
    assert len(server.ranges("100.atr")) == 1


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(server, published, tmp_path, status):
    server.faults["100.atr"] = [Fault(status=status)] * 2
    fetch_from(server, tmp_path)
    assert_identical(tmp_path, published)
    assert len(server.ranges("100.atr")) == 3


def test_a_server_that_stays_in_trouble_is_given_up(server, tmp_path):
    server.faults["100.atr"] = [Fault(status=500)] * 99
    with pytest.raises(RecordError, match=r"is unavailable.*500.*after 5 attempts"):
        fetch_from(server, tmp_path)


def test_error_for_a_silent_server_states_the_timeout(server, tmp_path):
    server.faults["SHA256SUMS.txt"] = [Fault(silent=True)] * 99
    with pytest.raises(RecordError, match=r"sent no data for 0\.1 s after 5 attempts"):
        fetch_from(server, tmp_path, timeout=0.1)


def test_a_server_that_falls_silent_mid_file_is_resumed(server, published, tmp_path):
    server.faults["100.dat"] = [Fault(stall_after=70_000)]
    notes = Notes()
    fetch_from(server, tmp_path, timeout=0.3, progress=notes)
    assert_identical(tmp_path, published)
    assert server.ranges("100.dat")[1] is not None
    assert any("sent no data for 0.3 s" in line for line in notes.lines)


def test_pauses_between_tries_double(server, tmp_path, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    server.faults["100.atr"] = [Fault(status=500)] * 4
    fetch_from(server, tmp_path, backoff=1.0)
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_error_for_an_unreachable_server_states_its_address(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(RecordError, match=r"127\.0\.0\.1:1 cannot be reached"):
        fetch("mitdb", tmp_path, base_url="http://127.0.0.1:1", backoff=0, progress=Silent())


def test_error_without_a_secure_connection_says_so(server, tmp_path):
    secure = server.url.replace("http:", "https:")
    with pytest.raises(RecordError, match=r"no secure connection \(SSLError"):
        fetch("mitdb", tmp_path, base_url=secure, backoff=0, progress=Silent())


def test_an_unknown_certificate_is_an_error_at_once(server, tmp_path, monkeypatch):
    def refuse(*args, **options):
        try:
            raise ssl.SSLCertVerificationError("self-signed certificate")
        except ssl.SSLError as error:
            raise requests.exceptions.SSLError("Max retries exceeded") from error

    monkeypatch.setattr("requests.Session.get", refuse)
    notes = Notes()
    with pytest.raises(RecordError, match="self-signed certificate") as caught:
        fetch_from(server, tmp_path, progress=notes)
    assert "REQUESTS_CA_BUNDLE" in caught.value.fix and notes.lines == []


def test_error_for_an_invalid_mirror_states_the_variable(tmp_path):
    with pytest.raises(RecordError) as caught:
        fetch("mitdb", tmp_path, base_url="ftp://somewhere", progress=Silent())
    assert "NASBENCH_ECG_MIRROR" in caught.value.fix


def test_the_environment_sets_the_mirror(server, published, tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_ECG_MIRROR", server.url + "/")
    fetch("mitdb", tmp_path, progress=Silent())
    assert_identical(tmp_path, published)


# Size


@pytest.fixture
def small_database(monkeypatch):
    """A catalog in which mitdb has 0.2 MB, about what the test server publishes."""
    small = replace(DATABASES["mitdb"], size_mb=0.2)
    monkeypatch.setattr("nasbench_ecg.physionet.fetch.find_database", lambda name: small)


@pytest.mark.parametrize("fault", [Fault(endless=True), Fault(stated=10**12)])
@pytest.mark.parametrize("name", ["100.dat", "SHA256SUMS.txt"])
def test_a_file_larger_than_its_database_is_refused(server, tmp_path, small_database, fault, name):
    server.faults[name] = [fault]
    with pytest.raises(RecordError, match="sends more than") as caught:
        fetch_from(server, tmp_path)
    assert name in caught.value.what and len(server.ranges(name)) == 1
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000
    assert not list(tmp_path.glob("*.part"))


# Passwords


@pytest.mark.parametrize(
    ("url", "shown", "credentials"),
    [
        ("https://host/files", "https://host/files", None),
        ("https://ann:s3cret@host/files", "https://host/files", ("ann", "s3cret")),
        ("https://ann@host:8080/files", "https://host:8080/files", ("ann", "")),
        ("https://ann:s3%40cret@host/f", "https://host/f", ("ann", "s3@cret")),
        ("https://ann:s3@cret@host/f", "https://host/f", ("ann", "s3@cret")),
        ("https://ann:s3/cret@host/f", "https://host/f", ("ann", "s3/cret")),
        ("ann:s3cret@host/files", "host/files", ("ann", "s3cret")),
        ("https://host:8080/user@site/files", "https://host:8080/user@site/files", None),
        ("https://host/user@site", "https://host/user@site", None),
    ],
)
def test_user_and_password_are_separated_from_the_address(url, shown, credentials):
    assert split_credentials(url) == (shown, credentials)


def test_the_password_of_a_mirror_is_used_and_never_shown(server, published, tmp_path, monkeypatch):
    address = server.url.replace("://", "://ann:s3cret@")
    monkeypatch.setenv("NASBENCH_ECG_MIRROR", address)
    server.faults["100.atr"] = [Fault(status=503)]
    notes = Notes()
    fetch("mitdb", tmp_path / "whole", progress=notes, backoff=0)
    assert_identical(tmp_path / "whole", published)
    assert server.authorizations == {"Basic " + b64encode(b"ann:s3cret").decode()}
    server.faults["100.atr"] = [Fault(status=403)]
    with pytest.raises(RecordError) as caught:
        fetch("mitdb", tmp_path / "refused", progress=notes)
    for text in (*notes.lines, str(caught.value), server_address()):
        assert "s3cret" not in text and "ann" not in text


@pytest.mark.parametrize("scheme", ["ftp://", "", "http:/"])
def test_the_password_of_an_invalid_mirror_is_not_shown(tmp_path, scheme):
    with pytest.raises(RecordError) as caught:
        fetch("mitdb", tmp_path, base_url=f"{scheme}ann:s3cret@host", progress=Silent())
    chain = "".join(traceback.format_exception(caught.value))
    shown = [line for line in chain.splitlines() if "fetch(" not in line]
    assert "s3cret" not in str(caught.value) + "".join(shown)


class Interrupting(Silent):
    @contextmanager
    def track(self, label, total):
        class Bar:
            def advance(self, n=1, **figures):
                if figures.get("MB", 0) > 0.05:
                    raise KeyboardInterrupt

        yield Bar()


def test_an_interrupted_fetch_is_resumed(server, published, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fetch_from(server, tmp_path, progress=Interrupting())
    parts = list(tmp_path.glob("*.part"))
    assert len(parts) == 1
    name, size = parts[0].stem, parts[0].stat().st_size
    assert size > 0
    assert not (tmp_path / name).exists()
    server.requests.clear()
    fetch_from(server, tmp_path)
    assert_identical(tmp_path, published)
    assert server.ranges(name) == [f"bytes={size}-"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk always full")
def test_a_full_disk_is_a_storage_error(server, tmp_path):
    (tmp_path / "100.dat.part").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="no space left"):
        fetch_from(server, tmp_path)
    assert not (tmp_path / "100.dat").exists()


def test_error_for_an_invalid_destination_states_its_path(server, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError) as caught:
        fetch_from(server, tmp_path / "file" / "mitdb")
    assert "mitdb" in caught.value.where


def _fetch_in_process(url: str, folder: Path) -> None:
    fetch("mitdb", folder, base_url=url, progress=Silent())


def test_two_processes_may_fetch_into_one_folder(server, published, tmp_path):
    context = multiprocessing.get_context("spawn")
    folder = tmp_path / "mitdb"
    both = [context.Process(target=_fetch_in_process, args=(server.url, folder)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert_identical(folder, published)
    assert len(server.ranges("100.dat")) == 1


def test_errors_for_unknown_names_suggest_the_nearest(server, tmp_path):
    with pytest.raises(OptionError, match="Did you mean 'mitdb'"):
        fetch("mitbd", tmp_path, progress=Silent())
    with pytest.raises(RecordError, match=r"no record '102'.*'10[01]'") as caught:
        fetch_from(server, tmp_path, records=["102"])
    assert caught.value.where.startswith(server.url)
    with pytest.raises(RecordError, match=r"no file '100\.qrs'"):
        fetch_from(server, tmp_path, records=["100"], extensions=["hea", "qrs"])


DIGEST = "0" * 64


@pytest.mark.parametrize(
    "name",
    ["../100.dat", "/etc/passwd", "a/../../b", "..\\100.dat", "C:\\100.dat", "C:100.dat", "\\b"],
)
def test_a_list_with_files_outside_the_folder_is_rejected(tmp_path, name):
    path = tmp_path / "SHA256SUMS.txt"
    path.write_text(f"{DIGEST}  100.hea\n{DIGEST}  {name}\n")
    with pytest.raises(RecordError, match=r"outside the database.*line 2"):
        read_sums(path)


@pytest.mark.parametrize("line", ["<html>", "abc  100.dat", DIGEST, f"{DIGEST}100.dat"])
def test_an_invalid_list_of_checksums_is_rejected(tmp_path, line):
    path = tmp_path / "SHA256SUMS.txt"
    path.write_text(line + "\n")
    with pytest.raises(RecordError, match=r"not a checksum and a file name.*line 1"):
        read_sums(path)


def test_a_list_of_checksums_may_mark_binary_files_and_hold_blank_lines(tmp_path):
    path = tmp_path / "SHA256SUMS.txt"
    path.write_text(f"{'A' * 64} *./100.dat\n\n{DIGEST}  mitdbdir/intro.htm\n")
    assert read_sums(path) == {"100.dat": "a" * 64, "mitdbdir/intro.htm": DIGEST}


def test_a_rejected_list_fetches_nothing_and_does_not_replace_the_old_list(
    server, origin, published, tmp_path
):
    fetch_from(server, tmp_path, records=["100"])
    with (origin / "mitdb/1.0.0/SHA256SUMS.txt").open("a") as file:
        file.write(f"{DIGEST}  ../evil.dat\n")
    with pytest.raises(RecordError, match="outside the database"):
        fetch_from(server, tmp_path)
    assert not (tmp_path / "101.dat").exists()
    assert_identical(tmp_path, published, ["SHA256SUMS.txt"])


def test_lists_may_have_the_marks_of_another_editor(tmp_path):
    (tmp_path / "RECORDS").write_bytes(b"\xef\xbb\xbf100\r\n101\r\n")
    assert record_names(tmp_path) == ["100", "101"]
    sums = tmp_path / "SHA256SUMS.txt"
    sums.write_bytes(f"\ufeff{DIGEST}  100.dat\r\n".encode())
    assert read_sums(sums) == {"100.dat": DIGEST}


def test_invalid_record_names_are_rejected(tmp_path):
    (tmp_path / "RECORDS").write_text("100\n../101\n")
    with pytest.raises(RecordError, match="name of a record is not valid"):
        record_names(tmp_path)


def problems(folder: Path, **options) -> list[FileProblem]:
    return list(verify(folder, "mitdb", progress=Silent(), **options))


@pytest.fixture
def local(published, tmp_path) -> Path:
    return Path(shutil.copytree(published / "mitdb/1.0.0", tmp_path / "mitdb"))


def test_every_problem_of_a_folder_is_listed(local):
    (local / "100.atr").unlink()
    data = bytearray((local / "101.dat").read_bytes())
    data[1000] ^= 1
    (local / "101.dat").write_bytes(data)
    found = problems(local)
    assert FileProblem("100.atr", "The file is missing.") in found
    assert any(p.file == "101.dat" and "SHA-256" in p.problem for p in found)
    assert any(p.file == "101" and "checksum" in p.problem for p in found)


def test_a_folder_without_checksums_is_verified_by_its_records(local):
    (local / "SHA256SUMS.txt").unlink()
    assert problems(local) == []
    (local / "100.dat").write_bytes((local / "100.dat").read_bytes()[:-300])
    (local / "101.atr").unlink()
    found = problems(local)
    assert {problem.file for problem in found} == {"100", "101.atr"}


def test_a_listed_but_missing_record_is_a_problem_unless_other_records_are_given(local):
    for path in local.glob("101.*"):
        path.unlink()
    assert {p.file for p in problems(local)} == {"101.atr", "101.dat", "101.hea"}
    assert problems(local, records=["100"]) == []


def test_an_empty_folder_is_a_problem(tmp_path):
    assert [problem.file for problem in problems(tmp_path)] == ["mitdb"]


def test_the_estimated_size_of_all_files_is_that_of_the_database():
    files = [f"{n}.{suffix}" for n in range(48) for suffix in ("hea", "dat", "atr")]
    assert estimate_bytes("mitdb", files) == pytest.approx(94e6, rel=0.01)
    assert estimate_bytes("my-hospital", ["1.hea"]) is None


def test_missing_files_are_described_in_one_sentence():
    requirement = Requirement("mitdb", ("100", "101", "102"))
    said = describe_missing(requirement, ["100.hea", "100.dat", "100.atr", "101.atr"])
    assert said == (
        "2 of the 3 required records of mitdb (MIT-BIH Arrhythmia Database) are missing: "
        "4 files, about 2 MB."
    )
    assert "about" not in describe_missing(Requirement("my-hospital", ("1",)), ["1.hea"])


@pytest.mark.slow
@pytest.mark.parametrize("database", ["mitdb", "qtdb"])
def test_every_record_of_the_real_databases_verifies(database):
    if "NASBENCH_ECG_DATA" not in os.environ:
        pytest.skip("NASBENCH_ECG_DATA does not name a folder of real records")
    folder = Path(os.environ["NASBENCH_ECG_DATA"]) / database
    if not folder.is_dir():
        pytest.skip(f"NASBENCH_ECG_DATA holds no {database}")
    assert len(record_names(folder)) == DATABASES[database].n_records
    assert list(verify(folder, database, progress=Silent())) == []

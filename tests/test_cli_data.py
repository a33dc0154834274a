"""``nasbench-ecg data``: output and files of the commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from http_server import Fault, Server, publish
from typer.testing import CliRunner

from nasbench_ecg.cli.data import app
from nasbench_ecg.errors import MissingDataError, OptionError, RecordError


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    return publish(tmp_path_factory.mktemp("published"))


@pytest.fixture
def server(published, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(published) as running:
        monkeypatch.setenv("NASBENCH_ECG_MIRROR", running.url)
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Use a temporary cache, and a terminal wide enough for paths."""
    monkeypatch.delenv("NASBENCH_ECG_DATA", raising=False)
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path / "cache"


@pytest.fixture
def data(published, tmp_path) -> Path:
    """A folder of databases, with a copy of the published one."""
    shutil.copytree(published / "mitdb/1.0.0", tmp_path / "data" / "mitdb")
    return tmp_path / "data"


def run(*arguments: object):
    """Run the command; an error that ends it is raised."""
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_fetch_stores_the_database_in_the_cache_and_prints_a_summary(server, cache):
    result = run("fetch", "mitdb")
    folder = cache / "databases" / "mitdb"
    assert {"100.dat", "101.atr", "RECORDS"} <= {path.name for path in folder.iterdir()}
    assert "MIT-BIH Arrhythmia Database" in result.output
    assert f"from {server.url} into {folder}" in result.output
    assert "7 files fetched" in result.output
    assert "ODC-By-1.0" in result.output
    assert "Moody" in result.output


def test_fetch_again_fetches_nothing(server):
    run("fetch", "mitdb")
    assert "0 files fetched (0 kB), 7 were already complete" in run("fetch", "mitdb").output


def test_fetch_of_named_records_into_a_named_folder_fits_data(server, tmp_path):
    run("fetch", "mitdb", "--records", "101", "--to", tmp_path / "there")
    names = {path.name for path in (tmp_path / "there" / "mitdb").iterdir()}
    assert {"101.hea", "101.dat", "101.atr"} <= names
    assert "100.dat" not in names
    assert run("verify", "mitdb", "--data", tmp_path / "there", "--records", "101").exit_code == 0
    assert run("verify", "mitdb", "--data", tmp_path / "there").exit_code == 1


def test_fetch_of_a_file_that_the_server_does_not_have_is_a_record_error(server):
    server.faults["100.dat"] = [Fault(status=404)]
    with pytest.raises(RecordError, match=r"no such file: 100\.dat"):
        run("fetch", "mitdb")


def test_verify_of_undamaged_records_reports_no_problems(data):
    result = run("verify", "mitdb", "--data", data)
    assert result.exit_code == 0
    assert "mitdb: no problems in 2 records" in result.output


def test_verify_lists_all_problems_and_exits_with_1(data):
    (data / "mitdb" / "100.atr").unlink()
    (data / "mitdb" / "101.dat").write_bytes(b"short")
    result = run("verify", "mitdb", "--data", data)
    assert result.exit_code == 1
    assert "100.atr" in result.output
    assert "missing" in result.output
    assert "101.dat" in result.output
    assert "truncated" in result.output


def test_verify_reads_any_folder_of_records(data):
    (data / "mitdb").rename(data / "my-hospital")
    assert run("verify", "my-hospital", "--data", data).exit_code == 0


def test_error_for_a_missing_database_states_how_to_fetch_it(tmp_path):
    for verb in ("verify", "info", "path"):
        with pytest.raises(MissingDataError) as caught:
            run(verb, "svdb")
        assert "nasbench-ecg data fetch svdb" in caught.value.fix


@pytest.mark.parametrize("verb", ["fetch", "verify", "info", "path"])
def test_error_for_a_misspelled_name_suggests_the_nearest(verb):
    with pytest.raises(OptionError, match="'mitdb'"):
        run(verb, "mitbd")


def test_an_empty_list_of_records_is_rejected():
    with pytest.raises(OptionError, match="--records"):
        run("fetch", "mitdb", "--records", " , ")


def test_list_shows_databases_and_locations(data):
    result = run("list", "--data", data)
    for name in ("mitdb", "qtdb", "incartdb", "svdb", "nstdb"):
        assert name in result.output
    assert str(data / "mitdb") in result.output
    assert result.output.count("not fetched") == 4
    assert "ODC-By-1.0" in result.output


def test_list_shows_the_datasets_of_a_database(data):
    lines = run("list", "--data", data).output.splitlines()
    assert any("ODC-By-1.0" in line and "qt-1lead" in line for line in lines)


def test_info_counts_the_beats_of_each_class(data):
    rows = [line.split() for line in run("info", "mitdb", "--data", data).output.splitlines()]
    # 130 annotations a record, of which one is no beat, one is V and one is A
    assert ["101", "MLII,", "V1", "360", "1.9", "127", "1", "1", "0", "0"] in rows
    assert ["2", "records", "4", "254", "2", "2", "0", "0"] in rows


def test_info_shows_a_record_without_annotations(data):
    (data / "mitdb" / "101.atr").unlink()
    rows = [line.split() for line in run("info", "mitdb", "--data", data).output.splitlines()]
    assert ["101", "MLII,", "V1", "360", "1.9"] in rows


def test_info_of_a_damaged_header_names_the_record(data):
    (data / "mitdb" / "101.hea").write_text("no header")
    with pytest.raises(RecordError, match="header of record 101 cannot be read"):
        run("info", "mitdb", "--data", data)


def test_path_prints_the_folder(server, cache):
    assert run("path").stdout == f"{cache / 'databases'}\n"
    run("fetch", "mitdb")
    assert run("path", "mitdb").stdout == f"{cache / 'databases' / 'mitdb'}\n"


@pytest.mark.parametrize(
    "module",
    ["nasbench_ecg.cli.data", "nasbench_ecg.plugin.registry", "nasbench_ecg.physionet.fetch"],
)
def test_importing_the_command_loads_no_heavy_library(module):
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"torch", "numpy", "wfdb", "pandas", "requests", "rich.table"} & set(loaded.split())


@pytest.fixture(scope="module")
def real() -> Path:
    if "NASBENCH_ECG_DATA" not in os.environ:
        pytest.skip("NASBENCH_ECG_DATA does not name a folder of real records")
    folder = Path(os.environ["NASBENCH_ECG_DATA"])
    if not (folder / "mitdb").is_dir():
        pytest.skip("NASBENCH_ECG_DATA holds no mitdb")
    return folder


def test_info_of_the_real_mitdb_gives_its_published_totals(real):
    rows = [line.split() for line in run("info", "mitdb", "--data", real).output.splitlines()]
    # The symbol totals of the database's own directory, added up by AAMI class.
    n = 75_052 + 8_075 + 7_259 + 16 + 229
    s, v, f, q = 2_546 + 150 + 83 + 2, 7_130 + 106, 803, 7_028 + 982 + 33
    assert rows[-3][:3] == ["48", "records", "1,444"]
    assert [int(cell.replace(",", "")) for cell in rows[-3][3:]] == [n, s, v, f, q]
    said = " ".join(rows[-2])
    assert "Annotations: N 75,052 as N, L 8,075 as N," in said and "e 16 as N, S 2 as S;" in said
    left_out = said.partition("without a class: ")[2].split(", ")
    total = sum(int(part.split()[1].replace(",", "")) for part in left_out)
    assert n + s + v + f + q + total == 112_647  # annotations of all 48 .atr files


def test_info_of_the_real_svdb_counts_every_symbol(real):
    said = run("info", "svdb", "--data", real).output
    # The totals of the database's own symbols; B is a beat of class N.
    assert (
        "N 162,339 as N, S 12,188 as S, V 9,943 as V, Q 79 as Q, F 23 as F, J 9 as S, B 1 as N, "
        "a 1 as S;" in said
    )
    assert "Record 860: 1 annotation is at or behind the end." in said


@pytest.mark.slow
def test_info_of_a_dataset_gives_the_counts_of_the_paper(real):
    rows = [
        line.split() for line in run("info", "mitbih-2lead", "--data", real).output.splitlines()
    ]
    counts = {row[0]: row[1] for row in rows if len(row) >= 2}
    published = {"N": "79,508", "S": "2,696", "V": "7,129", "F": "793", "Q": "3,887"}
    assert published.items() <= counts.items()
    assert counts["all"] == "94,013"

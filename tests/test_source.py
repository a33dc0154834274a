"""Records are searched in the given folder, or in those of the environment and the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasbench_ecg.contracts import Requirement
from nasbench_ecg.data.source import LocalSource, default_cache
from nasbench_ecg.errors import MissingDataError, OptionError, StorageError


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("NASBENCH_ECG_DATA", raising=False)
    monkeypatch.delenv("NASBENCH_ECG_CACHE", raising=False)


@pytest.fixture
def places(tmp_path):
    for place in ("given", "named", "cache/databases"):
        (tmp_path / place / "mitdb").mkdir(parents=True)
    return tmp_path


def test_given_folder_comes_before_the_environment_and_the_cache(places, monkeypatch):
    cache = places / "cache"
    assert LocalSource(cache=cache).folder("mitdb") == cache / "databases" / "mitdb"
    monkeypatch.setenv("NASBENCH_ECG_DATA", str(places / "named"))
    assert LocalSource(cache=cache).folder("mitdb") == places / "named" / "mitdb"
    assert LocalSource(places / "given", cache).folder("mitdb") == places / "given" / "mitdb"


def test_database_that_the_environment_lacks_is_taken_from_the_cache(places, monkeypatch):
    monkeypatch.setenv("NASBENCH_ECG_DATA", str(places / "named"))
    (places / "cache/databases/qtdb").mkdir()
    assert LocalSource(cache=places / "cache").folder("qtdb").parent.name == "databases"


def test_the_folder_of_the_database_itself_may_be_given(places):
    given = places / "given" / "mitdb"
    assert LocalSource(given, places / "cache").folder("mitdb") == given


@pytest.mark.parametrize("data", ["nowhere", "empty"])
def test_given_folder_without_the_database_is_not_replaced_by_the_cache(places, data):
    (places / "empty").mkdir()
    source = LocalSource(places / data, places / "cache")
    with pytest.raises(MissingDataError) as error:
        source.folder("mitdb")
    assert error.value.database == "mitdb"
    assert str(places / data / "mitdb") in error.value.where
    assert "--data" in error.value.fix and "nasbench-ecg data fetch mitdb" in error.value.fix
    with pytest.raises(MissingDataError):
        source.missing(Requirement("mitdb", ("100",)))


def test_error_for_a_missing_database_states_its_size_and_all_remedies(tmp_path):
    with pytest.raises(MissingDataError, match=r"about \d+ MB") as error:
        LocalSource(cache=tmp_path).folder("mitdb")
    for way in ("nasbench-ecg data fetch mitdb", "--data DIR", "NASBENCH_ECG_DATA"):
        assert way in error.value.fix


def test_error_for_an_unknown_database_states_no_size(tmp_path):
    with pytest.raises(MissingDataError, match="The records of wards were not found"):
        LocalSource(cache=tmp_path).folder("wards")


def test_missing_files_are_listed_by_name(places):
    folder = places / "given" / "mitdb"
    for name in ("100.hea", "100.dat", "101.hea"):
        (folder / name).touch()
    source = LocalSource(places / "given", places / "cache")
    requirement = Requirement("mitdb", ("100", "101"))
    assert source.missing(requirement) == ["100.atr", "101.dat", "101.atr"]
    with pytest.raises(MissingDataError, match="3 files of mitdb"):
        source.require(requirement)


def test_a_record_that_the_database_does_not_list_is_unknown_and_not_missing(places):
    folder = places / "given" / "mitdb"
    (folder / "RECORDS").write_text("100\n101\n201\n")
    source = LocalSource(places / "given")
    assert source.missing(Requirement("mitdb", ("100",), ("hea",))) == ["100.hea"]
    mistyped = Requirement("mitdb", ("100", "110"), ("hea",))
    for ask in (source.missing, source.require):
        with pytest.raises(OptionError, match="mitdb has no record '110'") as error:
            ask(mistyped)
        assert "Did you mean '101' or '100'" in str(error.value)
    for name in ("100", "110"):
        (folder / f"{name}.hea").touch()
    assert source.require(mistyped) == folder  # a record of the user's own, in no list


def test_all_files_are_missing_where_there_is_no_folder(tmp_path):
    requirement = Requirement("mitdb", ("100",), ("hea", "dat"))
    assert LocalSource(cache=tmp_path).missing(requirement) == ["100.hea", "100.dat"]


def test_made_folder_is_created_in_the_cache(tmp_path):
    folder = LocalSource(cache=tmp_path / "c").made("synthetic")
    assert folder.is_dir() and folder.is_relative_to(tmp_path / "c")


def test_made_folder_that_cannot_be_created_is_a_storage_error(tmp_path):
    (tmp_path / "made").write_text("a file is in the way")
    with pytest.raises(StorageError) as error:
        LocalSource(cache=tmp_path).made("synthetic")
    assert "NASBENCH_ECG_CACHE" in error.value.fix


def test_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NASBENCH_ECG_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("NASBENCH_ECG_CACHE")
    assert isinstance(default_cache(), Path) and default_cache() != tmp_path

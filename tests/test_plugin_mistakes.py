"""Natural mistakes of plugin authors are one clear error each, at the call that is wrong."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_beats import tiny_beats
from tiny_runs import registry_with

import nasbench_ecg as nb
from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Fidelity, Requirement
from nasbench_ecg.data.declarations import fixed_records, requirements_of
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import (
    MissingDataError,
    NasbenchError,
    OptionError,
    PluginError,
    ProtocolError,
)
from nasbench_ecg.options import NoOptions
from nasbench_ecg.plugin.loading import spec_fault
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.calls import ComponentCalls
from nasbench_ecg.run.downloads import fetch_records
from nasbench_ecg.run.proposals import candidates_of, check_candidate, number_of

ARCH = Architecture("chains", {"layers": [["conv", 4]]})


@pytest.mark.parametrize("given", [[ARCH], (ARCH,), {ARCH}, iter([ARCH]), np.array([ARCH])])
def test_candidates_may_be_any_iterable(given: Any) -> None:
    assert candidates_of(given, None) == [ARCH]


@pytest.mark.parametrize(
    ("given", "fidelity", "said"),
    [
        (None, None, "with None, not with a list"),
        (ARCH, None, "of the type Architecture, not with a list"),
        ([ARCH.genotype], None, "of the type dict among"),
        ([ARCH, None], None, "None among"),
        (ARCH.to_json(), None, "of the type str among"),
        ([ARCH], 1, "fidelity=1"),
        ([ARCH], {"epochs": 1}, "fidelity={'epochs': 1}"),
    ],
)
def test_other_candidates_are_refused(given: Any, fidelity: Any, said: str) -> None:
    with pytest.raises(PluginError, match=rf"ctx\.evaluate_many was called .*{said}") as caught:
        candidates_of(given, fidelity)
    assert caught.value.fix


def test_numbers_of_a_fidelity_are_whole() -> None:
    fidelity = Fidelity(epochs=np.int64(2), beats=np.int32(100))  # type: ignore[arg-type]
    assert fidelity == Fidelity(2, 100) and type(fidelity.epochs) is type(fidelity.beats) is int


@pytest.mark.parametrize("epochs", [0, 1.5, float("nan"), "1", True])
def test_other_numbers_of_a_fidelity_are_refused(epochs: Any) -> None:
    with pytest.raises(OptionError, match="A fidelity has epochs="):
        Fidelity(epochs=epochs)


def test_a_number_that_is_logged_may_be_of_any_library() -> None:
    assert number_of("value", torch.tensor(0.5)) == number_of("value", np.float32(0.5)) == 0.5


@pytest.mark.parametrize("value", [None, [0.5, 0.6], np.ones(2), torch.ones(2), "half"])
def test_what_is_logged_is_a_number(value: Any) -> None:
    with pytest.raises(PluginError, match=r"ctx\.log was called with loss="):
        number_of("loss", value)


def test_a_candidate_that_the_space_refuses_is_an_error_of_the_search() -> None:
    def refuse(arch: Architecture) -> None:
        raise OptionError("There is no operation 'fft'.", fix="Use 'conv'.")

    space: Any = SimpleNamespace(name="chains", validate=refuse)
    with pytest.raises(PluginError, match=r"search asks .* in the search space 'chains': There is"):
        check_candidate(ARCH, space)


def test_a_space_that_answers_false_does_not_make_a_candidate_valid() -> None:
    space: Any = SimpleNamespace(name="chains", validate=lambda arch: False)
    with pytest.raises(PluginError, match="'chains' returns False from 'validate'"):
        check_candidate(ARCH, space)


@pytest.mark.parametrize("width", [np.int64(4), float("nan"), {4}, object()])
def test_a_genotype_that_is_no_json_data_is_named(width: Any) -> None:
    arch = Architecture("chains", {"layers": [["conv", width]]})
    with pytest.raises(PluginError, match="genotype of the search space 'chains' is no JSON data"):
        arch.hash  # noqa: B018
    with pytest.raises(PluginError, match=r"int\(number\)"):
        arch.to_json()


def test_an_error_in_a_method_of_the_space_has_the_name_of_the_space() -> None:
    class Space:
        def sample(self, rng: Any) -> Any:
            return {}[rng]

        def mutate(self, error: Exception) -> Any:
            raise error

    space, calls = Space(), ComponentCalls(Silent())
    with (
        pytest.raises(KeyError) as caught,
        calls.of("strategy 'x'"),
        calls.through({"space": space}),
    ):
        space.sample(3)
    assert caught.value.__notes__ == ["Raised by the space."]
    named = KeyError("known")
    named.add_note("Raised by the evaluator.")
    with pytest.raises(KeyError) as inner, calls.through({"space": space}):
        space.mutate(named)
    assert inner.value.__notes__ == ["Raised by the evaluator."]
    with pytest.raises(ZeroDivisionError) as own, calls.of("strategy"), calls.through({"s": space}):
        1 / 0  # noqa: B018
    assert own.value.__notes__ == ["Raised by the strategy."]


class Ward:
    def __init__(self, needs: Any = (), parts: Any = None) -> None:
        self.needs, self.parts = needs, parts

    def requires(self) -> Any:
        if isinstance(self.needs, Exception):
            raise self.needs
        return self.needs

    def load(self, source: Any, progress: Any) -> Any: ...

    def partition(self, protocol: str) -> Any:
        return self.parts


@pytest.mark.parametrize(
    "needs",
    [None, "mitdb", ["mitdb"], Requirement("mitdb", ("100",)), [("mitdb", "100")], KeyError("x")],
)
def test_what_requires_returns_is_checked(needs: Any) -> None:
    with pytest.raises(PluginError, match=r"The dataset .*requires"):
        requirements_of(Ward(needs))


def test_requirements_may_be_generated_and_their_records_a_list() -> None:
    listed: Any = ["100", "101"]
    (need,) = requirements_of(Ward(Requirement("mitdb", listed) for _ in range(1)))
    assert need == Requirement("mitdb", ("100", "101"))


@pytest.mark.parametrize("records", ["100", (100, 101), 100, ("",)])
def test_records_of_a_requirement_are_names(records: Any) -> None:
    with pytest.raises(PluginError, match="A requirement of 'mitdb' has records="):
        Requirement("mitdb", records)


def test_a_database_that_nobody_offers_is_missing_and_not_downloaded(tmp_path: Any) -> None:
    source = LocalSource(cache=tmp_path)
    with pytest.raises(MissingDataError, match=r"The records of ward were not found\.") as caught:
        fetch_records([Ward([Requirement("ward", ("p1",))])], source, Silent())
    assert "--data DIR" in caught.value.fix and "fetch" not in caught.value.fix


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((["a"], ["b"]), "of the type tuple"),
        ({"train": ["a"]}, "its parts are train"),
        ({"train": ["a"], "test": ["b"], "val": ["c"]}, "its parts are test, train, val"),
        ({"train": "a", "test": "b"}, "train is 'a', which is no list"),
        ({"train": [0, 1], "test": [2]}, "train has 0, which is no name"),
    ],
)
def test_a_partition_has_two_lists_of_names(parts: Any, said: str) -> None:
    with pytest.raises(PluginError, match=f"a partition for 'inter-patient' .*{said}"):
        fixed_records(Ward(parts=parts), "inter-patient")


def test_a_partition_may_be_generated() -> None:
    parts = {"train": iter("ab"), "test": np.array(["c"])}
    assert fixed_records(Ward(parts=parts), "inter-patient") == {
        "train": ("a", "b"),
        "test": ("c",),
    }
    assert fixed_records(Ward(), "inter-patient") is None


def test_beats_without_subjects_say_what_to_give() -> None:
    with pytest.raises(ProtocolError, match="subjects is of the type NoneType") as caught:
        replace(tiny_beats(6), subjects=None)  # type: ignore[arg-type]
    assert "may be the records" in caught.value.fix


def test_masked_samples_are_no_signal() -> None:
    beats = tiny_beats(6)
    with pytest.raises(NasbenchError, match="signals is an array with masked values"):
        replace(beats, signals=np.ma.masked_less(beats.signals, 0))
    same = replace(beats, signals=np.ma.masked_less(beats.signals, -1e9))
    assert type(same.signals) is np.ndarray and same.fingerprint() == beats.fingerprint()


class NoSearch:
    def __init__(self, options: Any) -> None: ...


class FailingSearch(NoSearch):
    @property
    def search(self) -> Any:
        raise ValueError("unset")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (FailingSearch, "fails: ValueError: unset"),
        (NoSearch, "has no method 'search'"),
        (lambda options: None, "has no method 'search'"),
        (lambda options: NoSearch, "returns a class"),
    ],
)
def test_a_component_without_its_method_is_refused_when_it_is_made(target: Any, said: str) -> None:
    spec = StrategySpec(name="empty", target=target, summary="Empty", space="conv-cells")
    component = registry_with(spec).get("strategy", "empty")
    with pytest.raises(PluginError, match=f"The strategy 'empty' cannot be used: .*{said}"):
        component.create(NoOptions())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("revision", "1"),
        ("revision", 0),
        ("revision", True),
        ("min_samples", "5"),
        ("space", None),
        ("evaluator", 3),
    ],
)
def test_fields_of_a_spec_have_the_right_type(field: str, value: Any) -> None:
    given = {"name": "x", "target": NoSearch, "summary": "x", "space": "conv-cells", field: value}
    assert f"{field} {value!r} is not" in spec_fault(StrategySpec(**given), StrategySpec)


def test_shipped_specs_have_no_fault() -> None:
    for component in load_registry().components():
        assert not spec_fault(component.spec, type(component.spec))


@pytest.mark.parametrize("given", [{"data": 3}, {"out": None}, {"suite": None}])
def test_folders_and_suites_of_other_types_are_refused(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(OptionError, match=f"{name}="):
        nb.run("cnn-9", "synthetic-2lead", profile="smoke", **given)

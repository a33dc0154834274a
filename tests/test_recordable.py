"""What components return is recorded so that it can be read again, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import prepared_run, registry_with, tiny_request

from nasbench_ecg.contracts import Evaluation, SearchResult
from nasbench_ecg.errors import PluginError
from nasbench_ecg.plugin.specs import EvaluatorSpec, StrategySpec
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import read_record_file
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore

pytestmark = pytest.mark.usefixtures("outside")


@pytest.fixture
def recorded(beats_cache: Path, tmp_path: Path) -> Callable[..., RunRecord]:
    """Execute a run of made-up components, and return its record as it is read from its file."""

    def run(
        details: Any = None,
        log: dict[str, Any] | None = None,
        change: Callable[[Any], None] = lambda genotype: None,
        again: bool = False,
        asks: bool = True,
        **returned: Any,
    ) -> RunRecord:
        class Strategy:
            def __init__(self, options: Any) -> None: ...

            def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
                (found,) = ctx.evaluate_many([space.sample(ctx.rng)])
                ctx.log(**{"value": found.score, **(log or {})})
                change(found.architecture.genotype)
                if again:
                    ctx.evaluate_many([found.architecture])
                return SearchResult(found.architecture, {} if details is None else details)

        class Evaluator:
            def __init__(self, options: Any) -> None: ...

            def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
                if asks:
                    ctx.parts()
                usual = {"score": 0.5, "metrics": {}, "seconds": 0.1}
                return Evaluation(**{"architecture": arch, **usual, **returned})

        specs = (
            StrategySpec(name="odd", target=Strategy, summary="Odd", space="conv-cells",
                         builder="stacked-cells"),
            EvaluatorSpec(name="odd-scores", target=Evaluator, summary="Odd"),
        )  # fmt: skip
        request = tiny_request("odd", evaluator="odd-scores")
        request.overrides.pop("evaluator")
        config = configure(registry_with(*specs), request)
        store = RecordStore(tmp_path)
        record = execute(prepared_run(config, beats_cache), store)
        read = read_record_file(store.path(record.run_key))
        assert isinstance(read, RunRecord), read
        return read

    return run


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"genes": {1, 2}}, "'genes' is not JSON data: Object of type set"),
        ({"file": Path("a")}, "'file' is not JSON data: Object of type PosixPath"),
        ({"counts": {np.int64(3): 0.5}}, "'counts' is not JSON data: keys must be str"),
        ({"pairs": {(1, 2): 3}}, "'pairs' is not JSON data: keys must be str"),
        ({"text": "\ud800"}, "'text' is not JSON data: .*half of a surrogate pair"),
        ([1, 2], "a list, not a mapping"),
    ],
)
def test_details_that_cannot_be_recorded_are_refused_with_the_name_of_the_strategy(
    recorded: Any, details: Any, reason: str
) -> None:
    with pytest.raises(PluginError, match=f"strategy 'odd' returned details .*{reason}"):
        recorded(details=details)


def test_details_that_are_nested_too_deeply_to_be_read_again_are_refused(recorded: Any) -> None:
    deep: Any = 0
    for _ in range(60):
        deep = [deep]
    with pytest.raises(PluginError, match=r"'tree' is not JSON data: .*nested too deeply"):
        recorded(details={"tree": deep})


def test_details_with_numpy_and_numbers_as_names_are_recorded(recorded: Any) -> None:
    details = {1: np.float32(0.5), "a": np.arange(2), "b": float("nan"), "c": (1, 2)}
    assert recorded(details=details).search_details == {
        "1": 0.5,
        "a": [0, 1],
        "b": None,
        "c": [1, 2],
    }


def test_figures_that_the_harness_records_itself_are_its_own(recorded: Any) -> None:
    record = recorded(log={"best": 0.9, "seconds": 1e6, "evaluations": 77, "loss": 0.25})
    (point,) = record.trajectory
    assert (point["best"], point["evaluations"], point["loss"]) == (0.5, 1, 0.25)
    assert point["seconds"] < 1e5
    (note,) = record.provenance["notes"]
    assert "best, evaluations, seconds, which the harness records itself" in note


def test_figures_of_any_magnitude_leave_a_record_that_can_be_read(recorded: Any) -> None:
    record = recorded(log={"p_value": 1e-150, "energy": 1e150, "gradient": -1e-300})
    (point,) = record.trajectory
    assert point["p_value"] == 0 and point["gradient"] == 0 and "energy" not in point


@pytest.mark.parametrize("again", [True, False])
def test_an_architecture_that_is_changed_after_its_evaluation_does_not_keep_its_score(
    recorded: Any, again: bool
) -> None:
    with pytest.raises(PluginError, match="was changed after the architecture was eval") as caught:
        recorded(change=lambda cells: cells.update(normal=cells["reduction"]), again=again)
    assert "strategy 'odd'" in caught.value.__notes__[0]


@pytest.mark.parametrize("half", [Fraction(1, 2), np.float32(0.5), torch.tensor([0.5])])
def test_numbers_of_every_type_are_recorded_as_numbers(recorded: Any, half: Any) -> None:
    record = recorded(score=half, metrics={"own": half}, seconds=half, curves={"loss": [half]})
    assert (record.score, record.metrics, record.score_metric) == (0.5, {"own": 0.5}, "own")
    assert record.trajectory[0]["value"] == 0.5


def test_a_share_that_rounding_moved_above_one_is_one(recorded: Any) -> None:
    above = float(np.nextafter(np.float32(1), np.float32(2)))
    record = recorded(score=above, metrics={"accuracy": above, "own": above, "tiny": 1e-200})
    assert record.metrics == {"accuracy": 1.0, "own": above, "tiny": 0.0}
    assert record.score == record.metrics[record.score_metric]


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ({"score": 1e300}, r"the score is 1e\+300: its magnitude may be 1e\+100 at most"),
        ({"metrics": {"own": -1e200}}, r"the metric own is -1e\+200: leave it out instead"),
        ({"metrics": {"ec57_total": 5.0}}, "the metric ec57_total is 5, not a fraction"),
        ({"score": np.True_}, "the score is np.True_"),
    ],
)
def test_numbers_that_a_record_cannot_hold_are_refused_with_the_name_of_the_evaluator(
    recorded: Any, returned: Any, reason: str
) -> None:
    with pytest.raises(PluginError, match=f"evaluator 'odd-scores'.*{reason}"):
        recorded(**returned)


@pytest.mark.parametrize(
    ("curve", "kind"),
    [
        ((x for x in [1.0]), "generator"),
        (1.0, "float"),
        (np.ones((2, 2)), "ndarray"),
        ("ab", "str"),
    ],
)
def test_a_curve_that_is_no_list_of_numbers_is_named(recorded: Any, curve: Any, kind: str) -> None:
    with pytest.raises(PluginError, match=f"the curve loss is of the type {kind}, not a list"):
        recorded(curves={"loss": curve})


def test_scores_of_beats_that_were_not_requested_are_refused(recorded: Any) -> None:
    with pytest.raises(PluginError, match=r"'odd-scores'.* returns accuracy without a request"):
        recorded(asks=False, metrics={"accuracy": 0.5})
    assert recorded(asks=False, metrics={"parameters": 3.0}).score == 0.5

"""Runs: the test part is used once, after the search, and every run leaves a record."""

from __future__ import annotations

import errno
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from tiny_runs import prepared_run, registry_with, result, tiny_config
from wfdb_files import real_database

from nasbench_ecg.api import (
    Architecture,
    Beats,
    Budget,
    Evaluation,
    EvaluatorSpec,
    NoOptions,
    OptionError,
    PluginError,
    ProtocolError,
    SearchResult,
    StrategySpec,
)
from nasbench_ecg.data.fitting import fitted
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import StorageError
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.estimate import estimate
from nasbench_ecg.run.prepare import PreparedRun, prepare_run
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.training.engine import predict

pytestmark = pytest.mark.usefixtures("outside")


@dataclass
class Scripted:
    """A strategy that runs a function of the test; without one, a random architecture."""

    options: NoOptions
    does: Any = None

    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        found = self.does(self, task, space, builder, ctx) if self.does else None
        return found or SearchResult(space.sample(ctx.rng), {"kept": [1, 2]})


class Majority:
    """An evaluator that trains nothing and predicts the most frequent class."""

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def evaluate(self, arch: Architecture, task: Any, builder: Any, ctx: Any) -> Evaluation:
        fit_on, score_on = ctx.parts()
        guess = int(np.bincount(fit_on.labels).argmax())
        right = float((score_on.labels == guess).mean())
        return Evaluation(
            architecture=arch,
            score=right,
            metrics={"accuracy": np.float32(right)},
            seconds=0.0,
            curves={"loss": [2.0, np.float32(1)]},
            predictions=np.full(len(score_on), guess),
        )


class Twice(Majority):
    """An evaluator that requests the test part twice."""

    def evaluate(self, arch: Architecture, task: Any, builder: Any, ctx: Any) -> Evaluation:
        ctx.parts()
        return super().evaluate(arch, task, builder, ctx)


SPECS = (
    StrategySpec(
        name="scripted", target=Scripted, summary="-", space="conv-cells", evaluator="majority"
    ),
    EvaluatorSpec(name="majority", target=Majority, summary="-"),
    EvaluatorSpec(name="twice", target=Twice, summary="-"),
)


def scripted(cache: Path, does: Any = None, **changes: Any) -> PreparedRun:
    """Return a run of a scripted strategy and an evaluator that trains nothing."""
    prepared = prepared_run(tiny_config("scripted", *SPECS, **changes), cache)
    prepared.strategy.does = does  # type: ignore[attr-defined]
    return prepared


@pytest.fixture(scope="module")
def config(outside: dict[str, str]) -> RunConfig:
    return tiny_config()


@pytest.fixture(scope="module")
def darts(
    config: RunConfig, beats_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PreparedRun, RunRecord, RecordStore]:
    """A whole run of the real components."""
    store = RecordStore(tmp_path_factory.mktemp("darts"))
    prepared = prepared_run(config, beats_cache)
    return prepared, execute(prepared, store), store


def artifact(store: RecordStore, record: RunRecord, name: str) -> Any:
    return json.loads((store.folder / record.run_key / name).read_text())


# A run that ends well


def test_the_record_on_disk_is_the_returned_one_and_no_saved_progress_is_left(
    darts: tuple[PreparedRun, RunRecord, RecordStore],
) -> None:
    _, record, store = darts
    assert record.status == "ok" and record.error is None
    on_disk = store.read(record.run_key)
    assert on_disk is not None and on_disk.model_dump(mode="json") == record.model_dump(mode="json")
    names = {path.name for path in (store.folder / record.run_key).iterdir()}
    assert names == {
        "architecture.json", "curves.json", "predictions.json", "weights.safetensors",
    }  # fmt: skip
    assert [path.name for path in (store.folder / ".unfinished").glob("*")] == [
        f"{record.run_key}.lock"
    ]


def test_the_record_describes_components_data_and_costs(
    darts: tuple[PreparedRun, RunRecord, RecordStore], config: RunConfig
) -> None:
    prepared, record, _ = darts
    assert record.run_key == config.key() and record.command == config.command()
    assert {role: used.name for role, used in record.components.items()} == {
        "strategy": "darts", "space": "conv-cells", "builder": "stacked-cells-shortcut",
        "dataset": "toy-2lead", "evaluator": "train",
    }  # fmt: skip
    used = record.components["dataset"]
    assert (used.plugin, used.version) == ("thirdparty-example", "1.2.3")
    assert used.changed == {"beats": 50}
    assert record.dataset is not None and record.split is not None
    assert sum(record.dataset.counts.values()) == 8 * 50
    sizes = {part: sum(counts.values()) for part, counts in record.split.counts.items()}
    assert sizes == {"train": 256, "validation": 64, "test": 80}
    assert len(record.trajectory) == 2 and len(record.search_details["mixing_weights"]) == 2
    assert set(record.seconds) == {"load", "search", "evaluation", "total"}
    assert record.costs["parameters"] == sum(
        p.numel() for p in built(prepared, record).parameters()
    )


def test_the_scores_follow_from_the_stored_predictions(
    darts: tuple[PreparedRun, RunRecord, RecordStore],
) -> None:
    prepared, record, store = darts
    stored = artifact(store, record, "predictions.json")
    truth, predicted = np.array(stored["truth"]), np.array(stored["predicted"])
    assert truth.tolist() == prepared.test.load().labels.tolist()
    labels = range(len(stored["classes"]))
    assert record.confusion == confusion_matrix(truth, predicted, labels=labels).tolist()
    own = [np.array(stored["record"]) == name for name in sorted(set(stored["record"]))]
    assert list(record.per_record.values()) == [
        confusion_matrix(truth[i], predicted[i], labels=labels).tolist() for i in own
    ]
    assert np.sum(list(record.per_record.values()), axis=0).tolist() == record.confusion
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=0
    )
    assert (support > 0).all()
    expected = {
        "accuracy": (truth == predicted).mean(),
        "macro_se": recall.mean(),
        "macro_pp": precision.mean(),
        "macro_f1": f1.mean(),
        "f1_of_macro": 2 * recall.mean() * precision.mean() / (recall.mean() + precision.mean()),
    }
    assert {name: record.metrics[name] for name in expected} == pytest.approx(expected)


def built(prepared: PreparedRun, record: RunRecord) -> torch.nn.Module:
    task = prepared.task
    return prepared.builder.build(
        Architecture.from_dict(record.architecture),
        n_leads=task.n_leads, n_samples=task.n_samples, n_classes=task.n_classes,
    )  # fmt: skip


def test_the_stored_weights_and_architecture_give_the_stored_predictions(
    darts: tuple[PreparedRun, RunRecord, RecordStore],
) -> None:
    prepared, record, store = darts
    assert artifact(store, record, "architecture.json") == record.architecture
    model = built(prepared, record)
    model.load_state_dict(load_file(store.folder / record.run_key / "weights.safetensors"))
    predicted = predict(model, prepared.test.load(), device="cpu").argmax(1)
    assert predicted.tolist() == artifact(store, record, "predictions.json")["predicted"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result_and_another_seed_another_key(
    darts: tuple[PreparedRun, RunRecord, RecordStore], beats_cache: Path, tmp_path: Path
) -> None:
    _, record, store = darts
    torch.manual_seed(99)
    np.random.seed(99)
    again = execute(prepared_run(tiny_config(), beats_cache), RecordStore(tmp_path))
    assert result(again) == result(record)
    for name in ("curves.json", "predictions.json"):
        assert artifact(RecordStore(tmp_path), again, name) == artifact(store, record, name)
    other = execute(prepared_run(tiny_config(search_seed=1), beats_cache), RecordStore(tmp_path))
    assert other.run_key != record.run_key
    assert other.search_details != record.search_details


def test_a_run_does_not_change_the_global_generator(beats_cache: Path, tmp_path: Path) -> None:
    before = torch.get_rng_state()

    def draws(self: Scripted, task: Any, space: Any, builder: Any, ctx: Any) -> None:
        torch.rand(10)

    execute(scripted(beats_cache, draws), RecordStore(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)


def test_numpy_numbers_and_a_trajectory_with_nan_do_not_break_the_record(
    beats_cache: Path, tmp_path: Path
) -> None:
    def logs(self: Scripted, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        for value in (np.float32(0.5), float("nan"), 0.25):
            ctx.log(value, loss=float("inf"), epoch=np.float32(1))
        return SearchResult(space.sample(ctx.rng), {"scores": np.float32([np.nan, 1.0])})

    store = RecordStore(tmp_path)
    record = execute(scripted(beats_cache, logs), store)
    assert store.read(record.run_key) == RunRecord.model_validate(record.model_dump(mode="json"))
    assert set(record.metrics) == {"accuracy"}
    assert [point.get("value") for point in record.trajectory] == [0.5, None, 0.25]
    assert [point["best"] for point in record.trajectory] == [0.5, 0.5, 0.5]
    assert record.search_details == {"scores": [None, 1.0]}
    assert artifact(store, record, "curves.json") == {"loss": [2.0, 1.0]}


# Use of the test part


def reachable(*roots: object) -> Iterator[object]:
    """Yield all objects that attributes, items and closures lead to, modules left out."""
    seen: set[int] = set()
    keep: list[object] = list(roots)
    while keep:
        item = keep.pop()
        if id(item) in seen or isinstance(item, type(json)):
            continue
        seen.add(id(item))
        yield item
        if isinstance(item, str | bytes | int | float):
            continue
        if isinstance(item, Mapping):
            keep += [*item.keys(), *item.values()]
        elif isinstance(item, Sequence | set | frozenset):
            keep += list(item)
        elif isinstance(item, np.ndarray):
            keep.append(item.base)
        elif isinstance(item, FunctionType):
            keep += [cell.cell_contents for cell in item.__closure__ or ()]
        elif isinstance(item, MethodType):
            keep += [item.__self__, item.__func__]
        keep += list(getattr(item, "__dict__", {}).values())
        if is_dataclass(item) and hasattr(type(item), "__slots__"):
            keep += [getattr(item, name, None) for name in type(item).__slots__]


def windows(array: np.ndarray[Any, Any]) -> set[bytes]:
    return {np.ascontiguousarray(window).tobytes() for window in array}


def test_a_search_can_reach_no_beat_of_the_test_part(beats_cache: Path, tmp_path: Path) -> None:
    found: set[bytes] = set()

    def looks(self: Scripted, *given: object) -> None:
        for item in reachable(self, *given):
            if isinstance(item, torch.Tensor):
                item = item.numpy()
            if isinstance(item, np.ndarray) and item.ndim == 3:
                found.update(windows(item))

    prepared = scripted(beats_cache, looks)
    execute(prepared, RecordStore(tmp_path))
    task = prepared.task
    assert windows(task.train.signals) | windows(task.validation.signals) <= found
    assert not windows(prepared.test.load().signals) & found


def test_a_search_may_score_candidates_on_the_validation_part_only(
    beats_cache: Path, tmp_path: Path
) -> None:
    scored: list[float] = []

    def evaluates(self: Scripted, task: Any, space: Any, builder: Any, ctx: Any) -> None:
        scored.append(ctx.evaluate_many([space.sample(ctx.rng)])[0].metrics["accuracy"])

    prepared = scripted(beats_cache, evaluates)
    record = execute(prepared, RecordStore(tmp_path))
    guess = np.bincount(prepared.task.train.labels).argmax()
    assert scored == [pytest.approx((prepared.task.validation.labels == guess).mean())]
    both = np.concatenate([prepared.task.train.labels, prepared.task.validation.labels])
    guess = np.bincount(both).argmax()
    assert record.metrics["accuracy"] == pytest.approx(
        (prepared.test.load().labels == guess).mean()
    )


def test_what_a_search_does_to_its_builder_does_not_reach_the_final_network(
    beats_cache: Path, tmp_path: Path
) -> None:
    def widens(self: Scripted, task: Any, space: Any, builder: Any, ctx: Any) -> None:
        builder.options = builder.options.model_copy(update={"channels": 7})

    plain = execute(scripted(beats_cache), RecordStore(tmp_path / "plain"))
    changed = execute(scripted(beats_cache, widens), RecordStore(tmp_path / "changed"))
    assert plain.costs["parameters"] == changed.costs["parameters"]


@pytest.mark.parametrize(("seconds", "told"), [(1.0, True), (60.0, False)])
def test_a_search_that_ignores_its_seconds_is_told(
    beats_cache: Path, tmp_path: Path, seconds: float, told: bool
) -> None:
    def waits(*_: object) -> None:
        time.sleep(1.2)

    budget = {"budget": Budget(seconds=seconds)}
    record = execute(scripted(beats_cache, waits, **budget), RecordStore(tmp_path))
    notes = record.provenance.get("notes", [])
    assert any("with a budget of" in note for note in notes) is told


def test_a_dataset_that_prepares_other_beats_is_refused() -> None:
    class Shuffles:
        def fitted(self, beats: Beats, train: Any) -> Beats:
            return beats.take(np.arange(len(beats))[::-1].astype(np.int64))

    found = Beats(
        signals=np.zeros((4, 1, 8), np.float32),
        labels=np.array([0, 1, 0, 1]),
        record=np.repeat(np.arange(2, dtype=np.int32), 2),
        sample=np.arange(4),
        classes=("N", "V"),
        records=("a", "b"),
        subjects=("a", "b"),
        leads=("II",),
        fs=250.0,
    )
    with pytest.raises(PluginError, match="only their signals may differ"):
        fitted(found, Shuffles(), np.arange(3))  # type: ignore[arg-type]


def test_a_second_request_of_the_test_part_is_an_error(beats_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="requested twice"):
        execute(scripted(beats_cache, evaluator="twice"), RecordStore(tmp_path))
    ((record,), _) = read_records(tmp_path)
    assert record.status == "failed" and record.metrics == {}


# A run that fails


def failing(error: BaseException, cache: Path, out: Path) -> RunRecord:
    """Return the record that a run leaves whose strategy raises ``error``."""

    def breaks(self: Scripted, task: Any, space: Any, builder: Any, ctx: Any) -> None:
        ctx.log(0.5)
        raise error

    with pytest.raises(type(error)):
        execute(scripted(cache, breaks), RecordStore(out))
    ((record,), damaged) = read_records(out)
    assert damaged == [] and record.trajectory[0]["value"] == 0.5
    assert record.architecture is None and record.metrics == {} and record.confusion is None
    return record


def of_system(error: StorageError) -> StorageError:
    """Return the error as the system caused it."""
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ZeroDivisionError("a strategy's own mistake"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory"), "oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "oom"),
        (RuntimeError("something else"), "failed"),
        (of_system(StorageError("no space left on the disk")), "interrupted"),
        (StorageError("weights of a kind that cannot be stored"), "failed"),
        (SystemExit(3), "failed"),
        (OptionError("refused in the middle of the search"), "failed"),
    ],
)
def test_a_run_that_fails_leaves_a_record_with_the_reason(
    error: BaseException, status: str, beats_cache: Path, tmp_path: Path
) -> None:
    record = failing(error, beats_cache, tmp_path)
    assert record.status == status
    assert record.error is not None and type(error).__name__ in record.error
    assert str(error) in record.error and "in breaks" in record.error


def test_a_failed_allocation_of_torch_on_a_cpu_counts_as_out_of_memory(
    beats_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert failing(caught.value, beats_cache, tmp_path).status == "oom"


def test_an_option_refused_before_the_search_started_leaves_no_record(
    beats_cache: Path, tmp_path: Path
) -> None:
    def refuses(self: Scripted, task: Any, space: Any, builder: Any, ctx: Any) -> None:
        raise OptionError("This strategy cannot search that space.")

    with pytest.raises(OptionError):
        execute(scripted(beats_cache, refuses), RecordStore(tmp_path / "out"))
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize(
    "arch", [Architecture("another-space", {}), Architecture("conv-cells", {"normal": "x"})]
)
def test_an_architecture_of_another_space_is_an_error_of_the_strategy(
    arch: Architecture, beats_cache: Path, tmp_path: Path
) -> None:
    def strays(self: Scripted, *_: object) -> SearchResult:
        return SearchResult(arch)

    with pytest.raises(PluginError, match="'scripted' returned an architecture that is not valid"):
        execute(scripted(beats_cache, strays), RecordStore(tmp_path))
    ((record,), _) = read_records(tmp_path)
    assert record.status == "failed" and record.architecture is None


def test_the_architecture_is_recorded_when_the_evaluation_fails(
    beats_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = scripted(beats_cache)

    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(prepared.evaluator), "evaluate", breaks)
    with pytest.raises(ZeroDivisionError):
        execute(prepared, RecordStore(tmp_path))
    ((record,), _) = read_records(tmp_path)
    assert record.status == "failed" and record.metrics == {}
    assert Architecture.from_dict(record.architecture).hash == record.architecture_hash


# Estimates, protocols


def test_an_estimate_is_positive_and_does_not_change_the_run(
    darts: tuple[PreparedRun, RunRecord, RecordStore], beats_cache: Path, tmp_path: Path
) -> None:
    prepared = prepared_run(tiny_config(), beats_cache)
    seconds = estimate(prepared)
    assert set(seconds) == {"search", "evaluation"} and min(seconds.values()) > 0
    assert result(execute(prepared, RecordStore(tmp_path))) == result(darts[1])


def test_a_component_without_an_estimate_is_absent(beats_cache: Path) -> None:
    assert estimate(scripted(beats_cache)) == {}


@pytest.mark.slow
def test_between_patients_no_record_of_mit_bih_is_in_both_parts(
    beats_cache: Path, tmp_path: Path
) -> None:
    data = real_database("mitdb").parent
    request = RunRequest(
        "scripted", "mitbih-2lead", protocol="inter-patient", profile="smoke", device="cpu"
    )
    config = configure(registry_with(*SPECS), request)
    source = LocalSource(data, beats_cache)
    record = execute(
        prepare_run(config, source=source, progress=Silent(), suite="runs"), RecordStore(tmp_path)
    )
    assert record.split is not None
    records = {part: set(names) for part, names in record.split.records.items()}
    assert {len(records["train"] | records["validation"]), len(records["test"])} == {22}
    training = records["train"] | records["validation"]
    assert not training & records["test"] and not records["train"] & records["validation"]
    # 201 and 202 are one person, in both parts of de Chazal et al.
    assert "201" in training and "202" in records["test"]
    assert any("202" in note or "201" in note for note in record.split.notes)
    assert not {"102", "104", "107", "217"} & (training | records["test"])
    # De Chazal's beats, of which a few at the ends of records have no whole window.
    labelled = {
        "training": {"N": 45866, "S": 944, "V": 3788, "F": 415, "Q": 8},
        "test": {"N": 44259, "S": 1837, "V": 3221, "F": 388, "Q": 7},
    }
    counts = {part: Counter(of_part) for part, of_part in record.split.counts.items()}
    counts["training"] = counts["train"] + counts["validation"]
    for part, expected in labelled.items():
        assert all(0 <= n - counts[part][name] <= 44 for name, n in expected.items())
    assert re.fullmatch("[0-9a-f]{64}", record.split.fingerprint)

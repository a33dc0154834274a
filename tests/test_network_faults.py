"""A network that is not valid ends the run, and its builder is named, not what trains it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_component_calls import failed, guess, run_of
from torch import Tensor, nn

from nasbench_ecg.api import PluginError, SearchResult
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.run.prepare import PreparedRun

pytestmark = pytest.mark.usefixtures("outside")

Outputs = Callable[[Tensor], Any]


class Network(nn.Module):
    """A linear layer on the means of the leads, whose outputs a function changes."""

    def __init__(self, n_leads: int, n_classes: int, outputs: Outputs) -> None:
        super().__init__()
        self.layer = nn.Linear(n_leads, n_classes)
        self.outputs = outputs

    def forward(self, beats: Tensor) -> Any:
        return self.outputs(self.layer(beats.mean(2)))


class Builds:
    """A builder of such networks."""

    def __init__(self, outputs: Outputs, made: Callable[[Any], Any] = lambda net: net):
        self.outputs, self.made = outputs, made

    def build(self, arch: Any, *, n_leads: int, n_samples: int, n_classes: int) -> Any:
        return self.made(Network(n_leads, n_classes, self.outputs))


class Trains:
    """An evaluator that takes one step of gradient descent, and guesses."""

    def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Any:
        train, scored = ctx.parts()
        model = builder.build(
            arch, n_leads=task.n_leads, n_samples=task.n_samples, n_classes=task.n_classes
        )
        x, y = torch.tensor(train.signals[:8]), torch.tensor(train.labels[:8])
        nn.functional.cross_entropy(model.to("cpu")(x), y).backward()
        return guess(arch, scored)


def one_epoch() -> Any:
    train = load_registry().get("evaluator", "train")
    return train.create(train.options_model()(epochs=1))


def prepared_with(builder: Any, cache: Path, stage: str) -> PreparedRun:
    def search(ctx: Any, arch: Any, **_: Any) -> None:
        if stage == "search":
            ctx.evaluate_many([arch])

    prepared = run_of(cache, search)
    made: Any = prepared
    made.builder, made.evaluator = builder, Trains()
    return prepared


FAULTS: dict[str, tuple[Builds, str]] = {
    "nothing": (Builds(lambda y: y, lambda net: None), "NoneType, not a torch.nn.Module"),
    "a function": (Builds(lambda y: y, lambda net: lambda x: x), "function, not a torch.nn.Module"),
    "a tuple": (Builds(lambda y: (y, y)), "it returns a tuple, not a tensor"),
    "too few classes": (Builds(lambda y: y[:, :1]), "its outputs have shape (3, 1)"),
    "an axis": (Builds(lambda y: y[:, :, None]), "its outputs have shape (3, "),
    "one beat": (Builds(lambda y: y[:1]), "its outputs have shape (1, "),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("stage", ["search", "final"])
def test_a_network_that_is_not_valid_is_blamed_on_its_builder(
    stage: str, name: str, beats_cache: Path, tmp_path: Path
) -> None:
    builder, said = FAULTS[name]
    record = failed(prepared_with(builder, beats_cache, stage), tmp_path, PluginError)
    error = str(record.error)
    assert "The builder '" in error and "makes a network that is not valid" in error
    assert said in error and "Raised by the builder '" in error
    assert "Raised by the evaluator" not in error and "Raised by the strategy" not in error


def test_outputs_of_too_many_classes_are_refused_before_the_network_is_trained(
    beats_cache: Path, tmp_path: Path
) -> None:
    builder = Builds(lambda y: torch.cat([y, y[:, :1]], dim=1))
    record = failed(prepared_with(builder, beats_cache, "final"), tmp_path, PluginError)
    assert "its outputs have shape (3, " in str(record.error)


@pytest.mark.parametrize(
    "outputs",
    [
        lambda y: y - y.mean(0),
        lambda y: y + torch.randn_like(y),
        lambda y: nn.BatchNorm1d(y.shape[1], track_running_stats=False)(y.repeat(2, 1))[: len(y)],
    ],
    ids=["mean of the batch", "noise", "statistics of the batch"],
)
def test_a_network_that_looks_at_other_beats_is_refused(
    outputs: Outputs, beats_cache: Path, tmp_path: Path
) -> None:
    record = failed(prepared_with(Builds(outputs), beats_cache, "final"), tmp_path, PluginError)
    assert "depend on the other beats of the batch" in str(record.error)


@pytest.mark.parametrize("shared", ["the network", "a layer"])
def test_a_network_that_starts_from_weights_of_an_earlier_one_is_refused(
    shared: str, beats_cache: Path, tmp_path: Path
) -> None:
    kept: list[Network] = []

    def again(made: Network) -> Network:
        kept.append(made)
        if shared == "the network":
            return kept[0]
        made.layer = kept[0].layer
        return made

    builder = Builds(lambda y: y, again)
    record = failed(prepared_with(builder, beats_cache, "final"), tmp_path, PluginError)
    assert "The builder '" in str(record.error)
    assert "it has the weights of the network that was built before" in str(record.error)


@pytest.mark.parametrize("stage", ["search", "final"])
def test_outputs_without_a_gradient_are_blamed_on_the_builder(
    stage: str, beats_cache: Path, tmp_path: Path
) -> None:
    builder = Builds(lambda y: y.detach())
    record = failed(prepared_with(builder, beats_cache, stage), tmp_path, PluginError)
    assert "its outputs depend on no parameter that can be trained" in str(record.error)


@pytest.mark.parametrize("stage", ["search", "final"])
def test_an_error_of_a_network_names_its_builder(
    stage: str, beats_cache: Path, tmp_path: Path
) -> None:
    def breaks(outputs: Tensor) -> None:
        raise ZeroDivisionError

    record = failed(prepared_with(Builds(breaks), beats_cache, stage), tmp_path, ZeroDivisionError)
    assert "Raised by the builder '" in str(record.error)


def test_an_error_in_evaluation_mode_only_names_the_builder(
    beats_cache: Path, tmp_path: Path
) -> None:
    def breaks(outputs: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            raise ZeroDivisionError
        return outputs

    prepared = prepared_with(Builds(breaks), beats_cache, "search")
    made: Any = prepared
    made.evaluator = one_epoch()
    record = failed(prepared, tmp_path, ZeroDivisionError)
    assert "Raised by the builder '" in str(record.error)


def test_an_evaluation_of_other_classes_is_blamed_on_the_network_that_has_them(
    beats_cache: Path, tmp_path: Path
) -> None:
    builder = Builds(lambda y: torch.cat([y, y[:, :1] + 99], dim=1))
    prepared = prepared_with(builder, beats_cache, "search")
    made: Any = prepared
    made.evaluator = one_epoch()
    record = failed(prepared, tmp_path, PluginError)
    assert "its outputs have shape (3, " in str(record.error)


def test_a_result_with_an_evaluation_in_place_of_an_architecture_is_refused(
    beats_cache: Path, tmp_path: Path
) -> None:
    prepared = run_of(beats_cache)
    made: Any = prepared
    made.strategy.search = lambda task, space, builder, ctx: SearchResult(
        guess(space.sample(ctx.rng), task.validation)  # type: ignore[arg-type]
    )
    record = failed(prepared, tmp_path, PluginError)
    assert "whose architecture is a Evaluation, not an Architecture" in str(record.error)


def test_a_value_that_is_no_evaluation_is_refused_after_the_search(
    beats_cache: Path, tmp_path: Path
) -> None:
    record = failed(run_of(beats_cache, None, lambda found, parts: 0.5), tmp_path, PluginError)
    assert "a value of type float, not an Evaluation" in str(record.error)

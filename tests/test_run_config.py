"""The run key and the command: what makes two runs the same run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import made_up_plugin
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import DARTS, SETTINGS, registry_with, tiny_config
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import NasbenchError, OptionError, PluginError, ProtocolError
from nasbench_ecg.options import PROFILE_NAMES, Options, resolve
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.plugin.specs import BuilderSpec, SearchSpaceSpec, StrategySpec
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.configure import configure, resolve_device
from nasbench_ecg.run.recording import new_record
from nasbench_ecg.run.request import RunRequest

pytestmark = pytest.mark.usefixtures("outside")


class LabelOptions(Options):
    PROFILES: ClassVar = {"quick": {"label": "quick"}}

    label: str = "a"
    """Free text."""

    names: tuple[str, ...] = ()
    """A list."""

    share: float | None = None
    """A number or nothing."""


LABELED = StrategySpec(
    name="labeled", target="x:X", summary="-", space="conv-cells", options=LabelOptions
)


# Options


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_every_shipped_component_can_be_made_with_the_options_of_every_profile(
    profile: str,
) -> None:
    for component in load_registry().components():
        options = resolve(component.options_model(), component=component.name, profile=profile)
        assert component.create(options) is not None, component.name


@pytest.mark.parametrize("option", ["records", "leads", "exclude"])
@pytest.mark.parametrize("names", ["", "100,,101", "MLII,"])
def test_empty_names_of_records_and_leads_are_refused(option: str, names: str) -> None:
    overrides = {"dataset": {option: names}}
    with pytest.raises(OptionError, match=f"option '{option}' is not allowed.*not empty"):
        configure(load_registry(), RunRequest("cnn-9", "mitbih-2lead", overrides=overrides))


# The key


def test_equal_configurations_have_equal_keys_whatever_the_order_of_options() -> None:
    turned = {
        role: dict(reversed(options.items()))
        for role, options in reversed({**SETTINGS, "strategy": DARTS}.items())
    }
    request = RunRequest(
        strategy="darts", dataset="toy-2lead", profile="paper", device="cpu", overrides=turned
    )
    key = configure(registry_with(), request).key()
    assert key == tiny_config().key()
    assert re.fullmatch("[0-9a-f]{16}", key)


def test_the_key_depends_on_values_not_on_how_they_are_written() -> None:
    text = tiny_config(set={"strategy": {"epochs": "2", "lr": 1}})
    number = tiny_config(set={"strategy": {"epochs": 2, "lr": 1.0}})
    assert text.key() == number.key()


def test_setting_an_option_to_its_default_keeps_the_key() -> None:
    assert tiny_config(set={"strategy": {"momentum": 0.9}}).key() == tiny_config().key()


CHANGES: dict[str, dict[str, Any]] = {
    "search seed": {"search_seed": 1, "evaluation_seed": 0},
    "evaluation seed": {"evaluation_seed": 1},
    "protocol": {"protocol": "patient-kfold"},
    "protocol's option": {"set": {"protocol": {"seed": 1}}},
    "strategy": {"strategy": "random"},
    "strategy's option": {"set": {"strategy": {"alpha_lr": 0.06}}},
    "space's option": {"set": {"space": {"nodes": 3}}},
    "builder": {"builder": "stacked-cells"},
    "builder's option": {"set": {"builder": {"channels": 4}}},
    "dataset": {"dataset": "synthetic-2lead"},
    "dataset's option": {"set": {"dataset": {"seed": 1}}},
    "evaluator's option": {"set": {"evaluator": {"epochs": 3}}},
    "budget of evaluations": {"strategy": "random", "budget": Budget(evaluations=5)},
    "budget of seconds": {"budget": Budget(seconds=5)},
}


def test_everything_that_determines_the_result_changes_the_key() -> None:
    keys = {"as it was": tiny_config().key()}
    for name, change in CHANGES.items():
        strategy = change.get("strategy", "darts")
        others = {key: value for key, value in change.items() if key != "strategy"}
        keys[name] = tiny_config(strategy, **others).key()
    assert len(set(keys.values())) == len(keys), keys


def test_the_device_and_a_components_revision_change_the_key() -> None:
    config = tiny_config()
    chosen = config.strategy
    spec = replace(chosen.component.spec, revision=2)
    revised = replace(chosen, component=replace(chosen.component, spec=spec))
    keys = {
        config.key(),
        replace(config, device="cuda").key(),
        replace(config, strategy=revised).key(),
    }
    assert len(keys) == 3


def test_a_profile_is_only_a_name_for_options() -> None:
    all_options: dict[str, Any] = {}
    for role, chosen in tiny_config(profile="quick").components().items():
        all_options[role] = chosen.options.model_dump()
    paper, quick = (tiny_config(profile=profile, set=all_options) for profile in ("paper", "quick"))
    assert paper.key() == quick.key() == tiny_config(profile="quick").key()
    assert tiny_config(profile="quick", set={"strategy": {"epochs": 3}}).key() != quick.key()


def test_a_null_option_does_not_change_the_key() -> None:
    """A new option, null by default, keeps the keys of existing records."""
    config = tiny_config("random")

    class Later(type(config.strategy.options)):  # type: ignore[misc]
        another: int | None = None

    def with_options(**changes: Any) -> str:
        options = Later(**{**config.strategy.options.model_dump(), **changes})
        return replace(config, strategy=replace(config.strategy, options=options)).key()

    assert with_options() == config.key() != with_options(another=1)


def test_a_budget_without_limits_does_not_change_the_key() -> None:
    assert tiny_config(budget=Budget()).key() == tiny_config().key()


def test_the_version_of_a_plugin_does_not_change_the_key() -> None:
    config = tiny_config()
    newer = replace(config.strategy.component, version="9.9")
    assert replace(config, strategy=replace(config.strategy, component=newer)).key() == config.key()


def test_the_key_is_the_same_in_another_process(outside: dict[str, str]) -> None:
    code = (
        "import sys, json; from nasbench_ecg.plugin.registry import load_registry;"
        "from nasbench_ecg.run.configure import configure;"
        "from nasbench_ecg.run.request import RunRequest;"
        "request = RunRequest('darts', 'toy-2lead', profile='paper', device='cpu',"
        " overrides=json.loads(sys.argv[1]));"
        "print(configure(load_registry(), request).key())"
    )
    overrides = json.dumps({**SETTINGS, "strategy": DARTS})
    done = subprocess.run(
        [sys.executable, "-c", code, overrides],
        env={**outside, "PYTHONHASHSEED": "123"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == tiny_config().key()


# The command


def parsed(command: str) -> RunRequest:
    """Return the request that the command line makes of a command."""
    words = shlex.split(command)
    assert words[:2] == ["nasbench-ecg", "run"]
    requests: list[RunRequest] = []

    def stop(registry: Registry, request: RunRequest) -> RunConfig:
        requests.append(request)
        raise typer.Exit

    with patch("nasbench_ecg.run.folds.configure", stop):
        done = CliRunner().invoke(app, [*words[1:], "--dry-run"])
    assert len(requests) == 1, done.output
    return requests[0]


@pytest.fixture(scope="module")
def registry(outside: dict[str, str]) -> Iterator[Registry]:
    """The installed components and ``labeled``, for the command line too."""
    with pytest.MonkeyPatch.context() as changes:
        made_up_plugin.install(changes, LABELED)
        yield load_registry()


TEXTS = st.sampled_from(
    ["10", "null", "true", '"x"', "[1]", " 1", "", "two words", "it's $HOME", "a=b", "µ", "-x"]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)
PROTOCOL_OPTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "intra-patient": st.fixed_dictionaries(
        {}, optional={"seed": st.integers(0, 9), "test_share": SHARES}
    ),
    "patient-kfold": st.fixed_dictionaries(
        {}, optional={"fold": st.none() | st.integers(0, 4), "k": st.integers(5, 9) | st.just("7")}
    ),
    "inter-patient": st.fixed_dictionaries({}, optional={"k": st.integers(2, 9)}),
}
OPTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "strategy": st.fixed_dictionaries(
        {},
        optional={
            "label": TEXTS,
            "names": st.lists(TEXTS, max_size=3) | st.tuples(TEXTS),
            "share": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        },
    ),
    "space": st.fixed_dictionaries(
        {}, optional={"nodes": st.integers(2, 4), "operations": st.just(("skip", "conv-3"))}
    ),
    "builder": st.fixed_dictionaries({}, optional={"channels": st.integers(2, 8)}),
    "evaluator": st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 99),
            "beats": st.none() | st.integers(100, 999),
            "precision": st.sampled_from(("float32", "bf16")),
        },
    ),
    "dataset": st.fixed_dictionaries({}, optional={"seed": st.integers(0, 9)}),
}
PROTOCOLS = {
    "synthetic-2lead": ("intra-patient", "inter-patient", "patient-kfold"),
    "toy-2lead": ("intra-patient", "patient-kfold"),
}


@st.composite
def requests(draw: st.DrawFn) -> RunRequest:
    dataset = draw(st.sampled_from(sorted(PROTOCOLS)))
    protocol = draw(st.sampled_from(PROTOCOLS[dataset]))
    overrides = {role: draw(options) for role, options in OPTIONS.items()}
    overrides["protocol"] = draw(PROTOCOL_OPTIONS[protocol])
    return RunRequest(
        "labeled",
        dataset,
        protocol=draw(st.sampled_from((protocol, None))) if not overrides["protocol"] else protocol,
        profile=draw(st.sampled_from(PROFILE_NAMES)),
        space=draw(st.sampled_from((None, "conv-cells"))),
        builder=draw(st.sampled_from((None, "stacked-cells", "stacked-cells-shortcut"))),
        evaluator=draw(st.sampled_from((None, "train"))),
        overrides=overrides,
        search_seed=draw(st.integers(0, 2**32 - 1)),
        evaluation_seed=draw(st.none() | st.integers(0, 3)),
        device=draw(st.sampled_from(("auto", "cpu", "cuda"))),
        budget=Budget(
            draw(st.none() | st.integers(1, 10**9)),
            draw(st.none() | st.integers(1, 10**9) | st.floats(1, 1e12)),
        ),
    )


@pytest.mark.slow
@settings(max_examples=50, deadline=None, database=None)
@given(request_=requests())
def test_a_command_parsed_again_has_the_same_key(registry: Registry, request_: RunRequest) -> None:
    with patch("torch.cuda.is_available", lambda: True):
        config = configure(registry, request_)
        for command in (request_.command(), config.command()):
            again = configure(registry, parsed(command))
            assert again.key() == config.key()
            assert again.profile == config.profile
    record = new_record(replace(config, device="cpu"), "runs")
    from_record = RunRequest.from_record(record)
    assert configure(registry, from_record).key() == record.run_key


def test_a_record_gives_its_run_with_another_profile(registry: Registry) -> None:
    overrides = {"strategy": {"share": 0.5}, "protocol": {"fold": 2}}
    quick = RunRequest(
        "labeled", "toy-2lead", "patient-kfold", evaluation_seed=5, overrides=overrides
    )
    record = new_record(configure(registry, quick), "runs")
    published = replace(RunRequest.from_record(record), profile="paper")
    assert published.command(seeds=(0, 1)) == (
        "nasbench-ecg run labeled toy-2lead --protocol patient-kfold --profile paper --seeds 0,1 "
        "--evaluation-seed 5 --space conv-cells --builder stacked-cells-shortcut --evaluator train "
        "--set strategy.share=0.5 --set protocol.fold=2 --device cpu"
    )
    assert configure(registry, published).strategy.options.model_dump()["label"] == "a"


def test_a_command_keeps_options_that_change_no_result(registry: Registry) -> None:
    asked = RunRequest(
        "darts", "synthetic-2lead", overrides={"strategy": {"hessian_eigenvalue": False}}
    )
    config = configure(registry, asked)
    assert config.key() == configure(registry, RunRequest("darts", "synthetic-2lead")).key()
    assert config.strategy.changed == {}
    assert "--set strategy.hessian_eigenvalue=false" in config.command()


def test_a_command_names_the_folder_and_suite_only_if_they_are_not_the_usual_ones() -> None:
    request = RunRequest("random", "toy-2lead")
    usual = request.command(out=Path("results"), suite="runs")
    assert (
        usual == request.command() == "nasbench-ecg run random toy-2lead --profile quick --seed 0"
    )
    assert request.command(out=Path("my results"), suite="own").endswith(
        "--suite own --out 'my results'"
    )


def test_only_options_that_differ_from_the_profile_are_changed() -> None:
    config = configure(
        registry_with(LABELED),
        RunRequest(
            "labeled", "toy-2lead", overrides={"strategy": {"label": "quick", "share": 0.5}}
        ),
    )
    assert config.strategy.changed == {"share": 0.5}
    assert "strategy.label" not in config.command()


# What cannot be run


def refused(**request: Any) -> NasbenchError:
    with pytest.raises(NasbenchError) as caught:
        tiny_config(request.pop("strategy", "darts"), **request)
    return caught.value


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"strategy": "dart"}, PluginError, "'darts'"),
        ({"dataset": "toy-2leads"}, PluginError, "'toy-2lead'"),
        ({"space": "conv-cell"}, PluginError, "'conv-cells'"),
        ({"builder": "stacked-cell"}, PluginError, "'stacked-cells'"),
        ({"evaluator": "trains"}, PluginError, "'train'"),
        ({"profile": "quik"}, OptionError, "'quick'"),
        ({"protocol": "intra-patent"}, ProtocolError, "'intra-patient'"),
        ({"device": "cuds"}, OptionError, "'cuda'"),
        ({"device": "gpu"}, OptionError, "'cuda'"),
        ({"set": {"strategy": {"epoch": 1}}}, OptionError, "'epochs'"),
        ({"set": {"protocol": {"test_shar": 1}}}, OptionError, "'test_share'"),
        ({"set": {"stratgy": {"epochs": 1}}}, OptionError, "'strategy'"),
        ({"budget": Budget(evaluations=0)}, OptionError, "from 1"),
        ({"budget": Budget(seconds=float("inf"))}, OptionError, "from 1"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(
    changes: dict[str, Any], kind: type[NasbenchError], said: str
) -> None:
    error = refused(**changes)
    assert isinstance(error, kind)
    assert said in error.fix


def test_a_protocol_that_the_dataset_does_not_offer_is_answered_with_those_it_does() -> None:
    error = refused(protocol="inter-patient")
    assert isinstance(error, ProtocolError)
    assert "intra-patient" in error.fix and "patient-kfold" in error.fix


def test_a_builder_of_another_space_is_answered_with_those_that_fit() -> None:
    specs = (
        SearchSpaceSpec(
            name="other-space",
            target="x:X",
            summary="-",
            builder="other-builder",
            evaluator="train",
        ),
        BuilderSpec(name="other-builder", target="x:X", summary="-", space="other-space"),
    )
    with pytest.raises(OptionError) as caught:
        tiny_config("random", *specs, space="other-space", builder="stacked-cells")
    assert "other-builder" in caught.value.fix
    with pytest.raises(OptionError, match="'other-space', not of 'conv-cells'"):
        tiny_config("random", *specs, builder="other-builder")


def test_a_space_alone_brings_its_own_builder_and_evaluator() -> None:
    config = configure(registry_with(), RunRequest("random", "toy-2lead", space="fixed"))
    assert (config.builder.name, config.evaluator.name) == ("fixed-network", "train")


@pytest.mark.parametrize(
    ("strategy", "space", "searches"),
    [
        ("darts", "fixed", "conv-cells"),
        ("cnn-9", "conv-cells", "fixed"),
        ("random-ws", "fixed", "conv-cells"),
        ("iemmc", "conv-cells", "labelings"),
    ],
)
def test_a_space_that_the_strategy_cannot_search_is_answered_with_those_it_can(
    strategy: str, space: str, searches: str
) -> None:
    with pytest.raises(OptionError, match=f"{strategy!r} cannot search the space") as caught:
        configure(registry_with(), RunRequest(strategy, "toy-2lead", space=space))
    assert searches in caught.value.fix


@pytest.mark.parametrize(
    ("strategy", "budget", "fix"),
    [
        ("darts", Budget(evaluations=1), "keeps --budget-seconds"),
        ("random-ws", Budget(evaluations=1), "keeps --budget-seconds"),
        ("k-means", Budget(seconds=60), "keeps no budget"),
        ("cnn-9", Budget(seconds=60), "Leave out --budget-seconds"),
        ("given", Budget(evaluations=1), "Leave out --budget-evaluations"),
    ],
)
def test_a_budget_that_the_strategy_does_not_keep_is_refused(
    strategy: str, budget: Budget, fix: str
) -> None:
    with pytest.raises(OptionError) as caught:
        configure(registry_with(), RunRequest(strategy, "toy-2lead", budget=budget))
    assert repr(strategy) in caught.value.what and fix in caught.value.fix


@pytest.mark.parametrize(
    ("strategy", "samples", "who"),
    [("random", 15, "builder 'stacked-cells-shortcut'"), ("cnn-11", 99, "strategy 'cnn-11'")],
)
def test_beats_that_are_too_short_are_refused_before_any_is_read(
    strategy: str, samples: int, who: str
) -> None:
    def run(after: int) -> RunConfig:
        window = {"dataset": {"before": 5, "after": after}}
        return configure(registry_with(), RunRequest(strategy, "synthetic-2lead", overrides=window))

    with pytest.raises(
        OptionError, match=f"Beats of {samples} samples are too short for the {who}"
    ):
        run(samples - 6)
    assert run(samples - 5)


def test_feature_vectors_are_too_short_for_a_network_that_pools_them_away() -> None:
    with pytest.raises(OptionError, match="Beats of 18 samples are too short") as caught:
        configure(registry_with(), RunRequest("cnn-9", "mitbih-features"))
    assert caught.value.where == "dataset mitbih-features"


def test_a_dry_run_refuses_what_cannot_be_run() -> None:
    words = ["run", "darts", "toy-2lead", "--budget-evaluations", "1", "--dry-run"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "does not keep a budget of evaluations" in " ".join(done.stderr.split())


def test_a_protocols_option_of_a_wrong_type_is_named() -> None:
    error = refused(set={"protocol": {"test_share": "half"}})
    assert "protocol intra-patient" in error.what and "'test_share'" in error.what


def test_cuda_without_a_gpu_is_refused_and_auto_means_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(OptionError, match="no CUDA GPU"):
        resolve_device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("cuda") == "cuda"


def test_search_and_training_share_a_seed_by_default() -> None:
    def seeds(config: RunConfig) -> tuple[int, int]:
        return config.search_seed, config.evaluation_seed

    assert seeds(tiny_config(search_seed=4)) == (4, 4)
    assert seeds(tiny_config(search_seed=4, evaluation_seed=0)) == (4, 0)

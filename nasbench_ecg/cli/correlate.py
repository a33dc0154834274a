"""``nasbench-ecg correlate``: how well cheap evaluators agree with training."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.components import complete_dataset
from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout
from nasbench_ecg.cli.shared_options import DataOption, DeviceOption, JsonOption, OutOption
from nasbench_ecg.studies.correlation_files import FOLDER, FORMAT, RESULT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nasbench_ecg.report.statistics.seed_noise import SeedNoise
    from nasbench_ecg.report.studies.correlation import Correlation
    from nasbench_ecg.run.config import RunConfig
    from nasbench_ecg.run.locks import Holder
    from nasbench_ecg.run.prepare import PreparedRun
    from nasbench_ecg.studies.correlate import SampleScores


def correlate(
    evaluators: Annotated[
        list[str], typer.Argument(metavar="EVALUATOR", help="Evaluators to measure.")
    ],
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Dataset of the beats.", autocompletion=complete_dataset
        ),
    ],
    samples: Annotated[
        int, typer.Option(min=3, metavar="N", help="Random architectures to score.")
    ] = 30,
    against: Annotated[
        str, typer.Option(metavar="NAME", help="Evaluator to compare with.")
    ] = "train",
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="How beats are split. Default: that of the dataset."),
    ] = None,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="paper, standard, quick or smoke.")
    ] = "quick",
    space: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Search space. Default: conv-cells."),
    ] = None,
    builder: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Builder of networks. Default: that of the space."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the sample and of evaluations.")
    ] = 0,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Seeds of the evaluations to compare with, such as 0,1,2: their mean counts, and "
            "a table shows how much of the differences is due to the seed.",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PART.OPTION=VALUE",
            help="Set an option of the dataset, protocol, space or builder, or of the evaluator to "
            "compare with. Repeatable.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    data: DataOption = None,
    out: OutOption = Path("results"),
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Measure how well evaluators rank random architectures, compared with training them.

    Every evaluation is stored: an interrupted command continues, and a larger sample or another
    evaluator needs only the new evaluations.
    """
    from nasbench_ecg.cli.execution import interrupt_on_sigterm
    from nasbench_ecg.cli.parsing import parse_seeds
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.options import parse_assignments
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.report.studies.correlation import correlate as measure
    from nasbench_ecg.report.studies.correlation import seed_noise
    from nasbench_ecg.run.configure import configure
    from nasbench_ecg.run.downloads import fetch_missing
    from nasbench_ecg.run.prepare import prepare_run
    from nasbench_ecg.run.request import RunRequest
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.studies.correlate import (
        evaluate_sample,
        sample_architectures,
        sample_key,
    )
    from nasbench_ecg.studies.generalize import given_strategy

    registry = load_registry()
    overrides = parse_assignments(assignments or [])
    request = RunRequest(
        strategy=given_strategy(registry),
        dataset=dataset,
        protocol=protocol,
        profile=profile,
        space=space,
        builder=builder,
        evaluator=against,
        overrides=overrides,
        search_seed=seed,
        device=device,
    )
    others = {kind: options for kind, options in overrides.items() if kind != "evaluator"}
    names = list(dict.fromkeys(name for name in evaluators if name != against))
    if not names:
        raise OptionError(f"{against!r} cannot be compared with itself.", fix="Name others.")
    several = [seed] if seeds is None else parse_seeds(seeds)
    configs = [configure(registry, replace(request, evaluation_seed=one)) for one in several]

    def config_of(name: str) -> RunConfig:
        return configure(registry, replace(request, evaluator=name, overrides=others))

    configs += map(config_of, names)
    store = RecordStore(out, FOLDER)
    store.check_writable()
    key = sample_key(configs[0])
    folder = store.folder / key
    source = LocalSource(data)
    interrupt_on_sigterm()
    with store.lock(key).acquire(_say_waiting), RichProgress() as progress:
        fetch_missing(configs[:1], source, progress)
        prepared = prepare_run(configs[0], source=source, progress=progress, suite=FOLDER)
        architectures = sample_architectures(prepared.space, samples, seed)
        scored = evaluate_sample(prepared, configs, architectures, folder)
        compared, others_scored = scored[: len(several)], scored[len(several) :]
        found = [measure(one, *compared) for one in others_scored]
        noise = seed_noise(compared) if len(several) > 1 else None
        result = _result(prepared, configs, scored, found, noise)
        result = _with_earlier(result, folder / RESULT, config_of)
        _store(result, folder / RESULT)
    if as_json:
        print_json(result)
        return
    _show(found, noise, configs[0], several)
    stderr().print(f"Result: {folder / RESULT}")


def _say_waiting(holder: Holder) -> None:
    stderr().print(f"Another process evaluates this sample: {holder}. Waiting for it.")


def _show(
    found: Sequence[Correlation], noise: SeedNoise | None, config: RunConfig, seeds: Sequence[int]
) -> None:
    from nasbench_ecg.report.render.terminal import render_tables
    from nasbench_ecg.report.studies.correlation import correlation_table, noise_table

    title = " · ".join([config.dataset.name, config.protocol, config.profile, config.space.name])
    tables = [correlation_table(found, title, seeds)]
    if noise is not None:
        tables.append(noise_table(noise, title))
    stdout().print(render_tables(tables))


def _result(
    prepared: PreparedRun,
    configs: Sequence[RunConfig],
    scored: Sequence[SampleScores],
    found: Sequence[Correlation],
    noise: SeedNoise | None,
) -> dict[str, Any]:
    from nasbench_ecg.io import jsonable
    from nasbench_ecg.run.environment import provenance

    config = configs[0]
    code: dict[str, dict[str, None]] = {}
    for one in scored:
        code.setdefault(one.evaluator, {}).update(dict.fromkeys(one.code))
    dataset, split = prepared.record.dataset, prepared.record.split
    components = {role: part for role, part in config.components().items() if role != "strategy"}
    return {
        "format": FORMAT,
        "profile": config.profile,
        "protocol": config.protocol,
        "protocol_options": config.protocol_options.model_dump(mode="json", exclude_none=True),
        "components": {
            role: {
                "name": part.name,
                "revision": part.component.spec.revision,
                "options": part.options.model_dump(mode="json"),
            }
            for role, part in components.items()
        },
        "evaluators": {
            one.evaluator.name: {**_revision(one), "code": list(code[one.evaluator.name])}
            for one in configs
        },
        "seed": config.search_seed,
        "device": config.device,
        "beats": dataset.fingerprint if dataset else None,
        "split": split.fingerprint if split else None,
        "architectures": [
            {
                "architecture": evaluations[0].architecture.to_dict(),
                "hash": evaluations[0].architecture.hash,
                "scores": {
                    _label(one, config): jsonable(evaluation.score)  # null: it diverged
                    for one, evaluation in zip(scored, evaluations, strict=True)
                },
            }
            for evaluations in zip(*(one.evaluations for one in scored), strict=True)
        ],
        "correlations": [asdict(one) for one in found],
        **({} if noise is None else {"seed_noise": asdict(noise)}),
        "provenance": provenance(config.device),
    }


def _revision(config: RunConfig) -> dict[str, Any]:
    """Return what must be equal for evaluations to be of one evaluator, besides its name."""
    used = config.evaluator
    return {
        "revision": used.component.spec.revision,
        "options": used.options.model_dump(mode="json", exclude_none=True),
    }


def _is_current(
    name: str, earlier: dict[str, Any], folder: Path, config_of: Callable[[str], RunConfig]
) -> bool:
    """Return whether an earlier result is of the installed revision of an evaluator.

    One that does not state it counts if there are evaluations by this revision; one whose evaluator
    is not installed stays.
    """
    from nasbench_ecg.errors import NasbenchError
    from nasbench_ecg.studies.correlate import log_name

    try:
        config = config_of(name)
    except NasbenchError:
        return True
    if (stated := earlier.get("evaluators", {}).get(name)) is None:
        return (folder / log_name(config)).is_file()
    return {key: stated.get(key) for key in ("revision", "options")} == _revision(config)


def _with_earlier(
    result: dict[str, Any], path: Path, config_of: Callable[[str], RunConfig]
) -> dict[str, Any]:
    """Return a result with the comparisons of an earlier one, where all else is the same.

    Those by another revision of an evaluator than the installed one are left out.
    """
    import json

    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        new = {(one["evaluator"], one["against"]) for one in result["correlations"]}
        kept = [
            one for one in earlier["correlations"] if (one["evaluator"], one["against"]) not in new
        ]
        scores = {one["hash"]: one["scores"] for one in earlier["architectures"]}
        alike = _compared_with(earlier) == _compared_with(result)
        names = {one["evaluator"] for one in kept} if alike else set()
        old = {one for one in names if not _is_current(one, earlier, path.parent, config_of)}
        stated = earlier.get("evaluators", {})
        stated = {name: stated[name] for name in names - old if name in stated}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return result
    if not alike:
        return result
    for name in sorted(old):
        stderr().print(
            f"The comparison of {name!r} was made by another revision. It is left out: name {name} "
            "to make it again."
        )
    kept = [one for one in kept if one["evaluator"] not in old]
    scores = {
        key: {label: score for label, score in by_label.items() if label not in old}
        for key, by_label in scores.items()
    }
    return {
        **result,
        "evaluators": {**stated, **result["evaluators"]},
        "correlations": [*result["correlations"], *kept],
        "architectures": [
            {**one, "scores": {**scores[one["hash"]], **one["scores"]}}
            for one in result["architectures"]
        ],
    }


def _compared_with(result: dict[str, Any]) -> list[Any]:
    """Return what two results share whose comparisons can stand in one file."""
    from nasbench_ecg.io import jsonable

    names = (
        "format", "profile", "protocol", "protocol_options", "components", "seed", "device",
        "beats", "split",
    )  # fmt: skip
    seeds = (result.get("seed_noise") or {}).get("seeds")
    hashes = [one["hash"] for one in result["architectures"]]
    found: list[Any] = jsonable([*(result[name] for name in names), seeds, hashes])
    return found


def _label(scored: SampleScores, config: RunConfig) -> str:
    own = scored.seed == config.search_seed
    return scored.evaluator if own else f"{scored.evaluator}, seed {scored.seed}"


def _store(result: dict[str, Any], path: Path) -> None:
    import json

    from nasbench_ecg.io import storage_errors, write_atomically

    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        write_atomically(path, text + "\n")

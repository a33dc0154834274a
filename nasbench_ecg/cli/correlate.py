"""``nasbench-ecg correlate``: whether cheap evaluators rank architectures as training does."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasbench_ecg.report.correlation import Correlation
    from nasbench_ecg.run.config import RunConfig
    from nasbench_ecg.run.runner import PreparedRun
    from nasbench_ecg.studies.correlate import Evaluated

FOLDER = "correlation"
FORMAT = 1


def correlate(
    evaluators: Annotated[
        list[str], typer.Argument(metavar="EVALUATOR...", help="Evaluators to judge.")
    ],
    dataset: Annotated[str, typer.Option(help="Dataset.")],
    samples: Annotated[int, typer.Option(min=1, help="Random architectures to score.")] = 30,
    against: Annotated[str, typer.Option(help="Evaluator to compare with.")] = "train",
    protocol: Annotated[str | None, typer.Option(help="How beats are split.")] = None,
    profile: Annotated[str, typer.Option(help="paper, standard, quick or smoke.")] = "quick",
    space: Annotated[str | None, typer.Option(help="Search space.")] = None,
    builder: Annotated[str | None, typer.Option(help="Builder of networks.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample and of evaluations.")] = 0,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="K=V",
            help="An option; evaluator.K=V is one of the evaluator that is compared with.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds databases.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of results.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:  # fmt: skip
    """Measure how evaluators rank random architectures against training them.

    Evaluations are kept: a run that is stopped goes on, and a larger sample or one more evaluator
    costs only what is new.
    """
    from nasbench_ecg.cli.run import fetch_missing, interrupt_on_sigterm
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.options import parse_assignments
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.report.correlation import FEWEST
    from nasbench_ecg.report.correlation import correlate as measure
    from nasbench_ecg.run.config import RunRequest, configure
    from nasbench_ecg.run.runner import prepare_run
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.studies.correlate import draw, evaluate_sample, fitting_builder, sample_key
    from nasbench_ecg.studies.generalize import GIVEN

    if samples < FEWEST:
        raise OptionError(
            f"{samples} architectures have no rank correlation worth the name.",
            fix=f"Say --samples {FEWEST} or more; 30 give a rough figure.",
        )
    registry = load_registry()
    overrides = parse_assignments(assignments or [])
    request = RunRequest(
        strategy=GIVEN,
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
    request = replace(request, builder=fitting_builder(registry, request))
    shared = {kind: options for kind, options in overrides.items() if kind != "evaluator"}
    names = list(dict.fromkeys(name for name in evaluators if name != against))
    if not names:
        raise OptionError(f"{against!r} would be compared with itself.", fix="Name other ones.")
    configs = [configure(registry, request)]
    configs += [
        configure(registry, replace(request, evaluator=name, overrides=shared)) for name in names
    ]
    store = RecordStore(out, FOLDER)
    store.check_writable()
    folder = store.folder / sample_key(configs[0])
    source = LocalSource(data)
    interrupt_on_sigterm()
    with RichProgress() as progress:
        fetch_missing(configs[:1], source, progress)
        ready = prepare_run(configs[0], source=source, progress=progress, suite=FOLDER)
        architectures = draw(ready.space, samples, seed)
        scored = evaluate_sample(ready, configs, architectures, folder)
    found = [measure(one, scored[0]) for one in scored[1:]]
    result = _result(ready, configs[0], scored, found)
    _store(result, folder / "correlation.json")
    if as_json:
        print_json(result)
        return
    _show(found, configs[0])
    stderr().print(f"Result: {folder / 'correlation.json'}", markup=False, soft_wrap=True)


def _show(found: Sequence[Correlation], config: RunConfig) -> None:
    from nasbench_ecg.report.correlation import table
    from nasbench_ecg.report.table import terminal

    title = " · ".join([config.dataset.name, config.protocol, config.profile, config.space.name])
    stdout().print(terminal([table(found, title)]))


def _result(
    ready: PreparedRun, config: RunConfig, scored: Sequence[Evaluated], found: Sequence[Correlation]
) -> dict[str, Any]:
    from nasbench_ecg.run.environment import provenance

    dataset, split = ready.record.dataset, ready.record.split
    chosen = {role: part for role, part in config.chosen().items() if role != "strategy"}
    return {
        "format": FORMAT,
        "profile": config.profile,
        "protocol": config.protocol,
        "components": {
            role: {"name": part.name, "options": part.options.model_dump(mode="json")}
            for role, part in chosen.items()
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
                    one.evaluator: evaluation.score
                    for one, evaluation in zip(scored, evaluations, strict=True)
                },
            }
            for evaluations in zip(*(one.evaluations for one in scored), strict=True)
        ],
        "correlations": [asdict(one) for one in found],
        "provenance": provenance(config.device),
    }


def _store(result: dict[str, Any], path: Path) -> None:
    import json

    from nasbench_ecg.io import told, write_atomically

    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        write_atomically(path, text + "\n")

"""Verbs of ``nasbench-ecg table`` that make tables: build, costs, verify and publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout
from nasbench_ecg.cli.parsing import parse_shard
from nasbench_ecg.cli.shared_options import DataOption, JsonOption
from nasbench_ecg.cli.table_options import (
    DEFAULT,
    Dataset,
    Protocol,
    Space,
    Tables,
    Threads,
    load,
    protocol_of,
    refuse_parts,
    summary,
)

if TYPE_CHECKING:
    from nasbench_ecg.run.config import RunConfig
    from nasbench_ecg.tables.card import Card
    from nasbench_ecg.tables.table import Table


def build(
    dataset: Dataset,
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Train the shards I, I + N, I + 2N, ...")
    ] = "1/1",
    hours: Annotated[
        float | None, typer.Option(min=0, metavar="H", help="Stop after H hours.")
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Seeds that the table has room for: three for each member, more for some.",
        ),
    ] = 10,
    beats: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Training beats. Default: the table's recipe."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Training epochs. Default: the table's recipe."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PART.OPTION=VALUE",
            help="Set an option of the space, builder, dataset or protocol. Repeatable.",
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="cpu trains members one by one; cuda trains many side by side, after some were "
            "trained on a CPU.",
        ),
    ] = "cpu",
    threads: Threads = 1,
    data: DataOption = None,
    tables: Tables = DEFAULT,
) -> None:
    """Train the missing members of a table. Stop it at any time; the same command continues.

    It can be started several times, on one machine or on several that share the folder: each
    process takes shards that no other one is training. A table that an installed package holds in
    part is continued in the folder.
    """
    from contextlib import closing

    import torch

    from nasbench_ecg.cli.execution import interrupt_on_sigterm
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.options import parse_assignments
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.run.configure import resolve_device
    from nasbench_ecg.run.downloads import fetch_missing
    from nasbench_ecg.tables.build import build as train_missing
    from nasbench_ecg.tables.build import continue_shipped, open_or_create, pack
    from nasbench_ecg.tables.card import Recipe
    from nasbench_ecg.tables.clock import (
        clock_of_other_processor,
        fit_clock,
        most_measured,
        timed_by,
        with_seconds_of,
    )
    from nasbench_ecg.tables.files import table_folder
    from nasbench_ecg.tables.gpu_build import build_side_by_side
    from nasbench_ecg.tables.gpu_training import StackTrainer
    from nasbench_ecg.tables.plan import configure_track, plan_table, strata

    device = resolve_device(device)
    part = parse_shard(shard)
    torch.set_num_threads(threads)
    overrides = parse_assignments(assignments or [])
    refuse_parts(overrides, ("space", "builder", "dataset", "protocol"))
    recipe = Recipe()
    own = {"beats": beats, "epochs": epochs}
    recipe = Recipe(**{**recipe.model_dump(), **{k: v for k, v in own.items() if v is not None}})
    config = configure_track(load_registry(), space, dataset, protocol, overrides)
    source = LocalSource(data)
    interrupt_on_sigterm()
    folder = table_folder(tables, space, dataset, config.protocol)
    with RichProgress() as progress:
        fetch_missing([config], source, progress)
        plan = plan_table(config, recipe, seeds, source=source, progress=progress)
        continue_shipped(plan.card, folder)
        found = open_or_create(folder, plan.card, plan.members, plan.costs)
        groups = strata(found.arrays["cost_parameters"])
        reference = most_measured(space, tables)
        if device == "cpu":
            train, machine = plan.train, plan.machine
            clock = clock_of_other_processor(found, machine, plan.builder, plan.task, reference)
            if clock is not None:
                train = timed_by(clock, train, plan.builder, plan.task)
                machine = with_seconds_of(machine, clock.processor)
            steps = train_missing(folder, found, groups, train, machine, shard=part, hours=hours)
        else:
            clock = fit_clock(found, plan.builder, plan.task, reference)
            trainer = StackTrainer(plan, clock, device)
            steps = build_side_by_side(folder, found, groups, trainer, shard=part, hours=hours)
        done = int(found.trained.sum())
        try:
            with closing(steps), progress.track("Training members", plan.total) as bar:
                bar.advance(done)
                for step in steps:
                    bar.advance(step.done - done, seconds=step.seconds)
                    done = step.done
        finally:
            packed = pack(folder)
    _say(packed, folder)


def verify(
    dataset: Dataset,
    sample: Annotated[int, typer.Option(min=1, metavar="N", help="Trainings to repeat.")] = 20,
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the sample.")] = 0,
    threads: Threads = 1,
    data: DataOption = None,
    tables: Tables = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Repeat some trainings of a table and compare them with its results.

    On a machine like the one that made them they must be equal; elsewhere, where rounding differs,
    validation and test F1 must be within five standard deviations of a seed. The costs of these
    members must be equal everywhere.
    """
    import dataclasses
    from functools import partial

    import torch

    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.run.downloads import fetch_missing
    from nasbench_ecg.tables.build import refuse_other
    from nasbench_ecg.tables.plan import plan_table
    from nasbench_ecg.tables.training import member_costs
    from nasbench_ecg.tables.verify import verify as repeat

    torch.set_num_threads(threads)
    one = load(tables, space, dataset, protocol)
    card = one.card
    config = _configured(card)
    source = LocalSource(data)
    found = []
    with RichProgress() as progress:
        fetch_missing([config], source, progress)
        plan = plan_table(config, card.recipe, card.seeds, source=source, progress=progress)
        refuse_other(plan.card, one.card, f"{dataset}, {card.protocol}")
        costs = partial(member_costs, builder=plan.builder, task=plan.task)
        with progress.track("Training again", min(sample, int(one.trained.sum()))) as bar:
            for repeated in repeat(
                one, plan.train, plan.machine, costs=costs, sample=sample, seed=seed
            ):
                found.append(repeated)
                bar.advance(difference=repeated.difference)
    failed = [repeated for repeated in found if not repeated.holds]
    if as_json:
        print_json([dataclasses.asdict(repeated) for repeated in found])
    else:
        equal = sum(repeated.equal for repeated in found)
        largest = max(abs(repeated.difference) for repeated in found)
        stdout().print(
            f"{len(found)} trainings repeated: {equal} equal, largest difference of test F1 "
            f"{100 * largest:.2f} points, {len(failed)} outside of the limits.",
        )
        for repeated in failed:
            if repeated.other_costs:
                named = f"Member {one.members[repeated.row].hash}"
                stdout().print(f"{named} has other {', '.join(repeated.other_costs)}.")
    if failed:
        raise typer.Exit(1)


def costs(
    dataset: Dataset,
    evaluators: Annotated[
        list[str] | None,
        typer.Argument(metavar="EVALUATOR", help="Proxies that score untrained networks."),
    ] = None,
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of weights and batches.")] = 0,
    threads: Threads = 1,
    data: DataOption = None,
    tables: Tables = DEFAULT,
) -> None:
    """Add costs and proxies of all members to a table; nothing is trained.

    Without evaluators the costs are computed again. A table of a package is copied to the folder.
    """
    import numpy as np
    import torch

    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.run.downloads import fetch_missing
    from nasbench_ecg.tables.build import add_arrays, refuse_other
    from nasbench_ecg.tables.files import table_folder
    from nasbench_ecg.tables.plan import plan_table
    from nasbench_ecg.tables.table import COST
    from nasbench_ecg.tables.training import proxy_array, score_untrained

    torch.set_num_threads(threads)
    one = load(tables, space, dataset, protocol)
    registry = load_registry()
    chosen = [registry.get("evaluator", name) for name in evaluators or []]
    config = _configured(one.card)
    source = LocalSource(data)
    arrays = {}
    with RichProgress() as progress:
        fetch_missing([config], source, progress)
        plan = plan_table(config, one.card.recipe, one.card.seeds, source=source, progress=progress)
        refuse_other(plan.card, one.card, f"{dataset}, {one.card.protocol}")
        if not chosen:
            arrays = {f"{COST}{name}": values for name, values in plan.costs().items()}
        for component in chosen:
            evaluator = component.create(component.options_model()())
            scores = []
            with progress.track(component.name, len(one.members)) as bar:
                for score in score_untrained(one.members, evaluator, plan.task, plan.builder, seed):
                    scores.append(score)
                    bar.advance()
            arrays[proxy_array(component.name)] = np.array(scores)
    folder = table_folder(tables, space, dataset, one.card.protocol)
    add_arrays(one, arrays, folder)
    stderr().print(f"{', '.join(arrays)} in {folder}.")


def publish(
    dataset: Dataset,
    to: Annotated[
        Path, typer.Option(metavar="DIR", help="Package that holds tables, or another folder.")
    ],
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    tables: Tables = DEFAULT,
) -> None:
    """Copy a built table, with the trainings that are still in its journals, to another folder.

    The table is only read, so that it can still be built. Costs and proxies that only the table in
    the folder holds are kept.
    """
    from nasbench_ecg.tables.build import publish as copy
    from nasbench_ecg.tables.files import table_folder

    protocol = protocol_of(dataset, protocol)
    target = table_folder(to, space, dataset, protocol)
    _say(copy(table_folder(tables, space, dataset, protocol), target), target)


def _say(table: Table, folder: Path) -> None:
    """Print how complete a table is."""
    from nasbench_ecg.tables.build import n_trainings

    row = summary(table)
    stderr().print(
        f"{row['trainings']:,} of {n_trainings(table.card):,} trainings, "
        f"{row['complete']:.0%} of the members, in {folder}.",
    )


def _configured(card: Card) -> RunConfig:
    """Return the components that a table was built with."""
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.tables.plan import configure_track

    options = {
        "space": card.space.options,
        "builder": card.builder.options,
        "dataset": card.dataset.options,
        "protocol": card.protocol_options,
    }
    set_options = {
        part: {name: value for name, value in own.items() if value is not None}
        for part, own in options.items()
    }
    return configure_track(
        load_registry(), card.space.name, card.dataset.name, card.protocol, set_options
    )

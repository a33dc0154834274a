"""``nasbench-ecg table``: build a table of trained members, query it, and repeat searches on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.components import complete_dataset, complete_strategy
from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout, styled, table
from nasbench_ecg.cli.parsing import Verbs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.plugin.specs import Kind
    from nasbench_ecg.tables.compare import Comparison
    from nasbench_ecg.tables.simulate import Searcher
    from nasbench_ecg.tables.table import Component, Table

app = Verbs(
    help="Train every member of a small space once, and repeat searches on the results.",
    no_args_is_help=True,
)

DEFAULT = Path("results/tables")

Tables = Annotated[Path, typer.Option("--tables", metavar="DIR", help="Folder of all tables.")]
Space = Annotated[str, typer.Option(metavar="NAME", help="Search space of the table.")]
Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="Dataset of the table.", autocompletion=complete_dataset
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Protocol of the table. Default: that of the dataset."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_tables(tables: Tables = DEFAULT, as_json: Json = False) -> None:
    """List the tables and how complete they are."""
    from nasbench_ecg.tables.table import CARD, load_table

    found = [load_table(path.parent) for path in sorted(tables.glob(f"*/*/{CARD}"))]
    if as_json:
        print_json([_summary(one) for one in found])
        return
    if not found:
        stdout().print(f"There is no table in {tables}. See 'nasbench-ecg table build --help'.")
        return
    listed = table("space", "dataset", "protocol", "members", "trained", "trainings")
    for one in found:
        row = _summary(one)
        listed.add_row(
            row["space"], row["dataset"], row["protocol"], f"{row['members']:,}",
            f"{row['complete']:.0%}", f"{row['trainings']:,}",
        )  # fmt: skip
    stdout().print(listed)


@app.command()
def info(
    dataset: Dataset,
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    tables: Tables = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show what a table holds, and its noise card: which differences it can show."""
    from nasbench_ecg.tables.noise import noise_card

    one = _load(tables, space, dataset, protocol)
    card = noise_card(one)
    if as_json:
        print_json({**_summary(one), "card": one.card.model_dump(mode="json"), "noise": card})
        return
    row = _summary(one)
    out = stdout()
    out.print(styled((row["space"], "bold"), f" on {row['dataset']}, {row['protocol']}"))
    out.print(
        f"{row['members']:,} members, {row['complete']:.0%} trained, {row['trainings']:,} "
        f"trainings; {one.card.recipe.beats:,} beats, epochs: {one.card.recipe.epochs}",
        highlight=False,
    )
    shown = table("noise card", "value", title="")
    for name, value in _flat(card):
        shown.add_row(name, value)
    out.print(shown)


@app.command()
def query(
    architecture: Annotated[
        Path, typer.Argument(metavar="FILE", help="An architecture.json, such as that of a run.")
    ],
    dataset: Annotated[
        str,
        typer.Option(
            metavar="DATASET", help="Dataset of the table.", autocompletion=complete_dataset
        ),
    ],
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    epoch: Annotated[
        int | None, typer.Option(metavar="N", help="After this epoch. Default: the last.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="This seed. Default: the mean of all.")
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="accuracy, macro_se, macro_pp, f1_of_macro, macro_f1, or nll (in nats).",
        ),
    ] = "f1_of_macro",
    test: Annotated[
        bool, typer.Option("--test", help="The test result, after the last epoch.")
    ] = False,
    tables: Tables = DEFAULT,
    as_json: Json = False,
) -> None:
    """Look up the validation (or test) result of one member."""
    import dataclasses

    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.contracts import Canonicalizes
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.tables.table import Seed
    from nasbench_ecg.text import duration, percent

    if test and epoch is not None:
        raise OptionError(
            "--test does not go with --epoch.", fix="Test results are those of the last epoch."
        )
    one = _load(tables, space, dataset, protocol)
    try:
        arch = Architecture.from_json(architecture.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise OptionError(
            f"The architecture cannot be read: {reason}.", where=str(architecture)
        ) from None
    made = _create(load_registry(), "search-space", one.card.space)
    made.validate(arch)
    arch = made.canonical(arch) if isinstance(made, Canonicalizes) else arch
    which: Seed = "mean" if seed is None else seed
    if test:
        result = one.test(arch, seed=which, metric=metric)
    else:
        result = one.query(arch, epoch=epoch, seed=which, metric=metric)
    if as_json:
        print_json(dataclasses.asdict(result))
        return
    value = f"{result.value:.4f}" if metric == "nll" else f"{percent(result.value)} %"
    part = "test" if test else "validation"
    which_seeds = f"mean of {result.seeds} seeds" if seed is None else f"seed {seed}"
    stdout().print(
        f"{part} {metric}: {value}, {which_seeds}; {duration(result.seconds)} of processor time",
        highlight=False,
    )


@app.command()
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
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads of this process.")] = 1,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds databases.")
    ] = None,
    tables: Tables = DEFAULT,
) -> None:
    """Train the missing members of a table. Stop it at any time; the same command continues.

    It can be started several times, on one machine or on several that share the folder: each
    process takes shards that no other one is training.
    """
    from contextlib import closing

    import torch

    from nasbench_ecg.cli.execution import fetch_missing, interrupt_on_sigterm
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.options import parse_assignments
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.tables.build import build as train_missing
    from nasbench_ecg.tables.build import open_or_create, pack
    from nasbench_ecg.tables.plan import configure_track, plan_table, strata
    from nasbench_ecg.tables.table import Recipe, table_folder

    part = _parse_shard(shard)
    torch.set_num_threads(threads)
    overrides = parse_assignments(assignments or [])
    _refuse_parts(overrides, ("space", "builder", "dataset", "protocol"))
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
        found = open_or_create(folder, plan.card, plan.members, plan.costs)
        steps = train_missing(
            folder, found, strata(found.arrays["cost_parameters"]), plan.train, plan.machine,
            shard=part, hours=hours,
        )  # fmt: skip
        done = int(found.trained.sum())
        try:
            with closing(steps), progress.track("Training members", plan.total) as bar:
                bar.advance(done)
                for step in steps:
                    bar.advance(step.done - done, seconds=step.seconds)
                    done = step.done
        finally:
            packed = pack(folder)
    row = _summary(packed)
    stderr().print(
        f"{row['trainings']:,} trainings, {row['complete']:.0%} of the members, in {folder}.",
        highlight=False,
    )


@app.command()
def verify(
    dataset: Dataset,
    sample: Annotated[int, typer.Option(min=1, metavar="N", help="Trainings to repeat.")] = 20,
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads of this process.")] = 1,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds databases.")
    ] = None,
    tables: Tables = DEFAULT,
    as_json: Json = False,
) -> None:
    """Repeat some trainings of a table and compare them with its results.

    On a machine like the one that made them they must be equal; elsewhere, where rounding differs,
    within five standard deviations of a seed.
    """
    import dataclasses

    import torch

    from nasbench_ecg.cli.execution import fetch_missing
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.tables.build import open_or_create
    from nasbench_ecg.tables.plan import configure_track, plan_table
    from nasbench_ecg.tables.table import table_folder
    from nasbench_ecg.tables.verify import verify as repeat

    torch.set_num_threads(threads)
    one = _load(tables, space, dataset, protocol)
    card = one.card
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
    config = configure_track(load_registry(), space, dataset, card.protocol, set_options)
    source = LocalSource(data)
    folder = table_folder(tables, space, dataset, card.protocol)
    found = []
    with RichProgress() as progress:
        fetch_missing([config], source, progress)
        plan = plan_table(config, card.recipe, card.seeds, source=source, progress=progress)
        open_or_create(folder, plan.card, plan.members, plan.costs)  # the same data and options
        with progress.track("Training again", min(sample, int(one.trained.sum()))) as bar:
            for repeated in repeat(one, plan.train, plan.machine, sample=sample, seed=seed):
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
            highlight=False,
        )
    if failed:
        raise typer.Exit(1)


@app.command()
def simulate(
    dataset: Dataset,
    strategies: Annotated[
        list[str],
        typer.Argument(
            metavar="STRATEGY...",
            help="Strategies to compare with random search.",
            autocompletion=complete_strategy,
        ),
    ],
    evaluations: Annotated[
        str, typer.Option(metavar="N,...", help="Budgets, in evaluations.")
    ] = "20,50,100,200",
    repetitions: Annotated[
        int, typer.Option(min=2, metavar="N", help="Repetitions of each search.")
    ] = 500,
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="strategy.OPTION=VALUE",
            help="Set an option of every strategy that has it. Repeatable.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all repetitions.")] = 0,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Processes.")] = 1,
    tables: Tables = DEFAULT,
    as_json: Json = False,
) -> None:
    """Repeat searches on a table, and show which are better than random search.

    Each repetition is a search with the largest budget. Its result at a smaller budget is the best
    member of its first evaluations.
    """
    import dataclasses

    from nasbench_ecg.contracts import Budget
    from nasbench_ecg.options import parse_assignments
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.tables.compare import compare
    from nasbench_ecg.tables.simulate import simulate as repeat
    from nasbench_ecg.tables.space import TableSpace

    registry = load_registry()
    one = _load(tables, space, dataset, protocol)
    budgets = _parse_numbers(evaluations)
    baseline = registry.strategies("random-search")[0].name
    names = list(dict.fromkeys([baseline, *strategies]))
    parsed = parse_assignments(assignments or [])
    _refuse_parts(parsed, ("strategy",))
    overrides = parsed.get("strategy", {})
    _refuse_unknown_options(registry, names, overrides)
    builder = _create(registry, "builder", one.card.builder)
    searched = TableSpace(_create(registry, "search-space", one.card.space), one)
    found = {}
    with RichProgress() as progress, progress.track("Simulating", len(names)) as bar:
        for name in names:
            searcher = _searcher(registry, name, max(budgets), overrides)
            found[name] = repeat(
                one, searched, builder, searcher, repetitions=repetitions,
                budget=Budget(evaluations=max(budgets)), seed=seed, workers=workers,
            )  # fmt: skip
            bar.advance()
    rows = compare(one, found, baseline, budgets)
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    _show_comparison(one, rows, repetitions, baseline)


def _create(registry: Registry, kind: Kind, described: Component) -> Any:
    """Return a component with the options that a table was built with."""
    component = registry.get(kind, described.name)
    return component.create(component.options_model()(**described.options))


def _refuse_parts(overrides: Iterable[str], allowed: Sequence[str]) -> None:
    from nasbench_ecg.errors import OptionError

    for part in overrides:
        if part not in allowed:
            raise OptionError(
                f"--set {part}. does not apply here.",
                fix=f"Set options of: {', '.join(allowed)}.",
            )


def _refuse_unknown_options(
    registry: Registry, strategies: Sequence[str], options: Iterable[str]
) -> None:
    from nasbench_ecg.errors import OptionError, nearest

    known = {
        option
        for name in strategies
        for option in registry.get("strategy", name).options_model().model_fields
    }
    for option in options:
        if option not in known:
            raise OptionError(
                f"None of these strategies has an option {option!r}.", fix=nearest(option, known)
            )


def _searcher(
    registry: Registry, name: str, evaluations: int, overrides: dict[str, Any]
) -> Searcher:
    from functools import partial

    from nasbench_ecg.options import resolve
    from nasbench_ecg.plugin.specs import StrategySpec
    from nasbench_ecg.tables.simulate import Searcher

    component = registry.get("strategy", name)
    model = component.options_model()
    assert isinstance(component.spec, StrategySpec)
    option = component.spec.evaluations_option
    own = {key: value for key, value in overrides.items() if key in model.model_fields}
    own = {**({option: evaluations} if option else {}), **own}
    options = resolve(model, component=f"strategy {name}", profile="paper", overrides=own)
    return Searcher(name, partial(component.create, options))


def _show_comparison(
    one: Table, rows: Sequence[Comparison], repetitions: int, baseline: str
) -> None:
    from nasbench_ecg.statistics import CONFIDENCE
    from nasbench_ecg.text import percent

    card = one.card
    shown = table(
        "search", "budget", "F1", "regret", "difference", "p", "superior", "better",
        title=f"{card.space.name} on {card.track}",
    )  # fmt: skip
    for row in rows:
        difference = ""
        if row.difference is not None:
            mean, low, high = (f"{100 * value:+.2f}" for value in row.difference)
            difference = f"{mean} [{low}, {high}]"
        shown.add_row(
            row.label,
            f"{row.evaluations}",
            percent(row.mean),
            f"{100 * row.regret[1]:.2f}",
            difference,
            "" if row.p is None else f"{row.p:.3g}",
            "" if row.superiority is None else f"{row.superiority:.2f}",
            "" if row.difference is None else ("yes" if row.better else "not shown"),
        )
    out = stdout()
    out.print(shown)
    out.print(
        f"budget: evaluations. F1: of the test set, in percent, mean over {repetitions} "
        "repetitions; a member's F1 is the mean over its seeds. regret: best F1 of the table "
        "minus that of the found member, median, in points. difference: from the mean F1 of "
        f"{baseline}, in points; with {CONFIDENCE:.0%} confidence, the intervals hold all true "
        "differences. p: Mann-Whitney test with Holm's correction. superior: probability that a "
        f"repetition is better than one of {baseline}. {_completeness(one)}",
        highlight=False,
    )


def _completeness(one: Table) -> str:
    if one.complete == 1:
        return "Every member is trained."
    return f"{one.complete:.0%} of the members are trained, and searches see only these."


def _summary(one: Table) -> dict[str, Any]:
    card = one.card
    return {
        "space": card.space.name,
        "dataset": card.dataset.name,
        "protocol": card.protocol,
        "members": card.members,
        "complete": one.complete,
        "trainings": int(one.trained.sum()),
    }


def _load(tables: Path, space: str, dataset: str, protocol: str | None) -> Table:
    from nasbench_ecg.errors import nearest
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.tables.table import CARD, TableError, load_table, table_folder

    if protocol is None:
        spec = load_registry().get("dataset", dataset).spec
        protocol = str(getattr(spec, "protocol", ""))
    folder = table_folder(tables, space, dataset, protocol)
    if not (folder / CARD).is_file():
        here = [f"{p.parent.name}" for p in sorted((tables / space).glob(f"*/{CARD}"))]
        raise TableError(
            f"There is no table of {space} on {dataset}, {protocol}.",
            where=str(folder),
            fix=nearest(f"{dataset}-{protocol}", here) if here else "Name a folder with --tables.",
        )
    return load_table(folder)


def _parse_shard(text: str) -> tuple[int, int]:
    from nasbench_ecg.errors import OptionError

    first, _, last = text.partition("/")
    if first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last):
        return int(first), int(last)
    raise OptionError(f"--shard {text!r} is not of the form I/N.", fix="For example --shard 1/4.")


def _parse_numbers(text: str) -> list[int]:
    from nasbench_ecg.errors import OptionError

    parts = text.split(",")
    if all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        return sorted({int(part) for part in parts})
    raise OptionError(
        f"{text!r} is not a list of numbers.", fix="For example --evaluations 20,50,100."
    )


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [row for key, part in value.items() for row in _flat(part, f"{name} {key}".strip())]
    if isinstance(value, float):
        text = f"{value:.3f}"
    else:
        text = {None: "undefined", True: "yes", False: "no"}.get(value, str(value))
    return [(name.replace("_", " "), text)]

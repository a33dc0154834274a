"""``nasbench-ecg table``: build a table of trained members, query it, and repeat searches on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli import table_build, table_simulate
from nasbench_ecg.cli.components import complete_dataset
from nasbench_ecg.cli.console import print_json, stderr, stdout, styled, table
from nasbench_ecg.cli.parsing import Verbs
from nasbench_ecg.cli.shared_options import JsonOption, OutOption
from nasbench_ecg.cli.table_options import (
    DEFAULT,
    Dataset,
    Protocol,
    Space,
    Tables,
    load,
    summary,
)

if TYPE_CHECKING:
    pass

app = Verbs(
    help="Train every member of a small space once, and repeat searches on the results.",
    no_args_is_help=True,
)


@app.command("list")
def list_tables(tables: Tables = DEFAULT, as_json: JsonOption = False) -> None:
    """List the tables, in the folder and in installed packages, and how complete they are."""
    from nasbench_ecg.tables.card import TableError
    from nasbench_ecg.tables.files import load_table
    from nasbench_ecg.tables.find import find_tables

    rows = []
    for one in find_tables(tables):
        try:
            rows.append({**summary(load_table(one.folder)), "source": one.source})
        except TableError as error:
            stderr().print(f"Skipped {error.where}: {error.what}", style="yellow")
    if as_json:
        print_json(rows)
        return
    if not rows:
        stdout().print(f"There is no table in {tables}. See 'nasbench-ecg table build --help'.")
        return
    listed = table("space", "track", "members trained", "trainings", "from")
    for row in rows:
        listed.add_row(
            row["space"], f"{row['dataset']} · {row['protocol']}",
            f"{row['complete']:.0%} of {row['members']:,}", f"{row['trainings']:,}", row["source"],
        )  # fmt: skip
    stdout().print(listed)


@app.command()
def info(
    dataset: Dataset,
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    tables: Tables = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Show what a table holds, and its noise card: which differences it can show."""
    from nasbench_ecg.report.studies.noise_card import NOTE, noise_rows
    from nasbench_ecg.tables.noise import noise_card

    one = load(tables, space, dataset, protocol)
    card = noise_card(one)
    if as_json:
        print_json({**summary(one), "card": one.card.model_dump(mode="json"), "noise": card})
        return
    row = summary(one)
    out = stdout()
    out.print(styled((row["space"], "bold"), f" on {row['dataset']}, {row['protocol']}"))
    out.print(
        f"{row['members']:,} members, {row['complete']:.0%} trained, {row['trainings']:,} "
        f"trainings; {one.card.recipe.beats:,} beats, epochs: {one.card.recipe.epochs}",
    )
    shown = table("noise card", "value", title="")
    for name, value in noise_rows(card):
        shown.add_row(name, value)
    out.print(shown)
    out.print(NOTE)


@app.command()
def query(
    architecture: Annotated[
        str,
        typer.Argument(metavar="RUN|FILE", help="A run key, or an architecture.json."),
    ],
    dataset: Annotated[
        str,
        typer.Option(metavar="NAME", help="Dataset of the table.", autocompletion=complete_dataset),
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
    out: OutOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Look up the validation (or test) result of one member."""
    import dataclasses

    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.cli.arch import read_architecture
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.front.tables import canonical_of
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.report.measures import SCORES
    from nasbench_ecg.tables.table import Seed
    from nasbench_ecg.text import duration, percent

    if test and epoch is not None:
        raise OptionError(
            "--test does not go with --epoch.", fix="Test results are those of the last epoch."
        )
    one = load(tables, space, dataset, protocol)
    arch = Architecture.from_json(read_architecture(architecture, out)[0])
    arch = canonical_of(load_registry(), one, arch)
    which: Seed = "mean" if seed is None else seed
    if test:
        result = one.test(arch, seed=which, metric=metric)
    else:
        result = one.query(arch, epoch=epoch, seed=which, metric=metric)
    if as_json:
        print_json(dataclasses.asdict(result))
        return
    name, value = "negative log-likelihood, nats", f"{result.value:.4f}"
    if metric in SCORES:
        name, value = SCORES[metric].heading, f"{percent(result.value)}%"
    part = "test" if test else "validation"
    which_seeds = f"mean of {result.seeds} seeds" if seed is None else f"seed {seed}"
    stdout().print(
        f"{part} {name}: {value}, {which_seeds}; {duration(result.seconds)} of processor time",
    )


@app.command()
def export(
    dataset: Dataset,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="A file .csv or .parquet.")
    ],
    space: Space = "tiny-cells",
    protocol: Protocol = None,
    tables: Tables = DEFAULT,
) -> None:
    """Write a table for people: one row for each training and epoch, with scores and costs."""
    from nasbench_ecg.tables.export import check_suffix, to_frame, write_frame

    check_suffix(output)
    write_frame(to_frame(load(tables, space, dataset, protocol)), output)
    stderr().print(f"Table: {output}")


for verb in (
    table_build.build, table_build.costs, table_build.verify, table_build.publish,
    table_simulate.simulate,
):  # fmt: skip
    app.command()(verb)

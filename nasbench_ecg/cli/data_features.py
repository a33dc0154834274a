"""``nasbench-ecg data features``: the table of intervals and amplitudes of every beat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import RichProgress, stderr, stdout, table

if TYPE_CHECKING:
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.signal.features import FeatureTable


def features(
    name: Annotated[
        str, typer.Argument(metavar="DB|DATASET", help="Name of a database or of a dataset.")
    ],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder that holds databases.")
    ] = None,
    records: Annotated[
        str | None,
        typer.Option("--records", metavar="A,B,...", help="Only these records, parted by commas."),
    ] = None,
    lead: Annotated[
        str | None,
        typer.Option(help="Lead to measure, by name or place (#0); the first if not given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it: .csv or .parquet.")
    ] = None,
) -> None:
    """Measure intervals and amplitudes of every beat, 18 numbers each."""
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.data.table_file import check_table_path, write_table
    from nasbench_ecg.physionet.catalog import DATABASES

    if out is not None:
        check_table_path(out)
    source, wanted = LocalSource(data), _names(records)
    if name in DATABASES or _lies_here(name, source):
        measured = _of_database(name, source, wanted, lead)
    else:
        measured = _of_dataset(name, source, wanted, lead)
    _show(name, measured)
    if out is not None:
        write_table(measured.to_frame(), out)
        stdout().print(f"written: {out}", markup=False, soft_wrap=True)


def _names(records: str | None) -> list[str] | None:
    from nasbench_ecg.errors import OptionError

    if records is None:
        return None
    names = [name.strip() for name in records.split(",") if name.strip()]
    if not names:
        raise OptionError("--records names no record.", fix="For example: --records 100,101")
    return names


def _lies_here(database: str, source: LocalSource) -> bool:
    from nasbench_ecg.errors import MissingDataError

    try:
        return source.folder(database).is_dir()
    except MissingDataError:
        return False


def _of_database(
    name: str, source: LocalSource, wanted: list[str] | None, lead: str | None
) -> FeatureTable:
    from nasbench_ecg.errors import RecordError
    from nasbench_ecg.physionet.catalog import record_names

    folder = source.folder(name)
    listed = record_names(folder)
    names = wanted or [record for record in listed if (folder / f"{record}.atr").is_file()]
    if not names:
        raise RecordError(f"No record of {name} has annotations (.atr).", where=str(folder))
    if len(names) < len(listed) and not wanted:
        left_out = len(listed) - len(names)
        RichProgress(stderr()).note(f"{left_out} records without annotations are left out.")
    return _measure(folder, names, [lead or "#0"])


def _of_dataset(
    name: str, source: LocalSource, wanted: list[str] | None, lead: str | None
) -> FeatureTable:
    import numpy as np

    from nasbench_ecg.data.cache import load_beats
    from nasbench_ecg.errors import OptionError, PluginError, nearest
    from nasbench_ecg.options import resolve
    from nasbench_ecg.physionet.catalog import DATABASES
    from nasbench_ecg.plugin.registry import load_registry

    registry = load_registry()
    try:
        component = registry.get("dataset", name)
    except PluginError as error:
        known = {component.name for component in registry.components("dataset")}
        raise OptionError(
            f"There is no database and no dataset {name!r}.",
            where=error.where,
            fix=nearest(name, {*DATABASES, *known}),
        ) from error
    options = resolve(component.options_model(), component=name)
    dataset = component.create(options)
    databases = {requirement.database for requirement in dataset.requires()}
    if len(databases) != 1:
        raise OptionError(
            f"The dataset {name!r} is not made of the records of one database.",
            fix="Name the database whose records are to be measured.",
        )
    loaded = load_beats(
        name=name,
        revision=component.spec.revision,
        options=options,
        dataset=dataset,
        source=source,
        progress=RichProgress(stderr()),
    )
    beats = loaded.beats
    unknown = sorted(set(wanted or ()) - set(beats.records))
    if unknown:
        raise OptionError(
            f"The dataset {name!r} has no record {unknown[0]!r}.",
            fix=nearest(unknown[0], beats.records),
        )
    names = wanted or list(beats.records)
    leads = [lead] if lead else [*getattr(options, "leads", ("#0",))]
    measured = _measure(source.folder(databases.pop()), names, leads)
    held = {(beats.records[r], int(s)) for r, s in zip(beats.record, beats.sample, strict=True)}
    pairs = zip(measured.record, measured.sample, strict=True)
    return measured.take(np.array([(str(r), int(s)) in held for r, s in pairs], dtype=bool))


def _measure(folder: Path, names: list[str], leads: list[str]) -> FeatureTable:
    """Return the features of the first of ``leads`` in every record."""
    from nasbench_ecg.signal.features import beat_features, join_tables
    from nasbench_ecg.signal.records import read_record

    tables = []
    with RichProgress(stderr()).track("Measuring beats", len(names)) as steps:
        for name in names:
            tables.append(beat_features(read_record(folder, name, leads)))
            steps.advance()
    return join_tables(tables)


def _show(name: str, measured: FeatureTable) -> None:
    import numpy as np

    from nasbench_ecg.signal.features import FEATURES

    own = len(FEATURES) // 2
    listed = table("feature", "median", "5 %", "95 %", "there", title=f"Features of {name}")
    for column in listed.columns[1:]:
        column.justify = "right"
    for feature, values in zip(FEATURES[:own], measured.values.T[:own], strict=True):
        there = values[~np.isnan(values)]
        cells = [f"{q:.3f}" for q in np.percentile(there, [50, 5, 95])] if len(there) else [""] * 3
        listed.add_row(feature, *cells, f"{len(there) / max(len(values), 1):.1%}")
    stdout().print(listed)
    n_records, n_bad = len(np.unique(measured.record)), int((~measured.usable).sum())
    stdout().print(
        f"{len(measured):,} beats of {n_records} records, {len(FEATURES)} features each "
        f"(these, and those of the beat before); {n_bad:,} beats on a flat or saturated lead",
        soft_wrap=True,
    )

"""Stored runs as a table, and their leaderboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from nasbench_ecg.arguments import folder_of, name_of
from nasbench_ecg.errors import OptionError, StorageError, nearest
from nasbench_ecg.models.draw import draw
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.report.leaderboard.build import build_report
from nasbench_ecg.report.leaderboard.grouping import stored_differently
from nasbench_ecg.report.leaderboard.tables import leaderboard_table
from nasbench_ecg.report.leaderboard.types import Leaderboard, Report
from nasbench_ecg.report.render import render
from nasbench_ecg.report.statistics.seed_noise import stored_noise
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import DamagedRecord, find_record, read_records
from nasbench_ecg.run.request import DEFAULT_OUT, ROLES
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite.spec import about_suites
from nasbench_ecg.text import printable

_WIDTH = 120


class Runs(pd.DataFrame):
    """Runs as a pandas DataFrame, one row a run; its index is the run key.

    Columns: ``suite``, ``status``, ``strategy``, ``space``, ``builder``, ``dataset``,
    ``protocol``, ``profile``, ``evaluator``, ``search_seed``, ``evaluation_seed``, ``device``,
    ``score``; the metrics of the test part, as fractions; ``parameters``, ``macs`` for one beat,
    ``flash_bytes`` and ``ram_bytes`` in int8, ``latency_1_ms`` and ``latency_256_ms`` in
    milliseconds, ``peak_memory_mb`` of the process in megabytes;
    ``seconds_load``, ``seconds_search``, ``seconds_evaluation`` and ``seconds_total``;
    ``evaluations``, the candidates of the search; ``architecture``, its hash; ``out``, the folder
    of results. A value that was not measured is NaN.

    The options of the components and of the protocol are columns too, by the names of ``--set``:
    ``evaluator.epochs``, ``protocol.fold``; NaN where a component has no such option, and lists
    and dictionaries as they are stored.
    """

    _metadata = ["damaged", "_records"]  # noqa: RUF012
    damaged: tuple[DamagedRecord, ...]
    _records: dict[tuple[str, str], RunRecord]

    @property
    def _constructor(self) -> type[Runs]:
        return Runs

    @classmethod
    def of(
        cls, records: Sequence[RunRecord], out: Path, damaged: Sequence[DamagedRecord] = ()
    ) -> Runs:
        """Return the table of some records, which lie in ``out``."""
        index = pd.Index([record.run_key for record in records], name="run")
        made = cls([_row(record, out) for record in records], index=index)
        made._records = {(record.suite, record.run_key): record for record in records}
        made.damaged = tuple(damaged)
        return made

    @property
    def records(self) -> list[RunRecord]:
        """The run records of the rows, in their order.

        Raises:
            OptionError: The table has no columns ``suite`` and ``out``, which say where they are.
            StorageError: A row was lost from this table's memory, as by ``pandas.concat``, and its
                record is no longer in ``out``.
        """
        if not len(self):
            return []
        if not {"suite", "out"} <= {*self.columns}:
            raise OptionError(
                "This table has lost the column 'suite' or 'out', which say where its runs are.",
                fix="Select columns after this call, or keep these two.",
            )
        rows = zip(self["out"], self["suite"], self.index, strict=True)
        known = getattr(self, "_records", {})
        return [known.get((suite, key)) or _stored(out, suite, key) for out, suite, key in rows]


def _stored(out: Path | str, suite: str, run_key: Any) -> RunRecord:
    """Return the record of a row of a table.

    Raises:
        OptionError: The rows are no longer named by their run keys, as after ``reset_index``.
        StorageError: It is not in the folder of results.
    """
    if not isinstance(run_key, str):
        raise OptionError(
            f"The row {run_key!r} is not named by its run key.",
            fix="Keep the index of the table, or bring it back: table.set_index('run').",
        )
    record = RecordStore(Path(out), suite).read(run_key)
    return record or find_record(Path(out), run_key)


def _row(record: RunRecord, out: Path) -> dict[str, Any]:
    last = record.trajectory[-1] if record.trajectory else {}
    return {
        "suite": record.suite,
        "status": record.status,
        **{role: record.components[role].name for role in ROLES},
        "protocol": record.protocol,
        "profile": record.profile,
        "search_seed": record.search_seed,
        "evaluation_seed": record.evaluation_seed,
        "device": record.device,
        "score": record.metrics.get("f1_of_macro") if record.score is None else record.score,
        **record.metrics,
        **record.costs,
        **{f"seconds_{name}": seconds for name, seconds in record.seconds.items()},
        "evaluations": last.get("evaluations", 0.0),
        "architecture": record.architecture_hash,
        "out": str(out),
        **{
            f"{role}.{name}": value
            for role in ROLES
            for name, value in record.components[role].options.items()
        },
        **{f"protocol.{name}": value for name, value in record.protocol_options.items()},
    }


def runs(out: Path | str = DEFAULT_OUT, suite: str | None = None) -> Runs:
    """Return the stored runs as a table, one row a run.

    ``runs("results").damaged`` lists the files that are not readable run records.

    Args:
        out: Folder of results.
        suite: Only runs of this suite.

    Raises:
        StorageError: There is no such folder, or no such suite in it.
    """
    folder = _folder(out)
    if suite is not None and not (name_of("suite", suite) and (folder / suite).is_dir()):
        known = [path.name for path in folder.iterdir() if any(path.glob("*.json"))]
        raise StorageError(
            f"There is no suite {suite!r}.", where=str(out), fix=nearest(suite, known)
        )
    records, damaged = read_records(folder, suite)
    return Runs.of(records, folder, damaged)


def _folder(out: Path | str) -> Path:
    folder = folder_of("out", out)
    if not folder.is_dir():
        raise StorageError("There is no such folder of results.", where=str(out))
    return folder


def stored_runs(out: Path, suite: str | None = None) -> tuple[list[RunRecord], list[DamagedRecord]]:
    """Return the runs of a folder of results and those submitted to it, and the damaged files.

    Args:
        out: Folder of results.
        suite: Read only the runs of this suite, if it has any, and the submitted ones.
    """
    from nasbench_ecg.models.submit import read_submitted  # imports torch

    if suite is not None and not any((out / suite).glob("*.json")):
        suite = None
    records, damaged = read_records(out, suite)
    submitted, damaged_too = read_submitted(out)
    return [*records, *submitted], [*damaged, *damaged_too]


def records_of(runs: Runs | RunRecord | Iterable[RunRecord]) -> list[RunRecord]:
    """Return the run records of what a user gives as runs."""
    if isinstance(runs, Runs):
        return runs.records
    if isinstance(runs, RunRecord):
        return [runs]
    records = list(runs) if isinstance(runs, Iterable) else [runs]
    if not all(isinstance(record, RunRecord) for record in records):
        raise OptionError("These are no runs.", fix="Give what nb.run or nb.runs returns.")
    return records


def one_run(
    run: Runs | RunRecord | pd.Series[Any] | str, out: Path | str
) -> tuple[RunRecord, Path]:
    """Return the record of one run, and the folder of its results.

    Args:
        run: A table of one run, a row of a table, a record, or the first characters of a run key.
        out: Folder of results, for a record or a key.

    Raises:
        OptionError: It is not exactly one run.
        StorageError: There is no such run.
    """
    if isinstance(run, Runs):
        if len(run) != 1:
            raise OptionError(
                f"This table has {len(run)} runs; one is needed.", fix="For example: runs.iloc[0]"
            )
        return run.records[0], Path(str(run["out"].iloc[0]))
    if isinstance(run, RunRecord):
        return run, Path(out)
    if isinstance(run, str):
        return find_record(Path(out), run), Path(out)
    if not isinstance(run, pd.Series) or not {"out", "suite"} <= {*run.index}:
        raise OptionError(
            "This is no run.", fix="Give a table of one run, a row of it, a record or a run key."
        )
    return _stored(run["out"], run["suite"], run.name), Path(str(run["out"]))


class LeaderboardTables:
    """The leaderboards of some runs: one for each track.

    A notebook shows them as tables; ``print`` writes them as text.

    Attributes:
        report: What the tables are made of.
        damaged: The files among the runs that are not readable run records.
        conflicts: One line for each run that is stored with two different results.
    """

    def __init__(
        self,
        report: Report,
        damaged: Sequence[DamagedRecord] = (),
        conflicts: Sequence[str] = (),
    ) -> None:
        self.report = report
        self.damaged = tuple(damaged)
        self.conflicts = tuple(conflicts)

    @property
    def boards(self) -> tuple[Leaderboard, ...]:
        """The leaderboards, by track."""
        return self.report.leaderboards

    def __len__(self) -> int:
        return len(self.boards)

    def __str__(self) -> str:
        from rich.text import Text

        from nasbench_ecg.report.render.terminal import as_text
        from nasbench_ecg.report.render.terminal import leaderboard_table as shown

        about = [Text(self.report.about)] if self.report.about else []
        boards = (shown(board, width=_WIDTH) for board in self.boards)
        return as_text([*about, *boards, *map(Text, self._warnings())], width=_WIDTH)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from nasbench_ecg.report.render.html import fragment

        tables = fragment([leaderboard_table(board, "html") for board in self.boards])
        return "".join([tables, *(f"<p>{escape(line)}</p>" for line in self._warnings())])

    def _warnings(self) -> list[str]:
        """Return one line for each file that could not be read, and for each conflict."""
        skipped = [f"Skipped {item.path}: {item.reason}." for item in self.damaged]
        return list(map(printable, [*skipped, *self.conflicts]))

    def render(self, form: str) -> str:
        """Return the leaderboards as ``markdown``, ``csv``, ``latex`` or ``html`` (a page)."""
        return render(self.report, form)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row for each method and published score, with unrounded values."""
        return pd.read_csv(StringIO(self.render("csv")))

    def anytime(self) -> pd.DataFrame:
        """Return the progress of searches: mean and quartiles over the searches of a method.

        One row for each ``method``, ``quantity`` (best score so far, as a fraction; hypervolumes
        where a search has two objectives), ``effort`` (evaluations or seconds) and point ``at``.
        """
        return pd.read_csv(StringIO(self.render("anytime")))

    def to_latex(self) -> str:
        """Return LaTeX tables, which need the package ``booktabs``."""
        return self.render("latex")


def leaderboard(
    runs: Runs | Iterable[RunRecord] | Path | str = DEFAULT_OUT,
    title: str = "Leaderboard",
    registry: Registry | None = None,
    *,
    out: Path | str | None = None,
) -> LeaderboardTables:
    """Return the leaderboards of some runs.

    Args:
        runs: What :func:`runs` or :func:`run` returns, records, or a folder of results, with the
            runs submitted to it.
        title: Heading of pages.
        registry: The available components, which draw architectures; by default those installed.
        out: Folder of results with what ``correlate`` has measured; None: that of the runs, if it
            is known.

    Raises:
        OptionError: These are no runs, or there are none.
        StorageError: There is no such folder, it has no runs, or a result of ``correlate`` is
            damaged.
    """
    given = runs
    damaged: Sequence[DamagedRecord] = getattr(runs, "damaged", ())
    if isinstance(runs, (str, Path)):
        folder = _folder(runs)
        runs, damaged = stored_runs(folder)
        if not runs and not damaged:
            raise no_runs(folder)
    registry = registry or load_registry()
    records = records_of(runs)
    if not records and not damaged:
        raise OptionError("There are no runs to compare.", fix="Pass at least one run.")
    folders = _folders(given) if out is None else [folder_of("out", out)]
    return LeaderboardTables(
        build_report(
            records,
            title,
            lambda record: draw(record, registry),
            registry=registry,
            about=about_suites(record.suite for record in records),
            noise=[noise for folder in folders for noise in stored_noise(folder)],
        ),
        damaged,
        stored_differently(records),
    )


def _folders(runs: object) -> list[Path]:
    """Return the folders of results of what a user gives as runs, as far as they are known."""
    if isinstance(runs, (str, Path)):
        return [Path(runs)]
    return [Path(out) for out in runs["out"].unique()] if isinstance(runs, Runs) else []


def no_runs(out: Path) -> StorageError:
    """Return the error that a folder of results has no runs."""
    return StorageError(
        "There are no runs to compare yet.",
        where=str(out),
        fix="Make one in minutes with 'nasbench-ecg run darts synthetic-2lead', or name another "
        "folder of results with --out.",
    )

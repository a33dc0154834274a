"""Test trained networks: the function behind ``nb.evaluate`` and ``nasbench-ecg evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nasbench_ecg.arguments import file_of, folder_of, name_of, switch
from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.run.request import DEFAULT_OUT

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_ecg.front.results import Runs
    from nasbench_ecg.models.classifier import BeatClassifier
    from nasbench_ecg.progress import Progress
    from nasbench_ecg.report.networks.evaluation import Methods
    from nasbench_ecg.report.table import Table
    from nasbench_ecg.run.record import RunRecord
    from nasbench_ecg.studies.evaluate import CarriedWeights
    from nasbench_ecg.studies.stress import StressTest

_WIDTH = 120
_Each = TypeVar("_Each")


class Evaluations(Sequence["CarriedWeights | StressTest"]):
    """The results of testing networks; a notebook shows them as tables.

    Attributes:
        results: Scores on other beats, and stress tests.
        methods: The method of each test, over whose runs tables show means; None: they show runs.
    """

    def __init__(
        self, results: Iterable[CarriedWeights | StressTest], methods: Methods | None = None
    ) -> None:
        self.results = list(results)
        self.methods = methods

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: Any) -> Any:
        return self.results[index]

    def __iter__(self) -> Iterator[CarriedWeights | StressTest]:
        return iter(self.results)

    def tables(self) -> list[Table]:
        """Return the tables of the report; those of stress tests have charts."""
        from nasbench_ecg.report.networks import evaluation, stress

        carried, tests = self._kinds()
        return [
            *(evaluation.tables(carried, self.methods) if carried else ()),
            *(stress.tables(tests, self.methods) if tests else ()),
        ]

    def as_data(self) -> dict[str, Any]:
        """Return the results as JSON data; scores are fractions."""
        from nasbench_ecg.report.networks import evaluation, stress

        carried, tests = self._kinds()
        data = evaluation.as_data(carried) if carried else {}
        return {**data, **(stress.as_data(tests) if tests else {})}

    def render(self, form: str) -> str:
        """Return the report as ``markdown``, ``csv``, ``latex`` or ``html`` (a page)."""
        from nasbench_ecg.report.render import render_tables

        return render_tables(self.tables(), TITLE, form)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row for each network and set of tested beats; scores are fractions.

        Columns: ``run``, ``file``, ``strategy``, ``trained_on``, ``tested_on``, ``protocol``,
        ``disturbance``, ``level`` in dB or milliseconds, ``beats``, and the metrics.
        """
        import numpy as np
        import pandas as pd

        rows = []
        for one in self.results:
            common = {
                "run": one.run_key,
                "file": one.file,
                "strategy": one.strategy,
                "trained_on": one.trained_on,
                "tested_on": one.tested_on,
                "protocol": one.protocol,
                "disturbance": getattr(one, "disturbance", None),
            }
            for part in getattr(one, "levels", [one]):
                measured = {"level": getattr(part, "level", None), "beats": np.sum(part.confusion)}
                rows.append({**common, **measured, **part.metrics})
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        from rich.console import Console

        from nasbench_ecg.report.render.terminal import render_tables

        console = Console(width=_WIDTH, color_system=None, highlight=False, file=StringIO())
        console.print(render_tables(self.tables()))
        text: str = console.file.getvalue()  # type: ignore[attr-defined]
        return "\n".join(line.rstrip() for line in text.splitlines()).strip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from nasbench_ecg.report.render.html import fragment

        return fragment(self.tables())

    def _kinds(self) -> tuple[list[CarriedWeights], list[StressTest]]:
        from nasbench_ecg.studies.evaluate import CarriedWeights
        from nasbench_ecg.studies.stress import StressTest

        carried = [one for one in self.results if isinstance(one, CarriedWeights)]
        return carried, [one for one in self.results if isinstance(one, StressTest)]


TITLE = "Trained networks on other beats"


def evaluate(
    runs: Runs | RunRecord | pd.Series[Any] | str | Sequence[str] = (),
    on: str | Sequence[str] | None = None,
    *,
    model: Path | str | Sequence[Path | str] = (),
    protocol: str | None = None,
    leads: Sequence[str] | None = None,
    merge: Mapping[str, str] | None = None,
    set: Mapping[str, Any] | None = None,
    keep_shared_persons: bool = False,
    align_marks: float | None = None,
    noise: str | Sequence[str] = (),
    snr: float | Sequence[float] | None = None,
    shift_marks: float | Sequence[float] = (),
    data: Path | str | None = None,
    out: Path | str = DEFAULT_OUT,
    progress: Progress | None = None,
) -> Evaluations:
    """Test trained networks on other beats, without training.

    The words are those of ``nasbench-ecg evaluate``. The result of a run is also stored in the
    folder of its files.

    Args:
        runs: A table of runs, a row of a table, a record, or the first characters of run keys.
        on: Datasets to test on; None: the test part of each run itself.
        model: Exported files, whose networks are tested too.
        protocol: Test on the test part of this protocol; None: on all beats.
        leads: Leads of the dataset, in the order of the network's.
        merge: Classes that count as another one, for example ``{"F": "V"}``.
        set: Options, for example ``{"dataset.denoise": "none", "protocol.seed": 1}``.
        keep_shared_persons: Also test on persons that the network was trained on; always so for
            the test part of the run itself.
        align_marks: Move each R mark to the detected R peak within so many milliseconds.
        noise: Noise to add to the records, of ``bw``, ``em`` and ``ma``: the result is a stress
            test in place of the scores.
        snr: Signal-to-noise ratios in dB; None: 24, 18, 12, 6, 0 and −6.
        shift_marks: Largest shifts of the R marks in milliseconds: the result is a stress test.
        data: Folder of databases; None: ``NASBENCH_ECG_DATA``, or the cache.
        out: Folder of results, for records and keys.
        progress: Where progress is shown; None: bars in a notebook, elsewhere notes to the logger
            ``nasbench_ecg``.

    Raises:
        NasbenchError: There is no such run or file, its weights are not here, an argument is not
            allowed, or records are missing.
    """
    from nasbench_ecg.data.protocols import protocol_options
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.front.progress import progress_of
    from nasbench_ecg.front.running import overrides_of
    from nasbench_ecg.plugin.registry import load_registry

    keep_shared_persons = switch("keep_shared_persons", keep_shared_persons)
    found = _records(runs, folder_of("out", out))
    targets = [None] if on is None else _once("on", on, name_of)
    files = _once("model", model, file_of)
    if not (found or files):
        raise OptionError("No network is named.", fix="Name a run, or an exported file.")
    if not targets:
        raise OptionError(
            "No dataset is named.", fix="Name one, or give on=None for the test part of each run."
        )
    overrides = overrides_of(set or {})
    if others := sorted({*overrides} - {"dataset", "protocol"}):
        raise OptionError(
            f"Options of the {others[0]} cannot be set.",
            fix="For example: --set dataset.denoise=none",
        )
    of_dataset = overrides.get("dataset", {})
    if align_marks is not None:
        of_dataset = {**of_dataset, "align_marks": align_marks}
    names = _once("noise", noise, name_of)
    leads = None if leads is None else _each("leads", leads, name_of)
    if not isinstance(merge, Mapping | None):
        raise OptionError(f"merge={merge!r} is not a dictionary.", fix='For example: {"F": "V"}')
    ratios = () if snr is None else _numbers("snr", snr)
    shifts = _numbers("shift_marks", shift_marks)
    if snr is not None and not names:
        raise OptionError("A signal-to-noise ratio needs a noise.", fix="For example: --noise em")
    # torch is imported only for networks that are named well
    from nasbench_ecg.run.store import RecordStore
    from nasbench_ecg.studies.evaluate import evaluate as scores_on
    from nasbench_ecg.studies.stress import MARK_SHIFT, SNRS, check_disturbance, stress_test
    from nasbench_ecg.studies.target import load_target

    progress, registry = progress_of(progress), load_registry()
    source = LocalSource(None if data is None else folder_of("data", data))
    levels = dict.fromkeys(names, SNRS if snr is None else ratios)
    if shifts:
        levels[MARK_SHIFT] = shifts
    # before hours of tests that lead to a wrong name, or whose results could not be stored
    for target_name in targets:
        if target_name is not None:
            registry.get("dataset", target_name)
    for name, values in levels.items():
        check_disturbance(name, values)
    if protocol is not None:
        protocol_options(protocol)
    for tested, folder in found:
        RecordStore(folder, tested.suite).check_writable()
    results: list[CarriedWeights | StressTest] = []
    for record, folder, classifier in _networks(found, files):
        for target_name in targets:
            target = load_target(
                classifier,
                target_name,
                protocol=protocol,
                leads=leads,
                merge=merge,
                overrides=of_dataset,
                protocol_overrides=overrides.get("protocol"),
                keep_shared_persons=keep_shared_persons,
                source=source,
                registry=registry,
                progress=progress,
            )
            made: list[CarriedWeights | StressTest] = [
                stress_test(target, name, values, progress) for name, values in levels.items()
            ] or [scores_on(target)]
            if record is not None:
                store = RecordStore(folder, record.suite)
                for one in made:
                    store.add_artifact(record.run_key, one.file_name, one.as_data())
            results += made
    return Evaluations(results)


def stored_evaluations(suite: str | None = None, *, out: Path | str = DEFAULT_OUT) -> Evaluations:
    """Return the tests that :func:`evaluate` has stored beside run records; weights are not needed.

    Tables show means over the runs of a method.

    Args:
        suite: Only runs of this suite.
        out: Folder of results.

    Raises:
        StorageError: There is no such folder, none is stored, or one contradicts itself.
    """
    from nasbench_ecg.front.results import runs as stored_runs
    from nasbench_ecg.report.networks.methods import tested_methods
    from nasbench_ecg.studies.stored import stored_evaluations as read

    found: list[CarriedWeights | StressTest] = []
    methods = {}
    seen = set()
    for record, method, run in tested_methods(stored_runs(out, suite).records):
        for one in read([record], Path(out)):
            if (run, one.file_name) not in seen:  # a run that is stored twice counts once
                seen.add((run, one.file_name))
                found.append(one)
                methods[id(one)] = method
    if not found:
        raise StorageError(
            "No test of a trained network is stored.",
            where=str(Path(out) / (suite or "")),
            fix="Make one with 'nasbench-ecg evaluate RUN --on DATASET'.",
        )
    return Evaluations(found, methods)


def _each(name: str, given: Any, check: Callable[[str, Any], _Each]) -> list[_Each]:
    """Return what a user gives, one or several, after a check of each."""
    several = isinstance(given, Iterable) and not isinstance(given, str | bytes)
    return [check(name, one) for one in (given if several else [given])]


def _once(name: str, given: Any, check: Callable[[str, Any], _Each]) -> list[_Each]:
    """Return what a user gives, each once: the same network or dataset twice is not two."""
    return list(dict.fromkeys(_each(name, given, check)))


def _records(runs: Any, out: Path) -> list[tuple[RunRecord, Path]]:
    """Return the records of what a user gives as runs, each once, with the folders of results."""
    import pandas as pd

    from nasbench_ecg.front.results import Runs, one_run
    from nasbench_ecg.run.record import RunRecord
    from nasbench_ecg.run.store import WEIGHTS

    if isinstance(runs, Runs):
        records = runs.records
        found = list(zip(records, map(Path, runs["out"].astype(str)), strict=True))
    else:
        one = isinstance(runs, RunRecord | str | pd.Series) or not isinstance(runs, Iterable)
        found = [one_run(run, out) for run in ([runs] if one else runs)]
    # A suite may have copied the result of another one: that is one network, not two.
    networks: dict[Hashable, tuple[RunRecord, Path]] = {}
    for record, folder in found:
        place = record.files.get(WEIGHTS) or (folder, record.suite)
        networks.setdefault((record.run_key, place), (record, folder))
    return list(networks.values())


def _numbers(name: str, given: Any) -> tuple[float, ...]:
    """Return the numbers that a user gives, one or several.

    Raises:
        OptionError: One of them is no number.
    """
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(one, Real) and not isinstance(one, bool) for one in found):
        raise OptionError(f"{name}={given!r} are no numbers.", fix=f"For example: {name}=[12, 6]")
    return tuple(float(one) for one in found)


def _networks(
    records: Sequence[tuple[RunRecord, Path]], files: Sequence[Path]
) -> Iterator[tuple[RunRecord | None, Path, BeatClassifier]]:
    """Yield the networks of runs and files, with the record and folder of results of a run."""
    from nasbench_ecg.models.classifier import classifier_of_file, classifier_of_run

    for record, out in records:
        yield record, out, classifier_of_run(record, out)
    for file in files:
        yield None, file, classifier_of_file(file)

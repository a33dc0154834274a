"""Verify a stored run: what its record and its files say is computed again."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.declarations import requirements_of
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import NasbenchError, StorageError
from nasbench_ecg.metrics import confusion_matrix
from nasbench_ecg.models import facts
from nasbench_ecg.models.load import build_model
from nasbench_ecg.models.repeated_run import (
    other_machine,
    other_scores,
    other_search,
    spread_of_seeds,
)
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.specs import EvaluatorSpec
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.configure import configure, resolve_device
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.record_files import DamagedRecord, read_record_file
from nasbench_ecg.run.request import ROLES, RunRequest
from nasbench_ecg.run.store import WEIGHTS, RecordStore, fault_of_files

Outcome = Literal["passed", "failed", "skipped"]

MAX_CHANGED = 0.001
"""Largest share of test beats whose class may differ on another processor, where sums of floating
point numbers are rounded differently."""

CARD = "card.json"
"""File of a submission that says whose runs it holds."""

SUBMITTED = "submitted"
"""Subfolder of the results that holds submissions, each in a folder of its own."""

_RECORDS = ("*.json", "*/*.json", f"{SUBMITTED}/*/*.json")
"""Where records lie in a folder of a suite, of results or of submissions."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: What was checked.
        outcome: ``passed``, ``failed`` or ``skipped``.
        detail: What was found, in one sentence.
    """

    name: str
    outcome: Outcome
    detail: str = ""


class _SkipError(Exception):
    """A check cannot be made here."""


class _FailError(Exception):
    """A check found a contradiction."""


def files_to_verify(target: Path) -> list[Path]:
    """Return the record files in a folder and in its subfolders, or the one file.

    Raises:
        StorageError: There is none.
    """
    if target.is_file():
        return [target]
    found = [
        path
        for path in sorted(path for pattern in _RECORDS for path in target.glob(pattern))
        if path.name != CARD and path.parent.name != "speed"
        if not path.parent.with_suffix(".json").is_file()  # a file of a run
    ]
    if not found:
        raise StorageError(
            "There are no run records.",
            where=str(target),
            fix="Name a folder of results, the folder of a suite, or the file of a record.",
        )
    return found


def verify(
    path: Path,
    registry: Registry,
    source: LocalSource,
    *,
    rerun: bool = False,
    progress: Progress | None = None,
) -> list[Check]:
    """Return the outcomes of all checks of one stored run.

    Args:
        path: The record file; the files of the run lie in the folder of its name.
        registry: The available components.
        source: Folders of records and of cached beats; nothing is downloaded.
        rerun: Make the run again and compare.
        progress: Shows the progress of a repeated run.
    """
    record = read_record_file(path)
    if isinstance(record, DamagedRecord):
        return [Check("record", "failed", f"{record.reason}.")]
    run = _StoredRun(path, record, registry, source, progress or Silent())
    checks: list[tuple[str, Callable[[], str]]] = [
        ("score", run.check_score),
        ("command", run.check_command),
        ("files", run.check_files),
        ("architecture", run.check_architecture),
        ("costs", run.check_costs),
        ("predictions", run.check_predictions),
        ("beats", run.check_beats),
        ("weights", run.check_weights),
    ]
    if rerun:
        checks.append(("repeated run", run.check_rerun))
    return [Check("record", "passed", "Key and scores agree."), *_outcomes(checks)]


def _outcomes(checks: list[tuple[str, Callable[[], str]]]) -> Iterator[Check]:
    for name, check in checks:
        try:
            yield Check(name, "passed", check())
        except _SkipError as reason:
            yield Check(name, "skipped", str(reason))
        except _FailError as reason:
            yield Check(name, "failed", str(reason))
        except NasbenchError as error:
            yield Check(name, "failed", str(error))


class _StoredRun:
    def __init__(
        self,
        path: Path,
        record: RunRecord,
        registry: Registry,
        source: LocalSource,
        progress: Progress,
    ) -> None:
        self.path, self.record, self.registry = path, record, registry
        self.source, self.progress = source, progress
        self.folder = path.with_suffix("")
        self._test: Beats | None = None

    def check_score(self) -> str:
        """Compare the score with the metric that the installed evaluator states."""
        used = self.record.components["evaluator"]
        self._require_installed("evaluator")
        spec = self.registry.get("evaluator", used.name).spec
        assert isinstance(spec, EvaluatorSpec)
        if spec.score is None or self.record.score is None:
            raise _SkipError("The evaluator does not say which metric its score is.")
        if self.record.metrics.get(spec.score) != self.record.score:
            raise _FailError(
                f"score is {self.record.score!r}, but the evaluator {used.name!r} ranks by "
                f"{spec.score}, which is {self.record.metrics.get(spec.score)!r}."
            )
        return f"The score is {spec.score}."

    def check_command(self) -> str:
        """Compare the command with the one that repeats the run, and its options with these."""
        for role in self.record.components:
            self._require_installed(role)
        request = RunRequest.from_record(self.record)
        command = request.command()
        stored = facts.stored_command(self.record, self.registry)
        if facts.words_of(command) != facts.words_of(stored):
            raise _FailError(f"The command is not that of this run, which is: {command}")
        for role in self.record.components:
            self._require_revision(role)
        config = configure(self.registry, replace(request, device="cpu"))
        if fault := facts.fault_of_options(self.record, config):
            raise _FailError(fault)
        return "The command repeats this run."

    def check_files(self) -> str:
        """Compare the files beside the record with their SHA-256."""
        if not self.record.files:
            raise _SkipError("The record is older than the digests of files.")
        if fault := fault_of_files(self.record, self.folder):
            raise _FailError(fault)
        missing = sorted(name for name in self.record.files if not (self.folder / name).exists())
        return f"Not here: {', '.join(missing)}." if missing else "All files are unchanged."

    def check_architecture(self) -> str:
        """Check the stored architecture, and that it is valid in its search space."""
        if self.record.architecture is None:
            raise _SkipError("The run found no architecture.")
        arch = Architecture.from_dict(self.record.architecture)
        file = self.folder / "architecture.json"
        if file.is_file() and self._architecture(file) != arch:
            raise _FailError("architecture.json has another architecture than the record.")
        self._require_installed("space")
        used = self.record.components["space"]
        component = self.registry.get("search-space", used.name)
        component.create(component.options_model()(**used.options)).validate(arch)
        return f"{arch.hash} is in the search space."

    def check_costs(self) -> str:
        """Count the parameters, multiply-accumulates and bytes of the network again."""
        from nasbench_ecg.training.costs import size_costs

        if self.record.architecture is None or self.record.dataset is None:
            raise _SkipError("The run found no architecture.")
        self._require_revision("builder")
        shape = len(self.record.dataset.leads), self.record.dataset.n_samples
        found = size_costs(build_model(self.record, self.registry), *shape)
        if fault := facts.fault_of_costs(self.record, found):
            raise _FailError(fault)
        counted = [name for name in found if name in self.record.costs]
        return f"Counted again: {', '.join(counted)}." if counted else "The record states none."

    def check_predictions(self) -> str:
        """Check that the stored predictions give the confusion matrices."""
        stored = self._predictions()
        if fault := facts.fault_of_predictions(self.record, stored):
            raise _FailError(fault)
        return f"{len(stored['truth']):,} predictions give the confusion matrix."

    def check_beats(self) -> str:
        """Check that the dataset gives the beats and the split of the record."""
        test = self.test()
        try:
            stored = self._predictions()
        except _SkipError:
            return "Beats and split are those of the record."
        same = (
            stored["truth"] == test.labels.tolist()
            and stored["sample"] == test.sample.tolist()
            and stored["record"] == [test.records[i] for i in test.record]
        )
        if not same:
            raise _FailError("The beats in predictions.json are not those of the test part.")
        return "Beats, split and the beats of the predictions are those of the test part."

    def check_weights(self) -> str:
        """Score the stored network again on the test part."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from nasbench_ecg.training.engine import predict

        if not (self.folder / WEIGHTS).is_file():
            raise _SkipError("The weights are not here.")
        if self.record.confusion is None:
            raise _SkipError("The run has no confusion matrix.")
        self._require_installed("builder")
        test = self.test()
        model = build_model(self.record, self.registry)
        try:
            model.load_state_dict(load_file(self.folder / WEIGHTS))
        except (RuntimeError, SafetensorError, OSError) as error:
            raise _FailError(
                f"The weights cannot be loaded: {str(error).splitlines()[0]}"
            ) from error
        predicted = predict(model, test, device="cpu").argmax(axis=1).astype(np.int64)
        found = confusion_matrix(test.labels, predicted, test.n_classes)
        moved = int(np.abs(found - np.asarray(self.record.confusion)).sum()) // 2
        with contextlib.suppress(_SkipError, _FailError):
            self.check_predictions()
            stored = self._predictions()["predicted"]  # equal counts may be of other beats
            moved = max(moved, int((predicted != stored).sum()))
        if moved > MAX_CHANGED * len(test):
            raise _FailError(
                f"The network of these weights classifies at least {moved:,} of {len(test):,} test "
                "beats otherwise than the record says."
            )
        same = "gives the confusion matrix" if not moved else f"differs in {moved} beats"
        return f"The network, scored again on {len(test):,} test beats, {same}."

    def check_rerun(self) -> str:
        """Make the run again and compare."""
        from nasbench_ecg.run.prepare import prepare_run
        from nasbench_ecg.run.runner import execute

        if self.record.device == "cuda" and resolve_device("auto") != "cuda":
            raise _SkipError("The run was made on a GPU, and there is none here.")
        config = configure(self.registry, RunRequest.from_record(self.record))
        if config.key() != self.record.run_key:
            raise _FailError(f"The installed components give the run key {config.key()}.")
        self.test()
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare_run(
                config, source=self.source, progress=self.progress, suite="verify"
            )
            again = execute(prepared, RecordStore(Path(folder), "verify"))
        others = other_machine(self.record, again)
        if again.status != self.record.status:
            cause = f": {again.reason}" if again.reason else "."
            raise _FailError(
                f"The repeated run is {again.status!r}, not {self.record.status!r}{cause}"
            )
        metrics = again.metrics
        name = "f1_of_macro" if "f1_of_macro" in metrics else min(metrics, default="")
        repeated = metrics.get(name, 0.0)
        change = abs(repeated - self.record.metrics.get(name, 0.0))
        scores, search = other_scores(self.record, again, name), other_search(self.record, again)
        found = scores or search
        if found is None:
            return "The repeated run has the same architecture, scores and trajectory."
        if not others:
            raise _FailError(
                "The repeated run differs, with the same code, PyTorch, processor and threads: "
                f"{found}."
            )
        if scores is None:
            raise _SkipError(f"The scores are equal, but {found}, with {others}.")
        spread = spread_of_seeds(self.path, self.record, name, repeated)
        if spread is None:
            raise _SkipError(f"{found}, with {others}; no spread over seeds is known.")
        if change > spread:
            raise _FailError(
                f"{found}; other seeds of this method and the repeated run differ by at most "
                f"{spread:.4f}."
            )
        return (
            f"{found}, with {others}: within the spread of other seeds of this method and the "
            f"repeated run, {spread:.4f}."
        )

    def test(self) -> Beats:
        """Return the test part, after a check that beats and split are those of the record."""
        from nasbench_ecg.run.prepare import prepare_run

        if self._test is not None:
            return self._test
        for role in self.record.components:
            self._require_installed(role)
        config = configure(
            self.registry, replace(RunRequest.from_record(self.record), device="cpu")
        )
        if any(map(self.source.missing, requirements_of(config.dataset.create()))):
            raise _SkipError(f"The records of {config.dataset.name} are not here.")
        prepared = prepare_run(config, source=self.source, progress=Silent(), suite="verify")
        for part in ("dataset", "split"):
            before, now = getattr(self.record, part), getattr(prepared.record, part)
            if fault := facts.fault_of_beats(before, now):
                what = part if fault == "fingerprint" else f"{part}.{fault}"
                raise _FailError(
                    f"{config.dataset.name} gives another {what} than that of the run."
                )
        self._test = prepared.test.load()
        return self._test

    def _predictions(self) -> dict[str, Any]:
        path = self.folder / "predictions.json"
        if not path.is_file():
            raise _SkipError("The predictions are not here.")
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            lists = {name: list(stored[name]) for name in ("classes", "record", "sample")}
            return {**lists, "truth": list(stored["truth"]), "predicted": list(stored["predicted"])}
        except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
            raise _FailError(f"predictions.json cannot be read: {error}.") from error

    @staticmethod
    def _architecture(file: Path) -> Architecture:
        try:
            return Architecture.from_json(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError, OSError, NasbenchError) as error:
            raise _FailError(f"{file.name} cannot be read: {error}.") from error

    def _require_installed(self, role: str) -> None:
        used = self.record.components[role]
        known = {component.name for component in self.registry.components(ROLES[role])}
        if used.name not in known:
            raise _SkipError(f"Not installed: {role} {used.name!r} of {used.distribution}.")

    def _require_revision(self, role: str) -> None:
        self._require_installed(role)
        used = self.record.components[role]
        found = self.registry.get(ROLES[role], used.name).spec.revision
        if found != used.revision:
            raise _SkipError(
                f"The {role} {used.name!r} has revision {found} here, not {used.revision}."
            )

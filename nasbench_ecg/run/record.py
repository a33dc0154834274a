"""The run record: its schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1

Status = Literal["ok", "failed", "timeout", "oom", "interrupted"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ComponentRecord(_Part):
    """A component of a run, with its options."""

    name: str
    plugin: str
    distribution: str
    version: str
    revision: int
    options: dict[str, Any]
    changed: dict[str, Any]
    """Options that the user changed from the profile's value."""


class DatasetRecord(_Part):
    """The beats of a run, before they are split."""

    fingerprint: str
    """SHA-256 of the beats."""
    records: list[str]
    leads: list[str]
    fs: float
    n_samples: int
    counts: dict[str, int]
    """Beats of each class."""
    notes: list[str]
    persons: dict[str, str] = {}
    """Person of each record across databases, as ``mitdb/213``; of excluded records too."""
    by_record: dict[str, dict[str, int]] = {}
    """Beats of each class in each record, without zeros; of excluded records too."""


class SplitRecord(_Part):
    """How the beats were split."""

    fingerprint: str
    counts: dict[str, dict[str, int]]
    """Beats of each class, for ``train``, ``validation`` and ``test``."""
    records: dict[str, list[str]]
    """Names of the records that have beats in each part."""
    notes: list[str] = []


class RunRecord(_Part):
    """Everything that is stored about a run. A value that was not measured is absent."""

    schema_version: int = SCHEMA_VERSION
    run_key: str
    suite: str
    status: Status
    command: str
    profile: str
    protocol: str
    protocol_options: dict[str, Any]
    components: dict[str, ComponentRecord]
    """By role: ``strategy``, ``space``, ``builder``, ``dataset``, ``evaluator``."""
    search_seed: int
    evaluation_seed: int
    device: str
    budget: dict[str, int | float] = {}
    """Limits of the search, ``evaluations`` and ``seconds``; empty if there are none."""
    dataset: DatasetRecord | None = None
    split: SplitRecord | None = None
    architecture: dict[str, Any] | None = None
    architecture_hash: str | None = None
    trajectory: list[dict[str, float]] = []
    """Points: ``seconds``, ``evaluations``, ``value``, ``best`` and the strategy's own values."""
    search_details: dict[str, Any] = {}
    classes: list[str] = []
    macro_classes: list[str] = []
    """The classes that macro scores average over; fewer than two allow no macro scores."""
    score: float | None = None
    """The evaluator's own score on the test part, which ranks; larger is better."""
    score_metric: str | None = None
    """The metric that the score is, ``-name`` if it is minus that metric; empty if it is none."""
    metrics: dict[str, float] = {}
    per_class: dict[str, dict[str, float]] = {}
    confusion: list[list[int]] | None = None
    """Number of beats by true class (rows) and predicted class (columns)."""
    per_record: dict[str, list[list[int]]] = {}
    """The confusion matrix of the test beats of each record, which add up to ``confusion``; empty
    without predictions, and in records that are older than this field."""
    costs: dict[str, float] = {}
    """``parameters``, ``macs``, ``flash_bytes``, ``ram_bytes``, ``latency_1_ms``,
    ``latency_256_ms``, ``peak_memory_mb``."""
    epochs: dict[str, int] = {}
    """Training epochs of the search's candidates: ``trained``, and ``reused`` where a training went
    on from an earlier one of the same candidate; empty if the search did not set epochs."""
    seconds: dict[str, float] = {}
    """``load``, ``search``, ``evaluation``, ``total``."""
    files: dict[str, str] = {}
    """SHA-256 of the files in the folder beside the record, by name."""
    submitted_by: str | None = None
    """Who submitted the run; None for runs of this project and of your own."""
    provenance: dict[str, Any] = {}
    cause: Literal["diverged"] | None = None
    """Why the run failed, where that is known: ``diverged`` if the loss or the weights of a
    training were no longer finite."""
    error: str | None = None
    """The end of the traceback of a run that failed."""

    @property
    def reason(self) -> str:
        """Why the run has no result, in one line; empty if it has one or a user interrupted it."""
        lines = (self.error or "").split("\n") if self.status != "ok" else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        by_user = self.status == "interrupted" and last == "KeyboardInterrupt"
        return "" if by_user else last

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return self.components["strategy"].name

    @property
    def dataset_name(self) -> str:
        """Name of the dataset."""
        return self.components["dataset"].name

    @property
    def excluded_records(self) -> tuple[str, ...]:
        """The records that the dataset's option ``exclude`` leaves out."""
        return tuple(self.components["dataset"].options.get("exclude") or ())

    @property
    def search_options(self) -> dict[str, Any]:
        """The options of the protocol that say how the search validated its candidates."""
        from nasbench_ecg.data.protocols import SEARCH_OPTIONS

        options = self.protocol_options.items()
        return {k: v for k, v in options if v is not None and k in SEARCH_OPTIONS}

    @property
    def leaves_out_records(self) -> bool:
        """Whether options of the dataset choose records, so that it is not the whole dataset."""
        return bool(self.excluded_records) or "records" in self.components["dataset"].changed

    @property
    def adds_leads(self) -> bool:
        """Whether options of the dataset add leads to those of its records."""
        changed = self.components["dataset"].changed
        return any(changed.get(name) is not None for name in ("rhythm", "differences"))

    @property
    def track(self) -> tuple[str, str, str, str]:
        """Dataset, protocol, profile, evaluator: only results of one track can be compared."""
        return (
            self.dataset_name,
            self.protocol,
            self.profile,
            self.components["evaluator"].name,
        )

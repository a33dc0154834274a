"""The contracts between the harness and its components, as typed protocols.

Data moves one way: a :class:`Dataset` gives beats, a protocol splits them into a :class:`Task`, a
:class:`Strategy` searches an architecture on it, and an :class:`Evaluator` scores what was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.data.beats import Beats
    from nasbench_ecg.progress import Progress


@dataclass(frozen=True)
class Requirement:
    """Records that a dataset needs.

    Attributes:
        database: Name of the PhysioNet database and of its folder, for example ``mitdb``.
        records: Names of the records.
        extensions: File endings that each record needs.
    """

    database: str
    records: tuple[str, ...]
    extensions: tuple[str, ...] = ("hea", "dat", "atr")


class DataSource(Protocol):
    """Where records lie."""

    def folder(self, database: str) -> Path:
        """Return the folder that holds the records of ``database``.

        Raises:
            MissingDataError: There is no such folder.
        """

    def made(self, name: str) -> Path:
        """Return a folder of the cache, created if needed, for records that a dataset makes."""


@runtime_checkable
class Dataset(Protocol):
    """Labelled beats, and what protocols need to know of their records."""

    def requires(self) -> Sequence[Requirement]:
        """Return the records that :meth:`load` needs; empty if there is nothing to fetch."""

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and return their beats.

        Raises:
            RecordError: A record is missing or damaged, or lacks a lead.
        """

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return ``{"train": [record…], "test": [record…]}`` where ``protocol`` fixes the records.

        None where the protocol splits by other means.
        """


class SearchSpace(Protocol):
    """A set of architectures. All methods are pure: equal generator state, equal result.

    Optional methods: :class:`DrawsText`, :class:`DrawsSvg`, :class:`Canonicalizes`.
    """

    name: str

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn architecture."""

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a neighbour of ``arch`` that differs from it."""

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return an architecture each of whose parts stands in ``a`` or in ``b``."""

    def neighbours(self, arch: Architecture) -> Iterable[Architecture]:
        """Return all architectures that differ from ``arch`` in one decision."""

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError, saying what is wrong, if ``arch`` is not of this space."""

    @property
    def size(self) -> int:
        """Number of architectures, counted as genotypes."""


@runtime_checkable
class DrawsText(Protocol):
    """A search space that draws its architectures as text."""

    def draw(self, arch: Architecture) -> str:
        """Return a drawing of ``arch`` as plain text."""


@runtime_checkable
class DrawsSvg(Protocol):
    """A search space that draws its architectures as SVG."""

    def draw_svg(self, arch: Architecture) -> str:
        """Return a drawing of ``arch`` as an SVG document."""


@runtime_checkable
class Canonicalizes(Protocol):
    """A search space in which several genotypes describe one architecture."""

    def canonical(self, arch: Architecture) -> Architecture:
        """Return the one form that all equivalent genotypes share, so that they share a hash."""


class Builder(Protocol):
    """Makes a network of an architecture."""

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> nn.Module:
        """Return a module from [batch, n_leads, n_samples] to logits [batch, n_classes]."""


@dataclass(frozen=True)
class Task:
    """What a search may see: never the test part.

    Attributes:
        train: Beats to learn weights from.
        validation: Beats to choose the architecture by.
        macro_classes: The classes that macro scores average over.
    """

    train: Beats
    validation: Beats
    macro_classes: tuple[str, ...]

    @property
    def n_leads(self) -> int:
        """Number of leads."""
        return self.train.n_leads

    @property
    def n_samples(self) -> int:
        """Samples in a window."""
        return self.train.n_samples

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.train.n_classes


@dataclass(frozen=True)
class Fidelity:
    """How thoroughly a candidate is evaluated; None leaves the evaluator's own setting.

    Attributes:
        epochs: Passes over the training beats.
        beats: Most training beats used.
    """

    epochs: int | None = None
    beats: int | None = None


@dataclass(frozen=True)
class Budget:
    """What a search may spend; None is unlimited. A strategy must respect all of it.

    Attributes:
        evaluations: Most architectures that ``evaluate_many`` scores.
        seconds: Most seconds of search.
    """

    evaluations: int | None = None
    seconds: float | None = None

    def limits(self) -> dict[str, float]:
        """Return the limits that are set, by name; seconds always as a float."""
        limits: dict[str, float] = {}
        if self.evaluations is not None:
            limits["evaluations"] = self.evaluations
        if self.seconds is not None:
            limits["seconds"] = float(self.seconds)
        return limits


@dataclass(frozen=True)
class Evaluation:
    """What an evaluator says of one architecture.

    Attributes:
        architecture: What was evaluated.
        score: The figure to rank by, larger is better.
        metrics: Scores by name, as fractions. A figure that was not measured is absent.
        seconds: Wall time of the evaluation.
        confusion: Beats by true class (rows) and predicted class, if the evaluator predicts.
        curves: Figures by epoch, one list a name.
        state: Weights of the trained network by parameter name, to be stored, if there are any.
        predictions: Predicted class of each scored beat, if the evaluator predicts.
    """

    architecture: Architecture
    score: float
    metrics: Mapping[str, float]
    seconds: float
    confusion: Sequence[Sequence[int]] | None = None
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    state: Mapping[str, Tensor] | None = None
    predictions: Sequence[int] | None = None


@dataclass(frozen=True)
class SearchResult:
    """What a search returns.

    Attributes:
        architecture: The architecture found.
        details: JSON data worth keeping in the run record, for example the final α.
    """

    architecture: Architecture
    details: Mapping[str, Any] = field(default_factory=dict)


class Checkpoint(Protocol):
    """Where a stage of a run keeps its state, so that it can be stopped at any moment.

    A strategy that scores candidates by ``evaluate_many`` alone needs none of this: the harness
    remembers the evaluations, and a resumed search goes through the same ones again at no cost.
    """

    def due(self) -> bool:
        """Return whether it is time to save."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Store ``state``: nested mappings, lists and tuples of tensors and plain JSON values.

        The generators of the context and of torch, and the trajectory, are kept along.
        """

    def load(self) -> dict[str, Any] | None:
        """Return the state saved last, with tensors on the CPU; None in a run that starts."""


class SearchContext(Protocol):
    """What the harness gives a strategy, around which it seeds torch and restores its state.

    Attributes:
        rng: The search's generator.
        budget: What it may spend.
        device: Where networks are trained.
        progress: Where it shows how far it is.
        checkpoint: Where it keeps its state.
        parallel: How many candidates are evaluated at a time: ask :meth:`evaluate_many` for as
            many at once where the search allows it, or for more.
    """

    rng: np.random.Generator
    budget: Budget
    device: str
    progress: Progress
    checkpoint: Checkpoint
    parallel: int

    @property
    def seconds(self) -> float:
        """Seconds of the search so far, those before a stop included: what a budget counts."""

    def evaluate_many(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None
    ) -> list[Evaluation]:
        """Train each architecture on the task's training part and score it on its validation part.

        The evaluations come in the order of ``architectures``, without the networks' weights. One
        that was made before, of an equal architecture at an equal fidelity, costs nothing.

        Raises:
            ProtocolError: The budget's evaluations are spent; those it allowed were made.
        """

    def seconds_per_evaluation(
        self, arch: Architecture, fidelity: Fidelity | None = None
    ) -> float | None:
        """Return the seconds that an evaluation will take here, from a few timed steps.

        None where the evaluator offers no estimate. Nothing of the budget is spent.
        """

    def log(self, value: float, **figures: float) -> None:
        """Add a point to the run's trajectory.

        Args:
            value: Validation score reached now, larger is better; best-so-far is kept for you.
            figures: Other numbers worth keeping, for example the share of skips.
        """


class EvaluationContext(Protocol):
    """What the harness gives an evaluator. Global generators of torch are seeded and restored."""

    device: str
    progress: Progress
    fidelity: Fidelity | None
    checkpoint: Checkpoint

    def parts(self) -> tuple[Beats, Beats]:
        """Return what to fit on and what to score on.

        During a search: train and validation. At the end, once: train with validation, and test.

        Raises:
            ProtocolError: The test part was opened before.
        """


class Strategy(Protocol):
    """Searches an architecture. Optional method: :class:`EstimatesSearch`."""

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best architecture found within ``ctx.budget``."""


@runtime_checkable
class EstimatesSearch(Protocol):
    """A strategy that predicts how long its search will take."""

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the seconds that ``search`` will take here, from a few timed steps.

        None if it cannot tell.
        """


class Evaluator(Protocol):
    """Scores an architecture. Optional method: :class:`EstimatesEvaluation`."""

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Fit on the first of ``ctx.parts()`` and score on the second; repeatable."""


@runtime_checkable
class EstimatesEvaluation(Protocol):
    """An evaluator that predicts how long an evaluation will take."""

    def estimate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> float:
        """Return the seconds that ``evaluate`` will take here, from a few timed steps."""

"""The contracts between the harness and its components, as typed protocols.

Data moves one way: a :class:`Dataset` loads beats, a protocol splits them into a :class:`Task`, a
:class:`Strategy` searches an architecture for it, and an :class:`Evaluator` scores the result.

A component may also have optional methods. Each is a protocol of its own that can be tested with
``isinstance``, such as :class:`EstimatesSearch`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.data.beats import Beats
    from nasbench_ecg.encoding import Parameter, ParameterValue
    from nasbench_ecg.progress import Progress


@dataclass(frozen=True)
class Requirement:
    """Records that a dataset needs.

    Attributes:
        database: Name of the PhysioNet database and of its folder, for example ``mitdb``.
        records: Names of the records.
        extensions: File extensions that each record needs.
    """

    database: str
    records: tuple[str, ...]
    extensions: tuple[str, ...] = ("hea", "dat", "atr")


class DataSource(Protocol):
    """Where datasets find their records."""

    def folder(self, database: str) -> Path:
        """Return the folder that holds the records of ``database``.

        Raises:
            MissingDataError: There is no such folder.
        """

    def made(self, name: str) -> Path:
        """Return a folder of the cache, created if needed, for records that a dataset generates."""


@runtime_checkable
class Dataset(Protocol):
    """Labeled beats, and what protocols need to know about their records."""

    def requires(self) -> Sequence[Requirement]:
        """Return the records that :meth:`load` needs; empty if nothing has to be downloaded."""

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Read the records and return their beats.

        Raises:
            RecordError: A record is missing or damaged, or lacks a lead.
        """

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """Return ``{"train": [record…], "test": [record…]}`` where ``protocol`` fixes the records.

        None if the dataset does not fix the records of this protocol.
        """


@runtime_checkable
class NamesPersons(Protocol):
    """A dataset that names the persons of its records across databases, without reading a record.

    Without this method, each subject is a person of the first database that the dataset requires:
    record 800 of ``svdb`` is ``svdb/800``.

    Example:
        >>> from nasbench_ecg.api import NamesPersons
        >>> class Excerpts:
        ...     def persons(self):
        ...         return {"sel213": "mitdb/213"}
        >>> isinstance(Excerpts(), NamesPersons)
        True
    """

    def persons(self) -> Mapping[str, str]:
        """Return the person of each record whose person is known, as ``database/name``.

        Records that the option ``exclude`` leaves out are listed too. Two records of one person
        have equal values, also records of different datasets. The name is that of the first record
        of the person in the database that recorded it.
        """


@runtime_checkable
class FitsOnTraining(Protocol):
    """A dataset whose beats depend on figures of the training part, for example its mean.

    The figures of all beats would tell a network something about the test part.

    Example:
        >>> from nasbench_ecg.api import FitsOnTraining
        >>> class Features:
        ...     def fitted(self, beats, train):
        ...         return beats
        >>> isinstance(Features(), FitsOnTraining)
        True
    """

    def fitted(self, beats: Beats, train: NDArray[np.int64]) -> Beats:
        """Return all beats, prepared with figures of the training part.

        Called after the split, with the beats that :meth:`Dataset.load` returned. The result
        differs in ``signals`` only, and depends on no other beats than those of the training part
        and on the beat itself.

        Args:
            beats: All beats.
            train: Index of the training beats, int64 [n].

        Raises:
            OptionError: The training part does not allow it.
        """


class SearchSpace(Protocol):
    """A set of architectures. All methods are pure: equal generator state, equal result.

    Optional methods: :class:`DrawsText`, :class:`DrawsSvg`, :class:`Canonicalizes`,
    :class:`MutatesByKind`, :class:`ListsMembers`, :class:`Encodes`.

    Attributes:
        name: Name of the space, as in its spec and in :attr:`Architecture.space`.
    """

    name: str

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn architecture."""

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a neighbor of ``arch``."""

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return an architecture that takes each part from ``a`` or from ``b``."""

    def neighbours(self, arch: Architecture) -> Iterable[Architecture]:
        """Return all architectures that differ from ``arch`` in one decision."""

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError, saying what is wrong, if ``arch`` is not in this space."""

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


@runtime_checkable
class MutatesByKind(Protocol):
    """A search space with several kinds of mutation, such as of an operation and of a source.

    A strategy may then choose the kind first. :meth:`SearchSpace.mutate` instead draws one of all
    neighbors, among which some kinds are more frequent than others.
    """

    @property
    def mutation_kinds(self) -> Sequence[str]:
        """The kinds that can change an architecture of this space; empty for a single one."""

    def mutate_kind(self, arch: Architecture, kind: str, rng: np.random.Generator) -> Architecture:
        """Return a neighbor of ``arch`` by a mutation of one of :attr:`mutation_kinds`."""


@runtime_checkable
class ListsMembers(Protocol):
    """A search space that is small enough to train every member of it."""

    @property
    def members(self) -> Sequence[Architecture]:
        """All members in canonical form, in a fixed order."""


@runtime_checkable
class Encodes(Protocol):
    """A search space whose architectures are described by named parameters.

    Optimizers that know nothing of the space, such as those of Optuna, then search it: they choose
    values, and :meth:`decode` returns the architecture.

    Example:
        >>> from nasbench_ecg.api import Architecture, Categorical, Integer, check_values
        >>> class Chains:
        ...     def parameters(self):
        ...         return (Categorical("operation", ("conv", "pool")), Integer("layers", 1, 3))
        ...     def encode(self, arch):
        ...         return {name: arch.genotype[name] for name in ("operation", "layers")}
        ...     def decode(self, values):
        ...         return Architecture("chains", check_values(self.parameters(), values))
        >>> Chains().decode({"operation": "conv", "layers": 2}).genotype
        {'operation': 'conv', 'layers': 2}
    """

    def parameters(self) -> Sequence[Parameter]:
        """Return the parameters, each after the one that its condition names.

        Each has a name of its own and at least two values. A space with a single architecture has
        no parameters.
        """

    def encode(self, arch: Architecture) -> Mapping[str, ParameterValue]:
        """Return the values of the active parameters that describe ``arch``, by name.

        Raises:
            OptionError: ``arch`` is not in this space.
        """

    def decode(self, values: Mapping[str, ParameterValue]) -> Architecture:
        """Return the architecture that the values of the active parameters describe.

        All allowed values give a valid architecture, and every architecture has values:
        ``decode(encode(arch)) == arch``, up to the canonical form. Several values may give one
        architecture.

        Raises:
            OptionError: A value is not allowed, is missing, or belongs to no active parameter; see
                :func:`nasbench_ecg.api.check_values`.
        """


class Builder(Protocol):
    """Builds the network of an architecture."""

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> nn.Module:
        """Return a module from [batch, n_leads, n_samples] to logits [batch, n_classes]."""


@runtime_checkable
class StacksNetworks(Protocol):
    """Builder: many networks can be trained side by side as one module, which fills a GPU."""

    def stack_key(self, arch: Architecture) -> Hashable:
        """Return a key; networks of architectures with equal keys can be stacked."""

    def stack(self, networks: Sequence[nn.Module]) -> nn.Module:
        """Return copies of networks of one key, with the same leads and classes, as one module.

        It maps [batch, networks, n_leads, n_samples] to logits [batch, networks, n_classes], and
        computes for each network what it computes alone.
        """

    def stacked_parameters(self, stack: nn.Module) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Yield each parameter [n, …] of a stack, and the networks [n] that its rows are of."""


@dataclass(frozen=True)
class Task:
    """The beats that a search may use: never the test part.

    Its arrays are read-only: copy one to change it. The harness compares the beats after the search
    with those before it, and a run whose beats were changed in another way fails.

    Attributes:
        train: Beats to train weights on.
        validation: Beats to select the architecture with.
        macro_classes: The classes that macro scores average over.
        validation_folds: int64 [n], the fold of each beat of ``train`` and then of ``validation``,
            if ``evaluate_many`` scores candidates by cross-validation over folds of persons; None:
            on ``validation``. A strategy that trains weights itself does not need it.
    """

    train: Beats
    validation: Beats
    macro_classes: tuple[str, ...]
    validation_folds: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "train", self.train.read_only())
        object.__setattr__(self, "validation", self.validation.read_only())

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
    """How thoroughly a candidate is evaluated; None means the evaluator's own setting.

    With ``schedule_epochs``, the training is the beginning of a longer one: it stops early, and its
    state is kept. A later fidelity with more epochs and the same beats and schedule goes on from
    there. The result is that of the same training without a stop, so a state that is no longer
    kept costs epochs and changes no score.

    Attributes:
        epochs: Training epochs.
        beats: Most training beats used.
        schedule_epochs: Epochs of the whole training, which the schedule of the learning rate is
            made for; None: ``epochs``.
        continues: Epochs after which the candidate was stopped before, whose state the training
            goes on from; None: from scratch. Fidelities that differ only here are equal.
    """

    epochs: int | None = None
    beats: int | None = None
    schedule_epochs: int | None = None
    continues: int | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, int | None]:
        """Return what the result depends on, as JSON data."""
        schedule = {} if self.schedule_epochs is None else {"schedule_epochs": self.schedule_epochs}
        return {"epochs": self.epochs, "beats": self.beats, **schedule}


@dataclass(frozen=True)
class Budget:
    """Limits of a search; None means unlimited. A strategy keeps those that its spec declares.

    Attributes:
        evaluations: Most architectures that ``evaluate_many`` evaluates.
        seconds: Most seconds that the search takes.
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
    """The evaluation of one architecture.

    Attributes:
        architecture: The architecture.
        score: The score to rank by; larger is better.
        metrics: Scores by name, as fractions, without those that were not measured.
        seconds: Wall time of the evaluation.
        confusion: Beats by true class (rows) and predicted class (columns), if it predicts.
        curves: Values per epoch, by name.
        state: Weights of the trained network by parameter name, if any.
        predictions: Predicted class of each scored beat, if it predicts.
        epochs_reused: Epochs of an earlier evaluation that the training went on from; the harness
            sets it.
    """

    architecture: Architecture
    score: float
    metrics: Mapping[str, float]
    seconds: float
    confusion: Sequence[Sequence[int]] | None = None
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    state: Mapping[str, Tensor] | None = None
    predictions: Sequence[int] | None = None
    epochs_reused: int = 0


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes:
        architecture: The architecture found.
        details: JSON data for the run record, for example the final α.
    """

    architecture: Architecture
    details: Mapping[str, Any] = field(default_factory=dict)


class Checkpoint(Protocol):
    """Saved state of one stage of a run, so that it can be interrupted at any time and resumed.

    A strategy that only calls ``evaluate_many`` does not need it: the harness stores the
    evaluations, and a resumed search repeats them at no cost.
    """

    def due(self) -> bool:
        """Return whether it is time to save."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Store ``state``: nested mappings, lists and tuples of tensors and plain JSON values.

        The generators of the context and of torch and the trajectory are stored with it.
        """

    def load(self) -> dict[str, Any] | None:
        """Return the state saved last, with tensors on the CPU; None if there is none."""


class SearchContext(Protocol):
    """What the harness gives to a strategy. It seeds torch before, and restores its state after.

    Attributes:
        rng: The random number generator of the search.
        budget: Limits of the search.
        device: Device that networks are trained on.
        progress: Progress bars and messages.
        checkpoint: Saved state of the search.
        parallel: Number of candidates evaluated at the same time. Pass at least as many to
            :meth:`evaluate_many` at once, if the search allows it.
    """

    rng: np.random.Generator
    budget: Budget
    device: str
    progress: Progress
    checkpoint: Checkpoint
    parallel: int

    @property
    def seconds(self) -> float:
        """Seconds of the search so far, including those before an interruption."""

    def evaluate_many(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None
    ) -> list[Evaluation]:
        """Train each architecture on the task's training part and score it on its validation part.

        With ``task.validation_folds`` it is trained and scored once for each fold.

        The evaluations are in the order of ``architectures``, without the networks' weights. A
        candidate whose training diverges has the score minus infinity and no metrics.
        Repeating one, of an equal architecture at an equal fidelity, costs nothing.

        Raises:
            ProtocolError: The budget does not allow all evaluations; those it allows are made.
        """

    def seconds_per_evaluation(
        self, arch: Architecture, fidelity: Fidelity | None = None
    ) -> float | None:
        """Return the seconds that an evaluation will take here, from a few timed steps.

        None if the evaluator gives no estimate. It does not count towards the budget.
        """

    def log(self, value: float, **figures: float) -> None:
        """Add a point to the run's trajectory.

        Args:
            value: Current validation score; larger is better. The best so far is added.
            figures: Other values to record, for example the share of skip connections.
        """


class EvaluationContext(Protocol):
    """What the harness gives to an evaluator. It seeds torch, and restores its state after.

    Attributes:
        device: Device to train on, ``cpu`` or ``cuda``.
        progress: Progress bars and messages.
        fidelity: How much a candidate is trained; None for the evaluator's own settings, as after
            the search.
        checkpoint: Saved state of the training. During a search it stores nothing, unless the
            fidelity has ``schedule_epochs``: it then loads the state that the training goes on
            from, and the evaluator saves that at its end.
    """

    device: str
    progress: Progress
    fidelity: Fidelity | None
    checkpoint: Checkpoint

    def parts(self) -> tuple[Beats, Beats]:
        """Return the beats to train on and the beats to score on.

        During a search: train and validation. After it: train with validation, and test.

        Raises:
            ProtocolError: The test part is requested for the second time.
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
        """Train on the first of ``ctx.parts()`` and score on the second; repeatable."""


@runtime_checkable
class EstimatesEvaluation(Protocol):
    """An evaluator that predicts how long an evaluation will take."""

    def estimate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> float:
        """Return the seconds that ``evaluate`` will take here, from a few timed steps."""

"""What strategies and evaluators are, what they are given, and what they return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from nasbench_ecg.arguments import whole_number
from nasbench_ecg.contracts.spaces import Builder, SearchSpace
from nasbench_ecg.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.data.beats import Beats
    from nasbench_ecg.progress import Progress


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

    Whole numbers of NumPy become Python's.

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

    Raises:
        OptionError: One of them is not a whole number from 1.
    """

    epochs: int | None = None
    beats: int | None = None
    schedule_epochs: int | None = None
    continues: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("epochs", "beats", "schedule_epochs", "continues"):
            value = getattr(self, name)
            if value is None:
                continue
            try:
                object.__setattr__(self, name, whole_number(name, value, least=1))
            except OptionError:
                raise OptionError(
                    f"A fidelity has {name}={value!r}.",
                    fix=f"Set {name} to a whole number from 1, or to None.",
                ) from None

    def as_dict(self) -> dict[str, int | None]:
        """Return what the result depends on, as JSON data."""
        schedule = {} if self.schedule_epochs is None else {"schedule_epochs": self.schedule_epochs}
        return {"epochs": self.epochs, "beats": self.beats, **schedule}


@dataclass(frozen=True)
class Budget:
    """Limits of a search; None means unlimited. A strategy keeps those that its spec declares.

    Attributes:
        evaluations: Most evaluations that ``evaluate_many`` returns, with the repeated ones.
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
        key: Key of the run, which names what the search writes elsewhere, such as a database; empty
            outside of a run.
    """

    rng: np.random.Generator
    budget: Budget
    device: str
    progress: Progress
    checkpoint: Checkpoint
    parallel: int
    key: str

    @property
    def seconds(self) -> float:
        """Seconds of the search so far, including those before an interruption."""

    def evaluate_many(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None
    ) -> list[Evaluation]:
        """Train each architecture on the task's training part and score it on its validation part.

        With ``task.validation_folds`` it is trained and scored once for each fold.

        The evaluations are in the order of ``architectures``, without the networks' weights and
        predictions. A candidate whose training diverges has the score minus infinity and no
        metrics. Repeating one, of an equal architecture at an equal fidelity, trains nothing, but
        counts towards the budget of evaluations.

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
            value: Current validation score; larger is better. ``best`` so far, ``seconds`` and
                ``evaluations`` are added.
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
        """Return the best architecture found within ``ctx.budget``.

        Args:
            task: The beats to train on and to select with, which are read-only.
            space: The architectures to choose from; the result is one of them.
            builder: Makes the network of an architecture, for searches that train networks
                themselves.
            ctx: Random numbers, evaluations, limits, saved state and trajectory of this search.

        Raises:
            OptionError: The options do not fit the space or the beats.
        """


@runtime_checkable
class EstimatesSearch(Protocol):
    """A strategy that predicts how long its search will take."""

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the seconds that ``search`` will take here, from a few timed steps.

        None if it cannot tell.
        """


@runtime_checkable
class NamesArchitecture(Protocol):
    """Options of a strategy that name its architecture, so that a run can check it beforehand."""

    def named_architecture(self) -> Architecture | None:
        """Return the architecture; None if the options name none.

        Raises:
            OptionError: What they name is no architecture.
        """


class Evaluator(Protocol):
    """Scores an architecture. Optional method: :class:`EstimatesEvaluation`."""

    def evaluate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> Evaluation:
        """Train on the first of ``ctx.parts()`` and score on the second; repeatable.

        Args:
            arch: The architecture to score.
            task: The beats of the search. They say how many leads, samples and classes a network
                has, and which classes macro scores average over.
            builder: Makes the network of ``arch``.
            ctx: Device, parts of the beats, fidelity and saved state of this evaluation.

        Raises:
            DivergedError: The loss or the weights are no longer finite.
        """


@runtime_checkable
class EstimatesEvaluation(Protocol):
    """An evaluator that predicts how long an evaluation will take."""

    def estimate(
        self, arch: Architecture, task: Task, builder: Builder, ctx: EvaluationContext
    ) -> float:
        """Return the seconds that ``evaluate`` will take here, from a few timed steps."""

"""Options of the black-box searches.

In the profile ``paper`` every search trains its candidates for about 1,000 epochs in total. With
the final network of Heart-DARTS on the training part of the search, that is about 17 PFLOP (mean of
random cells); a DARTS search takes 29. In each other profile the searches also cost about the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from nasbench_ecg.api import Options

CostName = Literal["parameters", "macs", "flash_bytes", "ram_bytes", "latency"]
"""Names of the costs that a search can limit or minimize, as in :mod:`nasbench_ecg.training`."""


class LimitedOptions(Options):
    """Options that all black-box searches share."""

    max_parameters: int | None = Field(None, ge=1)
    """Most trainable parameters of a network; null: any number. Networks above a limit are rejected
    untrained."""

    max_macs: int | None = Field(None, ge=1)
    """Most multiply-accumulates of a network for one beat; null: any number."""

    max_flash: int | None = Field(None, ge=1)
    """Most bytes that a network's weights take in int8; null: any number."""

    max_ram: int | None = Field(None, ge=1)
    """Most bytes that a network's activations take in int8; null: any number."""

    @property
    def limits(self) -> dict[CostName, int]:
        """The limits that are set, by the name of the cost."""
        limits: dict[CostName, int | None] = {
            "parameters": self.max_parameters,
            "macs": self.max_macs,
            "flash_bytes": self.max_flash,
            "ram_bytes": self.max_ram,
        }
        return {name: limit for name, limit in limits.items() if limit is not None}


class RandomSearchOptions(LimitedOptions):
    """Options of ``random``.

    As Li and Talwalkar 2020 ("Random Search and Reproducibility for NAS") ask, random search gets
    the same budget as the methods it is compared with.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"samples": 20, "epochs": 3, "beats": 8000},
        "quick": {"samples": 12, "epochs": 3, "beats": 6000},
        "smoke": {"samples": 3, "epochs": 1, "beats": 500},
    }

    samples: int = Field(100, ge=1)
    """Distinct architectures sampled; a single one is returned unevaluated."""

    epochs: int | None = Field(10, ge=1)
    """Training epochs of a candidate; null uses the evaluator's setting."""

    beats: int | None = Field(None, ge=2)
    """Most training beats of a candidate; null uses the evaluator's setting."""


class RegularizedEvolutionOptions(LimitedOptions):
    """Options of ``regularized-evolution``.

    Real et al. 2019 use a population of 100, samples of 25, and 20,000 models trained for 25
    epochs. Here the number of models equals that of ``random``, and population and sample are
    scaled down in proportion.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"models": 20, "population": 5, "sample": 2, "epochs": 3, "beats": 8000},
        "quick": {"models": 12, "population": 4, "sample": 2, "epochs": 3, "beats": 6000},
        "smoke": {"models": 4, "population": 2, "sample": 2, "epochs": 1, "beats": 500},
    }

    models: int = Field(100, ge=1)
    """Distinct architectures evaluated, including the random initial population (C)."""

    population: int = Field(20, ge=1)
    """Size of the population (P)."""

    sample: int = Field(5, ge=1)
    """Members drawn with replacement for a tournament; the best one is mutated (S)."""

    mutation: Literal["kind", "neighbor"] = "kind"
    """``kind`` first draws the kind of mutation, of an operation or of a source for example, as in
    the paper; ``neighbor`` draws one of all neighbors. A space without kinds has ``neighbor``."""

    epochs: int | None = Field(10, ge=1)
    """Training epochs of a candidate; null uses the evaluator's setting."""

    beats: int | None = Field(None, ge=2)
    """Most training beats of a candidate; null uses the evaluator's setting."""


class Nsga2Options(LimitedOptions):
    """Options of ``nsga2``.

    Deb et al. 2002 use a population of 100, 250 generations and a crossover probability of 0.9.
    Here the number of models equals that of ``random``, and the population is scaled down.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"models": 20, "population": 4, "epochs": 3, "beats": 8000},
        "quick": {"models": 12, "population": 4, "epochs": 3, "beats": 6000},
        "smoke": {"models": 6, "population": 4, "epochs": 1, "beats": 500},
    }

    objectives: tuple[CostName, ...] = Field(("parameters",), min_length=1)
    """Costs to minimize while the score is maximized. ``latency`` is measured, so a search with it
    is not exactly repeatable."""

    models: int = Field(100, ge=1)
    """Distinct architectures evaluated, including the random initial population."""

    population: int = Field(20, ge=4, multiple_of=4)
    """Size of the population and of its offspring in each generation (N)."""

    crossover: float = Field(0.9, ge=0, le=1)
    """Probability that a child is a crossover of two parents."""

    mutation: float = Field(1.0, ge=0, le=1)
    """Probability that one decision of a child is mutated; Deb et al. mutate one on average."""

    epochs: int | None = Field(10, ge=1)
    """Training epochs of a candidate; null uses the evaluator's setting."""

    beats: int | None = Field(None, ge=2)
    """Most training beats of a candidate; null uses the evaluator's setting."""

    @field_validator("objectives")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("objectives must differ")
        return value


class SuccessiveHalvingOptions(LimitedOptions):
    """Options of ``successive-halving``.

    Rung i trains the best candidates/ηⁱ for min·ηⁱ epochs (and beats), until the maximum is reached
    or one candidate is left. η = 3 and 81 candidates are the bracket s = 4 of Li et al. 2018
    ("Hyperband", table 1) with one unit of resource equal to 3 epochs: 81 candidates for 3 epochs,
    27 for 9, 9 for 27 and 3 for 81, which is 972 epochs if every rung trains from scratch, and 729
    if it goes on from the rung before it.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"candidates": 20, "eta": 2, "min_epochs": 1, "max_epochs": 4,
                "min_beats": 8000, "max_beats": 8000},
        "quick": {"candidates": 12, "eta": 2, "min_epochs": 1, "max_epochs": 4,
                  "min_beats": 6000, "max_beats": 6000},
        "smoke": {"candidates": 4, "eta": 2, "min_epochs": 1, "max_epochs": 2,
                  "min_beats": 300, "max_beats": 600},
    }  # fmt: skip

    candidates: int = Field(81, ge=1)
    """Architectures in the first rung (n); a single one is returned unevaluated."""

    eta: int = Field(3, ge=2)
    """The best 1/eta of a rung get eta times its epochs and beats in the next rung (η)."""

    min_epochs: int = Field(3, ge=1)
    """Epochs in the first rung."""

    max_epochs: int = Field(81, ge=1)
    """Most epochs in a rung."""

    min_beats: int | None = Field(None, ge=2)
    """Most training beats in the first rung; null uses the evaluator's setting."""

    max_beats: int | None = Field(None, ge=2)
    """Most training beats in a rung; null uses the evaluator's setting."""

    warm: bool | None = None
    """Whether a rung goes on from the training of the rung before it; null: it does not. All rungs
    then have the learning rate schedule of ``max_epochs``, and need equal beats."""

    @model_validator(mode="after")
    def _ordered(self) -> SuccessiveHalvingOptions:
        if self.min_epochs > self.max_epochs:
            raise ValueError("min_epochs must not exceed max_epochs")
        if (self.min_beats is None) != (self.max_beats is None):
            raise ValueError("min_beats and max_beats must be set together")
        if (self.min_beats or 0) > (self.max_beats or 0):
            raise ValueError("min_beats must not exceed max_beats")
        if self.warm and self.min_beats != self.max_beats:
            raise ValueError("a warm start needs equal beats: set min_beats to max_beats")
        return self


class LocalSearchOptions(LimitedOptions):
    """Options of ``local-search``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"models": 20, "initial": 3, "epochs": 3, "beats": 8000},
        "quick": {"models": 12, "initial": 2, "epochs": 3, "beats": 6000},
        "smoke": {"models": 4, "initial": 2, "epochs": 1, "beats": 500},
    }

    models: int = Field(100, ge=1)
    """Distinct architectures evaluated."""

    initial: int = Field(10, ge=1)
    """Random architectures, of which the best starts the first climb."""

    epochs: int | None = Field(10, ge=1)
    """Training epochs of a candidate; null uses the evaluator's setting."""

    beats: int | None = Field(None, ge=2)
    """Most training beats of a candidate; null uses the evaluator's setting."""


class HyperbandOptions(LimitedOptions):
    """Options of ``hyperband``.

    η = 4 and at most 75 epochs are four brackets. They train for 998 epochs in total, and for 1,122
    if each rung trains from scratch.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"eta": 4, "max_epochs": 4, "rounds": 4, "beats": 8000},
        "quick": {"eta": 4, "max_epochs": 5, "rounds": 2, "beats": 6000},
        "smoke": {"eta": 2, "max_epochs": 2, "rounds": 1, "beats": 500},
    }

    eta: int = Field(4, ge=2)
    """The best 1/eta of a rung get eta times its epochs in the next rung (η)."""

    max_epochs: int = Field(75, ge=1)
    """Epochs in the last rung of each bracket (R)."""

    rounds: int = Field(1, ge=1)
    """How often all brackets are run, each time with new candidates."""

    warm: bool = True
    """Whether a rung goes on from the training of the rung before it. All rungs then have the
    learning rate schedule of ``max_epochs``. Otherwise each trains from scratch, with a schedule of
    its own."""

    beats: int | None = Field(None, ge=2)
    """Most training beats of a candidate; null uses the evaluator's setting."""


class AshaOptions(LimitedOptions):
    """Options of ``asha``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"eta": 2, "max_epochs": 4, "total_epochs": 60, "beats": 8000},
        "quick": {"eta": 2, "max_epochs": 4, "total_epochs": 36, "beats": 6000},
        "smoke": {"eta": 2, "max_epochs": 2, "total_epochs": 6, "beats": 500},
    }

    eta: int = Field(4, ge=2)
    """The best 1/eta of a rung are promoted, and get eta times its epochs (η)."""

    min_epochs: int = Field(1, ge=1)
    """Epochs in the first rung."""

    max_epochs: int = Field(64, ge=1)
    """Most epochs in a rung."""

    total_epochs: int = Field(1000, ge=1)
    """Epochs of all trainings together; where no promotion fits any more, new candidates do. Epochs
    that a warm start goes on from count once."""

    warm: bool = True
    """Whether a rung goes on from the training of the rung before it. All rungs then have the
    learning rate schedule of ``max_epochs``. Otherwise each trains from scratch, with a schedule of
    its own."""

    batch: int = Field(1, ge=1)
    """Candidates chosen before any of their scores is known, as that many workers would."""

    beats: int | None = Field(None, ge=2)
    """Most training beats of a candidate; null uses the evaluator's setting."""

    @model_validator(mode="after")
    def _ordered(self) -> AshaOptions:
        if not self.min_epochs <= self.max_epochs <= self.total_epochs:
            raise ValueError("min_epochs, max_epochs and total_epochs must not decrease")
        return self

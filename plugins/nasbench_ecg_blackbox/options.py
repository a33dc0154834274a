"""Options of the black-box searches.

In the profile ``paper`` all of them spend about 1,000 epochs on their candidates. For the final
network of Heart-DARTS on the search's training part that is some 17 PFLOP (mean of random cells);
its own DARTS search takes 29. In the other profiles they cost about the same as each other, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from nasbench_ecg.api import Options


class LimitedOptions(Options):
    """What all black-box searches have in common."""

    max_parameters: int | None = Field(None, ge=1)
    """Most trainable parameters of a network; larger ones are refused before any training."""


class RandomSearchOptions(LimitedOptions):
    """Options of ``random``.

    Li and Talwalkar 2020 ("Random Search and Reproducibility for NAS") give random search the
    budget of its rivals, which is what the numbers here do.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"samples": 20, "epochs": 3, "beats": 8000},
        "quick": {"samples": 12, "epochs": 3, "beats": 6000},
        "smoke": {"samples": 3, "epochs": 1, "beats": 500},
    }

    samples: int = Field(100, ge=1)
    """Different architectures drawn; a single one is returned without any evaluation."""

    epochs: int | None = Field(10, ge=1)
    """Epochs of a candidate's training; null leaves them to the evaluator."""

    beats: int | None = Field(None, ge=2)
    """Most training beats for a candidate; null leaves them to the evaluator."""


class RegularizedEvolutionOptions(LimitedOptions):
    """Options of ``regularized-evolution``.

    Real et al. 2019 have 100 members, samples of 25 and 20,000 models trained for 25 epochs. Here
    the number of models is that of ``random``; the population is scaled down with it and the
    sample keeps its share of the population.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"models": 20, "population": 5, "sample": 2, "epochs": 3, "beats": 8000},
        "quick": {"models": 12, "population": 4, "sample": 2, "epochs": 3, "beats": 6000},
        "smoke": {"models": 4, "population": 2, "sample": 2, "epochs": 1, "beats": 500},
    }

    models: int = Field(100, ge=1)
    """Different architectures evaluated, the random ones of the beginning included (C)."""

    population: int = Field(20, ge=1)
    """Members alive at once (P)."""

    sample: int = Field(5, ge=1)
    """Members drawn, with replacement, for a tournament whose best is mutated (S)."""

    epochs: int | None = Field(10, ge=1)
    """Epochs of a candidate's training; null leaves them to the evaluator."""

    beats: int | None = Field(None, ge=2)
    """Most training beats for a candidate; null leaves them to the evaluator."""


class Nsga2Options(LimitedOptions):
    """Options of ``nsga2``.

    Deb et al. 2002 have 100 members, 250 generations and a crossover in nine of ten matings. Here
    the number of models is that of ``random``, and the population is scaled down with it.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"models": 20, "population": 4, "epochs": 3, "beats": 8000},
        "quick": {"models": 12, "population": 4, "epochs": 3, "beats": 6000},
        "smoke": {"models": 6, "population": 4, "epochs": 1, "beats": 500},
    }

    objectives: tuple[Literal["parameters", "macs", "latency"], ...] = Field(
        ("parameters",), min_length=1
    )
    """Costs that are to be small beside a high score. A search by ``latency``, which is measured,
    does not repeat itself exactly."""

    models: int = Field(100, ge=1)
    """Different architectures evaluated, the random ones of the beginning included."""

    population: int = Field(20, ge=4, multiple_of=4)
    """Members alive at once, and children in a generation (N)."""

    crossover: float = Field(0.9, ge=0, le=1)
    """Probability that a child has parts of two parents."""

    mutation: float = Field(1.0, ge=0, le=1)
    """Probability that a child is changed in one decision; Deb et al. change one on average."""

    epochs: int | None = Field(10, ge=1)
    """Epochs of a candidate's training; null leaves them to the evaluator."""

    beats: int | None = Field(None, ge=2)
    """Most training beats for a candidate; null leaves them to the evaluator."""

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
    ("Hyperband", table 1), whose resource of 1 is 3 epochs here: 81 for 3, 27 for 9, 9 for 27, 3
    for 81 make 972 epochs. Every rung trains from scratch.
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
    """Architectures in the first rung (n); a single one is returned without any evaluation."""

    eta: int = Field(3, ge=2)
    """One in eta survives a rung, and is then trained eta times as thoroughly (η)."""

    min_epochs: int = Field(3, ge=1)
    """Epochs in the first rung."""

    max_epochs: int = Field(81, ge=1)
    """Most epochs in a rung."""

    min_beats: int | None = Field(None, ge=2)
    """Most training beats in the first rung; null leaves them to the evaluator."""

    max_beats: int | None = Field(None, ge=2)
    """Most training beats in a rung."""

    @model_validator(mode="after")
    def _ordered(self) -> SuccessiveHalvingOptions:
        if self.min_epochs > self.max_epochs:
            raise ValueError("min_epochs must not exceed max_epochs")
        if (self.min_beats is None) != (self.max_beats is None):
            raise ValueError("min_beats and max_beats go together")
        if (self.min_beats or 0) > (self.max_beats or 0):
            raise ValueError("min_beats must not exceed max_beats")
        return self

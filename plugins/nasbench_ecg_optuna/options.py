"""Options of Optuna's searches.

In each profile they evaluate as many candidates as ``random``, and train them as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from nasbench_ecg_blackbox.options import CostName, HyperbandOptions, LimitedOptions


class StudyOptions(LimitedOptions):
    """Options that all of Optuna's searches share."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"models": 20, "epochs": 3, "beats": 8000},
        "quick": {"models": 12, "epochs": 3, "beats": 6000},
        "smoke": {"models": 6, "epochs": 1, "beats": 500},
    }

    models: int = Field(100, ge=1)
    """Distinct architectures evaluated."""

    epochs: int | None = Field(10, ge=1)
    """Training epochs of a candidate; null uses the evaluator's setting."""

    beats: int | None = Field(None, ge=2)
    """Most training beats of a candidate; null uses the evaluator's setting."""

    storage: str | None = Field(None, exclude=True)
    """URL of the database that the study is written to, for example ``sqlite:///study.db``, to be
    opened with ``optuna-dashboard``. A study of the same search is replaced. Null writes none."""


class ObjectivesOptions(StudyOptions):
    """Options of the searches with several objectives."""

    objectives: tuple[CostName, ...] = ()
    """Costs to minimize while the score is maximized; none: the score alone. ``latency`` is
    measured, so a search with it is not exactly repeatable."""

    @field_validator("objectives")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("objectives must differ")
        return value


class TpeOptions(ObjectivesOptions):
    """Options of ``tpe``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {**StudyOptions.PROFILES["standard"], "initial": 5},
        "quick": {**StudyOptions.PROFILES["quick"], "initial": 4},
        "smoke": {**StudyOptions.PROFILES["smoke"], "initial": 2},
    }

    initial: int = Field(10, ge=1)
    """Random candidates before the first model of the scores."""

    prune_after: int | None = Field(None, ge=1)
    """Epochs after which a candidate is stopped if its best score so far is below the median, at
    that point, of those that were trained to the end, and again after every 3 times as many. It
    goes on from its checkpoint otherwise. Null: no candidate is stopped."""

    candidates: int = Field(24, ge=1)
    """Samples of the good density among which the expected improvement is maximized."""

    batch: int = Field(1, ge=1)
    """Candidates proposed at a time; use the number of ``--parallel``. With more than 1, Optuna
    steers the later candidates of a batch away from the earlier ones."""

    @model_validator(mode="after")
    def _can_prune(self) -> TpeOptions:
        if self.prune_after is None:
            return self
        if self.epochs is None or self.prune_after >= self.epochs:
            raise ValueError("prune_after must be less than epochs")
        if self.objectives:
            raise ValueError("prune_after allows no objectives besides the score")
        return self


class GpOptions(ObjectivesOptions):
    """Options of ``gp``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = TpeOptions.PROFILES

    initial: int = Field(10, ge=1)
    """Random candidates before the first model of the scores."""

    batch: int = Field(1, ge=1)
    """Candidates proposed at a time; use the number of ``--parallel``."""


class BohbOptions(HyperbandOptions):
    """Options of ``bohb``: those of ``hyperband``, and those of the model."""

    initial: int | None = Field(None, ge=2)
    """Scores at one number of epochs from which on a model is made of them; null: one more than the
    space has parameters (N_min of the paper, which waits for two more). Until then candidates are
    random. For ``conv-cells`` that is 23, more than the profiles other than ``paper`` have: all
    their candidates are random, unless this is set."""

    random_fraction: float = Field(1 / 3, ge=0, le=1)
    """Share of the candidates that stay random, as published."""

    model_candidates: int = Field(64, ge=1)
    """Samples of the good density among which the expected improvement is maximized."""


class CmaEsOptions(StudyOptions):
    """Options of ``cma-es``."""

    population: int | None = Field(None, ge=3)
    """Candidates of a generation; null: 4 + ⌊3 ln d⌋ for d dimensions."""

    sigma: float | None = Field(None, gt=0)
    """Initial standard deviation as a share of the range of each dimension; null: one sixth."""

    batch: int = Field(1, ge=1)
    """Candidates proposed at a time; use the number of ``--parallel``."""


class NsgaIIOptions(ObjectivesOptions):
    """Options of ``nsga-ii``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {**StudyOptions.PROFILES["standard"], "population": 4},
        "quick": {**StudyOptions.PROFILES["quick"], "population": 4},
        "smoke": {**StudyOptions.PROFILES["smoke"], "population": 4},
    }

    objectives: tuple[CostName, ...] = ("parameters",)
    """Costs to minimize while the score is maximized; none: the score alone. ``latency`` is
    measured, so a search with it is not exactly repeatable."""

    population: int = Field(20, ge=2)
    """Size of the population and of its offspring in each generation."""

    crossover: float = Field(0.9, ge=0, le=1)
    """Probability that a child is a crossover of two parents."""

    mutation: float | None = Field(None, ge=0, le=1)
    """Probability that a parameter is drawn anew; null: 1 / number of parameters."""


class NsgaIIIOptions(NsgaIIOptions):
    """Options of ``nsga-iii``."""

    objectives: tuple[CostName, ...] = ("parameters", "macs")
    """Costs to minimize while the score is maximized. ``latency`` is measured, so a search with it
    is not exactly repeatable."""

    divisions: int = Field(3, ge=1)
    """Divisions of each axis by the reference points, which spread the front."""

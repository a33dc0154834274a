"""What the strategies that search with a study of Optuna share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from nasbench_ecg.api import Builder, Parameter, SearchContext, SearchResult, SearchSpace, Task
from nasbench_ecg_optuna.options import StudyOptions
from nasbench_ecg_optuna.studies import require_optuna
from nasbench_ecg_optuna.study import OptunaSearch

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

OptionsT = TypeVar("OptionsT", bound=StudyOptions)


class OptunaStrategy(ABC, Generic[OptionsT]):
    """A strategy whose candidates a sampler of Optuna proposes."""

    name: ClassVar[str]

    def __init__(self, options: OptionsT) -> None:
        require_optuna(self.name)
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture with the best score; of equals the first, or the cheapest.

        With several objectives it is on the front, which the details hold.
        """
        return self._search().search(task, space, builder, ctx)

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        return self._search().estimate(task, space, builder, ctx)

    @abstractmethod
    def _search(self) -> OptunaSearch: ...

    @abstractmethod
    def _sampler(self, seed: int, parameters: Sequence[Parameter]) -> BaseSampler: ...

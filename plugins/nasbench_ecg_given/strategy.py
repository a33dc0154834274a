"""The strategy ``given``."""

from __future__ import annotations

from nasbench_ecg.api import (
    Architecture,
    Builder,
    OptionError,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_given.options import GivenOptions


class Given:
    """Returns the architecture of its options, at no cost.

    Choose it to train an architecture that was found elsewhere: on another dataset, with other
    seeds, or by other means. Its run key covers the architecture and where it comes from.
    """

    def __init__(self, options: GivenOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture.

        Raises:
            OptionError: None is given, or it is not of ``space``.
        """
        if self.options.architecture is None:
            raise OptionError(
                "The strategy 'given' was given no architecture.",
                fix="Say --set strategy.architecture=JSON, with what "
                "'nasbench-ecg arch show RUN --json' prints, or use 'nasbench-ecg generalize'.",
            )
        arch = Architecture.from_dict(self.options.architecture)
        space.validate(arch)
        return SearchResult(arch)

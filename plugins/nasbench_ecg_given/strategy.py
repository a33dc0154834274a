"""Options of ``given``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from nasbench_ecg.api import (
    Architecture,
    Builder,
    OptionError,
    Options,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)


class Origin(BaseModel):
    """The run that found an architecture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    run_key: str
    """Its run key."""

    strategy: str
    """Name of its strategy."""

    dataset: str
    """Name of the dataset it searched on."""

    protocol: str
    """How that dataset was split."""

    search_seed: int
    """Seed of its search."""


class GivenOptions(Options):
    """Options of ``given``."""

    architecture: dict[str, Any] | None = None
    """The architecture, as ``nasbench-ecg arch show --json`` prints it."""

    origin: Origin | None = None
    """The run it comes from; ``nasbench-ecg generalize`` enters it."""


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

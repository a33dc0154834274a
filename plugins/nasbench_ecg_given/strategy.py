"""The strategy ``given``: returns an architecture that is already known."""

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
    """Run key of the run."""

    strategy: str
    """Strategy of the run."""

    dataset: str
    """Dataset of the search."""

    protocol: str
    """Protocol of the search."""

    search_seed: int
    """Seed of the search."""


class GivenOptions(Options):
    """Options of ``given``."""

    architecture: dict[str, Any] | None = None
    """The architecture, as ``nasbench-ecg arch show --json`` prints it; a run needs one."""

    origin: Origin | None = None
    """The run that found the architecture, if one did; ``nasbench-ecg generalize`` sets it."""

    def named_architecture(self) -> Architecture | None:
        """Return the architecture; None if there is none.

        Raises:
            OptionError: It is malformed.
        """
        return None if self.architecture is None else Architecture.from_dict(self.architecture)


class Given:
    """Returns the architecture of its options without a search.

    Choose it to train a known architecture: on another dataset, with other seeds, or found by
    other means. The run key includes the architecture and its origin.
    """

    def __init__(self, options: GivenOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture.

        Raises:
            OptionError: The options have no architecture, or it is not in ``space``.
        """
        arch = self.options.named_architecture()
        if arch is None:
            raise OptionError(
                "The strategy 'given' needs an architecture.",
                fix="Set --set strategy.architecture=JSON to the output of "
                "'nasbench-ecg arch show RUN --json', or use 'nasbench-ecg generalize'.",
            )
        space.validate(arch)
        return SearchResult(arch)

"""Strategies ``cnn-9``, ``cnn-11`` and ``resnet-31``: each returns its network without a search."""

from __future__ import annotations

from functools import partial

from nasbench_ecg.api import (
    Builder,
    NoOptions,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
)
from nasbench_ecg_baselines.space import architecture


class FixedModel:
    """Returns one baseline network without a search.

    Choose one to compare a search with a hand-designed network under the same training.
    """

    def __init__(self, name: str, options: NoOptions) -> None:
        self.name = name
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the architecture of the network.

        Raises:
            OptionError: ``space`` is not ``fixed``.
        """
        arch = architecture(self.name)
        space.validate(arch)
        return SearchResult(arch)


cnn_9 = partial(FixedModel, "cnn-9")
cnn_11 = partial(FixedModel, "cnn-11")
resnet_31 = partial(FixedModel, "resnet-31")

"""A fixed model as a strategy: its search returns its only architecture."""

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
    """Finds the network it was made for, at no cost.

    Choose one to know what a network made by hand reaches in the same setup.
    """

    def __init__(self, name: str, options: NoOptions) -> None:
        self.name = name
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the network.

        Raises:
            OptionError: ``space`` is another one than ``fixed``.
        """
        arch = architecture(self.name)
        space.validate(arch)
        return SearchResult(arch)


cnn_9 = partial(FixedModel, "cnn-9")
cnn_11 = partial(FixedModel, "cnn-11")
resnet_31 = partial(FixedModel, "resnet-31")

"""Differentiable architecture search (DARTS) and its relatives over 1-D convolutional cells."""

from collections.abc import Iterable

from nasbench_ecg.api import StrategySpec, hookimpl

_RELATIVES = (
    ("pc-darts", "PcDartsOptions", "DARTS on a quarter of the channels, with edge normalisation"),
    ("darts-plus", "DartsPlusOptions", "DARTS that stops at more than two skips in the cell"),
    ("beta-darts", "BetaDartsOptions", "DARTS with a rising log-sum-exp penalty on α (β-decay)"),
    ("faidarts-es", "FairDartsOptions", "DARTS with sigmoids in place of a softmax, zero-one loss"),
    ("darts-minus", "DartsMinusOptions", "DARTS with an auxiliary skip that fades out"),
    ("drnas", "DrnasOptions", "DARTS with mixing weights drawn from a learned Dirichlet"),
    ("gdas", "GdasOptions", "DARTS on one operation an edge, drawn by Gumbel softmax"),
    ("darts-pt", "DartsPtOptions", "DARTS, then the operations whose removal costs most"),
    ("darts-es", "DartsESOptions", "DARTS that stops before the curvature in α rises"),
)

_REVISIONS = {"darts-es": 2}
"""Since darts-es goes back as far as its authors' code does."""


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``darts`` and its relatives."""
    yield StrategySpec(
        name="darts",
        target="nasbench_ecg_darts.search:Darts",
        options="nasbench_ecg_darts.options:DartsOptions",
        summary="Gradient descent on relaxed cells, first or second order (DARTS, Heart-DARTS)",
    )
    for name, options, summary in _RELATIVES:
        function = name.replace("-", "_")
        yield StrategySpec(
            name=name,
            target=f"nasbench_ecg_darts.{function}:{function}",
            options=f"nasbench_ecg_darts.options:{options}",
            revision=_REVISIONS.get(name, 1),
            summary=summary,
        )

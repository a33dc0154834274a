"""Differentiable architecture search (DARTS) and its variants over 1-D convolutional cells."""

from collections.abc import Iterable

from nasbench_ecg.api import StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"

_SPACE = "conv-cells"

_VARIANTS = (
    ("pc-darts", "pc", "PcDartsOptions", "DARTS on a quarter of the channels, edges normalized"),
    ("darts-plus", "early_stop", "DartsPlusOptions", "DARTS that stops at more than two skips"),
    ("beta-darts", "beta", "BetaDartsOptions", "DARTS with a log-sum-exp penalty on α (β-decay)"),
    ("fair-darts", "fair", "FairDartsOptions", "DARTS with sigmoids, not a softmax; zero-one loss"),
    ("darts-minus", "minus", "DartsMinusOptions", "DARTS with an auxiliary skip that fades out"),
    ("drnas", "drnas", "DrnasOptions", "DARTS with mixing weights drawn from a learned Dirichlet"),
    ("gdas", "gdas", "GdasOptions", "DARTS on one operation per edge, drawn by Gumbel softmax"),
    ("darts-pt", "pt", "DartsPtOptions", "DARTS, then selection by perturbation of the supernet"),
    ("darts-es", "early_stop", "DartsESOptions", "DARTS that stops when the curvature in α rises"),
)
"""Name, module in ``variants``, options and summary; the function has the name of the strategy."""

_REVISIONS = {"darts-es": 2, "fair-darts": 2, "darts-pt": 2}
"""Since revision 2, darts-es returns to the same epoch as its authors' code, fair-darts has the
first α and the betas of its authors, and no ``none``, and darts-pt scores each edge into a node
beside all others, and draws the beats of its tuning epoch by epoch."""


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``darts`` and its variants."""
    yield StrategySpec(
        name="darts",
        target="nasbench_ecg_darts.search:Darts",
        options="nasbench_ecg_darts.options:DartsOptions",
        space=_SPACE,
        spaces=(_SPACE,),
        budgets=("seconds",),
        summary="Gradient descent on relaxed cells, first or second order (DARTS, Heart-DARTS)",
    )
    for name, module, options, summary in _VARIANTS:
        function = name.replace("-", "_")
        yield StrategySpec(
            name=name,
            target=f"nasbench_ecg_darts.variants.{module}:{function}",
            options=f"nasbench_ecg_darts.options:{options}",
            space=_SPACE,
            spaces=(_SPACE,),
            budgets=("seconds",),
            revision=_REVISIONS.get(name, 1),
            summary=summary,
        )

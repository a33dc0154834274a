"""DARTS−: an auxiliary skip that helps training without competing with the operations.

References:
    Chu et al. 2021, "DARTS-: Robustly Stepping out of Performance Collapse Without Indicators",
    ICLR; section 3.2, equation (3).
"""

from __future__ import annotations

from functools import partial

import torch

from nasbench_ecg.api import OptionError
from nasbench_ecg_darts.options import DartsMinusOptions
from nasbench_ecg_darts.relaxation import Alpha, mixing_weights
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchProgress
from nasbench_ecg_darts.supernet import EdgeWeights
from nasbench_ecg_darts.variant import Variant


def darts_minus(options: DartsMinusOptions) -> Darts:
    """Return DARTS−.

    Choose it where ``darts`` collapses to skips and no stopping rule is wanted: an auxiliary skip
    on every edge does for training what a skip does, and fades out.
    """
    return Darts(
        options,
        Variant(
            name="darts-minus", capturable=False, mix=partial(mix, skip_weight=options.skip_weight)
        ),
    )


def mix(alpha: Alpha, progress: SearchProgress, *, skip_weight: float) -> EdgeWeights:
    """Return softmax(α) with β added to the skip, equation (3).

    ō(x) = β x + Σₒ wₒ o(x) = (β + w_skip) x + …: the auxiliary skip and the candidate skip are the
    same function. On edges that halve the length both are the same factorized reduction, where the
    authors' code gives the auxiliary one weights of its own. β falls linearly from ``skip_weight``
    to 0 over the epochs.

    Raises:
        OptionError: There is no skip among the operations.
    """
    if "skip" not in progress.operations:
        raise OptionError(
            "darts-minus needs 'skip' among the operations of its search space.",
            fix="Add it to --set space.operations=…, or choose darts.",
        )
    beta = skip_weight * (1 - progress.epoch / progress.epochs)
    column = progress.operations.index("skip")
    weights: EdgeWeights = {}
    for name, value in mixing_weights(alpha).items():
        auxiliary = torch.zeros_like(value)
        auxiliary[:, column] = beta
        weights[name] = value + auxiliary
    return weights

"""DARTS−: a skip that helps training without taking part in the competition.

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
from nasbench_ecg_darts.supernet import EdgeWeights
from nasbench_ecg_darts.variants.base import Moment, Variant


def darts_minus(options: DartsMinusOptions) -> Darts:
    """Return DARTS−.

    Choose it where ``darts`` collapses to skips and no indicator is wanted: an auxiliary skip on
    every edge takes over what a skip does for training, and fades out.
    """
    return Darts(
        options,
        Variant(
            name="darts-minus", steady=False, mix=partial(mix, skip_weight=options.skip_weight)
        ),
    )


def mix(alpha: Alpha, moment: Moment, *, skip_weight: float) -> EdgeWeights:
    """Return softmax(α) with β more on the skip; β falls linearly to 0 over the epochs.

    ō(x) = β x + Σₒ wₒ o(x) = (β + w_skip) x + …: the auxiliary skip and the candidate one are the
    same function (and, on edges that halve, the same factorized reduction here, where the authors'
    code gives the auxiliary one weights of its own).

    Raises:
        OptionError: There is no skip among the operations.
    """
    if "skip" not in moment.operations:
        raise OptionError(
            "darts-minus needs 'skip' among the operations of its search space.",
            fix="Add it to --set space.operations=…, or choose darts.",
        )
    beta = skip_weight * (1 - moment.epoch / moment.epochs)
    column = moment.operations.index("skip")
    weights: EdgeWeights = {}
    for name, value in mixing_weights(alpha).items():
        auxiliary = torch.zeros_like(value)
        auxiliary[:, column] = beta
        weights[name] = value + auxiliary
    return weights

"""β-DARTS: keep the mixing weights from running apart.

References:
    Ye et al. 2022, "β-DARTS: Beta-Decay Regularization for Differentiable Architecture Search",
    CVPR; equation (11) for the loss, section 4 for its weight.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from nasbench_ecg_darts.options import BetaDartsOptions
from nasbench_ecg_darts.relaxation import Alpha
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.variants.base import Moment, Variant


def beta_darts(options: BetaDartsOptions) -> Darts:
    """Return β-DARTS.

    Choose it where the outcome of ``darts`` varies with its length and learning rates: its penalty
    draws large α down, so that no operation runs away early.
    """
    return Darts(
        options,
        Variant(
            name="beta-darts",
            steady=False,
            penalty=partial(penalty, weight_max=options.beta_weight),
        ),
    )


def penalty(alpha: Alpha, moment: Moment, *, weight_max: float) -> Tensor:
    """Return λ · mean over both cells' edges of log Σₒ exp(αₒ), λ rising with the epochs from 0."""
    smooth_maximum = torch.cat([value.logsumexp(-1) for value in alpha.values()])
    return weight_max * moment.epoch / moment.epochs * smooth_maximum.mean()

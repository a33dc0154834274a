"""β-DARTS: a penalty on α that keeps the mixing weights close to each other.

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
from nasbench_ecg_darts.state import SearchProgress
from nasbench_ecg_darts.variant import Variant


def beta_darts(options: BetaDartsOptions) -> Darts:
    """Return β-DARTS.

    Choose it where the result of ``darts`` depends on its number of epochs and learning rates: the
    penalty pulls large α down, so that no operation dominates early.
    """
    return Darts(
        options,
        Variant(
            name="beta-darts",
            capturable=False,
            penalty=partial(beta_decay, weight_max=options.beta_weight),
        ),
    )


def beta_decay(alpha: Alpha, progress: SearchProgress, *, weight_max: float) -> Tensor:
    """Return λ · mean over the edges of both cells of log Σₒ exp(αₒ), equation (11).

    λ rises linearly from 0 to ``weight_max`` over the epochs.
    """
    smooth_maximum = torch.cat([value.logsumexp(-1) for value in alpha.values()])
    return weight_max * progress.epoch / progress.epochs * smooth_maximum.mean()

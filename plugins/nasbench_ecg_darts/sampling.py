"""Which beats an epoch goes through."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(
    labels: Tensor, n: int, majority_share: float | None, generator: torch.Generator
) -> Tensor:
    """Return ``n`` indices in random order; fewer than ``n`` beats are gone through repeatedly.

    With ``majority_share``, at most that share of them is of the most frequent class, as far as the
    other classes have beats enough.
    """
    order = torch.randperm(len(labels), generator=generator)
    if majority_share is not None:
        majority = labels[order] == labels.bincount().argmax()
        frequent, rare = order[majority], order[~majority]
        n_frequent = min(max(round(majority_share * n), n - len(rare)), len(frequent))
        order = torch.cat([frequent[:n_frequent], rare[: n - n_frequent]])
        order = order[torch.randperm(len(order), generator=generator)]
    return order.repeat(-(-n // len(order)))[:n]

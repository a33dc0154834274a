"""A table: the results of training every member of a search space by one recipe.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import nearest
from nasbench_ecg.metrics import SCORES, scores_of_many
from nasbench_ecg.tables.card import Card, TableError

PARTS = ("validation", "test")

COST, PROXY = "cost_", "proxy_"
"""Prefixes of the arrays [M] that hold costs, and scores of the untrained networks."""

BASE_SEEDS = 3
"""Seeds of every member of a complete table. Searches see no others, whatever a member has."""

Seed = int | Literal["mean"]


@dataclass(frozen=True)
class Result:
    """What a table knows of one member.

    Attributes:
        value: The score as a fraction, or the ``nll`` in nats; the mean over the seeds.
        seconds: Processor seconds of the training and its validation, mean over those seeds.
        seeds: How many seeds were averaged.
    """

    value: float
    seconds: float
    seeds: int


def empty_arrays(card: Card, architectures: list[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a table in which nothing is trained.

    - ``architecture`` str [M]: canonical JSON of each member.
    - ``trained`` bool [M, S].
    - ``confusion`` uint32 [M, S, E, 2, C, C]: validation and test, rows the true class.
    - ``nll`` float16 [M, S, E, 2]: mean negative log-likelihood in nats.
    - ``seconds`` float32 [M, S, E]: processor seconds until the end of the epoch, with the
      validation of that epoch and without the test set.
    - ``machine`` uint8 [M, S]: index into the card's machines.
    """
    m, s, e, c = card.members, card.seeds, card.recipe.epochs, len(card.classes)
    return {
        "architecture": np.array(architectures),
        "trained": np.zeros((m, s), bool),
        "confusion": np.zeros((m, s, e, 2, c, c), np.uint32),
        "nll": np.full((m, s, e, 2), np.nan, np.float16),
        "seconds": np.full((m, s, e), np.nan, np.float32),
        "machine": np.zeros((m, s), np.uint8),
    }


class Table:
    """Results of one space on one track.

    Args:
        card: What the table holds.
        arrays: As :func:`empty_arrays` makes them, one ``cost_<name>`` [M] for each cost, and one
            ``proxy_<name>`` [M] for each score of the untrained networks.
    """

    def __init__(self, card: Card, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.card = card
        self.arrays = dict(arrays)
        self._place = {
            Architecture.from_json(text).hash: i
            for i, text in enumerate(self.arrays["architecture"].tolist())
        }

    @property
    def trained(self) -> NDArray[np.bool_]:
        """Which members are trained with which seeds, [M, S]."""
        return self.arrays["trained"]

    @property
    def available(self) -> NDArray[np.bool_]:
        """Which members are trained with at least one of the first three seeds, [M]."""
        return np.asarray(self.trained[:, :BASE_SEEDS].any(axis=1))

    @property
    def complete(self) -> float:
        """The share of members that are available."""
        return float(self.available.mean())

    def refuse_untrained(self) -> None:
        """Raise TableError if no member is available."""
        if not self.available.any():
            raise TableError(
                f"No member of the table is trained yet with one of the seeds 0 to "
                f"{BASE_SEEDS - 1}.",
                where=f"table of {self.card.space.name}, {self.card.track}",
                fix="Train members with 'nasbench-ecg table build'.",
            )

    @cached_property
    def members(self) -> list[Architecture]:
        """All members, trained or not, in the order of the arrays."""
        return [Architecture.from_json(text) for text in self.arrays["architecture"].tolist()]

    def place(self, arch: Architecture) -> int:
        """Return the row of an architecture in canonical form.

        Raises:
            TableError: It is no member, or no architecture.
        """
        if not isinstance(arch, Architecture):
            raise TableError(
                f"{arch!r} is not an Architecture.",
                fix="Make one with Architecture.from_dict(data) or Architecture.from_json(text).",
            )
        if arch.space != self.card.space.name:
            raise TableError(
                f"This architecture is of the space {arch.space!r}.",
                where=f"table of {self.card.space.name}, {self.card.track}",
                fix=f"Ask for an architecture of {self.card.space.name}.",
            )
        if arch.hash not in self._place:
            raise TableError(
                f"The architecture {arch.hash} is not a member of the table.",
                where=f"table of {self.card.space.name}, {self.card.track}",
                fix="Ask for its canonical form, and with the space's options of the table.",
            )
        return self._place[arch.hash]

    def query(
        self,
        arch: Architecture,
        *,
        epoch: int | None = None,
        seed: Seed = "mean",
        metric: str = "f1_of_macro",
    ) -> Result:
        """Return a validation result of a member.

        Args:
            arch: The member, in canonical form.
            epoch: After how many epochs; by default after all.
            seed: One seed, or ``mean`` over all seeds trained of this member.
            metric: One of :data:`nasbench_ecg.metrics.SCORES`, or ``nll``.

        Raises:
            TableError: The member, seed or epoch is missing, or there is no such metric.
        """
        return self._result("validation", arch, epoch, seed, metric)

    def test(
        self, arch: Architecture, *, seed: Seed = "mean", metric: str = "f1_of_macro"
    ) -> Result:
        """Return the test result of a member after its last epoch, for use after a search.

        Args:
            arch: The member, in canonical form.
            seed: One seed, or ``mean`` over all seeds trained of this member.
            metric: One of :data:`nasbench_ecg.metrics.SCORES`, or ``nll``.

        Raises:
            TableError: The member or seed is missing, or there is no such metric.
        """
        return self._result("test", arch, None, seed, metric)

    def values(self, part: str, metric: str = "f1_of_macro") -> NDArray[np.float64]:
        """Return a metric of all members, [M, S, E]; NaN where nothing is trained.

        Args:
            part: ``validation`` or ``test``.
            metric: One of :data:`nasbench_ecg.metrics.SCORES`, or ``nll``.

        Raises:
            TableError: There is no such metric.
        """
        if not isinstance(metric, str) or metric not in (*SCORES, "nll"):
            raise TableError(
                f"There is no metric {metric!r}.", fix=nearest(str(metric), (*SCORES, "nll"))
            )
        key = part, metric
        if key not in self._values:
            at = PARTS.index(part)
            if metric == "nll":
                found = self.arrays["nll"][..., at].astype(np.float64)
            else:
                confusion = self.arrays["confusion"][:, :, :, at]
                found = scores_of_many(confusion, self.card.classes, self.card.macro_classes)[
                    metric
                ]
            self._values[key] = np.where(self.trained[:, :, None], found, np.nan)
        return self._values[key]

    def mean_test_scores(self, metric: str = "f1_of_macro") -> NDArray[np.float64]:
        """Return the test score after the last epoch, mean over a member's first three seeds, [M].

        NaN for members of which none of these trainings is done.
        """
        scores = self.values("test", metric)[:, :BASE_SEEDS, -1]
        found = np.full(len(scores), np.nan)
        found[self.available] = np.nanmean(scores[self.available], axis=1)
        return found

    @cached_property
    def _values(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        return {}

    def costs(self) -> dict[str, NDArray[np.float64]]:
        """Return the values [M] of each cost that the table holds, by name."""
        return dict(self._with_prefix(COST))

    def proxies(self) -> dict[str, NDArray[np.float64]]:
        """Return the values [M] of each proxy that the table holds, by name."""
        return dict(self._with_prefix(PROXY))

    def _with_prefix(self, prefix: str) -> Iterator[tuple[str, NDArray[np.float64]]]:
        for name, values in self.arrays.items():
            if name.startswith(prefix):
                yield name.removeprefix(prefix), values

    def _result(
        self, part: str, arch: Architecture, epoch: int | None, seed: Seed, metric: str
    ) -> Result:
        row = self.place(arch)
        for name, number, other in (("epoch", epoch, None), ("seed", seed, "mean")):
            whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
            if not whole and not (isinstance(number, type(other)) and number == other):
                raise TableError(
                    f"{name}={number!r} is not allowed.", fix=f"Give a whole number, or {other!r}."
                )
        e = self._epoch(epoch)
        seeds = np.flatnonzero(self.trained[row])
        if seed != "mean":
            if seed not in seeds.tolist():
                raise TableError(
                    f"The member {arch.hash} is not trained with seed {seed}.",
                    fix=f"Its seeds are: {', '.join(map(str, seeds)) or 'none'}.",
                )
            seeds = np.array([seed])
        if not len(seeds):
            raise TableError(
                f"The member {arch.hash} is not trained yet.",
                where=f"{self.complete:.0%} of the members are trained",
                fix="Train it with 'nasbench-ecg table build', or ask for a trained member.",
            )
        return Result(
            float(self.values(part, metric)[row, seeds, e].mean()),
            float(self.arrays["seconds"][row, seeds, e].mean()),
            len(seeds),
        )

    def _epoch(self, epoch: int | None) -> int:
        epochs = self.card.recipe.epochs
        if epoch is None:
            return epochs - 1
        if not 1 <= epoch <= epochs:
            raise TableError(
                f"The table has no epoch {epoch}.", fix=f"Its epochs are 1 to {epochs}."
            )
        return epoch - 1

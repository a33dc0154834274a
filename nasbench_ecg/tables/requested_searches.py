"""Searches that a report is asked for: ``STRATEGY[@OPTION=VALUE]…[:REPETITIONS[:LARGEST]]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from nasbench_ecg.errors import OptionError, nearest

COSTS = ("parameters", "macs", "flash_bytes")
"""Costs of the hypervolumes that are compared by default."""

EVALUATIONS = (20, 50, 100, 200)
"""Budgets by default."""

Scores = Literal["one-seed", "mean"]
"""What a search sees of a member: one of its trainings, or the mean over its first three seeds."""


@dataclass(frozen=True)
class RequestedSearch:
    """A strategy, its options, and how often and with which budgets it is repeated.

    Attributes:
        strategy: Name of the strategy.
        repetitions: How often it is run with each budget.
        options: Options that only this search has.
        largest: Largest budget in evaluations, and the seconds of as many; None: all budgets.
    """

    strategy: str
    repetitions: int
    options: Mapping[str, Any] = field(default_factory=dict)
    largest: int | None = None

    @property
    def label(self) -> str:
        """The strategy with its options: ``nsga-ii (objectives=macs)``."""
        stated = ", ".join(f"{name}={_text(value)}" for name, value in self.options.items())
        return f"{self.strategy} ({stated})" if stated else self.strategy


@dataclass(frozen=True)
class SearchSettings:
    """How a search was run.

    Attributes:
        label: The search.
        strategy: Its strategy.
        options: Options of the strategy as JSON data.
        set_by_budget: The option that is the budget of each run, and not in ``options``; None if
            there is none.
    """

    label: str
    strategy: str
    options: Mapping[str, Any]
    set_by_budget: str | None


def parse_search(text: str, repetitions: int) -> RequestedSearch:
    """Return the search that a text asks for.

    Args:
        text: For example ``tpe``, ``tpe:100``, ``gp:30:50`` or ``nsga-ii@objectives=["macs"]:100``.
        repetitions: Repetitions if the text has none.

    Raises:
        OptionError: The text has another form.
    """
    from nasbench_ecg.options import parse_assignments  # --help imports this module, not pydantic

    parts = text.split(":")
    counts: list[int] = []
    while len(parts) > 1 and len(counts) < 2 and parts[-1].isdecimal():
        counts.insert(0, int(parts.pop()))
    name, *assignments = ":".join(parts).split("@")
    if not name or ":" in name or any(count < 2 for count in counts[:1]):
        raise OptionError(
            f"{text!r} is not of the form STRATEGY[@OPTION=VALUE][:N[:LARGEST]].",
            fix=f"For example {name.partition(':')[0] or 'random'}:50.",
        )
    options = parse_assignments([f"strategy.{one}" for one in assignments])
    return RequestedSearch(
        name,
        counts[0] if counts else repetitions,
        options.get("strategy", {}),
        counts[1] if len(counts) > 1 else None,
    )


def check_scores(scores: str) -> Scores:
    """Return ``scores`` if it is one of :data:`Scores`.

    Raises:
        OptionError: It is not.
    """
    known = get_args(Scores)
    if scores not in known:
        raise OptionError(
            f"A search cannot see the scores {scores!r} of members.", fix=nearest(scores, known)
        )
    return cast(Scores, scores)


def refuse_repeated(searches: Sequence[RequestedSearch]) -> None:
    """Check that no two searches are the same but for their repetitions and budgets.

    Raises:
        OptionError: Two are.
    """
    labels = [search.label for search in searches]
    for label in labels:
        if labels.count(label) > 1:
            raise OptionError(f"The search {label} is asked for twice.", fix="Ask for it once.")


def _text(value: Any) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)

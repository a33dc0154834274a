"""The noise card of a table in words: scores in percent, deviations and regrets in points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nasbench_ecg.report.measures import COSTS, SCORES
from nasbench_ecg.text import percent

_GROUPS = {"all": "all", "best_half": "best half", "best_tenth": "best tenth"}
_SEEDS = {"one_seed": "one seed", "three_seeds": "three seeds"}
_WITH_TEST = "_with_test"

NOTE = (
    "τ: Kendall's rank correlation of test scores. [ ]: 95% interval, of the correlation at these "
    "seeds, of the consistency at any seeds. –: undefined."
)
"""What a reader of the rows must know."""


def noise_rows(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of a noise card, each with its name in words.

    Args:
        card: What :func:`nasbench_ecg.tables.noise.noise_card` returns.
    """
    return list(_rows(card))


def _rows(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield f"members with {_count(card['seeds'])} seeds", f"{card['members']:,} of {card['of']:,}"
    yield "published", "yes" if card["published"] else "no"
    if "test" not in card:
        return
    test, score = card["test"], SCORES[card["metric"]].heading
    yield (
        f"test {score}, best and median, %",
        " and ".join(percent(test[name]) for name in ("best", "median")),
    )
    yield "sd of a seed, points", _points(test["sd_of_a_seed"])
    yield "… of its effect on all members", _points(test["sd_common_to_all_members"])
    yield "… at equal seeds", _points(test["sd_at_equal_seeds"])
    for figure in ("intraclass_correlation", "intraclass_consistency"):
        for group, members in _GROUPS.items():
            found = card[figure][group]
            for seeds, words in _SEEDS.items():
                name = f"{figure.replace('_', ' ')}, {members}, {words}"
                yield name, _with_interval(found[seeds], found.get(f"{seeds}_interval"))
    yield from _taus(card["kendall_tau"])
    yield "regret of the validation winner, points", _points(card["regret_of_validation_winner"])
    yield "overlap of the best percent", f"{card['overlap_of_best_percent']:.0%}"
    yield "not told from the best", f"{card['not_told_from_best']:,}"
    yield "seeds to see 0.2 points", f"{card['seeds_to_see_0.2_points']:,}"
    yield from _with_more_seeds(card["with_more_seeds"])


def _taus(taus: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "τ of validation with test", _number(taus["validation_with_test"])
    for epoch, tau in taus["epoch_with_last"].items():
        yield f"τ of validation after epoch {epoch} with test", _number(tau)
    yield "τ of one seed with another", _number(taus["seed_with_seed"])
    for name, tau in taus.items():
        known = name.removesuffix(_WITH_TEST)
        if name.endswith(_WITH_TEST) and known != "validation":
            words = COSTS[known].label if known in COSTS else known.replace("_", "-")
            yield f"τ of {words} with test", _number(tau)


def _with_more_seeds(more: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if more is None:
        yield "members with more seeds", "–"
        return
    several = f"{_count(more['seeds'])} seeds"
    correlation = more["intraclass_correlation"]
    yield "members with more seeds", f"{more['members']:,} with {several}"
    yield "… sd of a seed, points", _points(more["sd_of_a_seed"])
    yield "… intraclass correlation, one seed", _number(correlation["one_seed"])
    yield "… intraclass correlation, all seeds", _number(correlation["all_seeds"])
    yield "… τ of the first three seeds with the others", _number(more["kendall_tau"])


def _count(number: int) -> str:
    return "three" if number == 3 else f"{number:,}"


def _points(fraction: float | None) -> str:
    return "–" if fraction is None else percent(fraction)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def _with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    bounds = "" if interval is None else f" [{', '.join(map(_number, interval))}]"
    return f"{_number(value)}{bounds}"

"""Scores from the literature, and which of our methods each belongs to."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from nasbench_ecg.studies.generalize import origin_of

if TYPE_CHECKING:
    from nasbench_ecg.run.record import RunRecord


@dataclass(frozen=True)
class Published:
    """Published scores of one method on one dataset under one protocol.

    Attributes:
        label: Name that the authors give the method.
        source: Full citation.
        cite: First author and year.
        place: Table or section of the source; may be empty.
        dataset: Name of the dataset.
        protocol: Name of the protocol.
        scores: Fractions, by the names of metrics in run records. Unpublished scores are absent.
        strategy: Our strategy that reproduces the method, if there is one.
        builder: Our builder that the scores belong to; None for any.
        searched_on: Dataset on which the architecture was searched, if that is another one.
        beat_alone: Whether the method sees nothing but the signal of one beat.
    """

    label: str
    source: str
    cite: str
    place: str
    dataset: str
    protocol: str
    scores: Mapping[str, float]
    strategy: str | None = None
    builder: str | None = None
    searched_on: str | None = None
    beat_alone: bool = False

    @property
    def citation(self) -> str:
        """Author, year and place, for example ``Lv 2021, Table VI``."""
        return ", ".join(filter(None, [self.cite, self.place]))


def published_scores(dataset: str, protocol: str) -> list[Published]:
    """Return what is published for a dataset under a protocol, best F1 first, then by label."""
    found = [p for p in _all_published() if (p.dataset, p.protocol) == (dataset, protocol)]
    return sorted(found, key=lambda p: (-p.scores.get("f1_of_macro", -1.0), p.label))


def counterpart_of(
    dataset: str, protocol: str, *, strategy: str, builder: str, searched_on: str = ""
) -> Published | None:
    """Return the published scores that a strategy with a builder reproduces, None without any.

    Args:
        dataset: Dataset of the scores.
        protocol: Protocol of the scores.
        strategy: Strategy that found the architecture.
        builder: Builder of the network.
        searched_on: Dataset on which the architecture was searched; by default that of the scores.
    """
    for published in published_scores(dataset, protocol):
        if (
            published.strategy == strategy
            and published.builder in (None, builder)
            and (published.searched_on or dataset) == (searched_on or dataset)
        ):
            return published
    return None


def published_for(record: RunRecord) -> list[Published]:
    """Return what is published for dataset and protocol of a run, best F1 first.

    Published scores are of all records of a dataset: a run that leaves records out has none. A run
    whose beats have rhythm planes or differences as further leads has none of methods that see the
    beat alone.
    """
    if record.leaves_out_records:
        return []
    found = published_scores(record.dataset_name, record.protocol)
    return [one for one in found if not (one.beat_alone and record.adds_leads)]


def counterpart(record: RunRecord) -> Published | None:
    """Return the published scores of the method that a run reproduces, None without any."""
    if record.leaves_out_records or record.adds_leads:
        return None
    origin = origin_of(record) or {}
    return counterpart_of(
        record.dataset_name,
        record.protocol,
        strategy=str(origin.get("strategy", record.strategy)),
        builder=record.components["builder"].name,
        searched_on=str(origin.get("dataset", "")),
    )


def strategy_remarks(strategies: Iterable[str]) -> list[str]:
    """Return what a reader must know of our reproductions, one sentence each."""
    notes = _file().get("notes", {})
    return [str(notes[name]) for name in sorted(set(strategies)) if name in notes]


def dataset_remark(dataset: str) -> str | None:
    """Return what a reader must know of the published scores of a dataset, None if nothing."""
    remark = _file().get("datasets", {}).get(dataset)
    return None if remark is None else str(remark)


@cache
def _file() -> dict[str, Any]:
    text = files("nasbench_ecg_suites").joinpath("published.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _all_published() -> tuple[Published, ...]:
    data = _file()
    return tuple(
        _read(figure, dataset, data["sources"])
        for figure in data["figure"]
        for dataset in figure["datasets"]
    )


def _read(
    figure: Mapping[str, Any], dataset: str, sources: Mapping[str, Mapping[str, Any]]
) -> Published:
    source = sources[figure["source"]]
    return Published(
        label=figure["label"],
        source=source["full"],
        cite=source["cite"],
        place=figure.get("place", ""),
        dataset=dataset,
        protocol=figure["protocol"],
        scores={name: percent / 100 for name, percent in figure["scores"].items()},
        strategy=figure.get("strategy"),
        builder=figure.get("builder"),
        searched_on=figure.get("searched_on"),
        beat_alone=source.get("beat_alone", False),
    )

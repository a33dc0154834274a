"""Figures published elsewhere, and which of our rows they are the counterpart of."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_ecg.run.record import RunRecord


@dataclass(frozen=True)
class Published:
    """Scores of one method on one dataset under one protocol, as its authors give them.

    Attributes:
        label: What its authors call the method.
        source: Full citation.
        cite: First author and year.
        place: Table or section of the source; may be empty.
        dataset: Name of the dataset.
        protocol: Name of the protocol.
        scores: Fractions, by the names of a run record's metrics. What was not published is absent.
        strategy: Our strategy whose counterpart it is, if there is one.
        builder: Our builder whose counterpart it is; None for any.
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

    @property
    def citation(self) -> str:
        """Author, year and place, for example ``Lv 2021, Table VI``."""
        return ", ".join(filter(None, [self.cite, self.place]))


def figures(dataset: str, protocol: str) -> list[Published]:
    """Return what is published for a dataset under a protocol, best F1 first, then by label."""
    chosen = [f for f in _all_figures() if (f.dataset, f.protocol) == (dataset, protocol)]
    return sorted(chosen, key=lambda f: (-f.scores.get("f1_of_macro", -1.0), f.label))


def counterpart_of(dataset: str, protocol: str, *, strategy: str, builder: str) -> Published | None:
    """Return the published figure of the method that a strategy with a builder stands for."""
    for figure in figures(dataset, protocol):
        if figure.strategy == strategy and figure.builder in (None, builder):
            return figure
    return None


def counterpart(record: RunRecord) -> Published | None:
    """Return the published figure of the method that a run stands for, None if there is none."""
    return counterpart_of(
        record.dataset_name,
        record.protocol,
        strategy=record.strategy,
        builder=record.components["builder"].name,
    )


def notes_on(strategies: Iterable[str]) -> list[str]:
    """Return what a reader must know of some of our strategies, one sentence each."""
    notes = _file().get("notes", {})
    return [str(notes[name]) for name in sorted(set(strategies)) if name in notes]


@cache
def _file() -> dict[str, Any]:
    text = files("nasbench_ecg_suites").joinpath("published.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _all_figures() -> tuple[Published, ...]:
    data = _file()
    return tuple(
        _read(figure, dataset, data["sources"])
        for figure in data["figure"]
        for dataset in figure["datasets"]
    )


def _read(
    figure: Mapping[str, Any], dataset: str, sources: Mapping[str, Mapping[str, str]]
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
    )

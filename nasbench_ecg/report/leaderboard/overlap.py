"""Which records of a dataset are of persons who are elsewhere, too: in a search, on other boards.

Scores on persons on whom an architecture was searched do not show that it applies to other persons.
Scores on two datasets with common persons are not independent of each other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nasbench_ecg.architecture import canonical_json
from nasbench_ecg.data.persons import shared_records
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.generalize import (
    origin_of,
    persons_searched_by_default,
    recorded_persons,
    searched_persons,
)


@dataclass(frozen=True)
class Overlap:
    """Records of a dataset whose persons are also elsewhere.

    Attributes:
        dataset: The other dataset: of a search, or of another leaderboard.
        protocol: Its protocol.
        excluded: Records of shared persons that are left out here.
        kept: Records of shared persons that are here.
        n_records: Number of records here, with those left out.
        beats: Beats of each class in the shared records, in the order of the classes; None if not
            recorded.
        of: Beats of each class in all records, with those left out; None likewise.
    """

    dataset: str
    protocol: str
    excluded: tuple[str, ...]
    kept: tuple[str, ...]
    n_records: int
    beats: Mapping[str, int] | None
    of: Mapping[str, int] | None

    @property
    def shared(self) -> tuple[str, ...]:
        """All records of shared persons, those left out first."""
        return (*self.excluded, *self.kept)


def shares_text(overlap: Overlap) -> str:
    """Return the number and share of the beats of each class in shared records, if recorded."""
    if overlap.beats is None or overlap.of is None:
        return ""
    counts = ((name, overlap.beats.get(name, 0), of) for name, of in overlap.of.items())
    return ", ".join(f"{name} {n:,} ({n / of:.1%})" for name, n, of in counts if of)


class Persons:
    """The persons of some runs, and the beats in each record, as far as any run has them.

    Args:
        runs: The runs by key.
        registry: The available components, for records that name no persons.
    """

    def __init__(self, runs: Mapping[str, RunRecord], registry: Registry | None = None) -> None:
        self._runs = runs
        self._registry = registry
        self._beats: dict[str, dict[str, Mapping[str, int]]] = defaultdict(dict)
        self._named: dict[str, dict[str, str]] = {}
        for run in runs.values():
            if run.dataset is not None:
                self._beats[_same_records(run)].update(run.dataset.by_record)

    def by_record(self, run: RunRecord) -> dict[str, str]:
        """Return the person of each record of a run's dataset, also of those left out."""
        key = canonical_json([_same_records(run), run.excluded_records, run.dataset is None])
        if key not in self._named:
            self._named[key] = recorded_persons(run, self._components)
        return self._named[key]

    def search_overlaps(self, runs: Sequence[RunRecord]) -> Iterator[Overlap]:
        """Yield the overlap of the persons of runs on the same beats with those of each search.

        The persons of a search whose run is not here are those that its dataset and protocol
        search by default.
        """
        searched: dict[tuple[str, str], set[str]] = defaultdict(set)
        for run in runs:
            if (origin := origin_of(run)) is None:
                continue
            source = self._runs.get(origin["run_key"])
            searched[origin["dataset"], origin["protocol"]] |= (
                persons_searched_by_default(origin, self._components)
                if source is None
                else searched_persons(source, self._components)
            )
        for (dataset, protocol), persons in sorted(searched.items()):
            yield self.overlap(runs[0], dataset, protocol, persons)

    def overlap(
        self, run: RunRecord, dataset: str, protocol: str, persons: Collection[str]
    ) -> Overlap:
        """Return the overlap of the persons of a run with those of another dataset."""
        here = self.by_record(run)
        shared = shared_records(here, persons)
        beats = self._beats[_same_records(run)]
        return Overlap(
            dataset=dataset,
            protocol=protocol,
            excluded=tuple(name for name in shared if name in run.excluded_records),
            kept=tuple(name for name in shared if name not in run.excluded_records),
            n_records=len(here),
            beats=_total(beats, shared, run.classes),
            of=_total(beats, here, run.classes),
        )

    @property
    def _components(self) -> Registry:
        if self._registry is None:
            self._registry = load_registry()
        return self._registry


def _same_records(record: RunRecord) -> str:
    """Return what runs share whose records have the same beats: dataset and its other options."""
    used = record.components["dataset"]
    options = {k: v for k, v in used.options.items() if k != "exclude" and v is not None}
    return canonical_json([used.name, used.revision, options])


def _total(
    beats: Mapping[str, Mapping[str, int]], names: Iterable[str], classes: Sequence[str]
) -> dict[str, int] | None:
    """Return the beats of each class in the named records; None if one of them is not recorded."""
    total: Counter[str] = Counter()
    for name in names:
        if name not in beats:
            return None
        total.update(beats[name])
    return {name: total[name] for name in classes if name in total}

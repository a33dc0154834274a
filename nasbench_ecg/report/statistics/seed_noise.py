"""How much of the differences between architectures is the seed of their training.

``nasbench-ecg correlate --seeds`` measures and stores it; leaderboards of the same beats, split and
training say what it found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasbench_ecg.data.protocols import SEARCH_OPTIONS
from nasbench_ecg.errors import StorageError
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.correlation_files import FOLDER, RESULT

_ROLES = ("space", "builder", "evaluator")


@dataclass(frozen=True)
class SeedNoise:
    """How much of the differences between the scores of architectures is their seed.

    Attributes:
        evaluator: Name of the evaluator.
        seeds: Seeds of the evaluations.
        n: Number of architectures, without those of which a training diverged.
        sd: Standard deviation of one evaluation around the mean of its architecture, a fraction.
        sd_of_architectures: Standard deviation of the architectures, without that of the seeds in
            their means, a fraction; 0 where the seeds explain all of it.
        one_seed: Intraclass correlation of one evaluation: 1 if the seed changes nothing, 0 if
            architectures do not differ; None if all scores are equal.
        all_seeds: The same of the mean over the seeds.
        tau: Mean of Kendall's τ-b between two seeds; None if all scores of a seed are equal.
        seeds_to_see_a_point: Seeds a side that a test at 5% needs to find a true difference of 0.01
            in four of five cases, at equal seeds.
        interval: 95% interval of ``one_seed`` over architectures, at these seeds; None without it.
        at_equal_seeds: The same correlation where the effect of a seed on all architectures is no
            noise, as for a ranking at equal seeds; None if it is undefined.
        interval_at_equal_seeds: 95% interval of ``at_equal_seeds``; None without it.
        diverged: Number of further architectures whose training diverged with a seed.
    """

    evaluator: str
    seeds: tuple[int, ...]
    n: int
    sd: float
    sd_of_architectures: float
    one_seed: float | None
    all_seeds: float | None
    tau: float | None
    seeds_to_see_a_point: int
    interval: tuple[float, float] | None = None
    at_equal_seeds: float | None = None
    interval_at_equal_seeds: tuple[float, float] | None = None
    diverged: int = 0


def noise_text(space: str, noise: SeedNoise) -> str:
    """Return what a measurement says, as a sentence; empty if all scores were equal."""
    if noise.one_seed is None:
        return ""
    share = _share(noise.one_seed, noise.interval)
    return (
        f"Of the variance of a validation score, {share} is due to the architecture and the rest "
        f"to the seed, whose standard deviation is {100 * noise.sd:.2f} points: measured on "
        f"{noise.n} random architectures of {space}, with {len(noise.seeds)} seeds each."
    )


def interval_text(noise: SeedNoise) -> str:
    """Return what the interval of :func:`noise_text` holds for; empty without an interval."""
    if noise.interval is None:
        return ""
    found = "The interval is over architectures, at these seeds: it says nothing of other seeds."
    if noise.at_equal_seeds is not None:
        share = _share(noise.at_equal_seeds, noise.interval_at_equal_seeds)
        found += (
            f" For comparisons at equal seeds the share is {share}, and this interval holds for "
            "any seeds."
        )
    return found


def _share(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return f"{max(value, 0):.0%}"
    low, high = (max(limit, 0) for limit in interval)
    return f"{max(value, 0):.0%} (95% interval {low:.0%} to {high:.0%})"


# Measurements that were stored


@dataclass(frozen=True)
class StoredNoise:
    """A stored measurement, and what a run must share to be told by it.

    Attributes:
        profile: The profile.
        protocol: The protocol.
        data: Fingerprints of beats and of split.
        components: Name, options and revision of space, builder and evaluator; older measurements
            have no revision.
        search_options: The options of the protocol that say how candidates are validated.
        noise: The noise.
    """

    profile: str
    protocol: str
    data: tuple[str, str]
    components: Mapping[str, tuple[str, Mapping[str, Any], int | None]]
    noise: SeedNoise
    search_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def space(self) -> str:
        """Name of the search space."""
        return self.components["space"][0]

    def is_about(self, record: RunRecord) -> bool:
        """Return whether a run trained an architecture of this space in the same way."""
        data, split = record.dataset, record.split
        return (
            (record.profile, record.protocol) == (self.profile, self.protocol)
            and (data and data.fingerprint, split and split.fingerprint) == self.data
            and all(
                (part.name, _set(part.options)) == (name, _set(options))
                and revision in (None, part.revision)
                for role, (name, options, revision) in self.components.items()
                for part in [record.components[role]]
            )
            and record.search_options == self.search_options
        )


def _set(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are set: older records lack some of the others."""
    return {name: value for name, value in options.items() if value is not None}


def stored_noise(out: Path) -> list[StoredNoise]:
    """Return the measurements in a folder of results, of samples with several seeds.

    Raises:
        StorageError: A file is damaged.
    """
    return [
        noise
        for path in sorted((out / FOLDER).glob(f"*/{RESULT}"))
        if (noise := _read(path)) is not None
    ]


def _read(path: Path) -> StoredNoise | None:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        noise = result.get("seed_noise")
        if noise is None:
            return None
        return StoredNoise(
            profile=result["profile"],
            protocol=result["protocol"],
            data=(result["beats"], result["split"]),
            components={
                role: (part["name"], part["options"], part.get("revision"))
                for role in _ROLES
                for part in [result["components"][role]]
            },
            search_options={
                name: value
                for name, value in result.get("protocol_options", {}).items()
                if name in SEARCH_OPTIONS
            },
            noise=SeedNoise(**{name: _tuple(value) for name, value in noise.items()}),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"The result of correlate cannot be read: {error}.",
            where=str(path),
            fix="Run the command again: it makes the file from the stored evaluations.",
        ) from error


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

"""Measurements of the noise of the seed that ``correlate`` has stored, for leaderboards.

``nasbench-ecg correlate --seeds`` makes them; leaderboards of the same beats, split and training
say what they found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nasbench_ecg.errors import StorageError
from nasbench_ecg.report.leaderboard import Leaderboard, RunId
from nasbench_ecg.report.seed_noise import SeedNoise
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.studies.correlation_files import FOLDER, RESULT

_ROLES = ("space", "builder", "evaluator")


@dataclass(frozen=True)
class StoredNoise:
    """A stored measurement, and what a run must share to be told by it.

    Attributes:
        profile: The profile.
        protocol: The protocol.
        data: Fingerprints of beats and of split.
        components: Name and options of space, builder and evaluator.
        noise: The noise.
    """

    profile: str
    protocol: str
    data: tuple[str, str]
    components: Mapping[str, tuple[str, Mapping[str, Any]]]
    noise: SeedNoise

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
                for role, (name, options) in self.components.items()
                for part in [record.components[role]]
            )
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
                role: (result["components"][role]["name"], result["components"][role]["options"])
                for role in _ROLES
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


def with_noise(
    boards: Iterable[Leaderboard],
    records: Mapping[RunId, RunRecord],
    stored: Sequence[StoredNoise],
) -> tuple[Leaderboard, ...]:
    """Return leaderboards with the measurements that are about one of their runs.

    Of several that are about one space, the one of most trainings counts.
    """
    by_size = sorted(stored, key=lambda one: one.noise.n * len(one.noise.seeds))

    def about(board: Leaderboard) -> dict[str, SeedNoise]:
        runs = [records[run_id] for row in board.rows for run_id in row.run_ids]
        return {one.space: one.noise for one in by_size if any(map(one.is_about, runs))}

    return tuple(replace(board, seed_noise=about(board)) for board in boards)

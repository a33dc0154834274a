"""Compare the trainings of a table that a GPU did side by side with those that a processor did.

``python agreement.py DATASET PROTOCOL`` fits the test F1 of all trainings by least squares: one
constant for each operation of each edge at each width, one for two cells at each width, one for
each seed, whose beats all members share, and one for the GPU. It prints the last, with its standard
error from resampling members.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.tables.find import open_table
from nasbench_ecg.tables.gpu_training import STACKED
from nasbench_ecg.tables.table import Table

SEEDS, RESAMPLES = 3, 100


def design(table: Table) -> NDArray[np.float64]:
    """Return one row of indicators for each member of ``tiny-cells``."""
    genotypes: list[Any] = [arch.genotype for arch in table.members]
    widths = sorted({one["width"] for one in genotypes})
    operations = sorted({name for one in genotypes for name in one["edges"]})
    rows = [
        [
            float(one["width"] == width and chosen)
            for width in widths
            for chosen in (
                *(name == other for name in one["edges"] for other in operations),
                one["cells"] == 2,
            )
        ]
        for one in genotypes
    ]
    return np.array(rows)


def main() -> None:
    """Print the effect of the GPU in points of F1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("protocol")
    args = parser.parse_args()
    table = open_table("tiny-cells", args.dataset, args.protocol)
    complete = np.flatnonzero(table.trained[:, :SEEDS].all(axis=1))
    scores = 100 * table.values("test")[complete, :SEEDS, -1]
    stacked = np.array([float(STACKED in name) for name in table.card.machines])
    gpu = stacked[table.arrays["machine"][complete, :SEEDS]]
    members = design(table)[complete]

    def effect(rows: NDArray[np.int64]) -> float:
        seeds = np.tile(np.eye(SEEDS), (len(rows), 1))
        matrix = np.column_stack(
            [np.repeat(members[rows], SEEDS, axis=0), seeds, gpu[rows].ravel()]
        )
        return float(np.linalg.lstsq(matrix, scores[rows].ravel())[0][-1])

    rng, n = np.random.default_rng(0), len(complete)
    resampled = [effect(rng.integers(0, n, n)) for _ in range(RESAMPLES)]
    print(
        f"{int(gpu.sum()):,} trainings of a GPU and {int((1 - gpu).sum()):,} of a processor: "
        f"{effect(np.arange(n)):+.2f} points, standard error {np.std(resampled):.2f}."
    )


if __name__ == "__main__":
    main()

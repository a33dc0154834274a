"""The search space ``labelings``: labelings of beats by clusters within a balance bound."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Mapping
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import Architecture, OptionError
from nasbench_ecg_immune.options import LabelingsOptions

SPACE = "labelings"

Codes = NDArray[np.uint8]
"""Cluster of every beat, uint8 [n], numbered from zero."""


class Labelings:
    """Labelings of n beats with at most K clusters; the numbering of the clusters does not matter.

    With a balance l below 1, each of the K clusters holds at least (1 − l)/2 of the beats, which
    for K = 2 is the paper's constraint (3), −l·n ≤ 1ᵀy ≤ l·n. Labelings of any number of beats
    belong to the space.
    """

    name = SPACE

    def __init__(self, options: LabelingsOptions) -> None:
        self.options = options
        self.clusters = options.clusters

    def min_size(self, n: int) -> int:
        """Return the fewest of ``n`` beats that a cluster may hold."""
        return min_cluster_size(n, self.options.balance)

    @property
    def size(self) -> int:
        """Number of labelings of ``options.beats`` beats."""
        n, clusters = self.options.beats, self.clusters
        min_size = self.min_size(n)
        counts = _partitions(n, clusters, max(1, min_size))
        return counts[clusters] if min_size else sum(counts[1:])

    def architecture(self, codes: NDArray[Any]) -> Architecture:
        """Return the architecture of the labeling ``codes`` [n]."""
        return to_architecture(codes, self.clusters, self.options.within)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a labeling of ``options.beats`` beats, each drawn uniformly, then balanced.

        Raises:
            OptionError: No labeling keeps the balance bound.
        """
        n = self.options.beats
        codes = rng.integers(self.clusters, size=n).astype(np.uint8)
        return self.architecture(self.balanced(codes, rng))

    def balanced(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Return a copy in which clusters that are too small got random beats of the largest one.

        Raises:
            OptionError: There are too few beats for the balance bound.
        """
        codes, min_size = codes.copy(), self.min_size(len(codes))
        if min_size * self.clusters > len(codes):
            raise OptionError(
                f"{self.clusters} clusters cannot each hold {min_size} of {len(codes)} beats.",
                fix=f"Set a balance of at least {_least_balance(len(codes), self.clusters):g}.",
            )
        counts = np.bincount(codes, minlength=self.clusters)
        for small in np.flatnonzero(counts < min_size):
            while counts[small] < min_size:
                large = int(counts.argmax())
                codes[rng.choice(np.flatnonzero(codes == large))] = small
                counts[large] -= 1
                counts[small] += 1
        return codes

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a labeling in which one beat has changed its cluster.

        Raises:
            OptionError: The balance bound allows no such change.
        """
        codes = self._read(arch)
        for beat in rng.permutation(len(codes)):
            others = self._moves(codes, int(beat))
            if others:
                return self._moved(codes, int(beat), others[rng.integers(len(others))])
        raise OptionError(
            "No beat of this labeling can change its cluster.",
            fix="Increase the option 'balance' of the space.",
        )

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a labeling in which every beat has its cluster of ``a`` or of ``b``.

        A beat keeps its cluster of ``a`` where the cluster of ``b`` would break the balance bound.

        Raises:
            OptionError: The labelings have different numbers of beats.
        """
        first, second = self._read(a), self._read(b)
        if len(first) != len(second):
            raise OptionError(
                f"Labelings of {len(first)} and of {len(second)} beats cannot be crossed."
            )
        codes, min_size = first.copy(), self.min_size(len(first))
        counts = np.bincount(codes, minlength=self.clusters)
        for beat in rng.permutation(np.flatnonzero(rng.random(len(codes)) < 0.5)):
            old, new = codes[beat], second[beat]
            if old != new and counts[old] > min_size:
                codes[beat] = new
                counts[old] -= 1
                counts[new] += 1
        return self.architecture(codes)

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Yield every labeling in which one beat has another cluster."""
        codes = self._read(arch)
        known = {arch.hash}
        for beat in range(len(codes)):
            for other in self._moves(codes, beat):
                moved = self._moved(codes, beat, other)
                if moved.hash not in known:
                    known.add(moved.hash)
                    yield moved

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError if ``arch`` is not of this space."""
        self._read(arch)

    def _read(self, arch: Architecture) -> Codes:
        codes = from_architecture(arch)
        if arch.genotype["clusters"] != self.clusters:
            raise OptionError(
                f"This labeling has {arch.genotype['clusters']} clusters, not {self.clusters}.",
                fix="Set the option 'clusters' of the space.",
            )
        if arch.genotype.get("within") != self.options.within:
            raise OptionError(
                "The labeling and the space differ in whether a record is clustered on its own.",
                fix="Set the option 'within' of the space.",
            )
        counts = np.bincount(codes, minlength=self.clusters)
        min_size = self.min_size(len(codes))
        if counts.min() < min_size:
            raise OptionError(
                f"A cluster holds {counts.min()} of {len(codes)} beats, fewer than {min_size}.",
                fix="Increase the option 'balance' of the space.",
            )
        return codes

    def _moves(self, codes: Codes, beat: int) -> list[int]:
        """Return the clusters that a beat may move to, with at most one of the empty ones."""
        counts: NDArray[np.int64] = np.bincount(codes, minlength=self.clusters)
        here = int(codes[beat])
        if counts[here] <= self.min_size(len(codes)):
            return []
        empty = np.flatnonzero(counts == 0)[:1].tolist() if counts[here] > 1 else []
        return [int(c) for c in np.flatnonzero(counts) if c != here] + empty

    def _moved(self, codes: Codes, beat: int, cluster: int) -> Architecture:
        changed = codes.copy()
        changed[beat] = cluster
        return self.architecture(changed)


def _partitions(n: int, clusters: int, min_size: int) -> list[int]:
    """Return the number of partitions of n beats into k clusters of at least r, for k = 0…K.

    These are (associated) Stirling numbers of the second kind, with r = ``min_size``:
    S(n+1, k) = k·S(n, k) + C(n, r−1)·S(n−r+1, k−1).
    """
    table = [[1] + [0] * clusters]
    for i in range(n):
        before = i - min_size + 1
        ways = comb(i, min_size - 1)
        table.append(
            [0]
            + [
                k * table[i][k] + (ways * table[before][k - 1] if before >= 0 else 0)
                for k in range(1, clusters + 1)
            ]
        )
        if before > 0:
            table[before - 1] = []
    return table[n]


def canonical(codes: NDArray[Any]) -> Codes:
    """Return ``codes`` [n], integers in 0…255, renumbered by first appearance."""
    values, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.empty(len(values), np.uint8)
    rank[np.argsort(first)] = np.arange(len(values), dtype=np.uint8)
    return np.asarray(rank[inverse])


def to_architecture(codes: NDArray[Any], clusters: int, within: str | None = None) -> Architecture:
    """Return the architecture of a labeling.

    Its genotype has ``n``, ``clusters`` and ``labels``: base64 of the labels' bits. Each label has
    as many bits as clusters − 1 needs, high bit first; the last byte is padded with zeros. If each
    record is clustered on its own, the genotype has ``within``, too.
    """
    codes = canonical(codes)
    bits = np.unpackbits(codes[:, None], axis=1)[:, 8 - _bits(clusters) :]
    text = base64.b64encode(np.packbits(bits.ravel()).tobytes()).decode("ascii")
    genotype = {"n": len(codes), "clusters": clusters, "labels": text}
    return Architecture(SPACE, genotype | ({} if within is None else {"within": within}))


def from_architecture(arch: Architecture) -> Codes:
    """Return uint8 [n], the cluster of every beat.

    Raises:
        OptionError: The architecture is of another space, or not well-formed.
    """
    if arch.space != SPACE:
        raise OptionError(
            f"This architecture belongs to the space {arch.space!r}, not {SPACE!r}.",
            fix="Choose a builder and an evaluator for its space.",
        )
    genotype = arch.genotype
    if (
        not isinstance(genotype, Mapping)
        or set(genotype) - {"within"} != {"n", "clusters", "labels"}
        or genotype.get("within", "record") != "record"
    ):
        raise OptionError(
            "A genotype of labelings must have 'n', 'clusters' and 'labels', and may have "
            "'within': 'record'."
        )
    n, clusters = genotype["n"], genotype["clusters"]
    if type(n) is not int or n < 1 or type(clusters) is not int or not 2 <= clusters <= 256:
        raise OptionError("'n' must be a positive integer, 'clusters' an integer in 2…256.")
    try:
        data = base64.b64decode(genotype["labels"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise OptionError("The labels of a labeling must be base64 text.") from None
    width = _bits(clusters)
    if len(data) != -(-n * width // 8):
        raise OptionError(f"{n} labels of {width} bits do not take {len(data)} bytes.")
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if bits[n * width :].any():
        raise OptionError("Bits after the last label must be zero.")
    padded = np.zeros((n, 8), np.uint8)
    padded[:, 8 - width :] = bits[: n * width].reshape(n, width)
    codes = np.packbits(padded, axis=1)[:, 0]
    if codes.max() >= clusters:
        raise OptionError(f"A label is {codes.max()}, but there are {clusters} clusters.")
    if (canonical(codes) != codes).any():
        raise OptionError("Clusters must be numbered by first appearance.")
    return np.asarray(codes)


def min_cluster_size(n: int, balance: float) -> int:
    """Return the fewest of ``n`` points on one side by −l·n ≤ 1ᵀy ≤ l·n, with l = ``balance``."""
    return int(np.ceil((1 - balance) / 2 * n - 1e-9))


def check_balance(n: int, clusters: int, balance: float) -> int:
    """Return the fewest beats of a cluster, at least one.

    Raises:
        OptionError: There are too few beats for the clusters or for the balance bound.
    """
    if n < clusters:
        raise OptionError(
            f"{n} beats are too few for {clusters} clusters.",
            fix="Use more beats or fewer clusters.",
        )
    min_size = max(1, min_cluster_size(n, balance))
    if min_size * clusters > n:
        raise OptionError(
            f"{clusters} clusters cannot each hold {min_size} of {n} beats, "
            f"as the balance bound {balance:g} requires.",
            fix=f"Set a balance of at least {_least_balance(n, clusters):g}.",
        )
    return min_size


def _least_balance(n: int, clusters: int) -> float:
    """Return the smallest bound, rounded up, that n points in equal clusters keep.

    It is above 1 − 2/K where n is no multiple of the K clusters.
    """
    return math.ceil(1000 * (1 - 2 * (n // clusters) / n) - 1e-6) / 1000


def _bits(clusters: int) -> int:
    return (clusters - 1).bit_length()

"""The search space ``labelings``: assignments of beats to clusters within a balance bound."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import Architecture, OptionError
from nasbench_ecg_immune.options import LabelingsOptions

SPACE = "labelings"


class Labelings:
    """Labellings of n beats with at most K clusters, equal up to the clusters' names.

    With a balance l below 1, every one of the K clusters holds at least (1 − l)/2 of the beats,
    which for K = 2 is −l·n ≤ 1ᵀy ≤ l·n. The number of beats is that of each labelling.
    """

    name = SPACE

    def __init__(self, options: LabelingsOptions) -> None:
        self.options = options
        self.clusters = options.clusters

    def smallest(self, n: int) -> int:
        """Return the fewest of ``n`` beats that a cluster may hold."""
        return smallest_cluster(n, self.options.balance)

    @property
    def size(self) -> int:
        """Number of labellings of ``options.beats`` beats: sums of (associated) Stirling numbers.

        With r = the fewest beats of a cluster, S(n+1, k) = k·S(n, k) + C(n, r−1)·S(n−r+1, k−1).
        """
        n, clusters = self.options.beats, self.clusters
        smallest = self.smallest(n)
        rows = _partitions(n, clusters, max(1, smallest))
        return rows[clusters] if smallest else sum(rows[1:])

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a labelling of ``options.beats`` beats, each drawn uniformly, then balanced.

        Raises:
            OptionError: The balance bound cannot be kept.
        """
        n = self.options.beats
        codes = rng.integers(self.clusters, size=n).astype(np.uint8)
        return to_architecture(self.balanced(codes, rng), self.clusters)

    def balanced(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Return a copy in which every cluster has the beats it needs, taken from the largest.

        Raises:
            OptionError: There are too few beats for that.
        """
        codes, smallest = codes.copy(), self.smallest(len(codes))
        if smallest * self.clusters > len(codes):
            raise OptionError(
                f"{self.clusters} clusters cannot each hold {smallest} of {len(codes)} beats.",
                fix=f"Give a balance of at least {1 - 2 / self.clusters:.3g}.",
            )
        counts = np.bincount(codes, minlength=self.clusters)
        for poor in np.flatnonzero(counts < smallest):
            while counts[poor] < smallest:
                rich = int(counts.argmax())
                codes[rng.choice(np.flatnonzero(codes == rich))] = poor
                counts[rich] -= 1
                counts[poor] += 1
        return codes

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a labelling in which one beat has changed its cluster.

        Raises:
            OptionError: The balance bound allows no such change.
        """
        codes = self._read(arch)
        for beat in rng.permutation(len(codes)):
            others = self._moves(codes, int(beat))
            if others:
                return self._moved(codes, int(beat), others[rng.integers(len(others))])
        raise OptionError(
            "No beat of this labelling can change its cluster.", fix="Loosen the balance bound."
        )

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a labelling whose every beat is in its cluster of ``a`` or of ``b``.

        Where such a draw breaks the balance bound, beats of ``b`` are given back to ``a``.

        Raises:
            OptionError: They label different numbers of beats.
        """
        first, second = self._read(a), self._read(b)
        if len(first) != len(second):
            raise OptionError(f"Labellings of {len(first)} and of {len(second)} beats do not mix.")
        codes, smallest = first.copy(), self.smallest(len(first))
        counts = np.bincount(codes, minlength=self.clusters)
        for beat in rng.permutation(np.flatnonzero(rng.random(len(codes)) < 0.5)):
            old, new = codes[beat], second[beat]
            if old != new and counts[old] > smallest:
                codes[beat] = new
                counts[old] -= 1
                counts[new] += 1
        return to_architecture(codes, self.clusters)

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Yield every labelling in which one beat has another cluster."""
        codes = self._read(arch)
        known = {arch.hash}
        for beat in range(len(codes)):
            for other in self._moves(codes, beat):
                moved = self._moved(codes, beat, other)
                if moved.hash not in known:
                    known.add(moved.hash)
                    yield moved

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError, saying what is wrong, if ``arch`` is not of this space."""
        self._read(arch)

    def _read(self, arch: Architecture) -> Codes:
        codes = from_architecture(arch)
        if arch.genotype["clusters"] != self.clusters:
            raise OptionError(
                f"This labelling has {arch.genotype['clusters']} clusters, not {self.clusters}.",
                fix="Set the option 'clusters' of the space.",
            )
        counts = np.bincount(codes, minlength=self.clusters)
        smallest = self.smallest(len(codes))
        if counts.min() < smallest:
            raise OptionError(
                f"A cluster holds {counts.min()} of {len(codes)} beats, fewer than {smallest}.",
                fix="Loosen the option 'balance' of the space.",
            )
        return codes

    def _moves(self, codes: Codes, beat: int) -> list[int]:
        """Return the clusters that a beat may move to; the first empty one stands for all."""
        counts: NDArray[np.int64] = np.bincount(codes, minlength=self.clusters)
        here = int(codes[beat])
        if counts[here] <= self.smallest(len(codes)):
            return []
        empty = np.flatnonzero(counts == 0)[:1].tolist() if counts[here] > 1 else []
        return [int(c) for c in np.flatnonzero(counts) if c != here] + empty

    def _moved(self, codes: Codes, beat: int, cluster: int) -> Architecture:
        changed = codes.copy()
        changed[beat] = cluster
        return to_architecture(changed, self.clusters)


def _partitions(n: int, clusters: int, smallest: int) -> list[int]:
    """Return the ways to part n beats into k clusters of at least ``smallest``, for each k ≤ K."""
    table = [[1] + [0] * clusters]
    for i in range(n):
        before = i - smallest + 1
        ways = comb(i, smallest - 1)
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


Codes = NDArray[np.uint8]


def canonical(codes: NDArray[Any]) -> Codes:
    """Return ``codes`` [n], whole numbers in 0…255, renumbered by first appearance."""
    values, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.empty(len(values), np.uint8)
    rank[np.argsort(first)] = np.arange(len(values), dtype=np.uint8)
    return np.asarray(rank[inverse])


def to_architecture(codes: NDArray[Any], clusters: int) -> Architecture:
    """Return the architecture of a labelling.

    Its genotype holds ``n``, ``clusters`` and ``labels``: base64 of the labels' bits, each label in
    as many bits as clusters − 1 needs, high bit first, the last byte filled with zeros.
    """
    codes = canonical(codes)
    bits = np.unpackbits(codes[:, None], axis=1)[:, 8 - _bits(clusters) :]
    text = base64.b64encode(np.packbits(bits.ravel()).tobytes()).decode("ascii")
    return Architecture(SPACE, {"n": len(codes), "clusters": clusters, "labels": text})


def from_architecture(arch: Architecture) -> Codes:
    """Return uint8 [n], the cluster of every beat.

    Raises:
        OptionError: The architecture is of another space, or not well-formed.
    """
    if arch.space != SPACE:
        raise OptionError(
            f"This architecture is of the space {arch.space!r}, not {SPACE!r}.",
            fix="Choose the builder and the evaluator that go with its space.",
        )
    genotype = arch.genotype
    if not isinstance(genotype, Mapping) or set(genotype) != {"n", "clusters", "labels"}:
        raise OptionError("A genotype of labelings has 'n', 'clusters' and 'labels'.")
    n, clusters = genotype["n"], genotype["clusters"]
    if type(n) is not int or n < 1 or type(clusters) is not int or not 2 <= clusters <= 256:
        raise OptionError("'n' must be a positive whole number, 'clusters' one in 2…256.")
    try:
        data = base64.b64decode(genotype["labels"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise OptionError("The labels of a labelling must be base64 text.") from None
    width = _bits(clusters)
    if len(data) != -(-n * width // 8):
        raise OptionError(f"{len(data)} bytes do not hold {n} labels of {width} bits.")
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if bits[n * width :].any():
        raise OptionError("Bits beyond the last label must be zero.")
    padded = np.zeros((n, 8), np.uint8)
    padded[:, 8 - width :] = bits[: n * width].reshape(n, width)
    codes = np.packbits(padded, axis=1)[:, 0]
    if codes.max() >= clusters:
        raise OptionError(f"A label is {codes.max()}, with {clusters} clusters.")
    if (canonical(codes) != codes).any():
        raise OptionError("Clusters must be numbered in the order in which they first appear.")
    return np.asarray(codes)


def smallest_cluster(n: int, balance: float) -> int:
    """Return the fewest of ``n`` points that −l·n ≤ 1ᵀy ≤ l·n leaves on one side, l = balance."""
    return int(np.ceil((1 - balance) / 2 * n - 1e-9))


def check_balance(n: int, clusters: int, balance: float) -> int:
    """Return the fewest beats of a cluster, at least one.

    Raises:
        OptionError: There are fewer beats than clusters, or too few for the balance bound.
    """
    if n < clusters:
        raise OptionError(
            f"{n} beats cannot make {clusters} clusters.", fix="Take more beats, or fewer clusters."
        )
    smallest = max(1, smallest_cluster(n, balance))
    if smallest * clusters > n:
        raise OptionError(
            f"{clusters} clusters cannot each hold {smallest} of {n} beats, "
            f"as the balance bound {balance:g} asks.",
            fix=f"Give a balance of at least {1 - 2 / clusters:.3g}.",
        )
    return smallest


def _bits(clusters: int) -> int:
    return (clusters - 1).bit_length()

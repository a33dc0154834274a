"""Labellings as arrays, and as the compact text that an architecture holds.

Clusters have no names: a labelling is written with its clusters numbered in the order in which they
first appear, so that labellings that differ in names alone have one text and one hash.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import Architecture, OptionError

SPACE = "labelings"
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

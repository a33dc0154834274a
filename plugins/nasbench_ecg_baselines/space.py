"""The search space ``fixed``: a handful of known networks, each named by its genotype."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nasbench_ecg.api import Architecture, NoOptions, OptionError

SPACE = "fixed"
NAMES = ("cnn-9", "cnn-11", "resnet-31")


def architecture(name: str) -> Architecture:
    """Return the architecture that stands for the network ``name``."""
    return Architecture(SPACE, {"name": name})


def name_of(arch: Architecture) -> str:
    """Return which network an architecture of ``fixed`` stands for.

    Raises:
        OptionError: It is of another space, or names no known network.
    """
    if arch.space != SPACE:
        raise OptionError(
            f"This architecture is of the space {arch.space!r}, not {SPACE!r}.",
            fix="Choose the builder that goes with its space.",
        )
    genotype = arch.genotype
    if not isinstance(genotype, Mapping) or set(genotype) != {"name"}:
        raise OptionError("A genotype of fixed is the name of a network: {'name': 'cnn-9'}.")
    if genotype["name"] not in NAMES:
        raise OptionError(
            f"There is no network {genotype['name']!r}.", fix=f"Known are: {', '.join(NAMES)}."
        )
    return str(genotype["name"])


class Fixed:
    """Known networks; any two of them are neighbours."""

    name = SPACE

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    @property
    def size(self) -> int:
        """Number of known networks."""
        return len(NAMES)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn network."""
        return architecture(NAMES[rng.integers(len(NAMES))])

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn other network."""
        others = list(self.neighbours(arch))
        return others[rng.integers(len(others))]

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return ``a`` or ``b``: a name has no parts."""
        self.validate(a)
        self.validate(b)
        return a if rng.random() < 0.5 else b

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Yield all other networks."""
        own = name_of(arch)
        yield from (architecture(name) for name in NAMES if name != own)

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError, saying what is wrong, if ``arch`` is not of this space."""
        name_of(arch)

    def draw(self, arch: Architecture) -> str:
        """Return the name of the network."""
        return name_of(arch)

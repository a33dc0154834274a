"""The search space ``fixed``: the baseline networks, each with its name as genotype."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nasbench_ecg.api import (
    Architecture,
    Categorical,
    NoOptions,
    OptionError,
    Parameter,
    ParameterValue,
    check_values,
)

SPACE = "fixed"
NAMES = ("cnn-9", "cnn-11", "resnet-31")


def architecture(name: str) -> Architecture:
    """Return the architecture of the network ``name``."""
    return Architecture(SPACE, {"name": name})


def network_name(arch: Architecture) -> str:
    """Return the name of the network of an architecture of ``fixed``.

    Raises:
        OptionError: The architecture belongs to another space or names no known network.
    """
    if arch.space != SPACE:
        raise OptionError(
            f"This architecture is of the space {arch.space!r}, not {SPACE!r}.",
            fix=f"Name its space, --space {arch.space}, and a builder of that.",
        )
    genotype = arch.genotype
    if not isinstance(genotype, Mapping) or set(genotype) != {"name"}:
        raise OptionError(
            "A genotype of fixed must be the name of a network, for example {'name': 'cnn-9'}."
        )
    if genotype["name"] not in NAMES:
        raise OptionError(
            f"There is no network {genotype['name']!r}.", fix=f"Use one of: {', '.join(NAMES)}."
        )
    return str(genotype["name"])


class Fixed:
    """The baseline networks; every network is a neighbor of every other."""

    name = SPACE

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    @property
    def size(self) -> int:
        """Number of networks."""
        return len(NAMES)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a network drawn uniformly."""
        return architecture(NAMES[rng.integers(len(NAMES))])

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return another network, drawn uniformly."""
        others = list(self.neighbours(arch))
        return others[rng.integers(len(others))]

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return ``a`` or ``b``, because a name has no parts to combine."""
        self.validate(a)
        self.validate(b)
        return a if rng.random() < 0.5 else b

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Yield all other networks."""
        own = network_name(arch)
        yield from (architecture(name) for name in NAMES if name != own)

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError with the reason if ``arch`` is not in this space."""
        network_name(arch)

    def parameters(self) -> tuple[Parameter, ...]:
        """Return one parameter, the name of the network."""
        return (Categorical("network", NAMES),)

    def encode(self, arch: Architecture) -> dict[str, ParameterValue]:
        """Return the name of the network as the value of the parameter."""
        return {"network": network_name(arch)}

    def decode(self, values: Mapping[str, ParameterValue]) -> Architecture:
        """Return the network that the value names."""
        return architecture(str(check_values(self.parameters(), values)["network"]))

    def draw(self, arch: Architecture) -> str:
        """Return the name of the network."""
        return network_name(arch)

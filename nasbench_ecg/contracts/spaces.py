"""What a search space and a builder of networks are, and what they may also do."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.encoding import Parameter, ParameterValue


class SearchSpace(Protocol):
    """A set of architectures. All methods are pure: equal generator state, equal result.

    Optional methods: :class:`DrawsText`, :class:`DrawsSvg`, :class:`Canonicalizes`,
    :class:`MutatesByKind`, :class:`ListsMembers`, :class:`Encodes`.

    Attributes:
        name: Name of the space, as in its spec and in :attr:`Architecture.space`.
    """

    name: str

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a uniformly drawn architecture."""

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a neighbor of ``arch``."""

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return an architecture that takes each part from ``a`` or from ``b``."""

    def neighbours(self, arch: Architecture) -> Iterable[Architecture]:
        """Return all architectures that differ from ``arch`` in one decision."""

    def validate(self, arch: Architecture) -> None:
        """Raise OptionError, saying what is wrong, if ``arch`` is not in this space."""

    @property
    def size(self) -> int:
        """Number of architectures, counted as genotypes."""


@runtime_checkable
class DrawsText(Protocol):
    """A search space that draws its architectures as text."""

    def draw(self, arch: Architecture) -> str:
        """Return a drawing of ``arch`` as plain text."""


@runtime_checkable
class DrawsSvg(Protocol):
    """A search space that draws its architectures as SVG."""

    def draw_svg(self, arch: Architecture) -> str:
        """Return a drawing of ``arch`` as an SVG document."""


@runtime_checkable
class Canonicalizes(Protocol):
    """A search space in which several genotypes describe one architecture."""

    def canonical(self, arch: Architecture) -> Architecture:
        """Return the one form that all equivalent genotypes share, so that they share a hash."""


@runtime_checkable
class MutatesByKind(Protocol):
    """A search space with several kinds of mutation, such as of an operation and of a source.

    A strategy may then choose the kind first. :meth:`SearchSpace.mutate` instead draws one of all
    neighbors, among which some kinds are more frequent than others.
    """

    @property
    def mutation_kinds(self) -> Sequence[str]:
        """The kinds that can change an architecture of this space; empty for a single one."""

    def mutate_kind(self, arch: Architecture, kind: str, rng: np.random.Generator) -> Architecture:
        """Return a neighbor of ``arch`` by a mutation of one of :attr:`mutation_kinds`."""


@runtime_checkable
class ListsMembers(Protocol):
    """A search space that is small enough to train every member of it."""

    @property
    def members(self) -> Sequence[Architecture]:
        """All members in canonical form, in a fixed order."""


@runtime_checkable
class Encodes(Protocol):
    """A search space whose architectures are described by named parameters.

    Optimizers that know nothing of the space, such as those of Optuna, then search it: they choose
    values, and :meth:`decode` returns the architecture.

    Example:
        >>> from nasbench_ecg.api import Architecture, Categorical, Integer, check_values
        >>> class Chains:
        ...     def parameters(self):
        ...         return (Categorical("operation", ("conv", "pool")), Integer("layers", 1, 3))
        ...     def encode(self, arch):
        ...         return {name: arch.genotype[name] for name in ("operation", "layers")}
        ...     def decode(self, values):
        ...         return Architecture("chains", check_values(self.parameters(), values))
        >>> Chains().decode({"operation": "conv", "layers": 2}).genotype
        {'operation': 'conv', 'layers': 2}
    """

    def parameters(self) -> Sequence[Parameter]:
        """Return the parameters, each after the one that its condition names.

        Each has a name of its own and at least two values. A space with a single architecture has
        no parameters.
        """

    def encode(self, arch: Architecture) -> Mapping[str, ParameterValue]:
        """Return the values of the active parameters that describe ``arch``, by name.

        Raises:
            OptionError: ``arch`` is not in this space.
        """

    def decode(self, values: Mapping[str, ParameterValue]) -> Architecture:
        """Return the architecture that the values of the active parameters describe.

        All allowed values give a valid architecture, and every architecture has values:
        ``decode(encode(arch)) == arch``, up to the canonical form. Several values may give one
        architecture.

        Raises:
            OptionError: A value is not allowed, is missing, or belongs to no active parameter; see
                :func:`nasbench_ecg.api.check_values`.
        """


class Builder(Protocol):
    """Builds the network of an architecture."""

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> nn.Module:
        """Return a module from [batch, n_leads, n_samples] to logits [batch, n_classes]."""


@runtime_checkable
class StacksNetworks(Protocol):
    """Builder: many networks can be trained side by side as one module, which fills a GPU."""

    def stack_key(self, arch: Architecture) -> Hashable:
        """Return a key; networks of architectures with equal keys can be stacked."""

    def stack(self, networks: Sequence[nn.Module]) -> nn.Module:
        """Return copies of networks of one key, with the same leads and classes, as one module.

        It maps [batch, networks, n_leads, n_samples] to logits [batch, networks, n_classes], and
        computes for each network what it computes alone.
        """

    def stacked_parameters(self, stack: nn.Module) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Yield each parameter [n, …] of a stack, and the networks [n] that its rows are of."""

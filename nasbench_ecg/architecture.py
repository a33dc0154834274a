"""An architecture as plain data with a canonical JSON form and a hash; never code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from nasbench_ecg.errors import OptionError, PluginError

if TYPE_CHECKING:
    import numpy as np


FORMAT_VERSION = 1

_MAX_REPEATS = 1000
"""Consecutive samples without a new architecture after which a space counts as exhausted."""


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of ``value``, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Architecture:
    """One point of a search space; two are equal if their canonical JSON is equal.

    Attributes:
        space: Name of its search space.
        genotype: Plain JSON data (dicts, lists, strings, numbers) in the form of its space.

    Example:
        >>> a = Architecture("fixed", {"name": "cnn-9"})
        >>> Architecture.from_json(a.to_json()) == a
        True
    """

    space: str
    genotype: Any

    def to_json(self) -> str:
        """Return the canonical JSON text of this architecture.

        Raises:
            PluginError: Its genotype is no JSON data.
        """
        try:
            return canonical_json(self.to_dict())
        except (TypeError, ValueError, RecursionError) as error:
            raise PluginError(
                f"A genotype of the search space {self.space!r} is no JSON data: {error}.",
                where=f"{self.genotype!r:.100}",
                fix="Make it of lists, mappings, texts and Python's numbers: of a number of NumPy, "
                "int(number).",
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for :meth:`from_dict`."""
        return {"format": FORMAT_VERSION, "space": self.space, "genotype": self.genotype}

    @classmethod
    def from_dict(cls, data: Any) -> Architecture:
        """Return the architecture that :meth:`to_dict` describes.

        Raises:
            OptionError: The data is not an architecture of this format.
        """
        entries = set(data) if isinstance(data, dict) else set[str]()
        if missing := sorted({"format", "space", "genotype"} - entries):
            raise OptionError(f"This is not an architecture: {', '.join(missing)} is missing.")
        if unknown := sorted(map(str, entries - {"format", "space", "genotype"})):
            raise OptionError(
                f"This is not an architecture: it has unknown entries, {', '.join(unknown)}.",
                fix="Remove them: an architecture has format, space and genotype.",
            )
        if data["format"] != FORMAT_VERSION:
            raise OptionError(
                f"This architecture has format {data['format']!r}, not {FORMAT_VERSION}.",
                fix="Use the version of nasbench-ecg that wrote it.",
            )
        return cls(space=str(data["space"]), genotype=data["genotype"])

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Return the architecture in a JSON text.

        Raises:
            OptionError: The text is not JSON, or not an architecture.
        """
        try:
            return cls.from_dict(json.loads(text, parse_constant=_refuse_constant))
        except (ValueError, RecursionError) as error:
            raise OptionError(f"This is not JSON: {error}.") from None

    @cached_property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        # the hash of a text differs between processes, and so would the order of a set of these
        return int(self.hash, 16)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


class _Sampled(Protocol):
    """The part of :class:`nasbench_ecg.api.SearchSpace` that sampling needs."""

    @property
    def size(self) -> int: ...

    def sample(self, rng: np.random.Generator) -> Architecture: ...


def distinct_architectures(
    space: _Sampled,
    rng: np.random.Generator,
    n: int,
    *,
    accept: Callable[[Architecture], bool] = lambda arch: True,
    max_rejected: int = 2000,
) -> Iterator[Architecture]:
    """Yield ``n`` distinct random architectures, or as many as can be found.

    The first architectures are the same for a larger ``n``.

    Args:
        space: The search space.
        rng: Generator of the samples.
        n: Architectures wanted; a smaller space yields at most its size.
        accept: Returns whether an architecture may be used; it is called once for each new one.
        max_rejected: Consecutive new architectures without acceptance after which sampling stops.
    """
    seen: set[str] = set()
    found = repeats = rejected = 0
    while found < min(n, space.size) and repeats < _MAX_REPEATS and rejected < max_rejected:
        arch = space.sample(rng)
        if arch.hash in seen:
            repeats += 1
            continue
        repeats = 0
        seen.add(arch.hash)
        if not accept(arch):
            rejected += 1
            continue
        rejected = 0
        found += 1
        yield arch

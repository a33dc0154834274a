"""The card of a table: what was trained, on what, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from nasbench_ecg.architecture import digest
from nasbench_ecg.errors import NasbenchError

FORMAT = 2
FORMATS = (1, FORMAT)
"""Formats that can be read. A card of format 1 has no digest of its own."""


class TableError(NasbenchError):
    """A table is damaged or incomplete, or was asked for something that it does not hold."""

    title = "Problem with a table"


class Recipe(BaseModel):
    """How each member was trained: AdamW, one-cycle learning rate, cross-entropy.

    The seed draws the training beats, the initial weights and the order of the batches. The share
    ``rare_share`` of the beats is drawn from all classes but the most common one, or all of those
    beats if there are fewer. Predictions correct for that: the probability of each class is
    multiplied by its share in the whole training set over its share in the drawn beats (Saerens et
    al. 2002, "Adjusting the outputs of a classifier to new a priori probabilities").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    beats: int = 16_384
    """Training beats."""
    epochs: int = 2
    """Passes over them."""
    rare_share: float = 0.5
    """Share of the beats that are not of the most common class."""
    batch_size: int = 128
    """Beats in a step."""
    lr: float = 0.02
    """Largest learning rate of the cycle."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""


class Component(BaseModel):
    """A component with its revision and options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    revision: int
    options: dict[str, Any]


class Card(BaseModel):
    """What a table holds and what it was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    space: Component
    builder: Component
    dataset: Component
    protocol: str
    protocol_options: dict[str, Any]
    classes: tuple[str, ...]
    macro_classes: tuple[str, ...]
    n_leads: int
    n_samples: int
    fs: float
    """Sampling rate of the beats in hertz."""
    beats_fingerprint: str
    split_fingerprint: str
    recipe: Recipe
    members: int
    seeds: int
    """Seeds that the arrays have room for."""
    machines: tuple[str, ...] = ()
    """Processor, threads and torch version of each machine that trained members."""
    license: str = "Apache-2.0"
    sha256: str = ""
    """SHA-256 of ``arrays.npz``, in hexadecimal."""
    card_sha256: str = ""
    """SHA-256 of the canonical JSON of all entries above, so that of the whole table."""

    @property
    def track(self) -> str:
        """Dataset and protocol, the name of the table among those of one space."""
        return f"{self.dataset.name} {self.protocol}"


def seal(card: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a card as JSON data, without its entry ``card_sha256``."""
    return digest({name: value for name, value in card.items() if name != "card_sha256"})

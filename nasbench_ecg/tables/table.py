"""A table: the results of training every member of a search space by one recipe.

A folder holds ``card.json`` (what was trained and how) and ``arrays.npz`` (the results, without
pickle). Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import NasbenchError, nearest
from nasbench_ecg.io import replace_atomically, storage_errors, to_json, write_atomically
from nasbench_ecg.metrics import SCORES, scores_of_many

FORMAT = 1
CARD, ARRAYS = "card.json", "arrays.npz"
NEXT_CARD = "card.next.json"
"""The card of arrays that are being replaced; it becomes the card when they are."""
PARTS = ("validation", "test")

Seed = int | Literal["mean"]


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

    @property
    def track(self) -> str:
        """Dataset and protocol, the name of the table among those of one space."""
        return f"{self.dataset.name} {self.protocol}"


@dataclass(frozen=True)
class Result:
    """What a table knows of one member.

    Attributes:
        value: The score as a fraction, or the ``nll`` in nats; the mean over the seeds.
        seconds: Processor seconds of the training and its validation, mean over those seeds.
        seeds: How many seeds were averaged.
    """

    value: float
    seconds: float
    seeds: int


def empty_arrays(card: Card, architectures: list[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a table in which nothing is trained.

    - ``architecture`` str [M]: canonical JSON of each member.
    - ``trained`` bool [M, S].
    - ``confusion`` uint32 [M, S, E, 2, C, C]: validation and test, rows the true class.
    - ``nll`` float16 [M, S, E, 2]: mean negative log-likelihood in nats.
    - ``seconds`` float32 [M, S, E]: processor seconds until the end of the epoch, with the
      validation of that epoch and without the test set.
    - ``machine`` uint8 [M, S]: index into the card's machines.
    """
    m, s, e, c = card.members, card.seeds, card.recipe.epochs, len(card.classes)
    return {
        "architecture": np.array(architectures),
        "trained": np.zeros((m, s), bool),
        "confusion": np.zeros((m, s, e, 2, c, c), np.uint32),
        "nll": np.full((m, s, e, 2), np.nan, np.float16),
        "seconds": np.full((m, s, e), np.nan, np.float32),
        "machine": np.zeros((m, s), np.uint8),
    }


class Table:
    """Results of one space on one track.

    Args:
        card: What the table holds.
        arrays: As :func:`empty_arrays` makes them, and one ``cost_<name>`` [M] for each cost.
    """

    def __init__(self, card: Card, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.card = card
        self.arrays = dict(arrays)
        self._place = {
            Architecture.from_json(text).hash: i
            for i, text in enumerate(self.arrays["architecture"].tolist())
        }

    @property
    def trained(self) -> NDArray[np.bool_]:
        """Which members are trained with which seeds, [M, S]."""
        return self.arrays["trained"]

    @property
    def available(self) -> NDArray[np.bool_]:
        """Which members are trained with at least one seed, [M]."""
        return np.asarray(self.trained.any(axis=1))

    @property
    def complete(self) -> float:
        """The share of members with at least one trained seed."""
        return float(self.available.mean())

    @cached_property
    def members(self) -> list[Architecture]:
        """All members, trained or not, in the order of the arrays."""
        return [Architecture.from_json(text) for text in self.arrays["architecture"].tolist()]

    def place(self, arch: Architecture) -> int:
        """Return the row of an architecture in canonical form.

        Raises:
            TableError: It is no member.
        """
        if arch.space != self.card.space.name:
            raise TableError(
                f"This architecture is of the space {arch.space!r}.",
                where=f"table of {self.card.space.name}, {self.card.track}",
                fix=f"Ask for an architecture of {self.card.space.name}.",
            )
        if arch.hash not in self._place:
            raise TableError(
                f"The architecture {arch.hash} is not a member of the table.",
                where=f"table of {self.card.space.name}, {self.card.track}",
                fix="Ask for its canonical form, and with the space's options of the table.",
            )
        return self._place[arch.hash]

    def query(
        self,
        arch: Architecture,
        *,
        epoch: int | None = None,
        seed: Seed = "mean",
        metric: str = "f1_of_macro",
    ) -> Result:
        """Return a validation result of a member.

        Args:
            arch: The member, in canonical form.
            epoch: After how many epochs; by default after all.
            seed: One seed, or ``mean`` over all seeds trained of this member.
            metric: One of :data:`nasbench_ecg.metrics.SCORES`, or ``nll``.

        Raises:
            TableError: The member, seed or epoch is missing, or there is no such metric.
        """
        return self._result("validation", arch, epoch, seed, metric)

    def test(
        self, arch: Architecture, *, seed: Seed = "mean", metric: str = "f1_of_macro"
    ) -> Result:
        """Return the test result of a member after its last epoch, for use after a search.

        Args:
            arch: The member, in canonical form.
            seed: One seed, or ``mean`` over all seeds trained of this member.
            metric: One of :data:`nasbench_ecg.metrics.SCORES`, or ``nll``.

        Raises:
            TableError: The member or seed is missing, or there is no such metric.
        """
        return self._result("test", arch, None, seed, metric)

    def values(self, part: str, metric: str = "f1_of_macro") -> NDArray[np.float64]:
        """Return a metric of all members, [M, S, E]; NaN where nothing is trained.

        Args:
            part: ``validation`` or ``test``.
            metric: One of :data:`nasbench_ecg.metrics.SCORES`, or ``nll``.

        Raises:
            TableError: There is no such metric.
        """
        key = part, metric
        if key not in self._values:
            if metric not in (*SCORES, "nll"):
                raise TableError(
                    f"There is no metric {metric!r}.", fix=nearest(metric, (*SCORES, "nll"))
                )
            at = PARTS.index(part)
            if metric == "nll":
                found = self.arrays["nll"][..., at].astype(np.float64)
            else:
                confusion = self.arrays["confusion"][:, :, :, at]
                found = scores_of_many(confusion, self.card.classes, self.card.macro_classes)[
                    metric
                ]
            self._values[key] = np.where(self.trained[:, :, None], found, np.nan)
        return self._values[key]

    def mean_test_scores(self, metric: str = "f1_of_macro") -> NDArray[np.float64]:
        """Return the test score after the last epoch, mean over a member's seeds, [M].

        NaN for members of which no training is done.
        """
        scores = self.values("test", metric)[:, :, -1]
        found = np.full(len(scores), np.nan)
        found[self.available] = np.nanmean(scores[self.available], axis=1)
        return found

    @cached_property
    def _values(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        return {}

    def costs(self) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Yield name and values [M] of each cost that the table holds."""
        for name, values in self.arrays.items():
            if name.startswith("cost_"):
                yield name.removeprefix("cost_"), values

    def _result(
        self, part: str, arch: Architecture, epoch: int | None, seed: Seed, metric: str
    ) -> Result:
        row = self.place(arch)
        e = self._epoch(epoch)
        seeds = np.flatnonzero(self.trained[row])
        if seed != "mean":
            if seed not in seeds.tolist():
                raise TableError(
                    f"The member {arch.hash} is not trained with seed {seed}.",
                    fix=f"Its seeds are: {', '.join(map(str, seeds)) or 'none'}.",
                )
            seeds = np.array([seed])
        if not len(seeds):
            raise TableError(
                f"The member {arch.hash} is not trained yet.",
                where=f"{self.complete:.0%} of the members are trained",
                fix="Train it with 'nasbench-ecg table build', or ask for a trained member.",
            )
        return Result(
            float(self.values(part, metric)[row, seeds, e].mean()),
            float(self.arrays["seconds"][row, seeds, e].mean()),
            len(seeds),
        )

    def _epoch(self, epoch: int | None) -> int:
        epochs = self.card.recipe.epochs
        if epoch is None:
            return epochs - 1
        if not 1 <= epoch <= epochs:
            raise TableError(
                f"The table has no epoch {epoch}.", fix=f"Its epochs are 1 to {epochs}."
            )
        return epoch - 1


def save_table(table: Table, folder: Path) -> None:
    """Write a table's arrays and card; one process at a time.

    A process that is killed in between leaves the table as it was or as it becomes, and another
    process that reads the table meanwhile gets one of the two.

    Raises:
        StorageError: The folder cannot be written.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, **table.arrays)  # type: ignore[arg-type]
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    card = table.card.model_copy(update={"sha256": digest})
    with storage_errors(folder, option="--tables", what="The table"):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / NEXT_CARD, to_json(card.model_dump(mode="json")))
        with replace_atomically(folder / ARRAYS) as temporary:
            temporary.write_bytes(packed.getvalue())
        (folder / NEXT_CARD).replace(folder / CARD)


def load_table(folder: Path) -> Table:
    """Read a table and check its digest, shapes and types.

    Raises:
        TableError: A file is missing or damaged, or of another format.
    """
    for _ in range(_ATTEMPTS):  # more than one only while another process replaces the table
        packed = _read(folder / ARRAYS)
        card = _read_card(folder / CARD)
        digest = hashlib.sha256(packed).hexdigest()
        if card.sha256 != digest and (folder / NEXT_CARD).exists():
            with suppress(TableError):
                card = _read_card(folder / NEXT_CARD)
        if card.sha256 == digest:
            return Table(card, _unpack(folder / ARRAYS, packed, card))
    raise _damaged(folder / ARRAYS, "its SHA-256 is not the one on the card")


_ATTEMPTS = 3


def _damaged(path: Path, reason: str) -> TableError:
    return TableError(
        f"The table cannot be read: {reason}.",
        where=str(path),
        fix="Restore the file, or build the table again.",
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None


def _read_card(path: Path) -> Card:
    try:
        data = json.loads(_read(path))
    except ValueError as error:
        raise _damaged(path, f"it is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise _damaged(path, "it is not the card of a table")
    if data.get("format") != FORMAT:
        raise _damaged(path, f"it has format {data.get('format')}, this version reads {FORMAT}")
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise _damaged(path, f"{name}: {first['msg']}") from None


def _unpack(path: Path, packed: bytes, card: Card) -> dict[str, NDArray[Any]]:
    """Return the arrays of a table, after checking their shapes and types."""
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise _damaged(path, str(error)) from None
    shapes = {name: (card.members,) for name in arrays if name.startswith("cost_")}
    types = {}
    for name, empty in empty_arrays(card, [""] * card.members).items():
        shapes[name] = empty.shape
        if name != "architecture":  # the length of its texts is part of its type
            types[name] = empty.dtype
    for name, shape in shapes.items():
        if name not in arrays:
            raise _damaged(path, f"it has no array {name!r}")
        found = arrays[name]
        if found.shape != shape or found.dtype != types.get(name, found.dtype):
            raise _damaged(path, f"its array {name!r} has another shape or type than the card says")
    return arrays


def table_folder(out: Path, space: str, dataset: str, protocol: str) -> Path:
    """Return the folder of a table below the folder of all tables."""
    return out / space / f"{dataset}-{protocol}"

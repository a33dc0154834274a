"""Files of a table: ``card.json``, and ``arrays.npz`` without pickle."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from nasbench_ecg.errors import first_invalid
from nasbench_ecg.io import replace_atomically, storage_errors, to_json, write_atomically
from nasbench_ecg.tables.card import FORMAT, FORMATS, Card, TableError, seal
from nasbench_ecg.tables.table import COST, PROXY, Table, empty_arrays

CARD, ARRAYS = "card.json", "arrays.npz"
JOURNALS = "shards"
"""Folder of the trainings that are not yet in the arrays."""
NEXT_CARD = "card.next.json"
"""The card of arrays that are being replaced; it becomes the card when they are."""


def save_table(table: Table, folder: Path) -> None:
    """Write a table's arrays and card; one process at a time.

    A process that is killed in between leaves the table as it was or as it becomes, and another
    process that reads the table meanwhile gets one of the two.

    Raises:
        TableError: The folder has no table, but trainings of one.
        StorageError: The folder cannot be written.
    """
    _refuse_journals(folder)
    packed = io.BytesIO()
    np.savez_compressed(packed, **table.arrays)  # type: ignore[arg-type]
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    card = table.card.model_copy(update={"format": FORMAT, "sha256": digest, "card_sha256": ""})
    card = card.model_copy(update={"card_sha256": seal(card.model_dump(mode="json"))})
    with storage_errors(folder, option="--tables", what="The table"):
        folder.mkdir(parents=True, exist_ok=True)
        _end_replacement(folder)
        write_atomically(folder / NEXT_CARD, to_json(card.model_dump(mode="json")))
        with replace_atomically(folder / ARRAYS) as temporary:
            temporary.write_bytes(packed.getvalue())
        (folder / NEXT_CARD).replace(folder / CARD)


def _refuse_journals(folder: Path) -> None:
    """Check that a folder without a table has no journals, which could be of any table.

    Raises:
        TableError: It has.
    """
    journals = folder / JOURNALS
    if not any((folder / name).exists() for name in (CARD, ARRAYS)) and any(
        journals.glob("*.jsonl")
    ):
        raise TableError(
            "The folder has trainings of a table, and the table itself is missing.",
            where=str(journals),
            fix=f"Restore {CARD} and {ARRAYS}, or remove the folder to start over.",
        )


def _end_replacement(folder: Path) -> None:
    """Give arrays their card if a process was killed between the two.

    Otherwise, writing the next card would leave them without one until they are replaced.
    """
    if (folder / NEXT_CARD).exists():
        with suppress(TableError):
            if _read_card(folder / NEXT_CARD).sha256 == digest_of_arrays(folder):
                (folder / NEXT_CARD).replace(folder / CARD)


def has_table(folder: Path) -> bool:
    """Return whether a folder holds a table.

    Raises:
        TableError: It holds the arrays of a table without their card.
    """
    if not (folder / ARRAYS).exists():
        return (folder / CARD).exists()
    if not (folder / CARD).exists():
        _end_replacement(folder)
    if not (folder / CARD).exists():
        raise _damaged(folder / CARD, "its card is missing")
    return True


def load_table(folder: Path) -> Table:
    """Read a table and check the digests of its card and arrays, shapes and types.

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


def digest_of_arrays(folder: Path) -> str:
    """Return the SHA-256 of a table's arrays, which is on its card.

    Raises:
        TableError: They cannot be read.
    """
    return hashlib.sha256(_read(folder / ARRAYS)).hexdigest()


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
    if data.get("format") not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise TableError(
            f"The table has format {data.get('format')}, this version reads {known}.",
            where=str(path),
            fix="Use the version of nasbench-ecg that wrote it, or build the table again.",
        )
    try:
        card = Card.model_validate(data)
    except ValidationError as error:
        name, reason = first_invalid(error)
        raise _damaged(path, f"{name}: {reason}") from None
    if card.format > 1 and card.card_sha256 != seal(data):
        raise _damaged(path, "the SHA-256 of its card is not the one on the card")
    return card


def _unpack(path: Path, packed: bytes, card: Card) -> dict[str, NDArray[Any]]:
    """Return the arrays of a table, after checking their shapes and types."""
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise _damaged(path, str(error)) from None
    shapes = {name: (card.members,) for name in arrays if name.startswith((COST, PROXY))}
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


def check_tables_folder(tables: Path) -> None:
    """Check that a folder is not that of one table or space, easily named in place of all.

    Raises:
        TableError: It is.
    """
    folder = tables.resolve()
    for pattern, what, whole in (
        ("", "table", folder.parent.parent),
        ("*/", "space", folder.parent),
    ):
        if any(any(tables.glob(f"{pattern}{name}")) for name in (CARD, ARRAYS)):
            raise TableError(
                f"This is the folder of one {what}, not one of tables.",
                where=str(tables),
                fix=f"Name the folder {whole}.",
            )


def table_folder(out: Path, space: str, dataset: str, protocol: str) -> Path:
    """Return the folder of a table below the folder ``out`` of all tables.

    Raises:
        TableError: ``out`` is the folder of one table or space.
    """
    check_tables_folder(out)
    return out / space / f"{dataset}-{protocol}"

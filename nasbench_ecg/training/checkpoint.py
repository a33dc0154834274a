"""Checkpoints on disk, written atomically and without pickle.

A checkpoint is one safetensors file. Its metadata holds everything but the tensors as JSON, and the
SHA-256 of both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nasbench_ecg import shutdown
from nasbench_ecg.io import replace_atomically, storage_errors

_TENSOR, _ITEMS, _TUPLE = "__tensor__", "__items__", "__tuple__"


class FileCheckpoint:
    """The checkpoint file of one stage of a run.

    Args:
        path: The file; its folder is created if needed.
        interval: Seconds between saves, for :meth:`due`.
        extra: Returns additional state, saved with each state.
        restore_extra: Receives the additional state when :meth:`load` finds a checkpoint.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval: float = 30.0,
        extra: Callable[[], Any] | None = None,
        restore_extra: Callable[[Any], None] | None = None,
    ) -> None:
        self.path = path
        self.interval = interval
        self._extra = extra
        self._restore_extra = restore_extra
        self._last = monotonic()

    def due(self) -> bool:
        """Return whether the interval has passed since the last save, or the run has to stop."""
        return shutdown.requested() or monotonic() - self._last >= self.interval

    def save(self, state: Mapping[str, Any]) -> None:
        """Store ``state``: nested mappings, lists and tuples of tensors and plain JSON values.

        Raises:
            KeyboardInterrupt: The state is stored, and the run has to stop.
        """
        whole = {"state": state, "extra": None if self._extra is None else self._extra()}
        write_state(self.path, whole)
        self._last = monotonic()
        shutdown.stop_if_requested()

    def load(self) -> dict[str, Any] | None:
        """Return the state saved last, with tensors on the CPU; None if there is none."""
        whole = read_state(self.path)
        if whole is None:
            return None
        if self._restore_extra is not None:
            self._restore_extra(whole["extra"])
        state: dict[str, Any] = whole["state"]
        return state


class NoCheckpoint:
    """Saves nothing; for work that is short."""

    def due(self) -> bool:
        """Return False."""
        return False

    def save(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""

    def load(self) -> dict[str, Any] | None:
        """Return None."""
        return None


def write_state(path: Path, state: Any) -> None:
    """Write nested data with tensors to a safetensors file, atomically.

    Raises:
        StorageError: There is no space, or the folder cannot be written.
        TypeError: The data hold something else than tensors, numbers, text, None, lists, tuples
            and mappings; the message says where.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_flatten(state, tensors, "state"))
    metadata = {"state": structure, "sha256": _digest(structure, tensors)}
    with storage_errors(path, what="A checkpoint"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path) as temporary:
            try:
                save_file(tensors, temporary, metadata=metadata)
            except SafetensorError as error:
                raise OSError(str(error)) from error


def read_state(path: Path) -> Any:
    """Return what :func:`write_state` wrote; None if there is no file, or if it is damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        if metadata["sha256"] != _digest(metadata["state"], tensors):
            return None
        return _rebuild(json.loads(metadata["state"]), tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError):
        return None


def _digest(structure: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the JSON text and of the names, types, shapes and values of tensors."""
    digest = hashlib.sha256(structure.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _flatten(value: Any, tensors: dict[str, Tensor], where: str) -> Any:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        items = ((k, v, f"{where}[{k!r}]") for k, v in value.items())
        return {
            _ITEMS: [[_flatten(k, tensors, at), _flatten(v, tensors, at)] for k, v, at in items]
        }
    if isinstance(value, tuple | list):
        parts = [_flatten(v, tensors, f"{where}[{i}]") for i, v in enumerate(value)]
        return {_TUPLE: parts} if isinstance(value, tuple) else parts
    if value is None or isinstance(value, str | int | float):
        return value
    kind = type(value)
    raise TypeError(
        f"{where} is a {kind.__module__}.{kind.__qualname__}, which a checkpoint cannot hold: it "
        "holds tensors, numbers, text, None, lists, tuples and mappings"
    )


def _rebuild(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_rebuild(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(_rebuild(v, tensors) for v in value[_TUPLE])
    return {_rebuild(k, tensors): _rebuild(v, tensors) for k, v in value[_ITEMS]}

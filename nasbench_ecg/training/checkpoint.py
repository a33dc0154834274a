"""State of long work on disk: written whole or not at all, and without a pickle.

A checkpoint is one safetensors file: its tensors, and beside them, as JSON, everything else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nasbench_ecg.io import replace_atomically, storage_errors

_TENSOR, _ITEMS, _TUPLE = "__tensor__", "__items__", "__tuple__"


class FileCheckpoint:
    """The last saved state of one stage of a run.

    Args:
        path: File of the state; its folder is made when needed.
        interval: Seconds between saves, for :meth:`due`.
        extra: Returns state of the caller's own, kept along with what is saved.
        restore_extra: Takes that state back when :meth:`load` finds some.
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
        """Return whether the last save is longer ago than the interval."""
        return monotonic() - self._last >= self.interval

    def save(self, state: Mapping[str, Any]) -> None:
        """Store ``state``: nested mappings, lists and tuples of tensors and plain JSON values."""
        whole = {"state": state, "extra": None if self._extra is None else self._extra()}
        write_state(self.path, whole)
        self._last = monotonic()

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
    """Keeps nothing: for work that is short, or repeated from its inputs."""

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
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_flatten(state, tensors))
    with storage_errors(path, what="A checkpoint"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path) as temporary:
            try:
                save_file(tensors, temporary, metadata={"state": structure})
            except SafetensorError as error:
                raise OSError(str(error)) from error


def read_state(path: Path) -> Any:
    """Return what :func:`write_state` wrote; None if there is no whole file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            structure = json.loads(file.metadata()["state"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None
    return _rebuild(structure, tensors)


def _flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        return {_ITEMS: [[k, _flatten(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_flatten(v, tensors) for v in value]}
    if isinstance(value, list):
        return [_flatten(v, tensors) for v in value]
    return value


def _rebuild(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_rebuild(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(_rebuild(v, tensors) for v in value[_TUPLE])
    return {k: _rebuild(v, tensors) for k, v in value[_ITEMS]}


def random_state() -> dict[str, Tensor]:
    """Return the state of torch's global generators."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Tensor]) -> None:
    """Set torch's global generators to a state that :func:`random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

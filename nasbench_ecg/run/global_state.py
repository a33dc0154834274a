"""Settings of the process that a component may leave changed: read them, and restore them."""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from nasbench_ecg.plugin.process_settings import PROCESS, Setting, read, restore


class GlobalState:
    """The settings of this process at one moment.

    They are those of PyTorch (gradient mode, default type and device, threads, deterministic
    algorithms, precision, autocast, anomaly detection), the global generators of Python and numpy,
    numpy's error handling, signal handlers and the alarm, the current folder, the environment
    variables, warning filters, the recursion limit, and matplotlib's backend. PyTorch's generators
    are not among them: :func:`nasbench_ecg.training.seeding.seeded` restores those.
    """

    def __init__(self) -> None:
        self._values = read(_SETTINGS)
        self._filters = list(warnings.filters)
        self._backend = _matplotlib_backend()

    def restore(self) -> list[str]:
        """Restore all settings, and return the names of those that were changed."""
        changed = restore(_SETTINGS, self._values)
        if self._restore_filters():
            changed.append("warning filters")
        if self._restore_backend():
            changed.append("matplotlib's backend")
        return changed

    def _restore_filters(self) -> bool:
        """Restore the warning filters, unless only filters for single warnings were added.

        A library that is imported adds such filters, for its own modules, messages or categories.
        """
        added = [entry for entry in warnings.filters if entry not in self._filters]
        kept = [entry for entry in warnings.filters if entry in self._filters]
        specific = all(
            message or module or category.__module__ != "builtins"
            for _, message, category, module, _ in added
        )
        if specific and kept == self._filters:
            return False
        warnings.filters[:] = self._filters  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]
        return True

    def _restore_backend(self) -> bool:
        after = _matplotlib_backend()
        before = self._backend
        if before is None and after is not None:  # imported since: what the import had set
            before = dict.get(sys.modules["matplotlib"].rcParamsOrig, "backend")
        if before is None or after == before:
            return False
        # The first plot replaces "choose one when needed" by a name.
        chosen = not isinstance(before, str) and str(after).lower() == "agg"
        with suppress(Exception):
            if isinstance(before, str) and "matplotlib.pyplot" in sys.modules:
                sys.modules["matplotlib.pyplot"].switch_backend(before)
            dict.__setitem__(sys.modules["matplotlib"].rcParams, "backend", before)
        return not chosen


def _matplotlib_backend() -> Any:
    """Return matplotlib's backend, without choosing one; None if it is not imported."""
    parameters = getattr(sys.modules.get("matplotlib"), "rcParams", None)
    return None if parameters is None else dict.get(parameters, "backend")


# Single settings


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _set_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _autocast() -> dict[str, bool]:
    return {device: torch.is_autocast_enabled(device) for device in ("cpu", "cuda")}


def _set_autocast(value: dict[str, bool]) -> None:
    for device, enabled in value.items():
        torch.set_autocast_enabled(device, enabled)


_CUDNN = ("enabled", "deterministic", "benchmark")


def _set_cudnn(value: dict[str, bool]) -> None:
    for name, enabled in value.items():
        setattr(torch.backends.cudnn, name, enabled)


def _numpy_generator() -> tuple[Any, ...]:
    state: Any = np.random.get_state()
    return tuple(part.tobytes() if isinstance(part, np.ndarray) else part for part in state)


def _set_numpy_generator(state: tuple[Any, ...]) -> None:
    np.random.set_state((state[0], np.frombuffer(state[1], np.uint32), *state[2:]))


def _set_numpy_errors(value: dict[str, Any]) -> None:
    np.seterr(**value)


_SETTINGS = (
    Setting("gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
    Setting("default type", torch.get_default_dtype, torch.set_default_dtype),
    Setting("default device", torch.get_default_device, _set_default_device),
    Setting("number of threads", torch.get_num_threads, torch.set_num_threads),
    Setting(
        "deterministic algorithms",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        _set_deterministic,
    ),
    Setting(
        "settings of cuDNN",
        lambda: {name: getattr(torch.backends.cudnn, name) for name in _CUDNN},
        _set_cudnn,
    ),
    Setting(
        "matrix precision",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    Setting("autocast", _autocast, _set_autocast),
    Setting(
        "anomaly detection",
        torch.is_anomaly_enabled,
        lambda enabled: torch.autograd.set_detect_anomaly(enabled),
    ),
    Setting("global generator of numpy.random", _numpy_generator, _set_numpy_generator),
    Setting("numpy's error handling", np.geterr, _set_numpy_errors),
    *PROCESS,
)

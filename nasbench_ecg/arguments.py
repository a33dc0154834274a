"""Checks of what users pass from Python: one clear error for each wrong argument."""

from __future__ import annotations

import operator
import os
from contextlib import suppress
from math import inf
from numbers import Real
from pathlib import Path
from typing import Any

from nasbench_ecg.errors import OptionError


def whole_number(name: str, value: Any, *, least: int) -> int:
    """Return a whole number as an int, also one of NumPy.

    Raises:
        OptionError: It is another value, or below ``least``.
    """
    if not isinstance(value, bool) and not getattr(value, "shape", ()):  # True would be 1
        with suppress(TypeError):
            if (number := operator.index(value)) >= least:
                return number
    raise OptionError(f"{name}={value!r} is not allowed.", fix=f"Give a whole number from {least}.")


def number_from(name: str, value: Any, *, least: float) -> float:
    """Return a number as a float.

    Raises:
        OptionError: It is another value, or below ``least``.
    """
    if isinstance(value, Real) and not isinstance(value, bool) and float(value) >= least:
        return float(value)
    raise OptionError(f"{name}={value!r} is not allowed.", fix=f"Give a number from {least:g}.")


def positive_number(name: str, value: Any) -> float:
    """Return a finite number above 0 as a float.

    Raises:
        OptionError: It is another value.
    """
    if isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < inf:
        return float(value)
    raise OptionError(f"{name}={value!r} is not allowed.", fix="Give a number above 0.")


def switch(name: str, value: Any) -> bool:
    """Return True or False, also one of NumPy.

    Raises:
        OptionError: It is another value: a text such as "no" would count as true.
    """
    if isinstance(value, bool) or (getattr(value, "dtype", None) == "bool" and not value.shape):
        return bool(value)
    raise OptionError(f"{name}={value!r} is not allowed.", fix="Give True or False.")


def name_of(what: str, value: Any) -> str:
    """Return a name.

    Raises:
        OptionError: It is no text.
    """
    if isinstance(value, str):
        return value
    raise OptionError(f"{what}={value!r} is not a name.", fix="Give a text.")


def folder_of(name: str, value: Any) -> Path:
    """Return a folder as a path.

    Raises:
        OptionError: It is no path.
    """
    return _path_of(name, value, what="folder", fix="Give a path.")


def file_of(name: str, value: Any) -> Path:
    """Return a file as a path.

    Raises:
        OptionError: It is no path.
    """
    return _path_of(name, value, what="file", fix='For example: "model.pt2"')


def _path_of(name: str, value: Any, *, what: str, fix: str) -> Path:
    if isinstance(value, str | os.PathLike) and "\0" not in str(value):
        return Path(value)
    raise OptionError(f"{name}={value!r} is not a {what}.", fix=fix)

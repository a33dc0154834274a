"""Reads docstrings: roles become links where the reference has their target.

An ``Example:`` of doctest lines is shown as one. A module's references are left out: the page of
components lists them.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

from nasbench_ecg import api

_ROLE = re.compile(r":(?:class|func|meth|data|mod|attr|exc):`~?(?P<path>[\w.]+)`")
_EXAMPLE = re.compile(r"^Example:$", re.M)


def to_markdown(text: str) -> str:
    """Return ``text`` with its roles as links to the reference of the api, or as code."""
    return _ROLE.sub(_reference, text)


def _reference(found: re.Match[str]) -> str:
    path = found["path"]
    name = path.rpartition(".")[2]
    if name in api.__all__:
        return f"[`{name}`][nasbench_ecg.api.{name}]"
    return f"`{name if path.startswith('nasbench_ecg') else path}`"


class Roles(griffe.Extension):
    """Rewrites every docstring that is loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of ``obj``, if it has one."""
        if obj.docstring:
            text = to_markdown(obj.docstring.value)
            if obj.is_module:
                text = text.partition("\nReferences:\n")[0]
            obj.docstring.value = _EXAMPLE.sub("Examples:", text)

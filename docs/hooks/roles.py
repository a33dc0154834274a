"""Rewrite docstrings for the site: roles become links to the reference, or code.

``Example:`` becomes ``Examples:``, so that its doctest lines are shown as an example. References of
a module are removed, because the pages of components list them.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

from nasbench_ecg import api, signal, training

_ROLE = re.compile(r":(?:class|func|meth|data|mod|attr|exc):`~?(?P<path>[\w.]+)`")
_PAGES = {name: module.__name__ for module in (api, signal, training) for name in module.__all__}
"""The public module of each name in the reference."""

_EXAMPLE = re.compile(r"^Example:$", re.M)


def to_markdown(text: str) -> str:
    """Return ``text`` with its roles as links to the reference of the API, or as code."""
    return _ROLE.sub(_reference, text)


def _reference(found: re.Match[str]) -> str:
    path = found["path"]
    name = path.rpartition(".")[2]
    if name in _PAGES:
        return f"[`{name}`][{_PAGES[name]}.{name}]"
    return f"`{name if path.startswith('nasbench_ecg') else path}`"


class Roles(griffe.Extension):
    """Rewrite every loaded docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of ``obj`` if it has one."""
        if obj.docstring:
            text = to_markdown(obj.docstring.value)
            if obj.is_module:
                text = text.partition("\nReferences:\n")[0]
            obj.docstring.value = _EXAMPLE.sub("Examples:", text)

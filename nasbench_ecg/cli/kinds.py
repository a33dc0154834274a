"""The kinds of components, as users type and read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasbench_ecg.errors import OptionError, nearest

if TYPE_CHECKING:
    from nasbench_ecg.plugin.specs import Kind

PLURALS: dict[Kind, str] = {
    "search-space": "search-spaces",
    "builder": "builders",
    "strategy": "strategies",
    "dataset": "datasets",
    "evaluator": "evaluators",
}
_SHORT = {"space": "search-space", "spaces": "search-space"}


def parse_kind(text: str) -> Kind:
    """Return the kind that ``text`` names, in the singular or plural, in any case.

    Raises:
        OptionError: It names none.
    """
    word = text.strip().lower().replace("_", "-").replace(" ", "-")
    for kind, plural in PLURALS.items():
        if word in (kind, plural) or _SHORT.get(word) == kind:
            return kind
    raise OptionError(
        f"There is no kind of component {text!r}.", fix=nearest(word, [*PLURALS, *PLURALS.values()])
    )


def complete_kind(incomplete: str) -> list[str]:
    """Return the kinds that begin so, for shell completion."""
    return [plural for plural in PLURALS.values() if plural.startswith(incomplete)]


def complete_name(incomplete: str) -> list[str]:
    """Return the component names that begin so, for shell completion."""
    return sorted(_names(incomplete, None))


def complete_strategy(incomplete: str) -> list[str]:
    """Return the strategies that begin so, for shell completion."""
    return sorted(_names(incomplete, "strategy"))


def complete_dataset(incomplete: str) -> list[str]:
    """Return the datasets that begin so, for shell completion."""
    return sorted(_names(incomplete, "dataset"))


def _names(incomplete: str, kind: Kind | None) -> set[str]:
    from nasbench_ecg.plugin.registry import load_registry

    names = (component.name for component in load_registry().components(kind))
    return {name for name in names if name.startswith(incomplete)}

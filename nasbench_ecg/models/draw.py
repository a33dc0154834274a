"""Draw the architecture of a run as text."""

from __future__ import annotations

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import DrawsText
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.run.record import RunRecord


def draw(record: RunRecord, registry: Registry) -> str | None:
    """Return the architecture of a run as its search space draws it.

    None if the run found none, or if the space cannot draw it or is not installed in that version.
    """
    if record.architecture is None:
        return None
    used = record.components["space"]
    try:
        component = registry.get("search-space", used.name)
        space = component.create(component.options_model()(**used.options))
        if not isinstance(space, DrawsText):
            return None
        return str(space.draw(Architecture.from_dict(record.architecture)))
    except Exception:  # the code of a plugin, with an architecture from a file
        return None

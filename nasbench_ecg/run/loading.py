"""Load the beats of a dataset that a plugin provides."""

from __future__ import annotations

from nasbench_ecg.contracts import Dataset
from nasbench_ecg.data.cache import LoadedBeats, load_beats
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.options import Options
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.specs import DatasetSpec
from nasbench_ecg.progress import Progress


def beats_of(
    component: Component,
    options: Options,
    dataset: Dataset,
    source: LocalSource,
    progress: Progress,
    *,
    fresh: bool = False,
) -> LoadedBeats:
    """Return the beats of a dataset, from the cache if they are there.

    Args:
        component: The dataset among the components of the plugins.
        options: Its options.
        dataset: What ``component`` creates with these options.
        source: Location of records and cache.
        progress: Receives progress and notes.
        fresh: Load the beats from the records, and replace what is cached.

    Raises:
        NasbenchError: As :func:`~nasbench_ecg.data.cache.load_beats`.
    """
    spec = component.spec
    assert isinstance(spec, DatasetSpec)
    return load_beats(
        name=spec.name,
        revision=spec.revision,
        version=component.version,
        options=options,
        dataset=dataset,
        source=source,
        progress=progress,
        generated=spec.generated,
        fresh=fresh,
    )

"""The runs of a protocol with folds: one for each fold that a request leaves open."""

from __future__ import annotations

from dataclasses import replace

from nasbench_ecg.data.protocols import open_folds
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.request import RunRequest


def each_fold(registry: Registry, request: RunRequest) -> list[RunRequest]:
    """Return the runs that a request stands for: one for each fold, if it chooses none.

    Each is an ordinary run with the option ``protocol.fold``. A request whose protocol has no
    folds, or that chooses one, stands for itself.

    Raises:
        NasbenchError: The request cannot be configured, as in
            :func:`nasbench_ecg.run.configure.configure`.
    """
    k = open_folds(configure(registry, request).protocol_options)
    if not k:
        return [request]
    options = request.overrides.get("protocol", {})
    return [
        replace(request, overrides={**request.overrides, "protocol": {**options, "fold": fold}})
        for fold in range(k)
    ]

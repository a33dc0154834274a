"""Candidates of a search, and runs of a suite, on a Dask cluster; needs the extra ``dask``."""

from collections.abc import Iterable

from nasbench_ecg.api import ExecutorSpec, hookimpl

PLUGIN_API_VERSION = "1.1"


@hookimpl
def nasbench_ecg_executors() -> Iterable[ExecutorSpec]:
    """Yield ``dask``."""
    yield ExecutorSpec(
        name="dask",
        target="nasbench_ecg_dask.executor:DaskExecutor",
        options="nasbench_ecg_dask.executor:DaskOptions",
        summary="Workers of a Dask cluster, for the candidates of one search and for suites",
        requires="distributed",
        extra="dask",
    )

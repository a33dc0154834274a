"""The executor that runs jobs as processes of this machine."""

from collections.abc import Iterable

from nasbench_ecg.api import ExecutorSpec, hookimpl

PLUGIN_API_VERSION = "1.1"


@hookimpl
def nasbench_ecg_executors() -> Iterable[ExecutorSpec]:
    """Yield ``local``."""
    yield ExecutorSpec(
        name="local",
        target="nasbench_ecg.api:LocalExecutor",
        options="nasbench_ecg.api:LocalOptions",
        summary="Processes of this machine, which end with the command that started them",
    )

"""Runs of a suite as jobs of a SLURM cluster; needs the extra ``slurm``."""

from collections.abc import Iterable

from nasbench_ecg.api import ExecutorSpec, hookimpl

PLUGIN_API_VERSION = "1.1"


@hookimpl
def nasbench_ecg_executors() -> Iterable[ExecutorSpec]:
    """Yield ``slurm``."""
    yield ExecutorSpec(
        name="slurm",
        target="nasbench_ecg_slurm.executor:SlurmExecutor",
        options="nasbench_ecg_slurm.executor:SlurmOptions",
        summary="Jobs of a SLURM cluster, submitted with submitit",
        requires="submitit",
        extra="slurm",
    )

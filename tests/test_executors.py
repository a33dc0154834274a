"""Executors keep their contract: here, on a SLURM cluster of one node, and on Dask workers."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import ClassVar

import pytest

from nasbench_ecg.testing import ExecutorContract

slurm = pytest.mark.skipif(
    "SLURM_CONF" not in os.environ or None in (shutil.which("squeue"), find_spec("submitit")),
    reason="no SLURM cluster: '.ci/slurm start FOLDER' starts one, SLURM_CONF names it",
)


class TestLocal(ExecutorContract):
    name = "local"


@slurm
class TestSlurm(ExecutorContract):
    name = "slurm"
    options: ClassVar = {"executor": {"mem_gb": 0.5}}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("distributed") is None, reason="needs the extra 'dask'")
class TestDask(ExecutorContract):
    name = "dask"

"""Options of pytest in the environment are those of its workers, and of no process of a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def test_a_process_that_a_test_starts_has_no_options_of_this_run() -> None:
    assert "PYTEST_ADDOPTS" not in os.environ


@pytest.mark.slow
def test_workers_select_by_the_options_in_the_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider", "test_text.py"],
        cwd=TESTS, env={**os.environ, "PYTEST_ADDOPTS": "-k no_test_has_this_name"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr

"""What an executor calls on the machine of a job: check it, run the command, forward SIGTERM."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from nasbench_ecg.errors import NasbenchError
from nasbench_ecg.executors import Job, Outcome
from nasbench_ecg.run.nodes import check_node
from nasbench_ecg.suite.processes import ChildProcess

_POLL = 0.2


def run_job(job: Job, *, stop: Callable[[], bool] = lambda: False, grace: float = 30.0) -> Outcome:
    """Run a job on this machine to its end.

    Args:
        job: The job. Its output is appended to its log.
        stop: Asked several times a second; when it returns True, the command gets SIGTERM, and
            SIGKILL after the grace. A run saves its current step first.
        grace: Seconds between the two signals.

    Returns:
        How it ended. A machine without the folder of the results, or with other code, does not
        run the command: the outcome's reason says so.
    """
    try:
        check_node(job.environment)
    except NasbenchError as error:
        return Outcome(2, reason=str(error))
    job.log.parent.mkdir(parents=True, exist_ok=True)
    child = ChildProcess(
        job.command,
        job.log,
        environment={**os.environ, **job.environment},
        time_limit=job.time_limit,
        grace=grace,
    )
    try:
        while not child.ended():
            if stop():
                child.terminate()
            time.sleep(_POLL)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    return Outcome(child.returncode, child.timed_out, child.seconds)

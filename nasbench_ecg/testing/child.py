"""The process in which the contract of one component is gone through: told by JSON, and heard so.

A component that ends the process or never returns then costs one verdict, and no more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasbench_ecg.registry import load_registry
from nasbench_ecg.specs import Kind
from nasbench_ecg.testing.conformance import go_through
from nasbench_ecg.testing.local import local_plugins
from nasbench_ecg.testing.subject import subject_of


@dataclass(frozen=True)
class Order:
    """What the process is to do.

    Attributes:
        kind: Kind of the component.
        name: Its name.
        overrides: Options by role.
        package: Folder of its package where it is not installed.
        start: Number of the first check, from 0.
        answers: File that takes one JSON line a verdict.
    """

    kind: Kind
    name: str
    overrides: Mapping[str, Mapping[str, Any]]
    package: str | None
    start: int
    answers: str


def carry_out(order: Order) -> None:
    """Go through the contract and write the verdicts as they come."""
    local = local_plugins(Path(order.package)) if order.package else ()
    subject = subject_of(load_registry(local), order.kind, order.name, order.overrides)
    with Path(order.answers).open("a", encoding="utf-8") as answers:
        for verdict in go_through(subject, start=order.start):
            answers.write(json.dumps(asdict(verdict)) + "\n")
            answers.flush()


if __name__ == "__main__":
    carry_out(Order(**json.loads(sys.argv[1])))

"""Whose code it was: every error that leaves a component is told with its plugin and version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nasbench_ecg.contracts import SearchResult
from nasbench_ecg.errors import PluginError
from nasbench_ecg.run.config import Chosen


@contextmanager
def blamed(chosen: Chosen) -> Iterator[None]:
    """Note on every error that leaves the block, ``SystemExit`` included, whose code it was.

    The type of the error stays, which decides what becomes of the run.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        error.add_note(f"Raised by the {_called(chosen)}.")
        raise


def check_result(chosen: Chosen, result: object) -> None:
    """Check that a search returned what the contract asks for.

    Raises:
        PluginError: It is no SearchResult.
    """
    if not isinstance(result, SearchResult):
        raise PluginError(
            f"The strategy {chosen.name!r} returned a {type(result).__name__} where a "
            "SearchResult is due.",
            where=chosen.component.source,
            fix=f"Tell the authors of {chosen.component.distribution}.",
        )


def _called(chosen: Chosen) -> str:
    component = chosen.component
    return f"{component.kind.replace('-', ' ')} {component.name!r}, {component.source}"

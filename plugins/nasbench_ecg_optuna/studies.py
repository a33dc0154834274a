"""Studies of Optuna: in the memory of a search, or in a database to look at."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nasbench_ecg.api import OptionError, PluginError

if TYPE_CHECKING:
    from optuna import Study


def require_optuna(strategy: str) -> None:
    """Raise PluginError, naming the extra, if Optuna or what it needs here is not installed."""
    for package in ("optuna", "cmaes"):
        if find_spec(package) is None:
            raise PluginError(
                f"The strategy {strategy!r} needs the package {package}, which is not installed.",
                fix="Install the extra 'optuna': pip install 'nasbench-ecg[optuna]'.",
            )


def study_in_memory(**arguments: Any) -> Study:
    """Return a study in memory, made with the arguments of Optuna's ``create_study``."""
    import optuna

    from nasbench_ecg_optuna.storage import OneStudy

    return optuna.create_study(storage=OneStudy(), **arguments)


def study_in_database(url: str, name: str, **arguments: Any) -> Study:
    """Return a study in a database, where it takes the place of one with the same name.

    Args:
        url: URL of the database.
        name: Name of the study.
        arguments: Other arguments of Optuna's ``create_study``.

    Raises:
        OptionError: The database cannot be opened.
    """
    import optuna

    try:
        if name in optuna.get_all_study_names(url):
            optuna.delete_study(study_name=name, storage=url)
        return optuna.create_study(study_name=name, storage=url, **arguments)
    except Exception as error:  # of the database and of the URL, of several libraries
        reason = " ".join(str(error).split("\n")[0].split()).rstrip(".")
        raise OptionError(
            f"The storage {url!r} of the study cannot be opened: {reason}.",
            where="strategy.storage",
            fix="Give a URL such as sqlite:///study.db.",
        ) from error


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Let Optuna print only errors inside the block."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)

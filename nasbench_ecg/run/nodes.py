"""What a job checks before it starts on another machine: the folder and the version.

The submitting process writes a token into the folder of results and sends it with the job. A node
that does not find it there has another folder of that name. The digests of the code tell two
installations of one version apart; those of plugins are compared where both machines have them.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nasbench_ecg
from nasbench_ecg.data.code import core_digest, installed_digests
from nasbench_ecg.data.source import CACHE_VARIABLE, DATA_VARIABLE
from nasbench_ecg.errors import ExecutorError
from nasbench_ecg.io import storage_errors, write_atomically
from nasbench_ecg.plugin.discovery import discover

SUBMITTER = "NASBENCH_ECG_SUBMITTER"
"""Environment variable of a job on another machine: what it must find there, as JSON."""


@dataclass(frozen=True)
class HostCode:
    """The code of nasbench-ecg on a host.

    Attributes:
        host: Name of the host.
        version: Version of nasbench-ecg there.
        digest: SHA-256 of the code of nasbench-ecg there.
        plugins: SHA-256 of the code of each package of plugins there, by its name.
    """

    host: str
    version: str
    digest: str
    plugins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls) -> HostCode:
        """Return the code on this host."""
        packages = {found.entry_point.module.partition(".")[0] for found in discover()[0]}
        plugins = installed_digests(sorted(packages))
        return cls(socket.gethostname(), nasbench_ecg.__version__, core_digest(), plugins)

    def check(self) -> None:
        """Check that this host has the same code.

        Raises:
            ExecutorError: It has not.
        """
        here = HostCode.here()
        where = str(Path(nasbench_ecg.__file__).parent)
        both = sorted(set(here.plugins) & set(self.plugins))
        others = [name for name in both if here.plugins[name] != self.plugins[name]]
        core_differs = (here.version, here.digest) != (self.version, self.digest)
        if core_differs or others:
            changed = "nasbench-ecg" if core_differs else f"plugins ({', '.join(others)})"
            if here.host == self.host:
                raise ExecutorError(
                    f"The code of {changed} has changed since the job was submitted.",
                    where=where,
                    fix="Start the command again, and workers that were started before the change. "
                    "Leave the code as it is until all has ended.",
                )
            versions = f"{here.version} on {here.host}, {self.version} on {self.host}"
            raise ExecutorError(
                f"The machines have different code of {changed}: {versions}.",
                where=where,
                fix="Install the same version on all machines, or one environment on a shared "
                "folder.",
            )


@dataclass(frozen=True)
class Submitter:
    """The process that submits jobs.

    Attributes:
        code: Its code.
        token_file: File in the shared folder.
        token: Its content.
    """

    code: HostCode
    token_file: str
    token: str

    def check(self) -> None:
        """Check that this machine has the same folder and the same code.

        Raises:
            ExecutorError: It has not.
        """
        self.code.check()
        try:
            found = Path(self.token_file).read_text(encoding="utf-8")
        except OSError:
            found = ""
        if found != self.token:
            raise ExecutorError(
                f"{socket.gethostname()} and {self.code.host} do not share the folder of the "
                "results.",
                where=str(Path(self.token_file).parent.parent),
                fix="Choose a folder with --out that all machines see under the same path.",
            )


def submitter(folder: Path) -> Submitter:
    """Return the description of this process, with a token in ``folder``.

    Args:
        folder: Folder of the suite.

    Raises:
        StorageError: The folder cannot be written.
    """
    path = (folder / ".jobs" / "token").resolve()
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            write_atomically(path, secrets.token_hex(16))
        token = path.read_text(encoding="utf-8")
    return Submitter(HostCode.here(), str(path), token)


def environment_of_jobs(folder: Path) -> dict[str, str]:
    """Return the environment variables of jobs on other machines.

    The folders that this process takes from its environment are those of its jobs.
    """
    folders = {name: os.environ.get(name) for name in (DATA_VARIABLE, CACHE_VARIABLE)}
    chosen = {name: str(Path(path).resolve()) for name, path in folders.items() if path}
    return {SUBMITTER: json.dumps(asdict(submitter(folder))), **chosen}


def check_node(environment: Mapping[str, str] = os.environ) -> None:
    """Check what the submitting process asks of this machine; nothing if the job is a local one.

    Args:
        environment: Environment variables of the job.

    Raises:
        ExecutorError: This machine has another folder or other code.
    """
    if text := environment.get(SUBMITTER):
        data = json.loads(text)
        Submitter(**{**data, "code": HostCode(**data["code"])}).check()

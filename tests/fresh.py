"""A new virtual environment, into which wheels are installed without a network."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds the project's wheel.

    The dependencies come from the environment that runs the tests, which is last on the path.

    Attributes:
        scripts: Folder of the interpreter and the scripts.
        wheels: Folder of the project's wheel.
    """

    scripts: Path
    wheels: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.scripts / "python"

    def install(self, project: Path, *options: str) -> None:
        """Install a wheel, or the package in a folder, with pip."""
        pip = ("-m", "pip", "--python", self.python, "install", "--no-deps", "--no-index")
        run(sys.executable, *pip, "--no-build-isolation", "--quiet", *options, project, cwd=ROOT)

    def nasbench(self, *words: str | Path, cwd: Path) -> str:
        """Return what the command prints."""
        return run(self.scripts / "nasbench-ecg", *words, cwd=cwd)


def environment(home: Path) -> Environment:
    """Create an environment that holds the project."""
    venv.create(home / "venv", with_pip=False)
    made = Environment(home / "venv" / ("Scripts" if os.name == "nt" else "bin"), home)
    made.install(build_wheel(ROOT, home))
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = run(made.python, "-c", find, cwd=home).strip()
    # Plain paths: .pth files in them, such as that of an editable install, are not read.
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(site, "dependencies.pth").write_text("\n".join(sorted(dependencies)))
    return made


def build_wheel(project: Path, out: Path) -> Path:
    """Build the wheel of ``project`` with the installed build backend."""
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir")
    run(sys.executable, *build, out, project, cwd=out)
    (wheel,) = out.glob("*.whl")
    return wheel


def run(*command: str | Path, cwd: Path) -> str:
    """Return what ``command`` prints; if it fails, show stdout and stderr."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={**clean, "COLUMNS": "160"}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

"""The steps of ``benchmarks/on_gpu.sh``, within a limited number of minutes.

Each step is a separate process with a log and a time limit; a failed step does not affect the
others. A step that was done before with the same arguments is skipped. Checks and timings have the
GPU alone. After them tables, runs and other commands share it, each in a lane of its own, for one
small network leaves a GPU idle. Where NVIDIA's Multi-Process Service starts, their kernels run at
the same time. This module imports only the standard library, because the first step installs the
packages of the project.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

_GRACE = 20.0  # seconds between SIGTERM, when a run saves a checkpoint, and SIGKILL
_LARGE = {"weights.safetensors", "predictions.json", "shards"}
_LEAST = 5.0  # a step is not started with fewer seconds left


@dataclass(frozen=True)
class Step:
    """One step of a session.

    Attributes:
        name: Name of the step and of its log.
        command: The command.
        share: Largest share of the remaining time that the step may take.
    """

    name: str
    command: Sequence[str]
    share: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step.

    Attributes:
        name: Name of the step.
        status: ``ok``, ``failed (N)``, ``stopped: time``, ``not started: time`` or ``done before``.
        seconds: Wall time.
        last: Last line of its log.
    """

    name: str
    status: str
    seconds: float
    last: str = ""


def checks(args: argparse.Namespace) -> list[Step]:
    """Return the steps that have the machine alone."""
    python, here = sys.executable, args.root / "benchmarks"
    prepare = [python, here / "gpu" / "prepare.py", args.root, args.carry, args.work]
    equality = [python, here / "gpu" / "equality.py", "--device", args.device]
    equality += ["--out", args.out / "equality.json"]
    speed = [python, here / "speed", "--device", args.device, "--out", args.out / "results/speed"]
    return [
        Step("prepare", [*map(str, prepare)]),
        Step("plugins", [python, "-m", "nasbench_ecg", "plugin", "list"]),
        Step("equality", [*map(str, equality)], share=0.25),
        Step("speed", [*map(str, speed), *shlex.split(args.speed)], share=0.3),
    ]


def lanes(args: argparse.Namespace) -> list[list[Step]]:
    """Return lists of steps; the steps of a list follow each other, and the lists run together."""
    python, here = sys.executable, args.root / "benchmarks"
    cli = [python, "-m", "nasbench_ecg"]
    common = ["--device", args.device, "--out", str(args.out / "results")]
    runs = [
        Step(
            f"{number:02d} {line}",
            [*cli, "run", *shlex.split(line), "--profile", args.profile, *common],
        )
        for number, line in enumerate(_lines(args.runs), 1)
    ]
    commands = [Step(line, [*cli, *shlex.split(line), *common]) for line in _lines(args.commands)]
    tables = [python, here / "gpu" / "tables.py", "--device", args.device]
    tables += ["--minutes", "60", "--tables", args.out / "results/tables"]
    tables += ["--start", args.carry / "tables", *shlex.split(args.tables)]
    found = [runs, [Step("tables", [*map(str, tables)])] if args.tables else []]
    found += [commands[number :: args.command_lanes] for number in range(args.command_lanes)]
    return [lane for lane in found if lane]


def share_the_gpu(work: Path, env: dict[str, str]) -> str:
    """Start the Multi-Process Service and let ``env`` use it; return a line that says so."""
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        return "processes take turns on the GPU: there is no Multi-Process Service"
    folder = work / "mps"
    folder.mkdir(exist_ok=True)
    own = {"CUDA_MPS_PIPE_DIRECTORY": str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder)}
    probe = [sys.executable, "-c", "import torch; torch.ones(1, device='cuda').item()"]
    try:
        subprocess.run([control, "-d"], env={**env, **own}, timeout=30, check=True)
        subprocess.run(probe, env={**env, **own}, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        subprocess.run(
            [control], input=b"quit\n", env={**env, **own}, capture_output=True, check=False
        )
        return f"processes take turns on the GPU: {error}"
    env.update(own)
    return "processes share the GPU by its Multi-Process Service"


def _lines(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def perform(step: Step, out: Path, deadline: float, env: dict[str, str]) -> Outcome:
    """Do a step unless it was done before; always return its outcome."""
    file_name = "".join(c if c.isalnum() or c in ".-" else "-" for c in step.name)[:80]
    log, done = out / "logs" / f"{file_name}.log", out / "done" / f"{file_name}.json"
    command = list(step.command)
    with contextlib.suppress(OSError, ValueError):
        before = json.loads(done.read_text())
        if before["command"] == command:
            return Outcome(step.name, "done before", before["seconds"], before["last"])
    left = deadline - time.monotonic()
    if left < _LEAST or _ended.is_set():
        return Outcome(step.name, "not started: time", 0.0)
    print(f"== {step.name} (at most {left * step.share:.0f} s)", flush=True)
    started = time.monotonic()
    try:
        status = _run(command, log, left * step.share, env)
    except OSError as error:
        status = f"failed ({error.strerror or error})"
    outcome = Outcome(step.name, status, round(time.monotonic() - started, 1), _last_line(log))
    print(f"   {outcome.status}, {outcome.seconds:.0f} s: {outcome.last}", flush=True)
    if status == "ok" and step.name != "prepare":
        done.write_text(json.dumps({**asdict(outcome), "command": command}, indent=1) + "\n")
    return outcome


def _run(command: Sequence[str], log: Path, limit: float, env: dict[str, str]) -> str:
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env,
            start_new_session=True,
        )  # fmt: skip
        _running.add(process)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return "stopped: time"
        finally:
            _end(process)
            _running.discard(process)
    return "ok" if code == 0 else f"failed ({code})"


_running: set[subprocess.Popen[bytes]] = set()
_ended = threading.Event()


def _end_all() -> None:
    """End all processes at once, and start no other one."""
    _ended.set()
    with ThreadPoolExecutor() as pool:
        list(pool.map(_end, tuple(_running)))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip(" │╰╯") for line in reversed(lines) if line.strip(" │─╰╯")), "")


def summary(outcomes: Sequence[Outcome], args: argparse.Namespace) -> str:
    """Return the table of outcomes in Markdown."""
    rows = [
        f"| {o.name[:80]} | {o.status} | {o.seconds:.0f} | {o.last[:90].replace('|', '/')} |"
        for o in outcomes
    ]
    return "\n".join(
        [
            f"# On {args.device}, profile {args.profile}",
            "",
            "| step | outcome | seconds | last line of its log |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def pack_results(out: Path) -> None:
    """Write ``take-home.tar.gz``: the results and logs without checkpoints and weights.

    What a finished search of an unfinished run found is among them.
    """

    def small(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = entry.name.split("/")
        checkpoint = ".unfinished" in parts and entry.isfile() and not entry.name.endswith(".json")
        return None if checkpoint or _LARGE & set(parts) else entry

    part = out / "take-home.tar.gz.part"
    with tarfile.open(part, "w:gz") as tar:
        for name in ("results", "logs", "equality.json", "summary.json", "summary.md"):
            if (out / name).exists():
                tar.add(out / name, arcname=name, filter=small)
    part.replace(out / "take-home.tar.gz")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--out", "--work", "--root", "--carry", "--runs", "--commands"):
        parser.add_argument(name, type=Path, required=True)
    for name in ("--device", "--profile", "--speed", "--tables"):
        parser.add_argument(name, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--command-lanes", type=int, default=2, help="commands at the same time")
    return parser.parse_args()


def main() -> int:
    """Do all steps; return 0, or 1 if no step succeeded, or 130 after Ctrl-C."""
    args = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    deadline = time.monotonic() + 60 * args.minutes
    for folder in ("logs", "done"):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
    env = dict(os.environ)
    if (args.carry / "records.tar.xz").is_file():
        env["NASBENCH_ECG_DATA"] = str(args.work / "data")
    outcomes: list[Outcome] = []
    interrupted = False

    def follow(lane: list[Step]) -> None:
        outcomes.extend(perform(step, args.out, deadline, env) for step in lane)

    try:
        follow(checks(args))
        if args.device == "cuda":
            print(share_the_gpu(args.work, env), flush=True)
        with ThreadPoolExecutor() as pool:
            try:
                list(pool.map(follow, lanes(args)))
            except KeyboardInterrupt:
                _end_all()
                raise
    except KeyboardInterrupt:
        interrupted = True
    text = summary(outcomes, args)
    (args.out / "summary.md").write_text(text)
    (args.out / "summary.json").write_text(
        json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n"
    )
    pack_results(args.out)
    print(f"\n{text}\nPacked results: {args.out / 'take-home.tar.gz'}")
    return 130 if interrupted else int(not {"ok", "done before"} & {o.status for o in outcomes})


if __name__ == "__main__":
    sys.exit(main())

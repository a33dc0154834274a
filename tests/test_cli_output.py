"""Output that cannot be shown ends cleanly: other encodings, no width, full disks, log files."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from nasbench_ecg.cli import app, console
from nasbench_ecg.cli.console import RichProgress
from nasbench_ecg.cli.execution import SuiteProgress
from nasbench_ecg.errors import StorageError
from nasbench_ecg.plugin import registry

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def nasbench(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process, and return what it prints as bytes."""
    return subprocess.run(
        [sys.executable, "-m", "nasbench_ecg", *map(str, words)],
        env={**os.environ, **variables}, capture_output=True, check=False,
    )  # fmt: skip


# Encodings and widths


@pytest.mark.parametrize(
    "words", [("list", "strategies"), ("info", "darts"), ("list", "nothing"), ("run", "--help")]
)
def test_where_only_ascii_can_be_shown_the_rest_is_replaced(words: tuple[str, ...]) -> None:
    usual, ascii = nasbench(*words), nasbench(*words, PYTHONIOENCODING="ascii")
    assert ascii.returncode == usual.returncode
    shown = (ascii.stdout + ascii.stderr).decode("ascii")
    assert "Unexpected" not in shown and "Traceback" not in shown
    letters = re.compile(r"[a-zA-Z]+")
    expected = (usual.stdout + usual.stderr).decode()
    assert set(letters.findall(shown)) == set(letters.findall(expected))


def test_json_is_the_same_in_every_encoding() -> None:
    usual, ascii = nasbench("list", "--json"), nasbench("list", "--json", PYTHONIOENCODING="ascii")
    assert json.loads(ascii.stdout.decode("ascii")) == json.loads(usual.stdout)


@pytest.mark.parametrize("width", ["", "0", "00", "-3", "wide"])
def test_an_unknown_width_is_80_columns(width: str) -> None:
    lines = nasbench("list", "profiles", COLUMNS=width).stdout.decode().splitlines()
    assert any("smoke" in line for line in lines)
    assert max(map(len, lines)) <= 80


@pytest.mark.slow
def test_a_path_in_a_message_is_not_broken_by_a_narrow_terminal(tmp_path: Path) -> None:
    out = tmp_path / ("long-name-of-a-folder-" * 4)
    done = nasbench(
        "run", "cnn-9", "synthetic-2lead", "--dry-run", "--out", out, COLUMNS="40"
    )  # fmt: skip
    assert f"Record: {out / 'runs'}" in done.stderr.decode()


@pytest.mark.parametrize("group", [(), ("table",), ("suite",), ("data",), ("plugin",)])
def test_lists_of_commands_show_whole_sentences(group: tuple[str, ...]) -> None:
    shown = nasbench(*group, "--help", COLUMNS="80").stdout.decode().partition("[ARGS]...")[2]
    assert "..." not in shown


# What components print

NOISY = """
import ctypes, os, sys
from nasbench_ecg.api import SearchResult, StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"

def shout(where):
    print(where, "prints")
    os.write(1, f"{where} writes\\n".encode())
    ctypes.CDLL(None).puts(f"{where} puts".encode())  # in the buffer of the C library

shout("module")

class Noisy:
    def __init__(self, options):
        shout("creation")

    def search(self, task, space, builder, ctx):
        shout("search")
        os.system("echo search starts a process")
        with ctx.progress.track("searching", 1) as bar:
            print("search prints beside a bar")
            bar.advance()
        return SearchResult(space.sample(ctx.rng))

@hookimpl
def nasbench_ecg_strategies():
    shout("hook")
    target = f"{__name__}:Noisy"
    yield StrategySpec(name="noisy", target=target, summary="Prints", space="conv-cells")
"""


@pytest.fixture
def noisy(tmp_path: Path) -> dict[str, str]:
    """Environment variables with a plugin that writes to stdout wherever it is called."""
    site = tmp_path / "site"
    info = site / "noisy_plugin-1.dist-info"
    info.mkdir(parents=True)
    (site / "noisy_plugin.py").write_text(NOISY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[nasbench_ecg.plugins]\nnoisy = noisy_plugin\n")
    return {"PYTHONPATH": str(site), "NASBENCH_ECG_DISABLE_PLUGINS": ""}


@pytest.mark.slow
def test_what_components_print_is_not_in_the_results(noisy: dict[str, str], tmp_path: Path) -> None:
    words = ["run", "noisy", "synthetic-2lead", "--profile", "smoke", "--device", "cpu"]
    small = {
        "evaluator.epochs": 1, "evaluator.beats": 100, "builder.channels": 2,
        "dataset.patients": 12, "dataset.minutes": 1,
    }  # fmt: skip
    words += [word for name, value in small.items() for word in ("--set", f"{name}={value}")]
    done = nasbench(*words, "--out", tmp_path / "out", "--json", **noisy)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert record["status"] == "ok" and record["components"]["strategy"]["name"] == "noisy"
    said = done.stderr.decode()
    for where in ("module", "hook", "creation", "search"):
        for how in ("prints", "writes", "puts"):
            assert f"{where} {how}" in said
    assert "search starts a process" in said and "prints beside a bar" in said
    shown = nasbench("show", record["run_key"], "--out", tmp_path / "out", **noisy)
    assert shown.returncode == 0 and b"noisy on synthetic-2lead" in shown.stdout
    assert not any(how in shown.stdout for how in (b"prints", b"writes", b"puts"))


def test_what_a_component_prints_in_this_process_is_not_in_the_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = registry.load_registry

    def noisy(*words: object) -> object:
        print("registry prints")
        return load(*words)

    monkeypatch.setattr(registry, "load_registry", noisy)
    done = CliRunner().invoke(app, ["list", "datasets", "--json"])
    assert json.loads(done.stdout) and "registry prints" in done.stderr


@pytest.mark.parametrize("closed", ["", "<&-", "2>&-", "1>&-"])
def test_a_stream_that_is_closed_before_the_start_changes_no_other(closed: str) -> None:
    words = f"{sys.executable} -m nasbench_ecg list profiles {closed}"
    done = subprocess.run(["/bin/sh", "-c", words], capture_output=True, check=False, text=True)
    assert done.returncode == 0
    assert ("smoke" in done.stdout) == ("1>" not in closed) and "smoke" not in done.stderr
    assert ("nasbench-ecg info NAME" in done.stderr) == ("2>" not in closed)


# Full disks


@needs_full
@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [
        (("list",), ""),
        (("list", "--json"), "1"),
        (("list", "--json"), ""),
        (("--help",), ""),
        (("--version",), "1"),
        (("info", "train"), ""),
    ],
)
def test_results_that_cannot_be_written_are_one_panel_and_exit_code_1(
    words: tuple[str, ...], unbuffered: str
) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nasbench_ecg", *words],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full, stderr=subprocess.PIPE, check=False, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert "The output cannot be written: no space left on device." in done.stderr
    assert done.stderr.count("╭") == 1 and "Exception" not in done.stderr


@pytest.mark.parametrize("words", ["list", "list strategies", "leaderboard --suite heart-darts"])
def test_a_reader_that_is_gone_ends_the_command_without_a_message(words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "nasbench_ecg", *words.split()],
            cwd=Path(__file__).parents[1], stdout=closed, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, b"")


@needs_full
@pytest.mark.parametrize(("words", "code"), [(("list",), 0), (("list", "nothing"), 2)])
def test_messages_that_cannot_be_written_change_nothing(words: tuple[str, ...], code: int) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nasbench_ecg", *words],
            stdout=subprocess.PIPE, stderr=full, check=False,
        )  # fmt: skip
    assert (done.returncode, bool(done.stdout)) == (code, code == 0)


@needs_full
def test_a_path_that_the_system_refuses_is_an_error_that_the_user_can_fix(tmp_path: Path) -> None:
    done = nasbench("show", "--out", tmp_path / ("d" * 300))
    assert done.returncode == 2 and b"The path cannot be used" in done.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_memory_that_runs_out_is_one_panel_that_says_what_to_do(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("nasbench_ecg.plugin.registry.load_registry", fail)
    done = CliRunner().invoke(app, ["list", "strategies"])
    assert done.exit_code == 1 and "Out of memory" in done.stderr
    assert "smaller batches" in done.stderr and "Traceback" not in done.stderr


def test_without_memory_for_a_panel_an_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("rich.panel.Panel", no_memory)
    console.show_error(StorageError("It is full.", fix="Free some."))
    assert capsys.readouterr().err == "Problem with a file: It is full. Free some.\n"


def test_without_stderr_commands_work() -> None:
    command = [sys.executable, "-m", "nasbench_ecg", "list", "strategies"]
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "darts" in done.stdout


def test_a_bar_on_a_full_disk_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with FULL.open("w") as full:
        monkeypatch.setattr("sys.stderr", full)
        console.stderr.cache_clear()
        with RichProgress() as progress, progress.track("training", 2) as bar:
            bar.advance(2)
            progress.note("done")
        with pytest.raises(OSError, match="No space"):
            full.write("x")
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_results_and_messages_keep_their_order_in_one_file(tmp_path: Path) -> None:
    code = (
        "from nasbench_ecg.cli.console import print_json, stderr\n"
        "from nasbench_ecg.cli.streams import prepare_streams\n"
        "prepare_streams()\nprint_json(1)\nstderr().print('two')\nprint('three')\n"
    )
    with (tmp_path / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", code], stdout=log, stderr=log, check=True)
    assert (tmp_path / "log").read_text().split() == ["1", "two", "three"]


# Log files


def test_a_log_shows_progress_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(console, "monotonic", lambda: now)
    log = io.StringIO()
    with RichProgress(Console(file=log, width=80)).track("searching", 600) as bar:
        for step in range(1, 601):
            now = float(step)
            bar.advance(loss=0.5)
    lines = log.getvalue().splitlines()
    minutes = range(int(console.LOG_SECONDS), 601, int(console.LOG_SECONDS))
    assert [line.split()[1] for line in lines] == [*(f"{n}/600" for n in minutes), "600/600"]


def test_a_log_shows_no_more_lines_while_others_are_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(console, "monotonic", lambda: now)
    log = io.StringIO()
    progress = RichProgress(Console(file=log, width=80))
    with progress.track("searching", 9) as outer:
        for epoch in range(1, 10):
            with progress.track(f"epoch {epoch}", 2) as inner:
                now += 0.9 * console.LOG_SECONDS
                inner.advance(2)
            outer.advance()
    assert [line.split("  ")[0] for line in log.getvalue().splitlines()] == [
        *(f"epoch {epoch}" for epoch in range(1, 10)), "searching",
    ]  # fmt: skip


def test_a_log_of_a_suite_shows_what_is_running_at_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "LOG_SECONDS", 0.02)
    log = io.StringIO()
    with SuiteProgress("nightly", [], workers=1) as shown:
        shown._progress._console = Console(file=log, width=80)
        deadline = time.monotonic() + 20
        while log.getvalue().count("nightly") < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert log.getvalue().count("nightly  0/0") >= 3 and "running none" in log.getvalue()

"""The command line: errors, help, ``list``, ``info``, ``plugin list`` and progress bars."""

from __future__ import annotations

import doctest
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from nasbench_ecg.cli import Commands, app
from nasbench_ecg.cli.components import complete_name, parse_kind
from nasbench_ecg.cli.console import RichProgress
from nasbench_ecg.cli.streams import RESULTS
from nasbench_ecg.data.protocols import protocol_names, protocol_options
from nasbench_ecg.errors import OptionError, RecordError
from nasbench_ecg.options import PROFILE_NAMES

HEAVY = {"torch", "wfdb", "pandas", "deap", "numpy", "pydantic", "scipy", "sklearn"}

PLUGIN = '''
from typing import ClassVar, Literal
from pydantic import Field
from nasbench_ecg.api import BuilderSpec, DatasetSpec, Options, StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"

class SwarmOptions(Options):
    PROFILES: ClassVar = {"quick": {"steps": 7}}
    PROTOCOLS: ClassVar = {"inter-patient": {"kernel": "wide"}}
    steps: int = Field(default=1234, ge=1)
    """Steps of the swarm [in hundreds]."""
    kernel: Literal["wide", "narrow"] = "narrow"
    """Shape of the kernel."""
    names: tuple[str, ...] = ("one", "two", "three", "four", "five", "six")

@hookimpl
def nasbench_ecg_strategies():
    yield StrategySpec(name="swarm", target="m:Swarm", summary="A [bold] swarm",
                       options="plugin_cli_acme:SwarmOptions", space="conv-cells")
    yield StrategySpec(name="plain", target="m:Plain", summary="No options", space="conv-cells")

@hookimpl
def nasbench_ecg_builders():
    yield BuilderSpec(name="swarm", target="m:Nest", summary="A nest", space="conv-cells")

@hookimpl
def nasbench_ecg_datasets():
    yield DatasetSpec(name="ward-2lead", target="m:Ward", summary="Our ward")
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two distributions: one that works, one that cannot be imported."""
    site = tmp_path_factory.mktemp("site")
    for name, version, module, code in [
        ("acme-search", "2.0", "plugin_cli_acme", PLUGIN),
        ("zeta-broken", "0.3", "plugin_cli_broken", "import no_such_library"),
    ]:
        (site / f"{module}.py").write_text(code)
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(
            f"[nasbench_ecg.plugins]\n{module.removeprefix('plugin_cli_')} = {module}\n"
        )
    return site


@pytest.fixture
def nasbench(site: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a command in this process, with both distributions installed."""
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr("nasbench_ecg.cli.console.stdout", lambda: Console(width=120, file=RESULTS))
    for name in ("DISABLE_PLUGINS", "STRICT_PLUGINS", "DEBUG"):
        monkeypatch.delenv(f"NASBENCH_ECG_{name}", raising=False)
    return lambda *arguments: CliRunner().invoke(app, arguments)


# Errors and help


def loaded(*arguments: str) -> set[str]:
    """Return the heavy libraries that a command imports."""
    code = (
        "import sys\nfrom nasbench_ecg.cli import app\n"
        "try: app(sys.argv[1:])\nexcept SystemExit as end: assert not end.code\n"
        f"print(*({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    assert loaded("--help") == set()


@pytest.mark.parametrize(
    "arguments", [["--version"], ["info", "--help"], ["list"], ["plugin", "list"]]
)
def test_light_verbs_import_no_component(arguments: list[str]) -> None:
    # Typer itself imports pydantic to read parameters.
    assert loaded(*arguments) <= {"pydantic"}


def test_version(nasbench: Callable[..., Any]) -> None:
    result = nasbench("--version")
    assert (result.exit_code, result.stdout) == (0, "nasbench-ecg 0.2.0\n")


def test_the_help_lists_every_command_in_a_section(nasbench: Callable[..., Any]) -> None:
    text = nasbench("--help").stdout
    listed = re.findall(r"^  ([a-z]+)  ", text, flags=re.M)
    assert sorted(listed) == sorted(get_command(app).commands)
    assert "Commands:" not in text


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["lst"], "Did you mean 'list'?"),
        (["--bogus"], "--bogus"),
        (["list", "--bogus"], "nasbench-ecg list --help"),
        (["info"], "Missing argument"),
        (["list", "strategis"], "'strategies'"),
        (["info", "swarn"], "'swarm'"),
    ],
)
def test_a_mistyped_command_gets_one_panel_and_exit_code_2(
    nasbench: Callable[..., Any], arguments: list[str], said: str
) -> None:
    result = nasbench(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("╭") == 1
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def failing(error: BaseException) -> typer.Typer:
    """Return a command line with one command, which raises ``error``."""
    failing = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @failing.callback()
    def options(debug: bool = False) -> None: ...

    @failing.command()
    def fail() -> None:
        raise error

    return failing


def test_an_error_panel_says_what_where_and_what_to_do() -> None:
    error = RecordError("The checksum differs.", where="mitdb/100", fix="Fetch it [again].")
    result = CliRunner().invoke(failing(error), ["fail"])
    assert result.exit_code == 2
    assert result.stdout == ""
    for part in (RecordError.title, "The checksum differs.", "mitdb/100", "Fetch it [again]."):
        assert part in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_adds_the_traceback() -> None:
    result = CliRunner().invoke(failing(RecordError("Damaged.")), ["--debug", "fail"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr and "raise error" in result.stderr


def test_an_unexpected_error_hides_its_traceback_and_says_how_to_see_it() -> None:
    result = CliRunner().invoke(failing(ZeroDivisionError("by zero")), ["fail"])
    assert result.exit_code == 1
    assert "ZeroDivisionError: by zero" in result.stderr and "--debug" in result.stderr
    assert "Traceback" not in result.stderr


def every_verb(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that has no commands of its own."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from every_verb(inner, *path, name)
    if path and not hasattr(command, "commands"):
        yield path


@pytest.mark.parametrize("words", [*every_verb(get_command(app))], ids=" ".join)
def test_every_verb_refuses_an_option_that_is_given_twice(words: tuple[str, ...]) -> None:
    command: Any = get_command(app)
    for word in words:
        command = command.commands[word]
    arguments = ["x" for p in command.params if p.param_type_name == "argument" and p.required]
    for option in command.params:
        if option.param_type_name != "option" or option.is_flag or option.multiple:
            continue
        needed = [[p.opts[0], "x"] for p in command.params if p.required and p.opts[0][0] == "-"]
        twice = [option.opts[-1], "7", option.opts[-1], "7"]
        given = [*words, *arguments, *chain(*needed), *twice]
        result = CliRunner().invoke(app, given)
        assert (result.exit_code, "only once" in result.stderr) == (2, True), given


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run darts synthetic-2lead --dry-run --json", "A dry run makes no record, so --json"),
        ("leaderboard --check a.md -o b.md", "--check only compares files, so --output"),
        ("leaderboard --check a.md --format csv", "name of a file gives its format, so --format"),
        ("leaderboard --wearable --format html", "has a table of its own, so --format"),
        ("leaderboard --wearable --columns F1", "has a table of its own, so --columns"),
        ("leaderboard --format verdicts --json", "printed as Markdown, so --json"),
        ("leaderboard --format verdicts -o a.md --suite b", "name their suites, so --suite"),
        ("leaderboard --json --format csv", "--json prints JSON, so --format"),
        ("leaderboard --json -o a.md", "--json prints JSON, so --output"),
        ("evaluate 863d --stored", "--stored tests nothing, so RUN"),
        ("evaluate --stored --on svdb-2lead", "--stored tests nothing, so --on"),
        ("evaluate --stored --check a.md -o b.md", "--check only compares files, so --output"),
        ("generalize 863d --to qt-1lead --dry-run -o a.md", "makes no report, so --output"),
        ("annotate 100 -o found --at 3", "Without --strips nothing is drawn, so --at"),
        ("annotate 100 -o found --fs 250", "state their sampling rate, so --fs"),
    ],
)
def test_an_option_that_has_no_effect_beside_another_is_refused(words: str, said: str) -> None:
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 2
    assert f"{said} has no effect" in " ".join(result.stderr.replace("│", " ").split())


def test_no_placeholder_is_the_name_of_its_option_in_capitals() -> None:
    """Typer 0.27.0 takes such a placeholder for the name: ``--DEVICE`` in place of ``--device``."""

    def options(command: Any) -> Iterator[tuple[str, str]]:
        for child in getattr(command, "commands", {}).values():
            yield from options(child)
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.metavar:
                yield parameter.name, parameter.metavar

    found = list(options(get_command(app)))
    assert len(found) > 100
    assert not [name for name, metavar in found if metavar == name.upper()]


def test_saying_no_to_a_question_ends_without_a_panel() -> None:
    result = CliRunner().invoke(failing(typer.Abort()), ["fail"])
    assert (result.exit_code, result.stderr) == (1, "Aborted.\n")


def test_ctrl_c_is_one_line_and_exit_code_130() -> None:
    result = CliRunner().invoke(failing(KeyboardInterrupt()), ["fail"])
    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


# list and info


def test_list_shows_every_kind_and_warns_of_plugin_problems(nasbench: Callable[..., Any]) -> None:
    result = nasbench("list")
    assert result.exit_code == 0
    for heading in ("Search spaces", "Builders", "Strategies", "Datasets", "Evaluators"):
        assert heading in result.stdout
    assert "ward-2lead" in result.stdout
    assert "Problems with broken" in result.stderr


@pytest.mark.parametrize("kind", ["dataset", "datasets", "Datasets"])
def test_list_takes_a_kind_in_singular_and_plural(nasbench: Callable[..., Any], kind: str) -> None:
    result = nasbench("list", kind)
    assert "ward-2lead" in result.stdout
    assert "swarm" not in result.stdout


@pytest.mark.parametrize(
    "text, kind",
    [("strategies", "strategy"), ("space", "search-space"), ("search_spaces", "search-space")],
)
def test_kinds_can_be_written_in_several_ways(text: str, kind: str) -> None:
    assert parse_kind(text) == kind


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(OptionError, match="Did you mean"):
        parse_kind("stratgy")


def test_list_as_json(nasbench: Callable[..., Any]) -> None:
    listed = json.loads(nasbench("list", "strategies", "--json").stdout)
    assert {
        "kind": "strategy",
        "name": "swarm",
        "summary": "A [bold] swarm",
        "plugin": "acme",
        "distribution": "acme-search",
        "version": "2.0",
    } in listed


def test_info_shows_options_with_a_default_for_each_profile(nasbench: Callable[..., Any]) -> None:
    (described,) = json.loads(nasbench("info", "swarm", "--kind", "strategy", "--json").stdout)
    steps, kernel, _ = described["options"]
    assert steps == {
        "name": "steps",
        "type": "int >= 1",
        "description": "Steps of the swarm [in hundreds].",
        "defaults": {"paper": 1234, "standard": 7, "quick": 7, "smoke": 1234},
        "protocols": {},
    }
    assert kernel["type"] == "wide | narrow"
    assert kernel["protocols"] == {"inter-patient": "wide"}
    assert described["version"] == "2.0" and described["target"] == "m:Swarm"
    assert described["space"] == "conv-cells"


def test_info_as_text_shows_the_same(nasbench: Callable[..., Any]) -> None:
    text = nasbench("info", "swarm", "--kind", "strategy").stdout
    for part in (
        "A [bold] swarm", "1234", "Steps of the", "[in", "hundreds]", "paper", "standard: 7",
        "quick: 7", "int >= 1",
        "inter-patient", "acme (acme-search 2.0)", "m:Swarm", "one, two, three, four, five, six",
    ):  # fmt: skip
        assert part in text


def test_info_shows_what_applies_to_a_strategy(nasbench: Callable[..., Any]) -> None:
    text = " ".join(nasbench("info", "swarm", "--kind", "strategy").stdout.split())
    assert "spaces any budgets evaluations, seconds min samples 1 role search" in text
    assert "needs" not in text and "anytime" not in text


def test_info_shows_all_components_with_a_name(nasbench: Callable[..., Any]) -> None:
    text = nasbench("info", "swarm").stdout
    assert "swarm (builder)" in text and "swarm (strategy)" in text
    assert "This component has no options." in text


@pytest.mark.parametrize(
    ("kind", "names"),
    [("protocols", protocol_names()), ("protocol", protocol_names()), ("Profiles", PROFILE_NAMES)],
)
def test_list_knows_protocols_and_profiles(
    nasbench: Callable[..., Any], kind: str, names: tuple[str, ...]
) -> None:
    listed = json.loads(nasbench("list", kind, "--json").stdout)
    assert tuple(entry["name"] for entry in listed) == names
    text = nasbench("list", kind).stdout
    for entry in listed:
        assert f"\n{entry['name']} " in text
    every = json.loads(nasbench("list", "--json").stdout)
    assert [entry for entry in listed if entry not in every] == []


@pytest.mark.parametrize("name", protocol_names())
def test_info_shows_the_options_of_a_protocol_and_its_datasets(
    nasbench: Callable[..., Any], name: str
) -> None:
    (described,) = json.loads(nasbench("info", name, "--json").stdout)
    assert described["kind"] == "protocol"
    options = [option["name"] for option in described["options"]]
    assert options == list(protocol_options(name).model_fields)
    assert ("ward-2lead" in described["datasets"]) == (name in ("intra-patient", "patient-kfold"))
    assert f"--set protocol.{options[0]}=VALUE" in nasbench("info", name).stdout


def test_info_shows_a_profile(nasbench: Callable[..., Any]) -> None:
    assert "8 minutes" in nasbench("info", "quick").stdout
    assert "8 minutes" in nasbench("info", "quick", "--kind", "profile").stdout
    refused = nasbench("info", "darts", "--kind", "profile")
    assert refused.exit_code == 2 and "paper, quick, smoke, standard" in refused.stderr


def test_a_mistyped_protocol_gets_the_nearest_names(nasbench: Callable[..., Any]) -> None:
    assert "Did you mean 'inter-patient'" in nasbench("info", "inter-patiant").stderr
    assert "Did you mean 'profiles'" in nasbench("list", "profils").stderr


# plugin list


def test_plugin_list_shows_installed_plugins_and_their_problems(
    nasbench: Callable[..., Any],
) -> None:
    result = nasbench("plugin", "list")
    assert result.exit_code == 0
    for part in ("acme-search", "2.0", "strategy: swarm, plain", "dataset: ward-2lead"):
        assert part in result.stdout
    assert "Problem with broken (zeta-broken 0.3), stage import:" in result.stdout
    assert "no_such_library" in result.stdout


def test_plugin_list_as_json(nasbench: Callable[..., Any]) -> None:
    listed = json.loads(nasbench("plugin", "list", "--json").stdout)
    states = {plugin["name"]: plugin["state"] for plugin in listed["plugins"]}
    assert states["acme"] == "loaded" and states["broken"] == "failed"
    assert [p["stage"] for p in listed["problems"] if p["plugin"] == "broken"] == ["import"]


def test_plugin_list_verify_imports_the_components(nasbench: Callable[..., Any]) -> None:
    listed = json.loads(nasbench("plugin", "list", "--verify", "--json").stdout)
    (problem,) = [p for p in listed["problems"] if p["components"] == [["strategy", "plain"]]]
    assert problem["stage"] == "component" and problem["distribution"] == "acme-search"
    assert "'m:Plain' cannot be imported" in problem["error"]


def test_strict_plugins_makes_every_command_fail(
    nasbench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASBENCH_ECG_STRICT_PLUGINS", "1")
    assert nasbench("list").exit_code == 2


def test_component_names_complete_in_the_shell(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    assert complete_name("war") == ["ward-2lead"]


# Progress


def test_without_a_terminal_each_bar_prints_one_line() -> None:
    log = io.StringIO()
    with RichProgress(Console(file=log, width=80)) as progress:
        with progress.track("searching", 3) as bar:
            bar.advance()
            bar.advance(2, loss=0.123456, cell="[skip]")
        progress.note("found [one]")
    first, second = log.getvalue().splitlines()
    assert first.split("  ")[:2] == ["searching", "3/3"]
    assert first.endswith("loss 0.1235  cell [skip]")
    assert second == "found [one]"


def test_a_bar_that_an_error_ends_shows_the_steps_done() -> None:
    log = io.StringIO()
    progress = RichProgress(Console(file=log))
    with pytest.raises(RuntimeError), progress, progress.track("training", 10) as bar:
        bar.advance(4)
        raise RuntimeError
    assert "training  4/10" in log.getvalue()


def test_on_a_terminal_the_outermost_bar_stays_with_its_figures() -> None:
    log = io.StringIO()
    console = Console(file=log, width=120, force_terminal=True, color_system=None)
    with RichProgress(console) as progress, progress.track("searching", 2) as outer:
        with progress.track("epoch", 5) as inner:
            inner.advance(5)
        outer.advance(2, loss=0.25)
    last = log.getvalue().splitlines()[-2:]
    assert [text in last[0] for text in ("searching", "2/2", "loss 0.25")] == [True] * 3
    assert not [line for line in last if "epoch" in line]


def test_the_doctest_of_the_progress_bar_passes() -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(RichProgress)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_a_bar_is_shown_without_a_with_block() -> None:
    log = io.StringIO()
    progress = RichProgress(Console(file=log, width=120, force_terminal=True, color_system=None))
    with progress.track("loading", 1) as bar:
        bar.advance()
    assert "1/1" in log.getvalue()

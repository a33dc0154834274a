"""The registry, with distributions that each test installs on the path."""

from __future__ import annotations

import doctest
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nasbench_ecg.errors import OptionError, PluginError
from nasbench_ecg.plugin import hookspecs, trial
from nasbench_ecg.plugin.loading import SPEC_OF_HOOK
from nasbench_ecg.plugin.registry import PluginProblem, Registry, load_registry
from nasbench_ecg.plugin.specs import API_VERSION

Install = Callable[..., None]

GOOD = """
    from nasbench_ecg.api import StrategySpec, hookimpl

    @hookimpl
    def nasbench_ecg_strategies():
        yield StrategySpec(
            name="{name}", target="{module}:Thing", summary="Some search", space="conv-cells"
        )

    class Thing:
        def __init__(self, options):
            self.options = options

        def search(self, task, space, builder, ctx): ...
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install distributions in a temporary folder, next to a shipped one without plugins."""
    site = tmp_path / "site"
    site.mkdir()
    modules = set(sys.modules)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv("NASBENCH_ECG_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("NASBENCH_ECG_STRICT_PLUGINS", raising=False)

    def write(
        distribution: str = "nasbench-ecg",
        version: str = "0.2.0",
        *,
        where: Path = site,
        entry_points: str | None = None,
        api: object = API_VERSION,
        **plugins: str,
    ) -> None:
        folder = where / f"{distribution.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        lines = []
        for name, code in plugins.items():
            module = f"plugin_{distribution.replace('-', '_')}_{name}"
            text = textwrap.dedent(code).replace("{module}", module).replace("{name}", name)
            if api is not None:
                text += f"\nPLUGIN_API_VERSION = {api!r}\n"
            (where / f"{module}.py").write_text(text)
            lines.append(f"{name} = {module}\n")
        text = "[nasbench_ecg.plugins]\n" + "".join(lines)
        (folder / "entry_points.txt").write_text(text if entry_points is None else entry_points)

    write()
    yield write
    for name in set(sys.modules) - modules:
        if name.startswith("plugin_"):
            del sys.modules[name]


def only_problem(registry: Registry) -> PluginProblem:
    (problem,) = registry.problems
    return problem


def names(registry: Registry) -> list[str]:
    return [component.name for component in registry.components()]


# Looking up


def test_a_component_is_found_by_kind_and_name_and_created_with_its_options(
    install: Install,
) -> None:
    install("acme-search", "2.0", swarm=GOOD)
    component = load_registry().get("strategy", "swarm")
    assert (component.plugin, component.distribution, component.version) == (
        "swarm", "acme-search", "2.0",
    )  # fmt: skip
    options = component.options_model()()
    assert component.create(options).options is options


def test_loading_the_registry_imports_no_target(install: Install) -> None:
    code = GOOD.replace('"{module}:Thing"', '"plugin_heavy_target:Thing"')
    install("acme-search", "2.0", swarm=code)
    component = load_registry().get("strategy", "swarm")
    assert "plugin_heavy_target" not in sys.modules
    with pytest.raises(PluginError, match="plugin_heavy_target") as caught:
        component.create(component.options_model()())
    assert "acme-search 2.0" in caught.value.where


def test_an_unknown_name_is_answered_with_the_nearest(install: Install) -> None:
    install("acme-search", "2.0", swarm=GOOD, annealing=GOOD)
    with pytest.raises(PluginError, match="Did you mean 'swarm'") as caught:
        load_registry().get("strategy", "swarn")
    assert "annealing" not in str(caught.value)


def test_a_name_of_another_kind_is_recognized(install: Install) -> None:
    install("acme-search", "2.0", swarm=GOOD)
    with pytest.raises(PluginError, match="There is a strategy of that name"):
        load_registry().get("dataset", "swarm")


def test_an_unknown_name_names_the_plugin_that_failed_and_why(install: Install) -> None:
    install("acme-search", "2.0", swarm="import no_such_library")
    with pytest.raises(PluginError, match="no_such_library") as caught:
        load_registry().get("strategy", "swarm")
    assert "'swarm' of acme-search 2.0" in str(caught.value)


def test_an_unknown_name_names_the_plugin_that_is_disabled(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-search", "2.0", swarm=GOOD)
    monkeypatch.setenv("NASBENCH_ECG_DISABLE_PLUGINS", "swarm")
    with pytest.raises(PluginError, match="disabled by NASBENCH_ECG_DISABLE_PLUGINS"):
        load_registry().get("strategy", "swarm")


def test_components_come_by_kind_then_name(install: Install) -> None:
    install(
        "acme-search",
        "2.0",
        both=GOOD
        + """
    from nasbench_ecg.api import BuilderSpec

    @hookimpl
    def nasbench_ecg_builders():
        yield BuilderSpec(name="zigzag", target="{module}:Thing", summary="Zigzags", space="s")
        yield BuilderSpec(name="arc", target="{module}:Thing", summary="Arcs", space="conv-cells")
    """,
    )
    registry = load_registry()
    assert names(registry) == ["arc", "zigzag", "both"]
    assert [c.name for c in registry.components("builder")] == ["arc", "zigzag"]


# Isolation

BROKEN = {
    "a missing import": ("import no_such_library", "import", "no_such_library"),
    "a syntax error": ("def (", "import", "SyntaxError"),
    "an exit while imported": ("raise SystemExit(3)", "import", "SystemExit: 3"),
    "an odd exception": ("class Odd(BaseException): ...\nraise Odd('no')", "import", "Odd: no"),
    "an unknown hook": (
        "from nasbench_ecg.api import hookimpl\n@hookimpl\ndef nasbench_ecg_strategy(): ...",
        "hooks",
        "Did you mean 'nasbench_ecg_strategies'",
    ),
    "an argument that hooks lack": (
        "from nasbench_ecg.api import hookimpl\n@hookimpl\ndef nasbench_ecg_datasets(config): ...",
        "hooks",
        "config",
    ),
    "an unmarked hook": ("def nasbench_ecg_datasets(): ...", "hooks", "@hookimpl"),
    "a wrapper": (
        "from nasbench_ecg.api import hookimpl\n@hookimpl(wrapper=True)\n"
        "def nasbench_ecg_datasets():\n    return (yield)",
        "hooks",
        "wrapper",
    ),
}


@pytest.mark.parametrize("code, stage, said", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_reported_and_affects_no_other(
    install: Install, code: str, stage: str, said: str
) -> None:
    install("zeta-broken", "0.3", broken=code)
    install("alpha-search", "1.0", before=GOOD)
    install("acme-search", "2.0", swarm=GOOD)
    registry = load_registry()
    assert names(registry) == ["before", "swarm"]
    problem = only_problem(registry)
    assert (problem.plugin, problem.distribution, problem.version) == (
        "broken", "zeta-broken", "0.3",
    )  # fmt: skip
    assert problem.stage == stage
    assert said in problem.error
    assert "\n" not in problem.error
    assert {p.name: p.state for p in registry.plugins}["broken"] == "failed"


STRATEGY = """
    from nasbench_ecg.api import StrategySpec, hookimpl

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

        __repr__ = __str__

    @hookimpl
    def nasbench_ecg_strategies():
        {body}
"""
SPEC = 'StrategySpec(name="x", target="m:C", summary="s", space="conv-cells")'

UNBOUNDED = {
    "odd": ("raise Odd", "Odd: its message cannot be shown, __str__ raises RuntimeError"),
    "oddname": ("yield " + SPEC.replace('"x"', "Odd()"), "cannot be read"),
    "endless": (f"while True: yield {SPEC}", "yields more than 1000 specs"),
    "hangs": ("while True: pass", "it does not finish within 1 seconds"),
    "swallows": (
        "import time\n        while True:\n            try: time.sleep(9)\n"
        "            except Exception: pass",
        "it does not finish within 1 seconds",
    ),
}
ENDING = {
    "exits": ("import os; os._exit(0)", "it ends the process (exit status 0)"),
    "kills": ("import os; os.kill(os.getpid(), 11)", "it ends the process (signal 11)"),
}


@pytest.mark.parametrize("name", UNBOUNDED)
def test_a_plugin_without_an_end_or_a_message_is_reported_and_affects_no_other(
    install: Install, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    body, said = UNBOUNDED[name]
    monkeypatch.setenv("NASBENCH_ECG_PLUGIN_SECONDS", "1")
    install("zeta-broken", "0.3", **{name: STRATEGY.replace("{body}", body)})
    install("acme-search", "2.0", swarm=GOOD)
    before = signal.getsignal(signal.SIGALRM)
    registry = load_registry()
    assert names(registry) == ["swarm"]
    assert (only_problem(registry).plugin, only_problem(registry).version) == (name, "0.3")
    assert said in only_problem(registry).error
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_module_whose_attributes_cannot_be_read_is_reported(install: Install) -> None:
    install(
        "zeta-broken",
        "0.3",
        api=None,
        odd="def __getattr__(name): raise RuntimeError('no ' + name)",
    )
    install("acme-search", "2.0", swarm=GOOD)
    registry = load_registry()
    assert names(registry) == ["swarm"]
    assert "RuntimeError: no" in only_problem(registry).error


@pytest.mark.skipif(sys.platform != "linux", reason="plugins are tried in a copy on Linux only")
def test_plugins_that_end_or_hang_the_process_are_named_by_the_command(
    install: Install, tmp_path: Path
) -> None:
    said = {}
    for name, (code, fault) in ENDING.items():
        install(f"zeta-{name}", "0.3", **{name: code})
        said[name] = fault
        hook = STRATEGY.replace("{body}", code)
        install(f"zeta-hook-{name}", "0.3", **{f"hook_{name}": hook})
        said[f"hook_{name}"] = fault
    install("zeta-hangs", "0.3", hangs=STRATEGY.replace("{body}", "while True: pass"))
    said["hangs"] = "it does not finish within 1 seconds"
    install("acme-search", "2.0", swarm=GOOD)
    done = subprocess.run(
        [sys.executable, "-m", "nasbench_ecg", "plugin", "list", "--json"],
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path / "site"),
            "NASBENCH_ECG_PLUGIN_SECONDS": "1",
            "NASBENCH_ECG_DISABLE_PLUGINS": "",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    states = {plugin["name"]: plugin["state"] for plugin in listed["plugins"]}
    assert states["swarm"] == "loaded"
    errors = {problem["plugin"]: problem["error"] for problem in listed["problems"]}
    assert errors.keys() == said.keys()
    for name, fault in said.items():
        assert states[name] == "failed" and fault in errors[name]


def test_a_plugin_that_has_loaded_just_when_its_copy_is_seen_to_end_does_not_end_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    copy = subprocess.Popen(["true"])
    look = select.select

    def look_too_early(*arguments: Any) -> tuple[list[int], list[int], list[int]]:
        monkeypatch.setattr(trial.select, "select", look)
        os.write(writer, b"ok")
        os.waitid(os.P_PID, copy.pid, os.WEXITED | os.WNOWAIT)
        return [], [], []

    monkeypatch.setattr(trial.select, "select", look_too_early)
    try:
        assert trial._result(copy.pid, reader) == ""
    finally:
        os.close(reader)
        os.close(writer)
        copy.wait()


def test_ctrl_c_during_an_import_is_not_reported_as_a_problem(install: Install) -> None:
    install("acme-search", "2.0", slow="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_registry()


def test_a_hook_that_raises_loses_what_it_yielded_and_the_other_hooks_stay(
    install: Install,
) -> None:
    code = (
        GOOD
        + """
    from nasbench_ecg.api import DatasetSpec

    @hookimpl
    def nasbench_ecg_datasets():
        yield DatasetSpec(name="ward", target="{module}:Thing", summary="Our ward")
        raise RuntimeError("no licence")
    """
    )
    install("acme-search", "2.0", swarm=code)
    registry = load_registry()
    assert names(registry) == ["swarm"]
    problem = only_problem(registry)
    assert problem.stage == "call"
    assert "nasbench_ecg_datasets" in problem.error and "no licence" in problem.error
    assert "plugin_acme_search_swarm.py" in problem.error
    with pytest.raises(PluginError, match="no licence"):
        registry.get("dataset", "ward")


def test_a_dataset_must_be_split_by_its_own_default_protocol(install: Install) -> None:
    code = """
    from nasbench_ecg.api import DatasetSpec, hookimpl

    @hookimpl
    def nasbench_ecg_datasets():
        yield DatasetSpec(name="ward", target="m:C", summary="A ward", protocols=("paper",))
    """
    install("acme-search", "2.0", swarm=code)
    assert "do not contain its protocol 'intra-patient'" in only_problem(load_registry()).error


@pytest.mark.parametrize(
    "yielded, said",
    [
        ('"swarm"', "a value of type str"),
        ('DatasetSpec(name="d", target="a:B", summary="s")', "not a StrategySpec"),
        (
            'StrategySpec(name="Swarm X", target="a:B", summary="s", space="conv-cells")',
            "lower-case",
        ),
        (
            'StrategySpec(name="x", target="a.B", summary="s", space="conv-cells")',
            "'package.module:Class'",
        ),
        (
            'StrategySpec(name="x", target="a:B", summary="s", options="o", space="conv-cells")',
            "options 'o'",
        ),
        ('StrategySpec(name="x", target="a:B", summary="", space="conv-cells")', "one line"),
        (
            'StrategySpec(name="x", target="a:B", summary="s", space="conv-cells", spaces=("y",))',
            "spaces ('y',)",
        ),
        (
            'StrategySpec(name="x", target="a:B", summary="s", space="conv-cells", role="best")',
            "random-search",
        ),
        (
            'StrategySpec(name="x", target="a:B", summary="s", space="c", budgets=("hours",))',
            "evaluations and seconds",
        ),
    ],
)
def test_an_invalid_spec_is_dropped_alone(install: Install, yielded: str, said: str) -> None:
    code = f"""
    from nasbench_ecg.api import DatasetSpec, StrategySpec, hookimpl

    @hookimpl
    def nasbench_ecg_strategies():
        yield StrategySpec(name="good", target="m:C", summary="Good", space="conv-cells")
        yield {yielded}
        yield StrategySpec(name="better", target="m:C", summary="Better", space="conv-cells")
    """
    install("acme-search", "2.0", swarm=code)
    registry = load_registry()
    assert names(registry) == ["better", "good"]
    assert only_problem(registry).stage == "spec"
    assert said in only_problem(registry).error


@pytest.mark.parametrize("body", ["return None", "return StrategySpec(name='a')", "return 3"])
def test_a_hook_must_yield_specs(install: Install, body: str) -> None:
    code = f"""
    from nasbench_ecg.api import StrategySpec, hookimpl

    @hookimpl
    def nasbench_ecg_strategies():
        {body}
    """
    install("acme-search", "2.0", swarm=code)
    assert only_problem(load_registry()).stage == "call"


# The version of the plugin API


@pytest.mark.parametrize("written_for", ["2.0", "2.1", "2.3"])
def test_a_plugin_for_an_older_minor_version_is_loaded(
    install: Install, monkeypatch: pytest.MonkeyPatch, written_for: str
) -> None:
    monkeypatch.setattr("nasbench_ecg.plugin.loading.API_VERSION", "2.3")
    install("acme-search", "1.4", swarm=GOOD, api=written_for)
    registry = load_registry()
    assert not registry.problems
    assert names(registry) == ["swarm"]


@pytest.mark.parametrize(
    ("written_for", "to_update"),
    [
        ("2.4", "nasbench-ecg"),
        ("2.10", "nasbench-ecg"),
        ("3.0", "nasbench-ecg"),
        ("1.9", "acme-search"),
    ],
)
def test_a_plugin_for_another_version_is_refused_and_the_error_says_what_to_update(
    install: Install, monkeypatch: pytest.MonkeyPatch, written_for: str, to_update: str
) -> None:
    monkeypatch.setattr("nasbench_ecg.plugin.loading.API_VERSION", "2.3")
    new_field = GOOD.replace("summary=", "a_field_of_a_later_version=1, summary=")
    install("acme-search", "1.4", swarm=new_field, api=written_for)
    registry = load_registry()
    assert names(registry) == []
    problem = only_problem(registry)
    assert problem.stage == "version"
    assert f"version {written_for} of the plugin API" in problem.error
    assert problem.error.endswith(f"version 2.3: update {to_update}")


@pytest.mark.parametrize(
    ("api", "said"),
    [(None, 'add PLUGIN_API_VERSION = "1.1"'), (1, "PLUGIN_API_VERSION is 1"), ("1", "is '1'")],
)
def test_a_plugin_that_states_no_valid_version_is_refused(
    install: Install, api: object, said: str
) -> None:
    install("acme-search", "1.4", swarm=GOOD, api=api)
    assert only_problem(load_registry()).stage == "version"
    assert said in only_problem(load_registry()).error


# Names


def test_a_third_party_does_not_replace_a_shipped_name(install: Install) -> None:
    install(swarm=GOOD)
    install("acme-search", "2.0", swarm=GOOD)
    registry = load_registry()
    assert registry.get("strategy", "swarm").distribution == "nasbench-ecg"
    assert len(registry.components()) == 1
    problem = only_problem(registry)
    assert (problem.distribution, problem.stage) == ("acme-search", "conflict")
    assert "nasbench-ecg 0.2.0" in problem.error


def test_a_shipped_name_is_free_once_its_plugin_is_disabled(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(shipped=GOOD.replace("{name}", "swarm"))
    install("acme-search", "2.0", swarm=GOOD)
    monkeypatch.setenv("NASBENCH_ECG_DISABLE_PLUGINS", "shipped")
    assert load_registry().get("strategy", "swarm").distribution == "acme-search"


def test_two_third_parties_with_one_name_disable_it_and_both_are_listed(install: Install) -> None:
    install("acme-search", "2.0", swarm=GOOD, annealing=GOOD)
    install("zeta-search", "3.1", swarm=GOOD)
    registry = load_registry()
    assert names(registry) == ["annealing"]
    assert {p.distribution for p in registry.problems} == {"acme-search", "zeta-search"}
    with pytest.raises(PluginError) as caught:
        registry.get("strategy", "swarm")
    assert "acme-search 2.0" in str(caught.value) and "zeta-search 3.1" in str(caught.value)


def test_components_of_different_kinds_may_share_a_name(install: Install) -> None:
    code = """
    from nasbench_ecg.api import BuilderSpec, StrategySpec, hookimpl

    @hookimpl
    def nasbench_ecg_strategies():
        yield StrategySpec(name="tree", target="m:C", summary="Tree search", space="conv-cells")

    @hookimpl
    def nasbench_ecg_builders():
        yield BuilderSpec(name="tree", target="m:C", summary="Trees", space="conv-cells")
    """
    install("acme-search", "2.0", tree=code)
    registry = load_registry()
    assert not registry.problems
    assert [component.kind for component in registry.find("tree")] == ["builder", "strategy"]


# Discovery


def test_a_distribution_that_is_on_the_path_twice_counts_once_and_the_first_wins(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-search", "1.0", swarm=GOOD, gone=GOOD)
    install("acme-search", "2.0", where=tmp_path / "earlier", swarm=GOOD)
    monkeypatch.syspath_prepend(str(tmp_path / "earlier"))
    registry = load_registry()
    assert names(registry) == ["swarm"]
    assert registry.get("strategy", "swarm").version == "2.0"
    assert not registry.problems


def test_an_earlier_version_without_plugins_hides_the_plugins_of_a_later_one(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-search", "1.0", swarm=GOOD)
    install("acme-search", "2.0", where=tmp_path / "earlier", entry_points="")
    monkeypatch.syspath_prepend(str(tmp_path / "earlier"))
    assert names(load_registry()) == []


def test_unreadable_entry_points_affect_only_their_distribution(install: Install) -> None:
    install("zeta-broken", "0.3", entry_points="[nasbench_ecg.plugins]\nno equals sign\n")
    install("acme-search", "2.0", swarm=GOOD)
    registry = load_registry()
    assert names(registry) == ["swarm"]
    problem = only_problem(registry)
    assert (problem.distribution, problem.stage) == ("zeta-broken", "discovery")


# Switches


def test_a_disabled_plugin_is_not_even_imported(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-search", "2.0", swarm="raise SystemExit", annealing=GOOD)
    monkeypatch.setenv("NASBENCH_ECG_DISABLE_PLUGINS", " swarm , ")
    registry = load_registry()
    assert names(registry) == ["annealing"]
    assert not registry.problems
    assert {p.name: p.state for p in registry.plugins} == {
        "swarm": "disabled", "annealing": "loaded",
    }  # fmt: skip


def test_a_star_disables_all_plugins(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(shipped=GOOD)
    install("acme-search", "2.0", swarm=GOOD)
    monkeypatch.setenv("NASBENCH_ECG_DISABLE_PLUGINS", "*")
    registry = load_registry()
    assert names(registry) == []
    assert {p.state for p in registry.plugins} == {"disabled"}


def test_disabling_an_unknown_plugin_is_a_problem(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-search", "2.0", swarm=GOOD)
    monkeypatch.setenv("NASBENCH_ECG_DISABLE_PLUGINS", "swarn")
    problem = only_problem(load_registry())
    assert problem.stage == "disabling" and "'swarm'" in problem.error


def test_strict_makes_any_problem_an_error(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-search", "2.0", swarm=GOOD)
    monkeypatch.setenv("NASBENCH_ECG_STRICT_PLUGINS", "1")
    assert names(load_registry()) == ["swarm"]
    install("zeta-broken", "0.3", broken="import no_such_library")
    with pytest.raises(PluginError, match="no_such_library"):
        load_registry()


# Using a component


@pytest.mark.parametrize(
    "options, said",
    [
        ("plugin_nowhere:Options", "cannot be imported"),
        ("{module}:Absent", "cannot be imported"),
        ("{module}:Thing", "not a model of Options"),
        ("{module}:Misnamed", "an option they do not have"),
        ("{module}:Strange", "'hurried'"),
    ],
)
def test_a_broken_options_model_names_plugin_distribution_and_version(
    install: Install, options: str, said: str
) -> None:
    code = """
    from nasbench_ecg.api import Options, StrategySpec, hookimpl

    @hookimpl
    def nasbench_ecg_strategies():
        yield StrategySpec(
            name="swarm", target="{module}:Thing", summary="S", options="<options>", space="s"
        )

    class Thing: ...

    class Misnamed(Options):
        PROFILES = {"quick": {"epoch": 3}}
        epochs: int = 5

    class Strange(Options):
        PROFILES = {"hurried": {}}
    """
    install("acme-search", "2.0", swarm=code.replace("<options>", options))
    with pytest.raises(PluginError, match=said) as caught:
        load_registry().get("strategy", "swarm").options_model()
    assert caught.value.where == "plugin 'swarm' of acme-search 2.0"


@pytest.mark.parametrize(
    "body, expected, said",
    [
        ("raise ValueError('bad luck')", PluginError, "bad luck"),
        ("raise OptionError('k is odd.')", OptionError, "k is odd"),
    ],
)
def test_a_component_that_fails_when_created(
    install: Install, body: str, expected: type[Exception], said: str
) -> None:
    code = f"""
    from nasbench_ecg.api import OptionError, StrategySpec, hookimpl

    def make(options):
        {body}

    @hookimpl
    def nasbench_ecg_strategies():
        yield StrategySpec(name="swarm", target=make, summary="S", space="conv-cells")
    """
    install("acme-search", "2.0", swarm=code)
    component = load_registry().get("strategy", "swarm")
    with pytest.raises(expected, match=said) as caught:
        component.create(component.options_model()())
    assert type(caught.value) is expected


# What authors read


@pytest.mark.parametrize("hook", SPEC_OF_HOOK)
def test_every_hook_has_an_example_that_runs(hook: str) -> None:
    function = getattr(hookspecs, hook)
    (test,) = doctest.DocTestFinder().find(function, hook, globs={})
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_every_hook_is_collected() -> None:
    declared = {name for name in vars(hookspecs) if name.startswith("nasbench_ecg_")}
    assert declared == set(SPEC_OF_HOOK)

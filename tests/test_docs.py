"""The documentation works: every block of code is run, page after page, in one folder.

A block with a title is a file that the reader writes. An HTML comment before a block changes what
is done with it:

``not run: reason``: its commands are parsed, but not run.
``needs records``: it is run only if NASBENCH_ECG_DATA names a folder of records.
``needs SLURM``: it is run only if SLURM_CONF names a cluster and submitit is installed.
``like the output``: it shows what the command before it prints.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

import nasbench_ecg
from nasbench_ecg import api, metrics, signal, testing, training
from nasbench_ecg.cli import app
from nasbench_ecg.plugin.registry import KINDS, load_registry
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.request import RunRequest

sybil = pytest.importorskip("sybil", reason="needs sybil: pip install 'nasbench-ecg[dev]'")
from sybil.document import Document  # noqa: E402
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer  # noqa: E402

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DATA = os.environ.get("NASBENCH_ECG_DATA")
SUBMITIT = find_spec("submitit") is not None
KEY = "30cd07adc74826cb"
"""The run key that the pages show; it is replaced by the key of the run that the test makes."""

_FENCE = RawFencedCodeBlockLexer(
    re.compile(r'(?P<language>\w+)(?: title="(?P<title>.+)")?$\n', re.M)
)
_MARKER = re.compile(r"<!-- (?P<text>[^>]+) -->\s*\Z")
_MARKERS = ("not run: ", "needs records", "needs SLURM", "like the output")
_SHELL = re.compile(r"[|><;&$`(]")
_QUOTED = re.compile(r"'[^']*'")
_WITHIN = re.compile(r"\"\$\((?P<command>nasbench-ecg [^)]*)\)\"")
_ASSIGNED = re.compile(r"[A-Z_]+=")
_VARYING = re.compile(r"(in|n)[₁₂₃₄]|  \d+/\d+  ")
"""Marks a line of a drawn cell, or of a bar that has ended."""

_MASKS = (
    (r"\b[0-9a-f]{16}\b", "KEY"),
    (r"[▁-█]+", "BARS"),
    (r"[─━]+", "─"),
    (r"(?<![=\w.])[+−±]?\d[\d,.]*\d(?! beats\b)\b|(?<![=\w.])[+−±]?\d(?! beats\b)\b", "0"),
    (r"(?<= )–(?= )", "0"),
    (r"\b0 (ms|s|min|h|k|M)\b", "0 UNIT"),
)
"""What depends on the machine. Settings such as ``epochs=2`` and numbers of beats do not."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    title: str | None
    source: str
    marker: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def reason(self) -> str:
        """Why the block is not run; empty if it is run."""
        if self.marker.startswith("not run: "):
            return self.marker
        if self.marker == "needs records" and not DATA:
            return "needs real records: NASBENCH_ECG_DATA is not set"
        if self.marker == "needs SLURM" and ("SLURM_CONF" not in os.environ or not SUBMITIT):
            return "needs SLURM: '.ci/slurm start FOLDER' starts it, SLURM_CONF names it"
        return "the tutorial runs the commands of the README" if self.page.parent == ROOT else ""

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, without comments, each on one line."""
        lines = self.source.replace("\\\n", " ").splitlines()
        return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def pages() -> list[Path]:
    """Return the README and all pages but notebooks, in the order of the navigation."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    written = (DOCS / name for name in _leaves(nav) if not name.startswith("notebooks/"))
    return [ROOT / "README.md", *written]


def _leaves(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for item in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        yield from _leaves(item)


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page that name a language."""
    text = page.read_text(encoding="utf-8")
    found = []
    for region in sorted(_FENCE(Document(text, str(page))), key=lambda region: region.start):
        before = text[: region.start]
        marker = _MARKER.search(before)
        found.append(
            Block(
                page,
                before.count("\n") + 1,
                region.lexemes["language"],
                region.lexemes["title"],
                str(region.lexemes["source"]),
                marker["text"] if marker else "",
            )
        )
    return found


ALL = [block for page in pages() for block in blocks(page)]
SHELL = [block for block in ALL if block.language in ("console", "bash") and not block.title]
"""Blocks of shell commands, but not shell scripts with a title, which are files."""


@dataclass
class Reader:
    """Does what the pages say, in one folder and one environment."""

    folder: Path
    environment: dict[str, str]
    key: str
    namespaces: dict[Path, dict[str, Any]] = field(default_factory=dict)
    printed: str = ""

    def do(self, block: Block) -> None:
        """Write the file, run the code or run the commands of a block."""
        source = block.source.replace(KEY, self.key).replace(KEY[:8], self.key[:8])
        block = replace(block, source=source)
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.source, encoding="utf-8")
        elif block.language == "python":
            code = compile(
                "\n" * block.line + block.source, str(block.page), "exec", dont_inherit=True
            )
            exec(code, self.namespaces.setdefault(block.page, {"__name__": "page"}))
        elif block.language in ("console", "bash"):
            self.printed = "".join(self._run(command) for command in block.commands)

    def _run(self, command: str) -> str:
        command = _WITHIN.sub(lambda found: shlex.quote(self._run(found["command"])), command)
        command, _, file = command.partition(" > ")
        if command.startswith("nasbench-ecg ") and not _SHELL.search(_QUOTED.sub("", command)):
            words = [_at_home(word) for word in shlex.split(command, comments=True)]
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, f"{command}\n{result.output}"
            if file:
                (self.folder / file).write_text(result.stdout)
            return result.stdout if file else result.output
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{command} > {file}" if file else command],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader in an empty folder, with an empty cache, and a folder for ``pip install``."""
    folder, site, home = (tmp_path_factory.mktemp(name) for name in ("reader", "site", "home"))
    if DATA:
        (home / "physionet").symlink_to(Path(DATA).resolve())
    changes = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "NASBENCH_ECG_CACHE": str(home / "cache"),
        "CUDA_VISIBLE_DEVICES": "",
        "COLUMNS": "110",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(site),
        "PIP_TARGET": str(site),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads 0 as: no isolation
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        patch.delenv("NASBENCH_ECG_DATA", raising=False)
        patch.chdir(folder)
        patch.syspath_prepend(str(site))
        patch.setattr("nasbench_ecg.cli.execution.interrupt_on_sigterm", lambda: None)
        patch.setattr("nasbench_ecg.plugin.session._specs", {})
        # The estimate times steps of the published networks, which takes longer than the runs.
        seconds = {"search": 6.8, "evaluation": 1.8}
        patch.setattr("nasbench_ecg.run.estimate.estimate", lambda ready: seconds)
        patch.setattr("nasbench_ecg.run.environment.cpu_name", lambda: "AMD EPYC")
        first = RunRequest("darts", "synthetic-2lead", profile="smoke", device="cpu")
        yield Reader(folder, dict(os.environ), configure(load_registry(), first).key())


@pytest.mark.parametrize("block", ALL, ids=str)
def test_every_block_of_the_pages_works(block: Block, reader: Reader) -> None:
    if block.marker == "like the output":
        _assert_similar_output(block, reader.printed)
    elif block.language in ("toml", "json") and not block.title:
        {"toml": tomllib.loads, "json": json.loads}[block.language](block.source)
    elif block.reason and not block.title:
        if block in SHELL:
            for command in block.commands:
                _check(command, try_runs=block.marker != "needs records")
        pytest.skip(block.reason)
    else:
        reader.do(block)


def _at_home(word: str) -> str:
    return str(Path(word).expanduser()) if word.startswith("~") else word


def _assert_similar_output(block: Block, printed: str) -> None:
    """Check that a block shows what is printed, from its first line to its last one.

    What depends on the machine may differ: scores, times, the cell that is found, and with it the
    order of rows.
    """
    shown, lines = _comparable(block.source), _comparable(printed)
    for line in (shown[0], shown[-1]):
        assert line in lines, f"{block} shows what is not printed: {line}\n" + "\n".join(lines)
    first = lines.index(shown[0])
    section = lines[first : lines.index(shown[-1], first) + 1]
    stale = sorted((Counter(shown) - Counter(section)).elements())
    missing = sorted((Counter(section) - Counter(shown)).elements())
    assert (stale, missing) == ([], []), f"{block} is not what is printed"


def _comparable(text: str) -> list[str]:
    """Return the lines of an output, each number as 0, without borders, drawn cells and bars."""
    lines = [line for line in text.splitlines() if not _VARYING.search(line)]
    words = (" ".join(re.sub(r"[│◆]", " ", line).split()) for line in lines)
    return [_masked(line) for line in words if line]


def _masked(line: str) -> str:
    for pattern, mask in _MASKS:
        line = re.sub(pattern, mask, line)
    return line


def _check(command: str, *, try_runs: bool) -> None:
    """Check a command without running it: programs, verbs, component names and options exist."""
    for part in re.split(r"\s*(?:&&|\|)\s*", command):
        words = [w for w in shlex.split(part, comments=True) if not _ASSIGNED.match(w)]
        if words[0] == "nasbench-ecg":
            _parse(words[1:])
            if words[1] == "run" and try_runs:
                result = CliRunner().invoke(app, [*_without_data(words[1:]), "--dry-run"])
                assert result.exit_code == 0, result.output
        script = words[1] if words[0] == "python" else words[0]
        assert "/" not in script or (ROOT / script).exists(), command


def _parse(words: list[str]) -> None:
    command, context = get_command(app), None
    if words[0].startswith("--"):
        assert any(words[0] in parameter.opts for parameter in command.params), words
        return
    while True:
        context = command.make_context("nasbench-ecg", list(words), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        words = [*context._protected_args, *context.args]
        if not words:
            return
        _, command, words = command.resolve_command(context, words)


def _without_data(words: list[str]) -> list[str]:
    if "--data" in words:
        at = words.index("--data")
        return words[:at] + words[at + 2 :]
    return words


def test_every_marker_is_known() -> None:
    marked = [block for block in ALL if block.marker and not block.marker.startswith("generate")]
    assert marked
    for block in marked:
        assert block.marker.startswith(_MARKERS), f"{block}: {block.marker}"


def test_every_output_of_the_tutorial_is_compared() -> None:
    shown = [b for b in ALL if b.page.parent.name == "tutorial" and b.language == "text"]
    assert len(shown) >= 4
    assert [str(block) for block in shown if block.marker != "like the output"] == []


@pytest.mark.parametrize(
    "change",
    [
        ("macro Se", "sensitivity"),
        ("1,724 beats", "1,725 beats"),
        ("peak memory 590 MB", ""),
        ("score", "score\nanother line"),
    ],
)
def test_an_output_that_has_grown_stale_is_noticed(change: tuple[str, str]) -> None:
    (page,) = {block.page for block in ALL if block.page.name == "reading-a-run.md"}
    block = next(block for block in blocks(page) if block.language == "text")
    source = re.sub("[ \xa0]+", " ", block.source)
    assert change[0] in source
    numbers = re.sub(r"\d\.\d\d", "7.77", source.replace("19 s", "2.5 min"))
    _assert_similar_output(replace(block, source=source), f"before\n{numbers}\nafter")
    with pytest.raises(AssertionError, match="is not what is printed"):
        _assert_similar_output(replace(block, source=source), source.replace(*change, 1))


def test_every_block_that_is_not_run_gives_a_reason() -> None:
    for block in ALL:
        if block.marker.startswith("not run"):
            assert len(block.marker.removeprefix("not run: ")) > 8, str(block)


def test_every_page_is_in_the_navigation() -> None:
    written = {p for p in DOCS.rglob("*.md") if not {"examples", "hooks"} & set(p.parts)}
    assert set(pages()) == {ROOT / "README.md", *written}
    for notebook in (DOCS / "notebooks").glob("*.ipynb"):
        assert f": notebooks/{notebook.stem}.md" in (ROOT / "mkdocs.yml").read_text()


def test_the_reference_has_a_page_per_public_module_with_every_name_once() -> None:
    own = [n for n, value in vars(metrics).items() if _defined_in(metrics, value) and n[0] != "_"]
    names = {module: module.__all__ for module in (api, signal, training, testing)} | {metrics: own}
    for module, public in names.items():
        page = DOCS / "reference" / "api" / f"{module.__name__.removeprefix('nasbench_ecg.')}.md"
        shown = re.findall(r"^::: (?:nasbench_ecg\.\w+)\.(\w+)$", page.read_text(), flags=re.M)
        assert sorted(set(shown) - {"hookspecs"}) == sorted(public)
        assert len(set(shown)) == len(shown)


def test_the_reference_has_every_function_of_the_front_door() -> None:
    text = (DOCS / "reference" / "api" / "nasbench_ecg.md").read_text()
    shown = re.findall(
        r"^::: nasbench_ecg\.(?:front\.running\.)?(plot\.\w+|\w+)$", text, flags=re.M
    )
    figures = [f"plot.{name}" for name in nasbench_ecg.plot.__all__]
    assert sorted(shown) == sorted([*figures, *(set(nasbench_ecg.__all__) - {"plot"})])


def _attributes(kind: type) -> Iterator[tuple[str, bool]]:
    """Yield the public attributes that a class declares, and whether a docstring describes each."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    section = re.findall(r"^\s+(\w+): \S", inspect.getdoc(kind) or "", flags=re.M)
    for statement, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and "ClassVar" not in ast.unparse(statement):
            name = ast.unparse(statement.target)
            own = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if not name.startswith("_"):
                yield name, own or name in section


PUBLIC = sorted(name for name in api.__all__ if isinstance(getattr(api, name), type))


@pytest.mark.parametrize("name", PUBLIC)
def test_the_page_of_a_class_describes_every_attribute(name: str) -> None:
    attributes = _attributes(getattr(api, name))
    assert [attribute for attribute, described in attributes if not described] == []


def _defined_in(module: ModuleType, value: object) -> bool:
    return getattr(value, "__module__", None) == module.__name__


def test_the_reference_names_every_environment_variable() -> None:
    documented = set(
        re.findall(r"`(NASBENCH_ECG_\w+)`", (DOCS / "reference/environment.md").read_text())
    )
    used = set()
    for path in [*(ROOT / "nasbench_ecg").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]:
        used |= set(re.findall(r"\bNASBENCH_ECG_[A-Z_]*[A-Z]\b", path.read_text()))
    assert documented == used


def test_every_option_of_the_command_line_is_on_a_page() -> None:
    """The generated reference lists all options; a page says what each is for."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())

    def options(command: Any) -> Iterator[str]:
        yield from (name for p in command.params for name in getattr(p, "opts", ()))
        for inner in getattr(command, "commands", {}).values():
            yield from options(inner)

    found = {name for name in options(get_command(app)) if name.startswith("--")}
    found -= {"--help", "--output"}  # pages have -o
    assert [n for n in sorted(found) if not re.search(rf"{n}(?![\w-])", text)] == []


_CODE = re.compile(r"`(?P<file>[\w/]+\.py)`(?P<names>(?:, `[\w.]+`)*)")


def test_the_code_that_a_page_names_exists() -> None:
    named = 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        folders = [ROOT, *(ROOT / name for name in re.findall(r"`(plugins/\w+)/`", text))]
        for code in _CODE.finditer(text):
            files = [f / code["file"] for f in folders if (f / code["file"]).is_file()]
            names = re.findall(r"`([\w.]+)`", code["names"])
            assert files or not names, f"{page}: {code['file']}"
            for name in (part for one in names for part in one.split(".")):
                named += 1
                defined = rf"^\s*(def|class) {name}\b"
                assert re.search(defined, files[0].read_text("utf-8"), re.M), (page, name)
    assert named > 20


def test_the_smallest_network_of_the_page_on_export_is_that_of_the_records() -> None:
    """Of the committed networks with five runs, and of the single runs, that reach 96.16."""
    suites = ("heart-darts", "nas-comparison", "small-networks", "smallest", "table-winners")
    runs = pd.concat([nasbench_ecg.runs(ROOT / "results", suite) for suite in suites])
    runs = runs[(runs["dataset"] == "mitbih-2lead") & (runs["protocol"] == "intra-patient")]
    recipe = ["evaluator.epochs", "evaluator.lr", "evaluator.batch_size", "evaluator.optimizer"]
    same = ["architecture", "parameters", "suite", *recipe]
    networks = runs.groupby(same, dropna=False)["f1_of_macro"]
    found = networks.agg(["size", "mean", "max"]).reset_index()
    often = found[(found["size"] >= 5) & (found["mean"] >= 0.9616)]["parameters"].min()
    single = found[found["max"] >= 0.9616]["parameters"].min()
    text = (DOCS / "howto" / "take-away.md").read_text("utf-8")
    for parameters in (single, often):
        assert f"{parameters:,.0f} parameters" in text


def _shipped_options() -> Iterator[tuple[str, str, str]]:
    """Yield component, type and description of each option of the shipped components."""
    registry = load_registry()
    for component in (c for kind in KINDS for c in registry.components(kind)):
        for name, option in component.options_model().model_fields.items():
            text = f"{component.kind} {component.name}, {name}"
            yield text, str(option.annotation), option.description or ""


def test_the_description_of_an_option_says_what_null_does() -> None:
    """Users write null; None is Python's word, and 'none' is refused unless it is a value."""
    unsaid, refused = [], []
    for option, annotation, text in _shipped_options():
        may_be_null = re.search(r"\bNone\b", annotation) is not None
        if may_be_null and not re.search(r"\b[Nn]ull\b|by default|if one did|needs one", text):
            unsaid.append(option)
        offers_none = re.search(r"\bor none\b|\bnone (keeps|is)\b", text)
        if "None" in text or (may_be_null and offers_none and "'none'" not in annotation):
            refused.append(option)
    assert (unsaid, refused) == ([], [])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    pytest.importorskip("mkdocs", reason="needs mkdocs: pip install 'nasbench-ecg[docs]'")
    pytest.importorskip("mkdocstrings", reason="needs mkdocstrings: nasbench-ecg[docs]")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "http_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return out


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(site: Path) -> None:
    assert (site / "index.html").exists()


def test_no_page_loads_anything_from_another_site(site: Path) -> None:
    loads = re.compile(
        r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>"""
    )
    for page in site.rglob("*.html"):
        if page.name.startswith("leaderboard-"):
            continue
        found = [tag for tag in loads.findall(page.read_text()) if 'rel="canonical"' not in tag]
        assert not found, (page, found)


def test_the_reference_has_every_shipped_component_and_option(site: Path) -> None:
    registry = load_registry()
    shipped = {plugin.name for plugin in registry.plugins if plugin.shipped}
    plural = {"strategy": "strategies", "search-space": "search-spaces"}
    for kind in KINDS:
        text = (site / "reference" / f"{plural.get(kind, kind + 's')}.html").read_text()
        for component in registry.components(kind):
            if component.plugin not in shipped:
                continue
            assert f'id="{component.name}"' in text, component.name
            for option in component.options_model().model_fields:
                assert f"<code>{option}</code>" in text, (component.name, option)


def test_the_reference_has_every_command(site: Path) -> None:
    text = (site / "reference" / "cli.html").read_text()

    def paths(command: Any, path: str) -> Iterator[str]:
        yield path
        for name, inner in getattr(command, "commands", {}).items():
            yield from paths(inner, f"{path}-{name}")

    for path in paths(get_command(app), "nasbench-ecg"):
        assert path == "nasbench-ecg" or f'id="{path}"' in text, path


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs the browser chromium")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("supernet", "explanation/supernet.html?h=supernet"),
        ("--retry-failed", "reference/cli.html?h=retry+failed"),
    ],
)
def test_the_search_works_without_a_server(site: Path, query: str, found: str) -> None:
    done = subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            "--virtual-time-budget=8000",
            f"{(site / 'index.html').as_uri()}?q={query}",
        ],
        capture_output=True,
        text=True,
    )
    assert found in done.stdout


def test_the_page_of_results_links_the_leaderboards_and_holds_none(site: Path) -> None:
    text = (site / "explanation" / "results.html").read_text()
    assert len(re.findall("<h[12][^>]*>Results", text)) == 1
    assert re.search(r"<h2[^>]*>[^<]*\(<code>inter-patient-seeds</code>\)", text)
    boards = sorted(page.name for page in (site / "explanation").glob("leaderboard-*.html"))
    assert boards and all(f'href="{name}"' in text for name in boards)
    assert "How much is the seed" not in text  # of a leaderboard's notes


def test_the_figures_of_the_first_page_fit_a_phone(site: Path) -> None:
    css = (site / "assets" / "extra.css").read_text()
    for rule in re.findall(r"\.pictures img \{([^}]*)\}", css):
        assert "min-width" not in rule and "max-width: none" not in rule


def test_every_generated_part_of_a_page_is_generated(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "<!-- generate:" not in page.read_text(), page


def test_the_figures_of_searches_are_drawn_for_the_site(site: Path) -> None:
    page = (site / "howto" / "table.html").read_text()
    for name in ("regret", "regret-distribution"):
        assert f'src="figures/{name}.svg"' in page
        figure = (site / "howto" / "figures" / f"{name}.svg").read_text()
        assert "<svg" in figure and "<dc:date>" not in figure  # two builds are equal


def test_no_line_breaks_within_the_name_of_an_option(site: Path) -> None:
    text = (site / "howto" / "options.html").read_text()
    assert '<code><span class="option">--set</span></code>' in text
    assert "<code>--" not in text


@pytest.mark.parametrize(
    ("typed", "offered"), [("run dar", "darts"), ("run darts synth", "synthetic-2lead")]
)
def test_component_names_complete_in_a_shell(typed: str, offered: str) -> None:
    code = (
        "import sys; from nasbench_ecg.cli import main; sys.argv = ['nasbench-ecg']\n"
        "try:\n    main()\n"
        "finally:\n    sys.stderr.write(str('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "_NASBENCH_ECG_COMPLETE": "complete_bash",
            "COMP_WORDS": f"nasbench-ecg {typed}",
            "COMP_CWORD": str(len(typed.split())),
        },
        capture_output=True,
        text=True,
    )
    assert offered in done.stdout.split()
    assert done.stderr.endswith("False"), "completion imports torch"

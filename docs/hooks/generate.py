"""Fill the pages at build time: replace ``<!-- generate: what [argument] -->`` by Markdown.

The content comes from the installed package and the committed results, in a fixed order. Two builds
of one commit are equal, and no generated file is committed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from pages import commands, components, measured, notebooks, schema, searches, suites

_MARKER = re.compile(r"^<!-- generate: (?P<what>[a-z-]+)(?: (?P<argument>[a-z-]+))? -->$", re.M)
_CODE = re.compile(r"(?<=<code>)[^<]*--[^<]*(?=</code>)")
_OPTION = re.compile(r"--[a-z][a-z0-9-]*")
_ROOT = Path(__file__).resolve().parents[2]

_GENERATORS: dict[str, Callable[[str], str]] = {
    "commands": lambda _: commands.page(),
    "components": components.page,
    "protocols": lambda _: components.protocols(),
    "record": lambda _: schema.page(),
    "suites": lambda _: suites.page(),
    "noise": lambda _: measured.noise(_ROOT / "results"),
    "speed": lambda _: measured.speed(_ROOT / "results"),
    "leaderboards": lambda _: measured.leaderboards(_ROOT / "results"),
}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the markers of a page by generated Markdown."""
    return _MARKER.sub(lambda found: _GENERATORS[found["what"]](found["argument"] or ""), markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Keep the names of options whole: browsers break a line between two hyphens."""
    return _CODE.sub(
        lambda found: _OPTION.sub(r'<span class="option">\g<0></span>', found[0]), html
    )


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add schema, HTML leaderboards, figures and pages of notebooks to the site."""
    for notebook in sorted((_ROOT / "docs" / "notebooks").glob("*.ipynb")):
        uri = f"notebooks/{notebook.stem}.md"
        files.append(File.generated(config, uri, content=notebooks.page(notebook)))
    files.append(
        File.generated(config, "reference/run-record.schema.json", content=schema.json_schema())
    )
    for leaderboard in measured.html_leaderboards(_ROOT / "results"):
        uri = f"explanation/{measured.html_name(leaderboard)}"
        files.append(File.generated(config, uri, abs_src_path=str(leaderboard)))
    for figure in measured.figures(_ROOT / "results"):
        uri = f"explanation/figures/{figure.name}"
        files.append(File.generated(config, uri, abs_src_path=str(figure)))
    for name, svg in searches.figures(_ROOT / "results").items():
        files.append(File.generated(config, f"howto/figures/{name}", content=svg))
    return files

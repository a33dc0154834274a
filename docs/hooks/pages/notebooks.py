"""Pages of notebooks: their cells, and the outputs that are stored in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

_NOTEBOOK_LINK = re.compile(r"\]\((?P<page>[\w./-]+)\.ipynb\)")
_PANDAS_STYLE = re.compile(r"<style scoped>.*?</style>\s*", re.S)
_PANDAS_TABLE = re.compile(r"<table [^>]*>")
_BLANK_LINES = re.compile(r"\n\s*\n")


def page(notebook: Path) -> str:
    """Return a notebook as Markdown, with a link to the notebook itself."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = [part for cell in cells for part in _cell(cell)]
    link = f"[Download this notebook]({notebook.name}){{: download}}"
    return "\n\n".join([parts[0], link, *parts[1:]]) + "\n"


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield _NOTEBOOK_LINK.sub(r"](\g<page>.md)", source)
        return
    yield f"```python\n{source}\n```"
    shown = [text for output in cell["outputs"] if (text := _output(output, cell["metadata"]))]
    if shown:
        yield f'<div class="output">\n{"".join(shown)}</div>'


def _output(output: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """Return an output as HTML without blank lines, which end a block of Markdown."""
    data = output.get("data", {})
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        alt = escape(metadata["alt"])
        return f'<img alt="{alt}" src="data:image/png;base64,{picture}">\n'
    if "text/html" in data:
        html = _PANDAS_STYLE.sub("", "".join(data["text/html"]))
        html = _PANDAS_TABLE.sub("<table>", html).strip()
        return f"<div>{_BLANK_LINES.sub(chr(10), html)}</div>\n" if html else ""
    text = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
    return f"<pre>{_BLANK_LINES.sub(chr(10), escape(text))}</pre>\n" if text else ""

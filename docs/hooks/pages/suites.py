"""The page of suites, from their files."""

from __future__ import annotations

from importlib.resources import files

from nasbench_ecg.suite.spec import shipped_suites


def page() -> str:
    """Return Markdown of every shipped suite with its file."""
    folder = files("nasbench_ecg_suites")
    parts = []
    for suite in shipped_suites():
        text = (folder / suite.path).read_text(encoding="utf-8").strip()
        parts.append(
            f"## `{suite.name}` {{#{suite.name}}}\n\n{suite.content.title}. "
            f"{suite.content.about.strip()}\n\n"
            f'```toml title="{suite.path}"\n{text}\n```'
        )
    return "\n\n".join(parts)

"""Execute the notebooks of this folder and store their outputs; run it without arguments.

Each one is executed in an empty folder. The site shows the stored outputs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def executed(
    notebook: Path,
    folder: Path,
    kernel: str = "python3",
    *more: nbformat.NotebookNode,
) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of its cells, executed in ``folder``.

    Args:
        notebook: The notebook.
        folder: Working directory of the kernel.
        kernel: Name of the kernel.
        more: Cells that are executed after its own.

    Raises:
        CellExecutionError: A cell fails.
    """
    node = nbformat.read(notebook, as_version=4)
    node.cells += more
    client = NotebookClient(
        node,
        kernel_name=kernel,
        timeout=600,
        startup_timeout=600,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    node.metadata.pop("widgets", None)
    node.metadata.language_info = {"name": "python"}
    return node


def main() -> None:
    """Execute all notebooks, and store them with their outputs."""
    for notebook in sorted(HERE.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(notebook, Path(folder)), notebook)
        print(f"Written: {notebook}")


if __name__ == "__main__":
    main()

"""Searches that were compared on a table, as tables, text and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_ecg.tables.comparison import SearchComparison
    from nasbench_ecg.tables.requested_searches import SearchSettings
    from nasbench_ecg.tables.table import Table

_WIDTH = 120


class ComparedSearches:
    """Searches that were repeated on a table, compared with random search.

    A notebook shows the verdicts and regrets as tables; ``print`` writes them as text.

    Attributes:
        comparison: The figures, as fractions.
        data: The table that the searches ran on.
    """

    def __init__(self, comparison: SearchComparison, data: Table) -> None:
        self.comparison = comparison
        self.data = data

    @property
    def settings(self) -> tuple[SearchSettings, ...]:
        """How each search was run."""
        return self.comparison.settings

    def __str__(self) -> str:
        from rich.text import Text

        from nasbench_ecg.report.render.terminal import as_text, render_tables
        from nasbench_ecg.report.studies.search_comparison import summary_tables, title

        shown = render_tables(summary_tables(self.data, self.comparison))
        return as_text([Text(title(self.data)), shown], width=_WIDTH)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from nasbench_ecg.report.render.html import fragment
        from nasbench_ecg.report.studies.search_comparison import summary_tables

        return fragment(summary_tables(self.data, self.comparison))

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row for each budget, measure and search; see ``SearchComparison``."""
        return self.comparison.to_dataframe()

    def repetitions(self) -> pd.DataFrame:
        """Return one row for each budget, search and repetition; see ``SearchComparison``."""
        return self.comparison.repetitions()

    def as_data(self) -> dict[str, Any]:
        """Return the comparison as JSON data; scores are fractions."""
        from nasbench_ecg.report.studies.search_comparison import as_data

        return as_data(self.data, self.comparison)

    def render(self, form: str) -> str:
        """Return the report as ``markdown``, ``csv``, ``latex``, ``html`` (a page) or ``json``.

        Raises:
            OptionError: There is no such format.
        """
        from nasbench_ecg.report.studies.search_comparison import render

        return render(self.data, self.comparison, form)

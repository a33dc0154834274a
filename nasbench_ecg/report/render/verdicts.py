"""Tables of verdicts as Markdown, and the blocks of a text that hold them.

A block starts with ``<!-- verdicts: SUITE -->`` and ends with ``<!-- end of verdicts -->``; the
table between is that of the runs of the suite, and of those submitted for its leaderboards.
``SUITE · PROFILE`` takes the runs of one profile.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasbench_ecg.errors import OptionError, nearest
from nasbench_ecg.report.leaderboard.build import leaderboards
from nasbench_ecg.report.leaderboard.grouping import of_suite
from nasbench_ecg.report.leaderboard.types import Leaderboard
from nasbench_ecg.report.leaderboard.verdicts import verdict_table
from nasbench_ecg.report.render.markdown import table_and_notes
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.text import printable

_END = "<!-- end of verdicts -->"
_BLOCK = re.compile(rf"(<!-- verdicts: (\S+)(?: · (\S+))? -->)\n.*?{_END}", re.DOTALL)


def render(boards: Sequence[Leaderboard]) -> str:
    """Return the verdicts of leaderboards as Markdown, with how many may be chance."""
    table = verdict_table(boards)
    if table is None:
        return "No two methods were run with two seeds or more.\n"
    return printable(table_and_notes(table)) + "\n"


def filled(text: str, records: Sequence[RunRecord], where: str) -> str:
    """Return ``text`` with the verdicts of ``records`` in its blocks.

    Args:
        text: The text.
        records: The runs of all suites.
        where: The file, named in errors.

    Raises:
        OptionError: The text has no block, or a block names a suite without runs.
    """

    def block(found: re.Match[str]) -> str:
        start, suite, profile = found.groups()
        runs = [r for r in of_suite(records, suite) if profile in (None, r.profile)]
        if not runs:
            raise OptionError(
                f"There is no run of suite {suite!r}{f' and profile {profile!r}' * bool(profile)}.",
                where=where,
                fix=nearest(suite, {record.suite for record in records}),
            )
        return f"{start}\n\n{render(leaderboards(runs))}\n{_END}"

    if not _BLOCK.search(text):
        raise OptionError(
            "The file has no block of verdicts.",
            where=where,
            fix=f"Write '<!-- verdicts: SUITE -->' and '{_END}' where a table shall be.",
        )
    return _BLOCK.sub(block, text)

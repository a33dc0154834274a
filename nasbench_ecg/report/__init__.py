"""What run records say, in the terminal and on the page.

``leaderboard``: methods ranked on one dataset and protocol. ``statistics``: over seeds, patients
and datasets. ``networks``: tests of trained networks. ``studies``: transfer, rank correlation,
searches on a table. ``summary``: one run. ``render``: the formats. All tables are of
:mod:`.table`, and :mod:`.measures` names what they show.
"""

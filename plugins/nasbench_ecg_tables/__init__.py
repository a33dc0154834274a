"""Tables that come with the project: every trained member of a small space, on each track.

The package holds a folder ``SPACE/DATASET-PROTOCOL`` for each table and no code. It is found by its
entry point in the group ``nasbench_ecg.tables``.
"""

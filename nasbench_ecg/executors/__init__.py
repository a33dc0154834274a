"""Where the runs of a suite are executed."""

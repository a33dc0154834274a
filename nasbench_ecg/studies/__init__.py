"""Studies on top of runs: transfer of architectures between datasets, agreement of evaluators."""

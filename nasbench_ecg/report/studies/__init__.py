"""What studies of many runs say: on other datasets, of evaluators, of searches on a table."""

"""The functions behind ``import nasbench_ecg as nb`` and behind the verbs of the command line."""

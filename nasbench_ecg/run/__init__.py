"""One run: its configuration, its key, its execution and its record."""

import sys

from nasbench_ecg import _RunPackage

sys.modules[__name__].__class__ = _RunPackage

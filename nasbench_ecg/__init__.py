"""A benchmark of neural architecture search for ECG heartbeat classification.

Plugin authors import :mod:`nasbench_ecg.api`; users run ``nasbench-ecg``.
"""

from nasbench_ecg.lazy import lazy_names

__version__ = "0.1.0"

__getattr__ = lazy_names(__name__, {"nasbench_ecg.tables.api": ["table"]})

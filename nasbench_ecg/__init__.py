"""A benchmark of neural architecture search for ECG heartbeat classification.

Plugin authors import :mod:`nasbench_ecg.api`; users run ``nasbench-ecg``.
"""

__version__ = "0.1.0"

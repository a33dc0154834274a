"""Variants of DARTS; each changes some hooks of :class:`~nasbench_ecg_darts.variant.Variant`."""

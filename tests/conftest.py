"""Tests compute on one thread: networks this small wait for threads longer than they compute."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

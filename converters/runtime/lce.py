"""The interpreter of Larq Compute Engine, for x86-64 and macOS."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np


class LceEngine:
    """One file in Larq Compute Engine's interpreter, in its fast setting.

    Args:
        content: The file.
        num_threads: Threads to compute with.

    Raises:
        ImportError: If Larq Compute Engine is not installed.
    """

    def __init__(self, content: bytes, num_threads: int):
        try:
            import larq_compute_engine as lce
        except ImportError as error:
            raise ImportError(
                "This needs larq-compute-engine: "
                "pip install larq-compute-engine==0.16.0"
            ) from error
        # The default kernels of its x86 build are slower than float32.
        self._lock = threading.Lock()
        self._interpreter = lce.testing.Interpreter(
            content, num_threads, use_indirect_bgemm=True, use_xnnpack=True
        ).interpreter

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs the file once, on arrays of exactly the shapes of its inputs."""
        # Another thread would put its inputs between these and their answer.
        with self._lock:
            return self._interpreter.predict(list(arrays))

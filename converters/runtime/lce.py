"""The interpreter of Larq Compute Engine, for x86-64 and macOS."""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.runtime.processes import OfOneProcess, keep_for_ever


class LceEngine(OfOneProcess):
    """One file in Larq Compute Engine's interpreter, in its fast setting.

    Args:
        content: The file.
        num_threads: Threads to compute with.

    Raises:
        ImportError: If Larq Compute Engine is not installed, or does not load.
        ValueError: If it cannot run the file.
    """

    def __init__(self, content: bytes, num_threads: int):
        super().__init__(num_threads)
        lce = _larq_compute_engine()
        self._lock = threading.Lock()
        try:
            # The default kernels of its x86 build are slower than float32.
            self._interpreter = lce.testing.Interpreter(
                content, num_threads, use_indirect_bgemm=True, use_xnnpack=True
            ).interpreter
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ValueError(
                f"Larq Compute Engine cannot run this file: {_line(error)}"
            ) from error
        weakref.finalize(self, _let_go, vars(self))

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs the file once, on arrays of exactly the shapes of its inputs."""
        self.check_process()
        # Another thread would put its inputs between these and their answer.
        with self._lock:
            try:
                return self._interpreter.predict(list(arrays))
            except RuntimeError as error:
                raise ValueError(f"The file does not run: {_line(error)}") from error


def _larq_compute_engine() -> Any:
    if importlib.util.find_spec("larq_compute_engine") is None:
        raise ImportError(
            "This needs larq-compute-engine: pip install larq-compute-engine==0.16.0"
        )
    try:
        return importlib.import_module("larq_compute_engine")
    except ImportError as error:
        raise ImportError(
            f"larq-compute-engine is installed and does not load: {_line(error)}"
        ) from error


def _let_go(attributes: dict[str, Any]) -> None:
    """Ends the interpreter, but in a process that has not its threads."""
    if os.getpid() != attributes["_process"]:
        keep_for_ever(attributes["_interpreter"])


def _line(error: Exception) -> str:
    """Returns what native code says in one line."""
    return " ".join(str(error).split())

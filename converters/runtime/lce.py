"""Larq Compute Engine's interpreter as a backend, for x86-64 and macOS."""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import weakref
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from converters.runtime.processes import OfOneProcess, keep_for_ever, one_line


class LceEngine(OfOneProcess):
    """A file in Larq Compute Engine's interpreter, with its fast options.

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
            # With its default options, its x86 build is slower than float32.
            self._interpreter = lce.testing.Interpreter(
                content, num_threads, use_indirect_bgemm=True, use_xnnpack=True
            ).interpreter
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ValueError(
                f"Larq Compute Engine cannot run this file: {one_line(error)}"
            ) from error
        weakref.finalize(self, _let_go, vars(self))

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs the file once, on arrays of exactly the shapes of its inputs."""
        self.check_process()
        # Another thread could set its inputs between these and the run.
        with self._lock:
            try:
                return self._interpreter.predict(list(arrays))
            except RuntimeError as error:
                raise ValueError(f"The file does not run: {one_line(error)}") from error


def _larq_compute_engine() -> ModuleType:
    if importlib.util.find_spec("larq_compute_engine") is None:
        raise ImportError(
            "This needs larq-compute-engine: pip install larq-compute-engine==0.16.0"
        )
    try:
        return importlib.import_module("larq_compute_engine")
    except ImportError as error:
        raise ImportError(
            f"larq-compute-engine is installed and does not load: {one_line(error)}"
        ) from error


def _let_go(attributes: dict[str, object]) -> None:
    """Ends the interpreter, except in a forked child, which has no threads of it."""
    if os.getpid() != attributes["_process"]:
        keep_for_ever(attributes["_interpreter"])

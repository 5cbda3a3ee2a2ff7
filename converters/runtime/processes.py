"""Native objects that belong to the process that made them."""

from __future__ import annotations

import ctypes
import os
from typing import Any


class OfOneProcess:
    """An object whose threads are not there in a process that was forked from its own.

    A run in such a child would wait for them for ever.

    Args:
        num_threads: Its threads; with one it has none but that of the caller, and goes
            on in a child.
    """

    def __init__(self, num_threads: int):
        self._process, self._has_threads = os.getpid(), num_threads > 1

    def check_process(self) -> None:
        """Refuses a process that inherited the object.

        Raises:
            RuntimeError: In a process that was forked after an object with several
                threads was made.
        """
        if self._has_threads and os.getpid() != self._process:
            raise RuntimeError(
                f"This Interpreter was made in process {self._process} and its threads "
                f"are not in {os.getpid()}, which was forked from it: make it in the "
                "process that runs it, with num_threads=1, or start processes with "
                "multiprocessing.get_context('spawn')."
            )


def keep_for_ever(thing: Any) -> None:
    """Keeps an object from being ended, as by a process that only inherited it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))

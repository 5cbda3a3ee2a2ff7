"""Native objects with threads, which a forked child does not have."""

from __future__ import annotations

import ctypes
import os


class OfOneProcess:
    """An object that a forked child must not run: its threads are not forked.

    A run in the child would wait for them forever.

    Args:
        num_threads: Its threads. With one, it uses the thread of the caller only, and
            works in a child.
    """

    def __init__(self, num_threads: int):
        self._process, self._has_threads = os.getpid(), num_threads > 1

    def check_process(self) -> None:
        """Refuses a forked child.

        Raises:
            RuntimeError: If the object has several threads and was made in a parent
                process.
        """
        if self._has_threads and os.getpid() != self._process:
            raise RuntimeError(
                f"This Interpreter was made in process {self._process} and its threads "
                f"are not in {os.getpid()}, which was forked from it: make it in the "
                "process that runs it, with num_threads=1, or start processes with "
                "multiprocessing.get_context('spawn')."
            )


def keep_for_ever(thing: object) -> None:
    """Leaks an object, so that a forked child never runs its destructor."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def one_line(error: Exception) -> str:
    """Returns the message of native code in one line."""
    return " ".join(str(error).split())

"""Host description: board or processor, cores, system; printed beside each time."""

from __future__ import annotations

import os
import pathlib
import platform

_BOARD = pathlib.Path("/proc/device-tree/model")
_PROCESSOR = pathlib.Path("/proc/cpuinfo")


def host_description() -> str:
    """Returns board or processor, number of cores, system.

    Example:
        >>> host_description().count(", ") >= 2
        True
    """
    return (
        f"{_name()}, {os.cpu_count()} cores, {platform.system()} {platform.release()} "
        f"{platform.machine()}"
    )


def free_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _name() -> str:
    """Returns the name of the board, or else of the processor."""
    try:
        return _BOARD.read_text().strip("\0\n ")
    except (OSError, UnicodeDecodeError):
        pass
    try:
        for line in _PROCESSOR.read_text().splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            if key.lower() in ("model name", "model") and not value.isdigit():
                return value
    except OSError:
        pass
    return platform.processor() or platform.machine()

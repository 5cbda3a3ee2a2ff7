"""What a run was computed on, and by which commit of the code."""

from __future__ import annotations

import os
import pathlib
import platform
import re
import subprocess

from larq_bnnopt._version import __version__

_HERE = pathlib.Path(__file__).resolve()


def processor() -> str:
    """Returns the name of the processor, with the number of cores of this process."""
    from larq_bnnopt.recipes.runs import free_cores

    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    except OSError:  # Not on every system.
        match = None
    name = match[1].strip() if match else platform.processor() or platform.machine()
    return f"{name}, {free_cores()} cores"


def commit() -> str:
    """Returns the commit of the code; its version if it does not lie in its repository.

    A `+` follows if files of the repository were changed since.
    """
    # An environment may lie in the repository of something else.
    if _git("ls-files", "--error-unmatch", _HERE.name) is None:
        return f"version {__version__}"
    changed = _git("status", "--porcelain", "--untracked-files=no")
    name = _git("rev-parse", "--short=10", "HEAD")
    return f"commit {name}{'+' if changed else ''}"


def _git(*words: str) -> str | None:
    """Returns what git prints, `None` if it fails or is missing."""
    command = ["git", "-C", os.fspath(_HERE.parent), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

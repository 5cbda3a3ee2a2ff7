"""What `quickstart` and `train` share: a training with a bar, and its end."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

from larq_bnnopt.cli.console import ProgressBar, console


def with_bar(fit: Callable[[Any], Any], folder: pathlib.Path) -> Any:
    """Calls a training function with a progress bar; says how to go on after Ctrl-C."""
    bar = ProgressBar()
    try:
        return fit([bar])
    except KeyboardInterrupt:
        bar.close()
        console.print(f"Go on with: bnnopt train --resume {folder}")
        raise

"""What `quickstart` and `train` share: a training with a bar, and its end."""

from __future__ import annotations

import os
import pathlib
import shlex
from collections.abc import Callable
from typing import Any

from larq_bnnopt.cli.console import console, counts, warnings_as_lines
from larq_bnnopt.cli.progress_bar import ProgressBar
from larq_bnnopt.cli.silence import start_xla


def with_bar(fit: Callable[[Any, Any], Any], folder: str | os.PathLike[str]) -> Any:
    """Calls a training function with a progress bar; says how to go on after Ctrl-C.

    Args:
        fit: Takes callbacks, and a function that is told how many images of how many
            were looked at before.
        folder: The folder of the run.
    """
    start_xla()
    bar = ProgressBar()
    try:
        with warnings_as_lines(), counts("looking at the images") as tell:
            return fit([bar], tell)
    except KeyboardInterrupt:
        bar.close()
        if (pathlib.Path(folder) / "config.json").exists():
            words = f"bnnopt train --resume {shlex.quote(os.fspath(folder))}"
            console.print(f"Go on with: {words}")
        raise
    finally:
        bar.close()

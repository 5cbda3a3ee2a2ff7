"""Names of files and classes as texts that can be printed, written and drawn."""

from __future__ import annotations

import os


def printable(name: str | os.PathLike[str]) -> str:
    r"""Returns a name with `\udc..` for each byte that is not UTF-8.

    Example:
        >>> printable("caf\udce9") == r"caf\udce9", printable("café")
        (True, 'café')
    """
    return os.fspath(name).encode("utf-8", "backslashreplace").decode("utf-8")


def drawable(name: str | os.PathLike[str]) -> str:
    r"""Returns a name that Matplotlib draws as it is.

    It would take `$` for the begin of a formula, and leave a name that starts with `_`
    out of a legend.

    Example:
        >>> drawable("_5$ to 9$") == r" _5\$ to 9\$"
        True
    """
    text = printable(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text

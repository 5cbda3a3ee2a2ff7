"""Names of networks: how they are compared, and the nearest ones to an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def plain(name: str) -> str:
    """Returns a name in lower case without `_` and `-`, for comparisons.

    Example:
        >>> plain("MeliusNet_A") == plain("meliusnet-a")
        True
    """
    return name.lower().replace("_", "").replace("-", "")


def nearest(name: str, known: Collection[str], otherwise: str) -> str:
    """Returns the part of an error message that names the nearest known names.

    Args:
        name: The unknown name.
        known: The known names, in lower case.
        otherwise: Returned if no known name is near.

    Example:
        >>> nearest("meliusnet2", ["meliusnet22", "bnext18"], "See the list.")
        'Nearest: meliusnet22.'
        >>> nearest("vgg", ["meliusnet22", "bnext18"], "See the list.")
        'See the list.'
    """
    near = [one for one in known if name and name.lower() in one]
    near = near or difflib.get_close_matches(name.lower(), known, cutoff=0.6)
    return f"Nearest: {', '.join(near)}." if near else otherwise

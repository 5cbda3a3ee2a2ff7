"""Matches of a rewrite that pass its check; a debug log says why others do not.

    logging.getLogger("converters.rewrites").setLevel(logging.DEBUG)

prints lines such as "fuse_batchnorm_into_sign: conv_3: gamma is no constant".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from tensorflow.core.framework.node_def_pb2 import NodeDef

from converters.graph.graph import Graph


class Match(Protocol):
    """A place of a graph that looks like what a rewrite changes."""

    @property
    def node(self) -> NodeDef:
        """The operation by whose layer it is named."""


_M = TypeVar("_M", bound=Match)


def passing(
    logger: logging.Logger,
    graph: Graph,
    matches: Iterable[_M],
    check: Callable[[Graph, _M], str | None],
) -> Iterator[_M]:
    """Yields the matches that pass a check, and logs the reason for each other one.

    Args:
        logger: The logger of the rewrite's file.
        graph: The graph.
        matches: The matches; each is checked when it is asked for.
        check: Returns why a match is left as it is, `None` if it is to be changed.

    Yields:
        The matches to change.
    """
    for match in matches:
        reason = check(graph, match)
        if reason is None:
            yield match
        else:
            log_refusal(logger, graph.layer(match.node), reason)


def log_refusal(logger: logging.Logger, layer: str, reason: str) -> None:
    """Logs why a rewrite leaves a layer as it is.

    Args:
        logger: The logger of the rewrite's file.
        layer: Name of the layer.
        reason: The reason.
    """
    logger.debug("%s: %s: %s", logger.name.rpartition(".")[2], layer, reason)

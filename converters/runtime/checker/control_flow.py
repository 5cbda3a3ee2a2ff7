"""Contracts of operators that call another graph of the file."""

from __future__ import annotations

from collections.abc import Callable

from converters.runtime.checker.node import Node


def _check_if(node: Node) -> None:
    for field in ("thenSubgraphIndex", "elseSubgraphIndex"):
        _check_call(node, node.option(field), len(node.inputs) - 1)


def _check_while(node: Node) -> None:
    number = len(node.inputs)
    node.need(
        number == len(node.output_shapes),
        f"it has {number} inputs and {len(node.output_shapes)} outputs",
    )
    _check_call(node, node.option("bodySubgraphIndex"), number)
    _check_call(node, node.option("condSubgraphIndex"), number, 1)


def _check_call_once(node: Node) -> None:
    _check_call(node, node.option("initSubgraphIndex"), 0, 0)


def _check_call(
    node: Node, graph: int, inputs: int, outputs: int | None = None
) -> None:
    node.need(graph in range(len(node.graphs)), f"it calls graph {graph}")
    expected = inputs, len(node.output_shapes) if outputs is None else outputs
    node.need(
        node.graphs[graph] == expected, f"graph {graph} has other inputs or outputs"
    )


# Rules that hold whatever the shapes are.
RULES: dict[str, Callable[[Node], None]] = {
    "CALL_ONCE": _check_call_once,
    "IF": _check_if,
    "WHILE": _check_while,
}

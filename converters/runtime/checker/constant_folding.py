"""Constant folding: outputs that follow from constants and shapes, before a run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.runtime.checker.node import Node

_MAX_ELEMENTS = 1024
_LARGEST_FACTOR = 2**16
Values = Sequence[np.ndarray]


def fold(node: Node) -> list[np.ndarray] | None:
    """Returns an operator's outputs, `None` if they are not known before a run.

    Most sizes in a graph are computed from shapes, so they can be checked before LiteRT
    uses them.
    """
    if node.name in ("SHAPE", "RANK"):
        return _shape(node)
    rule = _RULES.get(node.name)
    values = [value for value in node.values if value is not None]
    is_known = bool(values) and len(values) == len(node.inputs)
    if rule is None or not is_known or node.option("fusedActivationFunction"):
        return None
    if sum(value.size for value in values) > _MAX_ELEMENTS:
        return None
    with np.errstate(all="ignore"), contextlib.suppress(ArithmeticError, ValueError):
        with contextlib.suppress(IndexError, TypeError):
            made = rule(node, values)
            if sum(value.size for value in made) <= _MAX_ELEMENTS:
                return made
    return None


def depends_on_shapes(node: Node, are_bounded: Sequence[bool]) -> bool:
    """Whether an operator's outputs follow from shapes, known or not.

    Args:
        node: The operator.
        are_bounded: For each input, whether it is a constant or follows from shapes.
    """
    if node.name in ("SHAPE", "RANK"):
        return True
    return (
        node.name in _RULES
        and all(are_bounded)
        and all(
            np.abs(value.astype(np.float64)).max(initial=0) < _LARGEST_FACTOR
            for value in node.values
            if value is not None
        )
    )


def _shape(node: Node) -> list[np.ndarray] | None:
    if not node.knows_shapes:
        return None
    shape = node.shapes[0]
    if node.name == "RANK":
        return [np.array(len(shape), np.int32)]
    dtype = np.int64 if node.output_kinds[0] == "INT64" else np.int32
    return [np.array(shape, dtype)]


def _elementwise(function: Callable[..., object]) -> Callable[..., list[np.ndarray]]:
    def fold(node: Node, values: Values) -> list[np.ndarray]:
        return [np.asarray(function(*values))]

    return fold


def _reduced(function: Callable[..., object]) -> Callable[..., list[np.ndarray]]:
    def fold(node: Node, values: Values) -> list[np.ndarray]:
        axes = tuple({int(axis) for axis in values[1].ravel()})
        keep = bool(node.option("keepDims"))
        made = function(values[0], axis=axes, keepdims=keep)
        return [np.asarray(made, values[0].dtype)]

    return fold


def _quotient(node: Node, values: Values) -> list[np.ndarray]:
    if values[0].dtype.kind == "f":
        return [np.asarray(values[0] / values[1])]
    if not values[1].all():
        raise ValueError("a division by zero")
    return [np.trunc(values[0] / values[1]).astype(values[0].dtype)]


def _integer_quotient(
    function: Callable[..., object],
) -> Callable[..., list[np.ndarray]]:
    def fold(node: Node, values: Values) -> list[np.ndarray]:
        if not values[1].all():
            raise ValueError("a division by zero")
        return [np.asarray(function(*values))]

    return fold


def _cast(node: Node, values: Values) -> list[np.ndarray]:
    return [values[0].astype(np.dtype(node.output_kinds[0].lower()))]


def _pack(node: Node, values: Values) -> list[np.ndarray]:
    return [np.stack(values, node.option("axis"))]


def _unpack(node: Node, values: Values) -> list[np.ndarray]:
    axis = node.option("axis")
    return [np.take(values[0], i, axis) for i in range(len(node.output_shapes))]


def _concatenation(node: Node, values: Values) -> list[np.ndarray]:
    return [np.concatenate(values, node.option("axis"))]


def _reshape(node: Node, values: Values) -> list[np.ndarray]:
    return [values[0].reshape([int(size) for size in values[1]])]


def _squeeze(node: Node, values: Values) -> list[np.ndarray]:
    axes = node.option("squeezeDims")
    axes = tuple(int(a) for a in axes) if np.size(axes) and np.ndim(axes) else None
    return [np.squeeze(values[0], axes)]


def _expand(node: Node, values: Values) -> list[np.ndarray]:
    return [np.expand_dims(values[0], int(values[1].item()))]


def _gather(node: Node, values: Values) -> list[np.ndarray]:
    if node.option("batchDims"):
        raise ValueError("along batches")
    return [np.take(values[0], values[1], node.option("axis"))]


def _slice(node: Node, values: Values) -> list[np.ndarray]:
    places = zip(values[1].tolist(), values[2].tolist(), values[0].shape)
    return [
        values[0][
            tuple(slice(b, w if s == -1 else b + s) for b, s, w in places if b >= 0)
        ]
    ]


def _strided_slice(node: Node, values: Values) -> list[np.ndarray]:
    masks = ("ellipsisMask", "newAxisMask", "offset")
    if any(node.option(mask) for mask in masks):
        raise ValueError("of other axes")
    key: list[Any] = []
    for place, bounds in enumerate(zip(*(value.tolist() for value in values[1:]))):
        first, last, step = bounds
        if node.option("shrinkAxisMask") >> place & 1:
            key.append(first)
            continue
        begins = node.option("beginMask") >> place & 1
        ends = node.option("endMask") >> place & 1
        key.append(slice(None if begins else first, None if ends else last, step))
    return [np.asarray(values[0][tuple(key)])]


def _range(node: Node, values: Values) -> list[np.ndarray]:
    first, last, step = (value.item() for value in values)
    if step == 0 or (last - first) / step > _MAX_ELEMENTS:
        raise ValueError("too long")
    return [np.arange(first, last, step, values[0].dtype)]


def _filled(node: Node, values: Values) -> list[np.ndarray]:
    sizes = [int(size) for size in values[0]]
    if np.prod(sizes, dtype=float) > _MAX_ELEMENTS:
        raise ValueError("too large")
    return [np.full(sizes, values[1].item(), values[1].dtype)]


def _broadcast(node: Node, values: Values) -> list[np.ndarray]:
    one, other = (tuple(value.tolist()) for value in values)
    return [np.array(np.broadcast_shapes(one, other), values[0].dtype)]


_RULES: dict[str, Callable[[Node, Values], list[np.ndarray]]] = {
    "ABS": _elementwise(np.abs),
    "ADD": _elementwise(np.add),
    "BROADCAST_ARGS": _broadcast,
    "CAST": _cast,
    "CEIL": _elementwise(np.ceil),
    "CONCATENATION": _concatenation,
    "DIV": _quotient,
    "EQUAL": _elementwise(np.equal),
    "EXPAND_DIMS": _expand,
    "FILL": _filled,
    "FLOOR": _elementwise(np.floor),
    "FLOOR_DIV": _integer_quotient(np.floor_divide),
    "FLOOR_MOD": _integer_quotient(np.mod),
    "GATHER": _gather,
    "GREATER": _elementwise(np.greater),
    "GREATER_EQUAL": _elementwise(np.greater_equal),
    "LESS": _elementwise(np.less),
    "LESS_EQUAL": _elementwise(np.less_equal),
    "LOGICAL_AND": _elementwise(np.logical_and),
    "LOGICAL_NOT": _elementwise(np.logical_not),
    "LOGICAL_OR": _elementwise(np.logical_or),
    "MAXIMUM": _elementwise(np.maximum),
    "MINIMUM": _elementwise(np.minimum),
    "MUL": _elementwise(np.multiply),
    "NEG": _elementwise(np.negative),
    "NOT_EQUAL": _elementwise(np.not_equal),
    "PACK": _pack,
    "RANGE": _range,
    "REDUCE_MAX": _reduced(np.max),
    "REDUCE_MIN": _reduced(np.min),
    "REDUCE_PROD": _reduced(np.prod),
    "RESHAPE": _reshape,
    "ROUND": _elementwise(np.round),
    "SELECT": _elementwise(np.where),
    "SELECT_V2": _elementwise(np.where),
    "SLICE": _slice,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _elementwise(np.subtract),
    "SUM": _reduced(np.sum),
    "UNPACK": _unpack,
}

"""Contracts on the types of an operator's tensors, and on their scales."""

from __future__ import annotations

from collections.abc import Sequence

from converters.runtime.checker.node import Node

_ANY = 1 << 16
FLOAT, INT8, UINT8, INT16, INT32, INT64 = (
    "FLOAT32",
    "INT8",
    "UINT8",
    "INT16",
    "INT32",
    "INT64",
)
INTEGERS = (INT32, INT64)
BOOL = "BOOL"
QUANTIZED = (INT8, UINT8, INT16)
# The number of inputs that have the type of the outputs.
_SAME_TYPES = {
    **dict.fromkeys(
        (
            "ABS", "AVERAGE_POOL_2D", "CEIL", "COS", "DEPTH_TO_SPACE", "ELU", "EXP",
            "FLOOR", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOG",
            "LOGISTIC", "LOG_SOFTMAX", "MAX_POOL_2D", "NEG", "PRELU", "RELU", "RELU6",
            "RELU_N1_TO_1", "RELU_0_TO_1", "RESHAPE", "ROUND", "RSQRT", "SIN",
            "SPACE_TO_DEPTH", "SQRT", "SQUARE", "SQUEEZE", "TANH", "TRANSPOSE",
            "EXPAND_DIMS", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "PAD",
            "MIRROR_PAD", "SLICE", "STRIDED_SLICE", "TILE", "GATHER", "REVERSE_V2",
            "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "CUMSUM", "MEAN", "SUM",
            "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "UNPACK", "REVERSE_SEQUENCE",
            "BROADCAST_TO", "ZEROS_LIKE", "GATHER_ND", "MATRIX_DIAG",
        ),
        1,
    ),
    **dict.fromkeys(
        (
            "ADD", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "MUL", "POW",
            "SQUARED_DIFFERENCE", "SUB", "MATRIX_SET_DIAG", "BITWISE_XOR",
            "RIGHT_SHIFT", "ATAN2", "DYNAMIC_UPDATE_SLICE",
        ),
        2,
    ),
    **dict.fromkeys(("CONCATENATION", "PACK", "ADD_N"), _ANY),
}  # fmt: skip
_INDEX_INPUTS: dict[str, Sequence[int]] = {
    **dict.fromkeys(
        (
            "ARG_MAX", "ARG_MIN", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN",
            "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL", "TRANSPOSE", "TILE",
            "BROADCAST_TO", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "PAD",
            "MIRROR_PAD", "PADV2", "REVERSE_V2", "EXPAND_DIMS", "RESHAPE", "CUMSUM",
            "REVERSE_SEQUENCE",
        ),
        (1,),
    ),
    **dict.fromkeys(("SLICE", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND"), (1, 2)),
    "STRIDED_SLICE": (1, 2, 3),
    "FILL": (0,),
    "SPLIT": (0,),
    "SPLIT_V": (1, 2),
    "TRANSPOSE_CONV": (0,),
    "EMBEDDING_LOOKUP": (0,),
    "ONE_HOT": (0, 1),
}  # fmt: skip
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_WEIGHTED_TYPES = {
    (FLOAT, FLOAT, FLOAT),
    (FLOAT, INT8, FLOAT),
    (FLOAT, UINT8, FLOAT),
    (INT8, INT8, INT8),
    (INT8, INT8, INT16),
    (UINT8, UINT8, UINT8),
    (UINT8, UINT8, INT16),
    (INT16, INT8, INT16),
}
_PRODUCT_TYPES = {
    (FLOAT, FLOAT, FLOAT),
    (FLOAT, INT8, FLOAT),
    (INT8, INT8, INT8),
    (INT8, INT8, INT32),
    (INT16, INT16, INT16),
    (INT32, INT32, INT32),
}
_SELECTIONS = ("SELECT", "SELECT_V2")
COMPARISONS = (
    "EQUAL",
    "GREATER",
    "GREATER_EQUAL",
    "LESS",
    "LESS_EQUAL",
    "NOT_EQUAL",
)
_OUTPUT_TYPES: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (*COMPARISONS, "LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT", "REDUCE_ANY"),
        frozenset({BOOL}),
    ),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "SHAPE"), frozenset(INTEGERS)),
    "RANK": frozenset({INT32}),
    "WHERE": frozenset({INT64}),
    "DEQUANTIZE": frozenset({FLOAT}),
    "QUANTIZE": frozenset({*QUANTIZED, INT32}),
}
# The number of inputs that need a scale if the output is quantized.
_SCALED = {
    **dict.fromkeys(
        (
            "LOGISTIC", "TANH", "LEAKY_RELU", "HARD_SWISH", "ELU", "MEAN", "SUM",
            "L2_NORMALIZATION", "SOFTMAX", "LOG_SOFTMAX", "QUANTIZE", "DEQUANTIZE",
        ),
        1,
    ),
    **dict.fromkeys(
        (
            "ADD", "SUB", "MUL", "CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "PRELU",
            "DIV", "SQUARED_DIFFERENCE", *COMPARISONS,
        ),
        2,
    ),
}  # fmt: skip


def check_types(node: Node) -> None:
    """Refuses combinations of types that a kernel would misread."""
    if node.name in _SAME_TYPES:
        kinds = {*node.kinds[: _SAME_TYPES[node.name]], *node.output_kinds}
        node.need(len(kinds) == 1, f"its types {sorted(kinds)} differ")
    if node.name in _WEIGHTED:
        given, weights, made = node.kinds[0], node.kinds[1], node.output_kinds[0]
        if node.name == "TRANSPOSE_CONV":
            given = node.kinds[2]
        node.need(
            (given, weights, made) in _WEIGHTED_TYPES,
            f"its types {given}, {weights} and {made} do not match",
        )
    if node.name == "BATCH_MATMUL":
        three = node.kinds[0], node.kinds[1], node.output_kinds[0]
        node.need(three in _PRODUCT_TYPES, f"its types {three} do not match")
    if node.name in _SELECTIONS:
        chosen = [*node.kinds[1:], *node.output_kinds]
        node.need(
            node.kinds[0] == BOOL and len(set(chosen)) == 1, f"its types are {chosen}"
        )
    allowed = _OUTPUT_TYPES.get(node.name)
    node.need(
        allowed is None or allowed.issuperset(node.output_kinds),
        f"its output is {', '.join(node.output_kinds)}",
    )
    for place in _INDEX_INPUTS.get(node.name, ()):
        if place < len(node.kinds) and node.inputs[place] >= 0:
            node.need(
                node.kinds[place] in INTEGERS, f"its input {place} contains no integers"
            )
    number = _SCALED.get(node.name, 0)
    quantized = {*QUANTIZED} & {*node.output_kinds, *node.kinds[:number]}
    if quantized and number:
        scales = [
            scale
            for scale, kind in zip(
                (*node.scales[:number], *node.output_scales),
                (*node.kinds[:number], *node.output_kinds),
            )
            if kind in QUANTIZED
        ]
        node.need(
            all(scale is not None and scale > 0 for scale in scales),
            "its quantized tensors have no scale",
        )

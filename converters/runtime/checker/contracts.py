"""Operator contracts: what an operator of a .tflite must satisfy, by its name.

LiteRT checks only part of it, and native code may read out of bounds for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from converters.runtime.checker import control_flow, elementwise, layout, weighted
from converters.runtime.checker.custom_options import checked_custom_options
from converters.runtime.checker.node import Node
from converters.runtime.checker.tensor_types import check_types

_ANY = 1 << 16
# Arity: the least and the greatest number of inputs, and the number of outputs.
_ARITY: dict[str, tuple[int, int, int]] = {
    **dict.fromkeys(
        (
            "ABS", "AVERAGE_POOL_2D", "CAST", "CEIL", "COS", "DEPTH_TO_SPACE",
            "DEQUANTIZE", "ELU", "EXP", "FAKE_QUANT", "FLOOR", "GELU", "HARD_SWISH",
            "L2_NORMALIZATION", "L2_POOL_2D", "LEAKY_RELU",
            "LOCAL_RESPONSE_NORMALIZATION", "LOG", "LOGICAL_NOT", "LOGISTIC",
            "LOG_SOFTMAX", "MATRIX_DIAG", "MAX_POOL_2D", "NEG", "QUANTIZE", "RANK",
            "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SHAPE",
            "SIGN", "SIN", "SOFTMAX", "SPACE_TO_DEPTH", "SQRT", "SQUARE", "SQUEEZE",
            "TANH", "WHERE", "ZEROS_LIKE", "BUCKETIZE", "BITCAST",
            "LceQuantize", "LceDequantize", "LceBMaxPool2d",
        ),
        (1, 1, 1),
    ),
    **dict.fromkeys(
        (
            "ADD", "ARG_MAX", "ARG_MIN", "ATAN2", "BATCH_MATMUL", "BITWISE_XOR",
            "BROADCAST_ARGS", "BROADCAST_TO", "CUMSUM", "DIV", "EMBEDDING_LOOKUP",
            "EQUAL", "EXPAND_DIMS", "FILL", "FLOOR_DIV", "FLOOR_MOD", "GATHER",
            "GATHER_ND", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL",
            "LOGICAL_AND", "LOGICAL_OR", "MATRIX_SET_DIAG", "MAXIMUM", "MEAN",
            "MINIMUM", "MIRROR_PAD", "MUL", "NOT_EQUAL", "PAD", "POW", "PRELU",
            "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD",
            "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_SEQUENCE",
            "REVERSE_V2", "RIGHT_SHIFT", "SEGMENT_SUM", "SQUARED_DIFFERENCE", "SUB",
            "SUM", "TILE", "TRANSPOSE", "RFFT2D", "MULTINOMIAL",
        ),
        (2, 2, 1),
    ),
    **dict.fromkeys(
        (
            "BATCH_TO_SPACE_ND", "DYNAMIC_UPDATE_SLICE", "PADV2", "RANGE", "SCATTER_ND",
            "SELECT", "SELECT_V2", "SLICE", "SPACE_TO_BATCH_ND",
            "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN", "UNSORTED_SEGMENT_PROD",
            "UNSORTED_SEGMENT_SUM",
        ),
        (3, 3, 1),
    ),
    **dict.fromkeys(("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL"), (1, 1, 1)),
    **dict.fromkeys(("CONV_2D", "FULLY_CONNECTED", "CONV_3D"), (2, 3, 1)),
    **dict.fromkeys(("ADD_N", "CONCATENATION", "PACK"), (1, _ANY, 1)),
    "CONV_3D_TRANSPOSE": (3, 4, 1),
    # XNNPACK reads a bias even if it is left out.
    "DEPTHWISE_CONV_2D": (3, 3, 1),
    "TRANSPOSE_CONV": (3, 4, 1),
    "RESHAPE": (1, 2, 1),
    "STRIDED_SLICE": (4, 4, 1),
    "ONE_HOT": (4, 4, 1),
    "SPARSE_TO_DENSE": (4, 4, 1),
    "SPLIT": (2, 2, _ANY),
    "SPLIT_V": (3, 3, _ANY),
    "UNPACK": (1, 1, _ANY),
    "TOPK_V2": (2, 2, 2),
    "UNIQUE": (1, 1, 2),
    "NON_MAX_SUPPRESSION_V4": (5, 5, 2),
    "NON_MAX_SUPPRESSION_V5": (6, 6, 3),
    "IF": (1, _ANY, _ANY),
    "WHILE": (1, _ANY, _ANY),
    "CALL_ONCE": (0, 0, 0),
    "SVDF": (5, 5, 1),
    "RNN": (5, 5, 1),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (5, 5, 1),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (20, 24, 1),
    "LceBconv2d": (5, 5, 1),
}  # fmt: skip
_PEEPHOLES = (1, 5, 9, 10, 11, 12, 16, 17, 20, 21, 22, 23)
_OPTIONAL: dict[str, Sequence[int]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), (2,)),
    **dict.fromkeys(("CONV_3D",), (2,)),
    **dict.fromkeys(("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"), (3,)),
    "SVDF": (3,),
    "LSTM": _PEEPHOLES,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _PEEPHOLES,
    "BIDIRECTIONAL_SEQUENCE_LSTM": range(1, 48),
    "BIDIRECTIONAL_SEQUENCE_RNN": range(6, 12),
    "LceBconv2d": (2, 3, 4),
}
# Operators that need their options: without them LiteRT reads zeros, or nothing.
_NEEDS_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CALL_ONCE": "CallOnceOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "CONV_3D": "Conv3DOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "IF": "IfOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "PACK": "PackOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNPACK": "UnpackOptions",
    "WHILE": "WhileOptions",
}
# Rules that hold whatever the shapes are, and where shapes are known.
_RULES: dict[str, Callable[[Node], None]] = {**control_flow.RULES, **elementwise.RULES}
_SHAPE_RULES: dict[str, Callable[[Node], None]] = {
    **elementwise.SHAPE_RULES,
    **layout.SHAPE_RULES,
    **weighted.SHAPE_RULES,
}


class Contracts:
    """The contracts of all operators.

    Args:
        operators: Names of the builtin operators, by their number.
        options: Names of the types of options, by their number.
    """

    def __init__(self, operators: dict[int, str], options: dict[int, str]):
        self.operators, self._options = operators, options

    def check(self, node: Node) -> None:
        """Refuses an operator that violates its contract."""
        if node.name not in self.operators.values():
            checked_custom_options(node.name, node.custom)
        arity = _ARITY.get(node.name)
        if arity is not None:
            self._check_arity(node, *arity)
        needed = _NEEDS_OPTIONS.get(node.name)
        node.need(
            needed is None or self._options.get(node.options_type) == needed,
            f"its options are not {needed}",
        )
        optional = _OPTIONAL.get(node.name, ())
        missing = [i for i, tensor in enumerate(node.inputs) if tensor < 0]
        node.need(set(missing) <= set(optional), f"its input {missing[:1]} is left out")
        check_types(node)
        if node.name in _RULES:
            _RULES[node.name](node)
        rule = _SHAPE_RULES.get(node.name)
        if rule is not None and node.knows_shapes:
            rule(node)

    def _check_arity(self, node: Node, least: int, most: int, outputs: int) -> None:
        node.need(
            least <= len(node.inputs) <= most, f"it has {len(node.inputs)} inputs"
        )
        node.need(
            len(node.output_shapes) == outputs
            if outputs < _ANY
            else node.output_shapes or node.name in ("IF", "WHILE"),
            f"it has {len(node.output_shapes)} outputs",
        )

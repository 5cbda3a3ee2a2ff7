"""Multiply-accumulates of the operators of a file, binary and real-valued ones."""

from __future__ import annotations

import math

from converters.runtime import TfliteFile
from converters.runtime.bits import BINARY_CONVOLUTION, WORD


def macs_of(file: TfliteFile, operator: int) -> int:
    """Returns the multiply-accumulates of one operator for one run.

    A product of two signs counts as one, too. Operators that are no convolution and no
    product of matrices have none.

    Args:
        file: The file.
        operator: Index of the operator.
    """
    facts = file.operators[operator]
    count = _COUNTS.get(facts.name)
    return 0 if count is None else count(file, operator)


def _binary_convolution(file: TfliteFile, operator: int) -> int:
    facts = file.operators[operator]
    filters, height, width, words = file.shape(facts.inputs[1])
    # Groups have whole words; where outputs are bits, the file has their words alone.
    channels = min(int(file.custom_options(operator)["channels_in"]), WORD * words)
    pixels = math.prod(file.shape(facts.outputs[0])[:-1])
    return pixels * filters * height * width * channels


def _convolution(file: TfliteFile, operator: int) -> int:
    facts = file.operators[operator]
    outputs = math.prod(file.shape(facts.outputs[0]))
    return outputs * math.prod(file.shape(facts.inputs[1])[1:])


def _depthwise(file: TfliteFile, operator: int) -> int:
    facts = file.operators[operator]
    outputs = math.prod(file.shape(facts.outputs[0]))
    return outputs * math.prod(file.shape(facts.inputs[1])[1:3])


def _transposed(file: TfliteFile, operator: int) -> int:
    """Returns the products of each input with the window that it is spread over."""
    facts = file.operators[operator]
    filters, *window, _ = file.shape(facts.inputs[1])
    return math.prod(file.shape(facts.inputs[2])) * filters * math.prod(window)


def _convolution_3d(file: TfliteFile, operator: int) -> int:
    facts = file.operators[operator]
    outputs = math.prod(file.shape(facts.outputs[0]))
    return outputs * math.prod(file.shape(facts.inputs[1])[:-1])


def _dense(file: TfliteFile, operator: int) -> int:
    facts = file.operators[operator]
    outputs = math.prod(file.shape(facts.outputs[0]))
    return outputs * file.shape(facts.inputs[1])[-1]


def _matrix_product(file: TfliteFile, operator: int) -> int:
    facts = file.operators[operator]
    shape = file.shape(facts.outputs[0])
    # Rows times inner, in this order or transposed.
    inner = math.prod(file.shape(facts.inputs[0])[-2:]) // shape[-2]
    return math.prod(shape) * inner


_COUNTS = {
    BINARY_CONVOLUTION: _binary_convolution,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "CONV_3D": _convolution_3d,
    "FULLY_CONNECTED": _dense,
    "BATCH_MATMUL": _matrix_product,
}

"""Real-valued operators of a file that are computed in int8, and why others are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from converters.graph.nodes import layer_of
from converters.runtime import Operator, TfliteFile

# They only change the type of what they read.
_BETWEEN_TYPES = ("QUANTIZE", "DEQUANTIZE", "LceQuantize", "LceDequantize")
_BINARY = ("LceBconv2d", "LceBMaxPool2d")


@dataclasses.dataclass(frozen=True)
class RealOperator:
    """A real-valued operator of a file that holds 8-bit tensors.

    Attributes:
        name: Its name, such as `"CONV_2D"`.
        layer: Name of the layer that it belongs to.
        dtype: `"int8"`, or the type it is computed in instead.
        reason: Why it is not computed in int8, or `None`.
    """

    name: str
    layer: str
    dtype: str
    reason: str | None = None


def real_valued_operators(
    file: TfliteFile, layers: Collection[str]
) -> tuple[RealOperator, ...]:
    """Returns the real-valued operators of a file, in the order of execution.

    Args:
        file: The file.
        layers: Names of the model's layers.

    Returns:
        The operators; none for a file without 8-bit tensors.
    """
    written = [t for operator in file.operators for t in operator.outputs]
    if all(file.quantization(tensor) is None for tensor in written):
        return ()
    makers = {t: operator for operator in file.operators for t in operator.outputs}
    found = []
    for operator in file.operators:
        if operator.name in (*_BETWEEN_TYPES, *_BINARY):
            continue
        tensor = operator.outputs[0]
        dtype = str(file.dtype(tensor))
        layer = _layer(file.name(tensor), layers)
        reason = None
        if dtype != "int8":
            reason = _why(file, operator, makers, layers)
        found.append(RealOperator(operator.name, layer, dtype, reason))
    return tuple(found)


def _layer(name: str, layers: Collection[str]) -> str:
    """Returns the layer of a tensor, whose name joins the names of fused operators."""
    parts = [layer_of(part.removeprefix("int8/"), layers) for part in name.split(";")]
    return next((part for part in parts if part in layers), parts[0])


def _why(
    file: TfliteFile,
    operator: Operator,
    makers: dict[int, Operator],
    layers: Collection[str],
) -> str:
    """Returns what keeps an operator from int8."""
    if operator.name == "ADD" and file.name(operator.outputs[0]).startswith("int8/"):
        return "it keeps the range before it apart from what is joined with it"
    for tensor in operator.inputs:
        if tensor < 0 or file.data(tensor) is not None:
            continue
        maker = makers.get(tensor)
        if maker is not None and maker.name == "LceDequantize":
            return "its inputs are signs, which have no range"
        if maker is not None and maker.name in _BINARY:
            return (
                "the binary convolution before it pads with zeros, and its kernels "
                "then write float32"
                if operator.name == "MAXIMUM"
                else "no range follows the binary convolution before it"
            )
        if maker is None or maker.name != "DEQUANTIZE":
            name = _layer(file.name(tensor), layers)
            return f"no range follows {name}, which it reads"
    readers = [o for o in file.operators if operator.outputs[0] in o.inputs]
    if readers and all(reader.name == "QUANTIZE" for reader in readers):
        return "it has no int8 kernel"
    return "no range follows it"

"""Products of two activations in a file, which no binary operator computes.

A binary convolution has a constant kernel. Attention multiplies queries by keys and
probabilities by values; where all four are binary, their products stay float.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from converters.auditing.macs import macs_of
from converters.graph.nodes import layer_of
from converters.runtime import Operator, TfliteFile

REASON = (
    "LiteRT has no binary operator for two computed operands, as a binary convolution "
    "has a constant kernel"
)
_PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL")
# What moves values, or scales and shifts them by constants.
_MOVING = ("RESHAPE", "TRANSPOSE", "SPLIT", "EXPAND_DIMS", "SQUEEZE")
_AFFINE = ("MUL", "ADD", "SUB", "DIV")


@dataclasses.dataclass(frozen=True)
class ActivationProduct:
    """A product of two tensors that both depend on the inputs.

    Attributes:
        layer: Name of the layer that it belongs to.
        operators: Indices among the operators of the file: one for each head where the
            converter took the heads apart.
        macs: Its multiply-accumulates for one input.
        share: Their share of those of the whole file, binary ones included.
        is_binary: Whether both operands are signs, or scaled ones: then only the lack
            of an operator keeps the product float.
    """

    layer: str
    operators: tuple[int, ...]
    macs: int
    share: float
    is_binary: bool


def activation_products(
    file: TfliteFile, layers: Collection[str]
) -> tuple[ActivationProduct, ...]:
    """Returns the products of two activations, in the order of execution.

    Args:
        file: The file.
        layers: Names of the model's layers.
    """
    search = _Search(file)
    found: dict[str, list[int]] = {}
    for index, operator in enumerate(file.operators):
        if operator.name in _PRODUCTS and search.has_two_activations(operator):
            name = layer_of_tensor(file.name(operator.outputs[0]), layers)
            found.setdefault(name, []).append(index)
    if not found:
        return ()
    macs = [macs_of(file, index) for index in range(len(file.operators))]
    total = sum(macs) or 1
    return tuple(
        ActivationProduct(
            layer=name,
            operators=tuple(indices),
            macs=sum(macs[index] for index in indices),
            share=sum(macs[index] for index in indices) / total,
            is_binary=all(search.is_of_signs(file.operators[i]) for i in indices),
        )
        for name, indices in found.items()
    )


def layer_of_tensor(name: str, layers: Collection[str]) -> str:
    """Returns the layer of a tensor.

    Args:
        name: Name of the tensor in a file, which joins the names of fused operators.
        layers: Names of the model's layers. Without one it is the innermost scope.
    """
    first = name.split(";")[0]
    if layers:
        return layer_of(first, layers)
    scopes = first.split("/")
    return scopes[-2] if len(scopes) > 1 else first


class _Search:
    """What the tensors of a file are computed from."""

    def __init__(self, file: TfliteFile):
        self._file = file
        self._live = set(file.inputs)
        self._makers: dict[int, Operator] = {}
        for operator in file.operators:
            if self._live & set(operator.inputs):
                self._live |= set(operator.outputs)
            self._makers |= {tensor: operator for tensor in operator.outputs}

    def has_two_activations(self, operator: Operator) -> bool:
        """Whether both operands depend on the inputs of the file."""
        return set(operator.inputs[:2]) <= self._live

    def is_of_signs(self, operator: Operator) -> bool:
        """Whether both operands are signs, moved, scaled or shifted at most."""
        return all(self._holds_signs(tensor) for tensor in operator.inputs[:2])

    def _holds_signs(self, tensor: int) -> bool:
        maker = self._makers.get(tensor)
        while maker is not None and maker.name != "LceDequantize":
            given = [one for one in maker.inputs if one in self._live]
            known = maker.name in _MOVING or maker.name in _AFFINE
            if not known or len(given) != 1:
                return False
            if maker.name in _AFFINE and not self._is_by_one_number(maker):
                return False
            maker = self._makers.get(given[0])
        return maker is not None

    def _is_by_one_number(self, operator: Operator) -> bool:
        constants = [one for one in operator.inputs if one not in self._live]
        return all(set(self._file.shape(one)) <= {1} for one in constants)

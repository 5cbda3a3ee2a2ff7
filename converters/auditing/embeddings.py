"""Tables of embeddings that a file holds as bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np

from converters.auditing.products import layer_of_tensor
from converters.runtime import TfliteFile


@dataclasses.dataclass(frozen=True)
class BinaryEmbedding:
    """A table of +c and -c, whose bits are looked up in.

    Attributes:
        layer: Name of its layer.
        rows: Number of its rows.
        channels: Values of a row.
        num_bytes: Size of the bits; the scales of rows, if there are any, are a table
            of their own.
        float_bytes: Size of the same table in float32.
    """

    layer: str
    rows: int
    channels: int
    num_bytes: int
    float_bytes: int


def binary_embeddings(
    file: TfliteFile, layers: Collection[str]
) -> tuple[BinaryEmbedding, ...]:
    """Returns the tables that a file holds as bits, in the order of execution.

    Args:
        file: The file.
        layers: Names of the model's layers.
    """
    unpacked = {
        operator.inputs[0]: operator.outputs[0]
        for operator in file.operators
        if operator.name == "LceDequantize"
    }
    found = []
    for operator in file.operators:
        table, rows = operator.inputs[:1], operator.outputs[:1]
        if operator.name != "GATHER" or file.dtype(table[0]) != np.int32:
            continue
        if rows[0] in unpacked and file.data(table[0]) is not None:
            signs = unpacked[rows[0]]
            number, channels = file.shape(table[0])[0], file.shape(signs)[-1]
            found.append(
                BinaryEmbedding(
                    layer=layer_of_tensor(file.name(rows[0]), layers),
                    rows=number,
                    channels=channels,
                    num_bytes=file.buffer(table[0])[1],
                    float_bytes=4 * number * channels,
                )
            )
    return tuple(found)

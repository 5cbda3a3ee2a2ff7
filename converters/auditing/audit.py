"""The audit of a file: which layers are binary operators, and what each byte is for."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from converters.auditing.embeddings import BinaryEmbedding, binary_embeddings
from converters.auditing.int8 import RealOperator, real_valued_operators
from converters.auditing.products import ActivationProduct, activation_products
from converters.errors import reported
from converters.graph.kernels import layer_names
from converters.runtime import TensorInfo, TfliteFile, tensor_info
from converters.runtime.bits import BINARY_CONVOLUTION, WORD

if TYPE_CHECKING:
    import tensorflow as tf

    from converters.auditing.matching import Match


@dataclasses.dataclass(frozen=True)
class LayerAudit:
    """What became of one layer with quantizers.

    Attributes:
        name: Name of the layer.
        kind: Its class, such as `"QuantConv2D"`.
        operator: Index of its `LceBconv2d` among the operators of the file, or `None`
            where the layer stayed float.
        reason: Why it stayed float, or `None`.
        fix: What to change in the model, or `None`.
    """

    name: str
    kind: str
    operator: int | None
    reason: str | None = None
    fix: str | None = None


@dataclasses.dataclass(frozen=True)
class BinaryOperator:
    """The constants of one `LceBconv2d`, in bytes.

    A filter has `4 * out * height * width * ceil(in / 32)`. There are 8 more for each
    output channel (a multiplier and a bias), or 4 where the outputs are bits (a
    threshold).

    Attributes:
        operator: Its index among the operators of the file.
        layers: Names of its layers: several where equal ones share it, none where no
            layer of a model is known.
        predicted_bytes: What the kernel of its layer lets expect, or `None`.
        num_bytes: What the file holds for it, buffers of earlier ones left out.
        shared_bytes: What it shares with earlier ones.
    """

    operator: int
    layers: tuple[str, ...]
    predicted_bytes: int | None
    num_bytes: int
    shared_bytes: int


@dataclasses.dataclass(frozen=True)
class Audit:
    """The layers of a model beside the operators of a file.

    Attributes:
        layers: The layers with quantizers, in the order of the model.
        operators: How many operators of each name the file holds.
        num_bytes: Size of the file.
        inputs: The inputs, in the order of the file.
        outputs: The outputs, in the order of the file.
        binary: The constants of the binary operators, in the order of the file.
        other_bytes: All other constants.
        real_valued: In a file with 8-bit tensors, the real-valued operators and the
            types they are computed in.
        products: The products of two activations, as attention has them, which no
            binary operator computes.
        embeddings: The tables of embeddings that are bits.
    """

    layers: tuple[LayerAudit, ...]
    operators: dict[str, int]
    num_bytes: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    binary: tuple[BinaryOperator, ...]
    other_bytes: int
    real_valued: tuple[RealOperator, ...] = ()
    products: tuple[ActivationProduct, ...] = ()
    embeddings: tuple[BinaryEmbedding, ...] = ()

    @property
    def converted(self) -> tuple[LayerAudit, ...]:
        """The layers that became binary operators."""
        return tuple(layer for layer in self.layers if layer.operator is not None)

    @property
    def stayed_float(self) -> tuple[LayerAudit, ...]:
        """The layers that did not."""
        return tuple(layer for layer in self.layers if layer.operator is None)

    @property
    def metadata_bytes(self) -> int:
        """What of the file is no constant: the description of the graph."""
        constants = sum(entry.num_bytes for entry in self.binary) + self.other_bytes
        return self.num_bytes - constants


def audit(
    model: tf.keras.Model | None, tflite: bytes | str | os.PathLike[str]
) -> Audit:
    """Finds, for every layer with quantizers, its binary operator in a .tflite.

    A layer is matched by its weights: the bits of the filter equal the signs of the
    Keras kernel, up to one sign for each output channel, which the converter may flip,
    and for each input channel, which the rewrite "fuse_batchnorm_into_sign" may flip.
    Layers that the rewrite "merge_parallel_convs" merged share an operator.

    Args:
        model: The Keras model that was converted, or `None` to look at the file alone.
        tflite: The content of the file, or its path.

    Returns:
        The audit.

    Raises:
        ValueError: If the file is no .tflite.
        TypeError: If a model and a file were not given in this order.
        ConversionError: If the audit fails, which is a fault of this package.

    Example:
        >>> import numpy as np
        >>> import zoo_extensions as zx
        >>> from converters import convert
        >>> model = zx.TinyResidualBNN(latent_weights=False)
        >>> images = np.random.default_rng(0).random((8, 28, 28, 1), np.float32)
        >>> conversion = convert(model, inputs=images)
        >>> result = audit(model, conversion.content)
        >>> len(result.converted), len(result.layers), result.operators["LceBconv2d"]
        (6, 6, 6)
        >>> [info.shape for info in audit(None, conversion.content).inputs]
        [(1, 28, 28, 1)]
    """
    if model is not None:
        from converters.model_arrays import check_model_and_file

        check_model_and_file(model, tflite)
    file = TfliteFile(tflite)
    with reported("The audit of " + ("a file" if model is None else model.name)):
        return _audited(model, file)


def _audited(model: tf.keras.Model | None, file: TfliteFile) -> Audit:
    matches: list[Match] = []
    names: frozenset[str] = frozenset()
    if model is not None:  # A board has no model, and no TensorFlow.
        from converters.auditing.matching import match_layers

        matches, names = match_layers(model, file), layer_names(model)
    operators = collections.Counter(operator.name for operator in file.operators)
    binary, other_bytes = _constants(file, matches)
    return Audit(
        layers=tuple(map(_layer_audit, matches)),
        operators=dict(sorted(operators.items())),
        num_bytes=len(file.content),
        inputs=tuple(
            tensor_info(file, *entry) for entry in zip(file.input_names(), file.inputs)
        ),
        outputs=tuple(
            tensor_info(file, *entry)
            for entry in zip(file.output_names(), file.outputs)
        ),
        binary=binary,
        other_bytes=other_bytes,
        real_valued=real_valued_operators(file, names),
        products=activation_products(file, names),
        embeddings=binary_embeddings(file, names),
    )


def _layer_audit(match: Match) -> LayerAudit:
    from converters.auditing.reasons import FOREIGN, why_float

    reason, fix = None, None
    if match.operator is None:
        reason, fix = FOREIGN if match.is_foreign else why_float(match.layer)
    layer = match.layer
    return LayerAudit(layer.name, type(layer).__name__, match.operator, reason, fix)


def _constants(
    file: TfliteFile, matches: Sequence[Match]
) -> tuple[tuple[BinaryOperator, ...], int]:
    """Returns the constants of the binary operators, and the bytes of all others."""
    matches_of = collections.defaultdict(list)
    for match in matches:
        if match.operator is not None:
            matches_of[match.operator].append(match)
    sizes = dict(file.buffer(tensor) for tensor in range(file.num_tensors))
    counted: set[int] = set()
    binary = []
    for index, operator in enumerate(file.operators):
        if operator.name != BINARY_CONVOLUTION:
            continue
        own = {file.buffer(tensor)[0] for tensor in operator.inputs if tensor >= 0}
        predicted = None
        if matches_of[index]:
            has_bits = file.dtype(operator.outputs[0]) == np.int32
            predicted = sum(
                _predicted_bytes(match.kernel.shape, has_bits)
                for match in matches_of[index]
                if match.kernel is not None
            )
        binary.append(
            BinaryOperator(
                operator=index,
                layers=tuple(match.layer.name for match in matches_of[index]),
                predicted_bytes=predicted,
                num_bytes=sum(sizes[buffer] for buffer in own - counted),
                shared_bytes=sum(sizes[buffer] for buffer in own & counted),
            )
        )
        counted |= own
    other = sum(size for buffer, size in sizes.items() if buffer not in counted)
    return tuple(binary), other


def _predicted_bytes(shape: tuple[int, ...], has_bits: bool) -> int:
    """Returns the bytes that a kernel (height, width, in, out) needs."""
    height, width, channels, filters = shape
    words = height * width * -(-channels // WORD)
    return 4 * filters * (words + (1 if has_bits else 2))

"""Which layers became binary operators, and why the others did not."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.auditing.int8 import RealOperator, real_valued_operators
from converters.errors import check_model_and_file, reported
from converters.graph.kernels import (
    BINARIZATION_TOLERANCE,
    deviation,
    layer_names,
    quantized_layers,
    sign_quantizers,
)
from converters.runtime import TensorInfo, TfliteFile, tensor_info
from converters.runtime.bits import BINARY_CONVOLUTION, WORD, filter_is_negative

_FOREIGN = (
    "no operator of the file holds its kernel, though one has the shape of it",
    "give the model that this file was made of; if it was trained since, convert it "
    "once more",
)
_NO_PATTERN = "no pattern of Larq Compute Engine matched it"


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
    """

    layers: tuple[LayerAudit, ...]
    operators: dict[str, int]
    num_bytes: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    binary: tuple[BinaryOperator, ...]
    other_bytes: int
    real_valued: tuple[RealOperator, ...] = ()

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


def audit(model: Any, tflite: bytes | str | os.PathLike[str]) -> Audit:
    """Finds, for every layer with quantizers, its binary operator in a .tflite.

    A layer is matched by its weights: the bits of the filter equal the signs of the
    Keras kernel, up to one sign for each output channel, which the converter may turn,
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
        check_model_and_file(model, tflite)
    file = TfliteFile(tflite)
    with reported("The audit of " + ("a file" if model is None else model.name)):
        return _audited(model, file)


def _audited(model: Any, file: TfliteFile) -> Audit:
    layers = []
    quantized = quantized_layers(model)
    matched, unclaimed = _match(file, quantized)
    for layer, index in matched:
        reason, fix = None, None
        if index is None:
            foreign = any(_has_shape_of(layer, rows) for rows in unclaimed)
            reason, fix = _FOREIGN if foreign else why_float(layer)
        layers.append(LayerAudit(layer.name, type(layer).__name__, index, reason, fix))
    names = collections.Counter(operator.name for operator in file.operators)
    binary, other_bytes = _constants(file, layers, quantized)
    return Audit(
        layers=tuple(layers),
        operators=dict(sorted(names.items())),
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
        real_valued=real_valued_operators(
            file, frozenset() if model is None else layer_names(model)
        ),
    )


def _constants(
    file: TfliteFile, entries: Sequence[LayerAudit], layers: Sequence[Any]
) -> tuple[tuple[BinaryOperator, ...], int]:
    """Returns the constants of the binary operators, and the bytes of all others."""
    layers_of = collections.defaultdict(list)
    for entry, layer in zip(entries, layers):
        if entry.operator is not None:
            layers_of[entry.operator].append(layer)
    sizes = dict(file.buffer(tensor) for tensor in range(file.num_tensors))
    counted: set[int] = set()
    binary = []
    for index, operator in enumerate(file.operators):
        if operator.name != BINARY_CONVOLUTION:
            continue
        own = {file.buffer(tensor)[0] for tensor in operator.inputs if tensor >= 0}
        predicted = None
        if layers_of[index]:
            has_bits = file.dtype(operator.outputs[0]) == np.int32
            predicted = sum(
                _predicted_bytes(_kernel(layer), has_bits) for layer in layers_of[index]
            )
        binary.append(
            BinaryOperator(
                operator=index,
                layers=tuple(layer.name for layer in layers_of[index]),
                predicted_bytes=predicted,
                num_bytes=sum(sizes[buffer] for buffer in own - counted),
                shared_bytes=sum(sizes[buffer] for buffer in own & counted),
            )
        )
        counted |= own
    other = sum(size for buffer, size in sizes.items() if buffer not in counted)
    return tuple(binary), other


def _predicted_bytes(kernel: Any, has_bits: bool) -> int:
    height, width, channels, filters = kernel.shape
    words = height * width * -(-channels // WORD)
    return 4 * filters * (words + (1 if has_bits else 2))


def _kernel(layer: Any) -> np.ndarray | None:
    """Returns the kernel of a layer, (height, width, in, out), or `None`.

    Dense layers and convolutions over time are written as convolutions of images of
    height 1.
    """
    kernel = getattr(layer, "kernel", None)
    if kernel is None or not 2 <= len(kernel.shape) <= 4:
        return None
    return kernel.numpy().reshape((1,) * (4 - len(kernel.shape)) + kernel.shape)


def _match(
    file: TfliteFile, layers: list[Any]
) -> tuple[list[tuple[Any, int | None]], list[np.ndarray]]:
    """Returns the layers with their operator, and the filters that belong to none.

    An operator is given by its index; a layer without one has `None`.
    """
    # Pieces of filters that belong to no layer yet, (operator, filter).
    free = [
        (index, filter_is_negative(file, operator.inputs[1]))
        for index, operator in enumerate(file.operators)
        if operator.name == BINARY_CONVOLUTION
    ]
    found: dict[int, int] = {}
    # Layers that are equal but for turned outputs come first: they are certain. Then
    # those that nothing kept float: of a small kernel a turned one tells little.
    kernels = {id(layer): _kernel(layer) for layer in layers}

    def search(candidates: list[Any], inputs_too: bool) -> None:
        for layer in candidates:
            kernel = kernels[id(layer)]
            if kernel is None or id(layer) in found:
                continue
            index = _take(np.moveaxis(kernel < 0, -1, 0), free, inputs_too)
            if index is not None:
                found[id(layer)] = index

    search(layers, inputs_too=False)
    missing = [layer for layer in layers if id(layer) not in found]
    pure = [layer for layer in missing if why_float(layer)[0] == _NO_PATTERN]
    search(pure, inputs_too=True)
    search([x for x in missing if _is_telling(kernels[id(x)])], inputs_too=True)
    rest = [rows for _, rows in free]
    return [(layer, found.get(id(layer))) for layer in layers], rest


def _has_shape_of(layer: Any, rows: np.ndarray) -> bool:
    """Whether a filter (out, height, width, in) could be that of a layer."""
    kernel = _kernel(layer)
    if kernel is None:
        return False
    *size, channels, filters = kernel.shape
    padded = -(-channels // WORD) * WORD
    return rows.shape[1:] == (*size, padded) and len(rows) >= filters


def _is_telling(kernel: np.ndarray | None) -> bool:
    """Whether a kernel has far more bits than signs that may be turned."""
    return kernel is not None and kernel.size >= 4 * sum(kernel.shape[-2:])


def _take(
    kernel: np.ndarray, free: list[tuple[int, np.ndarray]], inputs_too: bool
) -> int | None:
    """Takes a kernel (out, height, width, in) out of the filters it is a part of.

    Layers that were merged lie in one filter, one behind the other.
    """
    size = len(kernel)
    for place, (index, rows) in enumerate(free):
        if kernel.shape[1:3] != rows.shape[1:3]:
            continue
        for start in range(len(rows) - size + 1):
            part = rows[start : start + size]
            if _equal_up_to_signs(kernel, part, inputs_too):
                rest = [rows[:start], rows[start + size :]]
                free[place : place + 1] = [(index, r) for r in rest if len(r)]
                return index
    return None


def _equal_up_to_signs(
    kernel: np.ndarray, negative: np.ndarray, inputs_too: bool
) -> bool:
    """Whether two filters differ by a sign for each output, and perhaps each input."""
    channels = kernel.shape[-1]
    if kernel.shape[:-1] != negative.shape[:-1]:
        return False
    if -(-channels // WORD) * WORD != negative.shape[-1]:
        return False
    # The first outputs tell most filters apart.
    few = kernel[:2] != negative[:2, ..., :channels]
    if not _is_turned(few, inputs_too):
        return False
    return _is_turned(kernel != negative[..., :channels], inputs_too)


def _is_turned(difference: np.ndarray, inputs_too: bool) -> bool:
    if inputs_too:
        difference = difference ^ difference[:1, :1, :1]
    rows = difference.reshape(len(difference), -1)
    return bool((rows.all(axis=1) | ~rows.any(axis=1)).all())


def why_float(layer: Any) -> tuple[str, str]:
    """Returns why a layer has no binary operator, and what to change."""
    import larq as lq

    dense = isinstance(layer, lq.layers.QuantDense)
    over_time = isinstance(layer, lq.layers.QuantConv1D)
    if not (dense or over_time or isinstance(layer, lq.layers.QuantConv2D)):
        return (
            f"Larq Compute Engine has no binary operator for {type(layer).__name__}",
            "use QuantConv2D",
        )
    found = _why_unlike(layer) if not dense else None
    found = found or _why_inputs(layer) or _why_kernel(layer)
    if found is not None:
        return found
    if dense:
        return (
            "Larq Compute Engine has no binary dense operator",
            "convert it with the rewrite 'dense_to_conv'",
        )
    if over_time and (layer.groups > 1 or max(layer.dilation_rate) > 1):
        kind = "grouped" if layer.groups > 1 else "dilated"
        return (
            f"{kind} convolutions over time match no pattern of Larq Compute Engine",
            f"use QuantConv2D with kernel_size=(1, {layer.kernel_size[0]}) on images "
            "of height 1",
        )
    if over_time:
        return (
            "Larq Compute Engine looks for binary convolutions of images",
            "use the rewrites 'pad_conv1d_as_conv2d' and 'sink_sign'",
        )
    return (
        _NO_PATTERN,
        "compare it with a plain QuantConv2D whose inputs and kernel are signs",
    )


def _why_unlike(layer: Any) -> tuple[str, str] | None:
    """Returns how a convolution is unlike those that there are kernels for."""
    if layer.data_format == "channels_first":
        return (
            "its channels come first, and binary kernels read them last",
            "use data_format='channels_last', with inputs of that order",
        )
    if layer.padding == "same" and layer.pad_values not in (0.0, 1.0):
        return (
            f"it pads with {layer.pad_values}",
            "use pad_values=1.0, or for -1 the rewrite 'replace_negative_padding'",
        )
    if layer.padding == "causal":
        return (
            "its causal padding puts zeros among the signs",
            "use padding='valid' or 'same'",
        )
    channels = layer.kernel.shape[-2]
    if layer.groups > 1 and channels % WORD:
        return (
            f"its groups have {channels} channels",
            f"use groups of a multiple of {WORD} channels",
        )
    return None


def _why_inputs(layer: Any) -> tuple[str, str] | None:
    """Returns what is known of a layer whose inputs are no signs."""
    import larq as lq

    quantizer = layer.input_quantizer
    passes = quantizer is None or isinstance(quantizer, lq.quantizers.NoOp)
    if isinstance(quantizer, sign_quantizers()) or (passes and _reads_signs(layer)):
        return None
    return (
        f"its inputs are not binary (input_quantizer is {_name_of(quantizer)})",
        "use input_quantizer='ste_sign'",
    )


def _reads_signs(layer: Any) -> bool:
    """Whether what a layer reads comes from a layer of signs, moved at most."""
    import tensorflow as tf

    moving = (
        tf.keras.layers.Dropout,
        tf.keras.layers.Flatten,
        tf.keras.layers.MaxPooling1D,
        tf.keras.layers.MaxPooling2D,
        tf.keras.layers.Permute,
        tf.keras.layers.Reshape,
    )
    tensor = _input_of(layer)
    while tensor is not None:
        maker = tensor.node.layer
        if isinstance(maker, sign_quantizers()):
            return True
        if isinstance(getattr(maker, "activation", None), sign_quantizers()):
            return True
        if not isinstance(maker, moving):
            return False
        tensor = _input_of(maker)
    return False


def _input_of(layer: Any) -> Any:
    """Returns the one tensor of Keras that a layer reads, or `None`."""
    try:
        tensor = layer.input
    except AttributeError:  # It is called several times, or inside of another layer.
        return None
    return tensor if hasattr(tensor, "node") else None


def _why_kernel(layer: Any) -> tuple[str, str] | None:
    """Returns what is known of a layer whose kernel is no signs."""
    import larq as lq

    quantizer = layer.kernel_quantizer
    if quantizer is None or getattr(quantizer, "precision", 1) != 1:
        return (
            f"its kernel is not binary ({_name_of(quantizer)})",
            "use kernel_quantizer='ste_sign', or NoOp(precision=1) with Diode",
        )
    kernel = np.asarray(quantizer(layer.kernel.numpy()))
    off = int((deviation(kernel) > BINARIZATION_TOLERANCE).sum())
    if not off:
        return None
    if isinstance(quantizer, lq.quantizers.NoOp):
        return (
            f"{off} weights of its kernel are not +-c of their output channel",
            "train it with Diode, GradientFilter or Bop from BernoulliSign()",
        )
    return (
        f"{off} values of {_name_of(quantizer)} of its kernel are not +-c of their "
        "output channel",
        "make them signs before the conversion; for TemperatureSign, convert "
        "zoo_extensions.force_sign(model)",
    )


def _name_of(quantizer: Any) -> str:
    """Returns the name of a quantizer, which may be a function."""
    if quantizer is None:
        return "None"
    return getattr(quantizer, "__name__", type(quantizer).__name__)

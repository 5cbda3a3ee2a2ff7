"""Files of one binary operator, in the format of Larq Compute Engine."""

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers
from tensorflow.lite.python import schema_py_generated as schema

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(bool): schema.TensorType.BOOL,
}


def packed(values):
    """Returns the signs of values, 32 channels a word, bit 1 for negative ones."""
    bits = np.asarray(values) < 0
    lacking = -bits.shape[-1] % 32
    bits = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, lacking)])
    return np.packbits(bits, axis=-1, bitorder="little").view(np.int32)


def unpacked(words, channels):
    """Returns +1 and -1."""
    bits = np.unpackbits(
        np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little"
    )
    return 1 - 2 * bits[..., :channels].astype(np.int64)


def file_of(name, inputs, output, options=None, raw_options=None):
    """Returns a file of one operator.

    Args:
        name: Name of the custom operator.
        inputs: For each input, an array, a pair of shape and type, or a triple with
            (scale, zero point); `None` if it is left out. All arrays except the
            first are constants; the first input is the input of the file.
        output: Shape and type, and (scale, zero point) of an int8 one.
        options: Integers by name.
        raw_options: Bytes instead of them.
    """
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = name, 1
    model.operatorCodes = [code]
    model.subgraphs = [graph]
    graph.tensors = []

    def add(given):
        if given is None:
            return -1
        tensor = schema.TensorT()
        tensor.name = f"tensor_{len(graph.tensors)}"
        if isinstance(given, np.ndarray):
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(given.tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.buffer = len(model.buffers) - 1
            given = (given.shape, given.dtype)
        shape, dtype, *quantization = given
        tensor.shape = np.array(shape, np.int32)
        tensor.type = TYPES[np.dtype(dtype)]
        if quantization:
            scale, zero_point = quantization[0]
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array([scale], np.float32)
            tensor.quantization.zeroPoint = np.array([zero_point], np.int64)
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    operator = schema.OperatorT()
    operator.inputs = np.array([add(one) for one in inputs], np.int32)
    operator.outputs = np.array([add(output)], np.int32)
    if raw_options is None and options is not None:
        builder = flexbuffers.Builder()
        with builder.Map():
            for key in sorted(options):
                builder.Int(key, options[key])
        raw_options = bytes(builder.Finish())
    if raw_options is not None:
        operator.customOptions = np.frombuffer(raw_options, np.uint8)
    graph.operators = [operator]
    graph.inputs = operator.inputs[:1]
    graph.outputs = operator.outputs
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())

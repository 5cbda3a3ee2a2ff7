"""The checker refuses files that would end the process of LiteRT."""

import contextlib
import os
import struct

import flatbuffers
import numpy as np
import pytest
from tensorflow.lite.python import schema_py_generated as schema

import converters
from converters.runtime import Interpreter, TfliteFile

from .files import file_of as binary_file_of
from .files import packed

FLOAT, INT8, UINT8, INT32, BOOL = (
    schema.TensorType.FLOAT32,
    schema.TensorType.INT8,
    schema.TensorType.UINT8,
    schema.TensorType.INT32,
    schema.TensorType.BOOL,
)
TYPES = {
    np.dtype(np.float32): FLOAT,
    np.dtype(np.int8): INT8,
    np.dtype(np.uint8): UINT8,
    np.dtype(np.int32): INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(bool): BOOL,
}


def packed_model(model):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def model_of(name, tensors, inputs, outputs, given=(0,), options=None, **facts):
    """A model of one builtin operator.

    Args:
        name: Name of the operator.
        tensors: Arrays for constants, triples of shape, type and (scale, zero point)
            for others.
        inputs: Indices of the operator's input tensors.
        outputs: Indices of its output tensors.
        given: Inputs of the file. The outputs of the operator are its outputs.
        options: Their type and their values.
        **facts: Attributes of the operator.
    """
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs = 3, [graph]
    model.buffers = [schema.BufferT()]
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, name)
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.version = 1
    model.operatorCodes = [code]
    graph.tensors = []
    for index, facts_ in enumerate(tensors):
        tensor = schema.TensorT()
        tensor.name = f"tensor_{index}"
        if isinstance(facts_, np.ndarray):
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(facts_.tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.buffer = len(model.buffers) - 1
            facts_ = (facts_.shape, TYPES[facts_.dtype])
        shape, kind, *steps = facts_
        tensor.shape, tensor.type = np.array(shape, np.int32), kind
        if steps:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array([steps[0][0]], np.float32)
            tensor.quantization.zeroPoint = np.array([steps[0][1]], np.int64)
        graph.tensors.append(tensor)
    operator = schema.OperatorT()
    operator.inputs = np.array(inputs, np.int32)
    operator.outputs = np.array(outputs, np.int32)
    if options is not None:
        kind, values = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = getattr(schema, f"{kind}T")()
        for key, value in values.items():
            setattr(operator.builtinOptions, key, value)
    for key, value in facts.items():
        setattr(operator, key, value)
    graph.operators = [operator]
    graph.inputs = np.array(given, np.int32)
    graph.outputs = np.array(outputs, np.int32)
    return model


def ints(*values):
    return np.array(values, np.int32)


def real(*shape):
    return shape, FLOAT


def steps(*shape, kind=INT8, scale=0.5):
    return shape, kind, (scale, 0)


def weights(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


CONV = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
POOL = {"strideH": 1, "strideW": 1, "filterHeight": 2, "filterWidth": 2}
IMAGE = real(1, 4, 4, 2)


def conv(**changes):
    tensors = [IMAGE, weights(3, 1, 1, 2), weights(3), real(1, 4, 4, 3)]
    options = "Conv2DOptions", {**CONV, **changes}
    return model_of("CONV_2D", tensors, [0, 1, 2], [3], options=options)


def pool(**changes):
    options = "Pool2DOptions", {**POOL, **changes}
    return model_of("MAX_POOL_2D", [IMAGE, real(1, 3, 3, 2)], [0], [1], options=options)


def shaped(name, operand, made=(1, 4, 4, 2), given=IMAGE, options=None):
    """A model of an operator with one constant operand."""
    tensors = [given, operand, real(*made)]
    return model_of(name, tensors, [0, 1], [2], options=options)


def typed(kind, name="RELU"):
    return model_of(name, [((1, 4), kind), ((1, 4), kind)], [0], [1])


def changed(model, change):
    change(model, model.subgraphs[0])
    return model


def relu(change=lambda model, graph: None):
    return changed(model_of("RELU", [real(1, 4), real(1, 4)], [0], [1]), change)


def scales(scale=(0.5,), points=(0,), axis=0, shape=(1, 4)):
    tensor = (shape, INT8)
    model = model_of("RELU", [tensor, tensor], [0], [1])
    found = schema.QuantizationParametersT()
    found.scale = np.array(scale, np.float32)
    found.zeroPoint = np.array(points, np.int64)
    found.quantizedDimension = axis
    model.subgraphs[0].tensors[0].quantization = found
    return model


def called(name, options, graphs=1):
    """A model whose operator calls graphs."""
    tensors = [((1,), BOOL), real(1, 4), real(1, 4)]
    model = model_of(name, tensors, [0, 1], [2], given=(0, 1), options=options)
    model.subgraphs += [relu().subgraphs[0] for _ in range(graphs - 1)]
    return model


def sign(change=lambda model, graph: None):
    model = relu()
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = "x", 0
    signature.inputs, signature.outputs = [entry], []
    model.signatureDefs = [signature]
    return changed(model, change)


def chain(number, *sizes):
    """Outputs that each take as much memory as one may."""
    model = relu()
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        tensor.shape = np.array(sizes, np.int32)
    first = graph.operators[0]
    for _ in range(number - 1):
        graph.tensors.append(graph.tensors[0])
        operator = schema.OperatorT()
        operator.inputs = first.inputs
        operator.outputs = np.array([len(graph.tensors) - 1], np.int32)
        graph.operators.append(operator)
    graph.outputs = np.arange(1, number + 1, dtype=np.int32)
    return model


def metadata_out_of_range(model, graph):
    entry = schema.MetadataT()
    entry.name, entry.buffer = "min_runtime_version", 99
    model.metadata = [entry]


def attribute(name, value):
    def change(model, graph):
        setattr(graph.operators[0], name, value)

    return change


def tensor(name, value, index=0):
    def change(model, graph):
        setattr(graph.tensors[index], name, value)

    return change


def without_options(model, graph):
    graph.operators[0].builtinOptions = None
    graph.operators[0].builtinOptionsType = 0


def normalization(radius):
    options = "LocalResponseNormalizationOptions", {"radius": radius, "bias": 1.0}
    name = "LOCAL_RESPONSE_NORMALIZATION"
    return model_of(name, [IMAGE, IMAGE], [0], [1], options=options)


def volume(shape=(1, 4, 4, 4, 3), filters=(1, 1, 1, 3, 4), **changes):
    options = {"dilationDFactor": 1, "strideD": 1, **CONV, **changes}
    return model_of(
        "CONV_3D",
        [real(*shape), real(*filters), real(1, 4, 4, 4, 4)],
        [0, 1],
        [2],
        given=(0, 1),
        options=("Conv3DOptions", options),
    )


def quotient(name, divisor):
    whole = (4,), INT32
    given = (0,) if isinstance(divisor, np.ndarray) else (0, 1)
    return model_of(name, [whole, divisor, whole], [0, 1], [2], given=given)


def from_inputs(name, *tensors):
    """A model of an operator whose operands are all inputs of the file."""
    given = [
        i for i, tensor in enumerate(tensors) if not isinstance(tensor, np.ndarray)
    ]
    number = 2 if name.startswith("NON_MAX") else 1
    outputs = list(range(len(tensors), len(tensors) + number))
    kinds = [((1,), INT32 if name == "MULTINOMIAL" else FLOAT), ((), INT32)]
    if name == "RANGE":
        kinds = [((1,), INT32)]
    options = {
        "TRANSPOSE_CONV": ("TransposeConvOptions", {"strideH": 1, "strideW": 1}),
        "SPLIT_V": ("SplitVOptions", {"numSplits": 1}),
    }
    places = list(range(len(tensors)))
    made = kinds[:number]
    return model_of(name, [*tensors, *made], places, outputs, given, options.get(name))


INDEX = (4,), INT32
ONE = (), INT32
PAIRS = (4, 2), INT32
HALF = np.array(0.5, np.float32)
SIZED = {
    "FILL": [INDEX, real()],
    "TILE": [IMAGE, INDEX],
    "BROADCAST_TO": [IMAGE, INDEX],
    "RANGE": [ONE, ONE, ONE],
    "BROADCAST_ARGS": [INDEX, INDEX],
    "ONE_HOT": [INDEX, ONE, real(), real()],
    "PAD": [IMAGE, PAIRS],
    "PADV2": [IMAGE, PAIRS, real()],
    "MIRROR_PAD": [IMAGE, PAIRS],
    "RESIZE_BILINEAR": [IMAGE, ((2,), INT32)],
    "RESIZE_NEAREST_NEIGHBOR": [IMAGE, ((2,), INT32)],
    "TRANSPOSE_CONV": [INDEX, real(2, 3, 3, 2), IMAGE],
    "RANDOM_UNIFORM": [INDEX],
    "RANDOM_STANDARD_NORMAL": [INDEX],
    "SCATTER_ND": [((1, 1), INT32), real(1, 3), ((2,), INT32)],
    "SPARSE_TO_DENSE": [((1, 1), INT32), ints(4), real(1), real()],
    "UNSORTED_SEGMENT_SUM": [real(4, 3), INDEX, ONE],
    "UNSORTED_SEGMENT_MAX": [real(4, 3), INDEX, ONE],
    "MULTINOMIAL": [real(2, 3), ONE],
    "NON_MAX_SUPPRESSION_V4": [real(6, 4), real(6), ONE, HALF, HALF],
    "SPACE_TO_BATCH_ND": [IMAGE, ((2,), INT32), ((2, 2), INT32)],
    "BATCH_TO_SPACE_ND": [IMAGE, ((2,), INT32), ((2, 2), INT32)],
    "TRANSPOSE": [IMAGE, INDEX],
    "SLICE": [IMAGE, INDEX, INDEX],
    "MEAN": [IMAGE, INDEX],
    "SPLIT_V": [IMAGE, ((1,), INT32), ONE],
}


def segments(number):
    return model_of(
        "UNSORTED_SEGMENT_SUM",
        [real(4, 3), ints(0, 0, 1, 1), number, real(2, 3)],
        [0, 1, 2],
        [3],
    )


def drawn(number):
    return model_of("MULTINOMIAL", [real(2, 3), number, ((2, 5), INT32)], [0, 1], [2])


def boxes(number):
    return from_inputs(
        "NON_MAX_SUPPRESSION_V4", real(6, 4), real(6), number.reshape(()), HALF, HALF
    )


def add_operator(model, name, inputs, outputs, place=0):
    """Puts another operator into a graph."""
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(
        schema.BuiltinOperator, name
    )
    code.version = 1
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs = np.array(inputs, np.int32)
    operator.outputs = np.array(outputs, np.int32)
    model.subgraphs[0].operators.insert(place, operator)


def add_tensor(model, shape, kind):
    tensor = schema.TensorT()
    tensor.name = f"tensor_{len(model.subgraphs[0].tensors)}"
    tensor.shape, tensor.type = np.array(shape, np.int32), kind
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def squared(model, graph):
    """Squares the sizes of an operator, its input 1."""
    made = add_tensor(model, (4,), INT32)
    graph.operators[0].inputs = ints(0, made)
    add_operator(model, "MUL", [1, 1], [made])


def after_unknown(model, graph):
    """Inserts a slice of computed bounds before the image of an operator."""
    bounds = [add_tensor(model, (4,), INT32) for _ in range(3)]
    made = add_tensor(model, (1, 4, 4, 2), FLOAT)
    inputs = graph.operators[0].inputs
    graph.operators[0].inputs = np.where(inputs == 0, made, inputs).astype(np.int32)
    add_operator(model, "STRIDED_SLICE", [0, *bounds], [made])
    graph.inputs = np.array([*graph.inputs, *bounds], np.int32)


def filled_by_shape(factor):
    """Fills a tensor of the shape of an input, times a factor."""
    model = model_of(
        "FILL",
        [real(1, 4), HALF, ints(factor, 1), real(1, 4)],
        [0, 1],
        [3],
    )
    shape, product = (add_tensor(model, (2,), INT32) for _ in range(2))
    model.subgraphs[0].operators[0].inputs = ints(product, 1)
    add_operator(model, "MUL", [shape, 2], [product])
    add_operator(model, "SHAPE", [0], [shape])
    return model


# What the error must match, and the model.
HOSTILE = {
    # References.
    "reshape of an input that is left out": (
        "is left out",
        lambda: model_of("RESHAPE", [IMAGE, real(1, 32)], [0, -1], [1]),
    ),
    "mean of axes that are left out": (
        "is left out",
        lambda: model_of("MEAN", [IMAGE, real(1, 2)], [0, -1], [1]),
    ),
    "reshape without shape": (
        "has no shape",
        lambda: model_of("RESHAPE", [IMAGE, real(1, 32)], [0], [1]),
    ),
    "a missing only input": (
        "is left out",
        lambda: relu(attribute("inputs", ints(-1))),
    ),
    "a missing output": (
        "has no tensor|left out|writes",
        lambda: relu(attribute("outputs", ints(-1))),
    ),
    "a tensor out of range": (
        "no tensor 7",
        lambda: relu(attribute("inputs", ints(7))),
    ),
    "an operator that reads itself": (
        "not computed yet",
        lambda: relu(attribute("inputs", ints(1))),
    ),
    "an operator code out of range": (
        "no operator code 5",
        lambda: relu(attribute("opcodeIndex", 5)),
    ),
    "a buffer out of range": ("no buffer 9", lambda: relu(tensor("buffer", 9))),
    "too few bytes": (
        "should have",
        lambda: changed(shaped("ADD", weights(2)), tensor("shape", ints(4), 1)),
    ),
    "an input that is a constant": (
        "is a constant",
        lambda: model_of("RELU", [weights(1, 4), real(1, 4)], [0], [1]),
    ),
    # Types.
    "strings": ("contains string tensors", lambda: typed(schema.TensorType.STRING)),
    "int4": ("contains (int4|type 17) tensors", lambda: typed(17)),
    "complex64": ("contains complex64", lambda: typed(schema.TensorType.COMPLEX64)),
    "float64": ("contains float64", lambda: typed(schema.TensorType.FLOAT64)),
    "float16": ("computes in float16", lambda: typed(schema.TensorType.FLOAT16)),
    "resource": ("contains resource", lambda: typed(schema.TensorType.RESOURCE)),
    "variant": ("contains variant", lambda: typed(schema.TensorType.VARIANT)),
    "an unknown type": ("contains type 99", lambda: typed(99)),
    "dense of uint8 with int8 weights": (
        "do not match",
        lambda: model_of(
            "FULLY_CONNECTED",
            [steps(1, 4, kind=UINT8), weights(3, 4, dtype=np.int8), steps(1, 3)],
            [0, 1, -1],
            [2],
            options=("FullyConnectedOptions", {}),
        ),
    ),
    "a product into bool": (
        "do not match",
        lambda: model_of(
            "BATCH_MATMUL",
            [real(1, 4, 4), real(1, 4, 4), ((1, 4, 4), BOOL)],
            [0, 1],
            [2],
            given=(0, 1),
        ),
    ),
    "relu into int32": (
        "differ",
        lambda: model_of("RELU", [real(1, 4), ((1, 4), INT32)], [0], [1]),
    ),
    "a comparison into float32": (
        "its output is FLOAT32",
        lambda: shaped("LESS", weights(2)),
    ),
    # Quantization.
    "two scales, one zero point": ("2 scales and 1 zero", lambda: scales((1, 1), (0,))),
    "a scale, no zero point": ("1 scales and 0 zero", lambda: scales((1,), ())),
    "scales along no axis": ("for axis 3", lambda: scales((1,) * 4, (0,) * 4, 3)),
    "scales of another number": ("for axis 1", lambda: scales((1,) * 3, (0,) * 3, 1)),
    "a scale of nan": ("invalid scale", lambda: scales((np.nan,))),
    "an infinite scale": ("invalid scale", lambda: scales((np.inf,))),
    "a negative scale": ("invalid scale", lambda: scales((-1.0,))),
    "a zero point beyond int8": ("zero point", lambda: scales((1.0,), (1000,))),
    "int8 of no scale compared": (
        "have no scale|not below 1",
        lambda: model_of(
            "EQUAL",
            [steps(1, 4, scale=2.0), steps(1, 4), ((1, 4), BOOL)],
            [0, 1],
            [2],
            given=(0, 1),
        ),
    ),
    "a sum of scales far apart": (
        "too far apart",
        lambda: model_of(
            "ADD",
            [steps(1, 4, scale=1e9), steps(1, 4), steps(1, 4, scale=1e-9)],
            [0, 1],
            [2],
            given=(0, 1),
        ),
    ),
    # Contracts.
    "depthwise without a bias": (
        "has 2 inputs",
        lambda: model_of(
            "DEPTHWISE_CONV_2D",
            [IMAGE, weights(1, 1, 1, 2), IMAGE],
            [0, 1],
            [2],
            options=("DepthwiseConv2DOptions", {**CONV, "depthMultiplier": 1}),
        ),
    ),
    "depthwise of another multiplier": (
        "depthMultiplier is 127",
        lambda: model_of(
            "DEPTHWISE_CONV_2D",
            [IMAGE, weights(1, 1, 1, 2), weights(2), IMAGE],
            [0, 1, 2],
            [3],
            options=("DepthwiseConv2DOptions", {**CONV, "depthMultiplier": 127}),
        ),
    ),
    "a row beyond": (
        "takes row 255 of 1",
        lambda: model_of(
            "STRIDED_SLICE",
            [IMAGE, ints(255), ints(1), ints(1), real(4, 4, 2)],
            [0, 1, 2, 3],
            [4],
            options=("StridedSliceOptions", {"shrinkAxisMask": 1}),
        ),
    ),
    "convolution without options": (
        "are not Conv2DOptions",
        lambda: changed(conv(), without_options),
    ),
    "a stride of 0": ("strideH is 0", lambda: conv(strideH=0)),
    "a negative stride": ("strideW is -1", lambda: conv(strideW=-1)),
    "a dilation of 0": ("dilationHFactor is 0", lambda: conv(dilationHFactor=0)),
    "a window of 0": ("filterWidth is 0", lambda: pool(filterWidth=0)),
    "pooling with a stride of 0": ("strideH is 0", lambda: pool(strideH=0)),
    "a bias too short": (
        "its bias",
        lambda: model_of(
            "CONV_2D",
            [IMAGE, weights(3, 1, 1, 2), weights(2), real(1, 4, 4, 3)],
            [0, 1, 2],
            [3],
            options=("Conv2DOptions", CONV),
        ),
    ),
    "a filter of other channels": (
        "has 2 channels and its filter 5",
        lambda: model_of(
            "CONV_2D",
            [IMAGE, weights(3, 1, 1, 5), weights(3), real(1, 4, 4, 3)],
            [0, 1, 2],
            [3],
            options=("Conv2DOptions", CONV),
        ),
    ),
    "a transposed convolution of another batch": (
        "does not follow from",
        lambda: model_of(
            "TRANSPOSE_CONV",
            [ints(1, 8, 8, 3), weights(3, 2, 2, 2), real(3, 4, 4, 2), real(1, 8, 8, 3)],
            [0, 1, 2],
            [3],
            given=(2,),
            options=("TransposeConvOptions", {"strideH": 2, "strideW": 2}),
        ),
    ),
    "reshape to another number": (
        "does not become",
        lambda: shaped("RESHAPE", ints(1, 31)),
    ),
    "reshape with two unknown sizes": (
        "its shape is",
        lambda: shaped("RESHAPE", ints(-1, -1)),
    ),
    "transpose of one axis twice": (
        "its order is",
        lambda: shaped("TRANSPOSE", ints(0, 1, 1, 3)),
    ),
    "transpose of an axis beyond": (
        "its order is",
        lambda: shaped("TRANSPOSE", ints(0, 1, 2, 9)),
    ),
    "mean over no axis": ("no axis 4", lambda: shaped("MEAN", ints(1, 4), (1, 2))),
    "argmax over no axis": (
        "no axis 9",
        lambda: model_of("ARG_MAX", [IMAGE, ints(9), ((1, 4, 4), INT32)], [0, 1], [2]),
    ),
    "a negative margin": (
        "its margins are",
        lambda: shaped("PAD", ints([0, 0], [-1, 0], [0, 0], [0, 0])),
    ),
    "margins of another rank": (
        "margins do not match",
        lambda: shaped("PAD", ints([0, 0])),
    ),
    "gather of rows beyond": (
        "has no rows",
        lambda: shaped("GATHER", ints(0, 7), options=("GatherOptions", {"axis": 1})),
    ),
    "gather along no axis": (
        "no axis 9",
        lambda: shaped("GATHER", ints(0), options=("GatherOptions", {"axis": 9})),
    ),
    "a slice beyond": (
        "takes 9 from 0",
        lambda: model_of(
            "SLICE",
            [IMAGE, ints(0, 0, 0, 0), ints(1, 9, 4, 2), IMAGE],
            [0, 1, 2],
            [3],
        ),
    ),
    "a strided slice of stride 0": (
        "has a stride of 0",
        lambda: model_of(
            "STRIDED_SLICE",
            [IMAGE, ints(0, 0), ints(1, 4), ints(1, 0), IMAGE],
            [0, 1, 2, 3],
            [4],
            options=("StridedSliceOptions", {}),
        ),
    ),
    "concatenation along no axis": (
        "no axis 5",
        lambda: model_of(
            "CONCATENATION",
            [IMAGE, IMAGE],
            [0, 0],
            [1],
            options=("ConcatenationOptions", {"axis": 5}),
        ),
    ),
    "a split into 0 parts": (
        "has 0 parts",
        lambda: model_of(
            "SPLIT",
            [ints(3), IMAGE, real(1, 4, 4, 1)],
            [0, 1],
            [2],
            given=(1,),
            options=("SplitOptions", {"numSplits": 0}),
        ),
    ),
    "a resize to nothing": ("it makes", lambda: shaped("RESIZE_BILINEAR", ints(0, 4))),
    "blocks of 0": (
        "its blocks are",
        lambda: model_of(
            "BATCH_TO_SPACE_ND",
            [real(4, 4, 4, 2), ints(0, 2), ints([0, 0], [0, 0]), IMAGE],
            [0, 1, 2],
            [3],
        ),
    ),
    "space to depth of 0": (
        "blockSize is 0",
        lambda: model_of(
            "SPACE_TO_DEPTH",
            [IMAGE, IMAGE],
            [0],
            [1],
            options=("SpaceToDepthOptions", {"blockSize": 0}),
        ),
    ),
    "slopes that do not fit": ("its slopes", lambda: shaped("PRELU", weights(3))),
    "relu of two inputs": (
        "has 2 inputs",
        lambda: relu(attribute("inputs", ints(0, 0))),
    ),
    "sums that do not broadcast": (
        "do not broadcast",
        lambda: shaped("ADD", weights(3)),
    ),
    # Graphs.
    "an if that calls no graph": (
        "calls graph 7|calls a graph",
        lambda: called("IF", ("IfOptions", {"thenSubgraphIndex": 7})),
    ),
    "an if that calls itself": (
        "calls itself|has other inputs",
        lambda: called("IF", ("IfOptions", {"elseSubgraphIndex": 0})),
    ),
    "a signature of no graph": (
        "belongs to no graph",
        lambda: sign(lambda m, g: setattr(m.signatureDefs[0], "subgraphIndex", 3)),
    ),
    "a signature of no tensor": (
        "names no tensor",
        lambda: sign(
            lambda m, g: setattr(m.signatureDefs[0].inputs[0], "tensorIndex", 42)
        ),
    ),
    "metadata in no buffer": ("metadata", lambda: relu(metadata_out_of_range)),
    "no graph": (
        "contains no graph",
        lambda: relu(lambda m, g: setattr(m, "subgraphs", [])),
    ),
    # Memory.
    "three tensors of the largest size": (
        "bytes at once",
        lambda: chain(3, 1, 2**27),
    ),
    "a tensor of more": ("the maximum is", lambda: chain(1, 1, 2**29)),
    "too many tiles": (
        "makes .* elements",
        lambda: shaped("TILE", ints(1, 2**14, 2**14, 1)),
    ),
    "too large a fill": (
        "makes .* elements",
        lambda: model_of("FILL", [real(), ints(2**15, 2**15), real(1, 1)], [1, 0], [2]),
    ),
    "a sum that grows": (
        "makes .* elements",
        lambda: model_of(
            "ADD",
            [real(2**15, 1), real(1, 2**15), real(1, 1)],
            [0, 1],
            [2],
            given=(0, 1),
        ),
    ),
    "too large a resize": (
        "makes .* elements",
        lambda: shaped("RESIZE_BILINEAR", ints(2**15, 2**15)),
    ),
    # Options that are choices or counts.
    "an unknown padding": ("padding is 7", lambda: conv(padding=7)),
    "pooling with an unknown padding": ("padding is -1", lambda: pool(padding=-1)),
    "an unknown activation": (
        "fusedActivationFunction is 77",
        lambda: conv(fusedActivationFunction=77),
    ),
    "pooling with an unknown activation": (
        "fusedActivationFunction is -1",
        lambda: pool(fusedActivationFunction=-1),
    ),
    "normalization of a negative radius": (
        "radius is -1000000",
        lambda: normalization(-1000000),
    ),
    "normalization of too large a radius": (
        "radius is 1000000000",
        lambda: normalization(10**9),
    ),
    "margins with an unknown mode": (
        "mode is 3",
        lambda: shaped(
            "MIRROR_PAD", ints(*[[0, 0]] * 4), options=("MirrorPadOptions", {"mode": 3})
        ),
    ),
    "a volume of dilation 0": (
        "dilationDFactor is 0",
        lambda: volume(dilationDFactor=0),
    ),
    "a volume of stride 0": ("strideD is 0", lambda: volume(strideD=0)),
    # Shapes.
    "softmax of nothing": (
        "last axis is empty",
        lambda: model_of(
            "SOFTMAX",
            [real(4, 0), real(4, 0)],
            [0],
            [1],
            options=("SoftmaxOptions", {"beta": 1.0}),
        ),
    ),
    "log softmax of nothing": (
        "last axis is empty",
        lambda: model_of("LOG_SOFTMAX", [real(4, 0), real(4, 0)], [0], [1]),
    ),
    "a volume that grows": (
        "makes .* elements",
        lambda: volume((1, 400, 400, 40, 1), (1, 1, 1, 1, 500)),
    ),
    "a volume of other channels": (
        "has 3 channels and its filter 5",
        lambda: volume((1, 4, 4, 4, 3), (1, 1, 1, 5, 4)),
    ),
    "a volume of four dimensions": (
        "has 4 dimensions",
        lambda: volume((1, 4, 4, 3), (1, 1, 1, 3, 4)),
    ),
    # Divisors.
    **{
        f"{name} of integers by {divisor}": (
            f"divides (integers )?by {divisor}",
            lambda name=name, divisor=divisor: quotient(name, ints(1, divisor, 3, 4)),
        )
        for name, divisor in (
            ("DIV", 0),
            ("FLOOR_DIV", 0),
            ("FLOOR_MOD", 0),
            ("DIV", -1),
            ("FLOOR_MOD", -1),
        )
    },
    **{
        f"{name} of integers by an input": (
            f"integer divisors that only a run knows, operator 0, {name}, "
            "which are not supported",
            lambda name=name: quotient(name, ((4,), INT32)),
        )
        for name in ("DIV", "FLOOR_MOD")
    },
    # Sizes.
    **{
        f"sizes of {name} from an input": (
            f"takes sizes of operator 0, {name}, from an input .* not supported",
            lambda name=name, tensors=tensors: from_inputs(name, *tensors),
        )
        for name, tensors in SIZED.items()
    },
    "sizes that are computed from an input": (
        "takes sizes of operator 1, TILE",
        lambda: changed(from_inputs("TILE", IMAGE, INDEX), squared),
    ),
    "too many segments": (
        "makes .* elements",
        lambda: segments(ints(2000000000)),
    ),
    "a negative number of segments": ("makes .-2", lambda: segments(ints(-2))),
    "too many draws": (
        "makes .* elements",
        lambda: drawn(ints(2000000000)),
    ),
    "draws of a negative number": ("makes .-5", lambda: drawn(ints(-5))),
    "too many boxes": (
        "makes 1,000,000,000 boxes",
        lambda: boxes(ints(10**9)),
    ),
    "a negative number of boxes": ("makes .-3", lambda: boxes(ints(-3))),
    "too long a range": (
        "makes .* elements",
        lambda: model_of(
            "RANGE",
            [*(ints(n).reshape(()) for n in (0, 2 * 10**9, 1)), ((4,), INT32)],
            [0, 1, 2],
            [3],
            given=(),
        ),
    ),
    "an index beyond a dense tensor": (
        "no indices .9",
        lambda: model_of(
            "SPARSE_TO_DENSE",
            [ints([9]), ints(4), real(1), HALF, real(4)],
            [0, 1, 2, 3],
            [4],
            given=(2,),
        ),
    ),
    "too many rows": (
        "makes .* elements",
        lambda: model_of(
            "GATHER_ND",
            [real(4, 2**14), ((2**15, 1), INT32), real(1, 3)],
            [0, 1],
            [2],
            given=(0, 1),
        ),
    ),
    "a sequence that grows": (
        "makes .* elements",
        lambda: model_of(
            "UNIDIRECTIONAL_SEQUENCE_RNN",
            [
                real(1, 2**20, 1),
                real(1024, 1),
                real(1024, 1024),
                real(1024),
                real(1, 1024),
                real(1, 1, 1),
            ],
            [0, 1, 2, 3, 4],
            [5],
            given=(0, 1, 2, 3, 4),
            options=("SequenceRNNOptions", {}),
        ),
    ),
    "sizes computed from a shape, too large": (
        "operator 2, FILL, makes .* elements",
        lambda: filled_by_shape(2**30),
    ),
    # After a shape that only a run knows.
    "a stride of 0 after an unknown shape": (
        "strideH is 0",
        lambda: changed(conv(strideH=0), after_unknown),
    ),
    "too many tiles after an unknown shape": (
        "makes .* elements",
        lambda: changed(shaped("TILE", ints(1, 2**14, 2**14, 1)), after_unknown),
    ),
    "an order of one axis twice after an unknown shape": (
        "its order is",
        lambda: changed(shaped("TRANSPOSE", ints(0, 1, 1, 3)), after_unknown),
    ),
    "a slice after an unknown shape": (
        "slices a tensor whose shape only a run knows",
        lambda: changed(
            model_of(
                "SLICE",
                [IMAGE, ints(0, 0, 0, 0), ints(1, 9, 4, 2), IMAGE],
                [0, 1, 2],
                [3],
            ),
            after_unknown,
        ),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_by_name(name, tmp_path):
    message, make = HOSTILE[name]
    path = tmp_path / "hostile.tflite"
    path.write_bytes(packed_model(make()))
    with pytest.raises(ValueError, match=message) as refusal:
        TfliteFile(path)
    text = str(refusal.value)
    assert "hostile.tflite" in text and "\n" not in text
    if "supported" in text:
        assert "damaged" not in text


@pytest.mark.parametrize("call", ["interpreter", "lce", "profile", "package", "audit"])
def test_every_way_to_native_code_checks_first(call, tmp_path):
    content = packed_model(conv(strideH=0))
    one = np.ones((1, 4, 4, 2), np.float32)
    with pytest.raises(ValueError, match="strideH is 0"):
        {
            "interpreter": lambda: Interpreter(content, backend="delegate"),
            "lce": lambda: Interpreter(content, backend="lce"),
            "profile": lambda: converters.profile(content),
            "package": lambda: converters.package(content, tmp_path / "x", inputs=one),
            "audit": lambda: converters.audit(None, content),
        }[call]()


SOUND = {
    "conv": (conv, 1 + 2.0),
    "pool": (pool, 1.0),
    "relu": (relu, 1.0),
    "reshape": (lambda: shaped("RESHAPE", ints(1, -1), (1, 32)), 1.0),
    "mean": (
        lambda: shaped("MEAN", ints(-1, 1), (1, 4), options=("ReducerOptions", {})),
        1.0,
    ),
    "pad": (lambda: shaped("PAD", ints([0, 0], [0, 0], [0, 0], [0, 0])), 1.0),
}


@pytest.mark.parametrize("backend", ["delegate", "lce"])
@pytest.mark.parametrize("name", SOUND)
def test_the_same_files_without_the_fault_run(name, backend):
    make, expected = SOUND[name]
    interpreter = Interpreter(packed_model(make()), backend=backend)
    result = interpreter.predict(np.ones(interpreter.inputs[0].shape, np.float32))
    np.testing.assert_array_equal(result, np.full_like(result, expected))


@pytest.mark.parametrize("backend", ["delegate", "lce"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1), (1, 1, 7), (4, 4, 1)])
def test_slopes_that_channels_share_are_right(shape, backend):
    """XNNPACK reads a slope for each channel, even if there is only one."""
    image = real(1, 4, 4, 7)
    slopes = np.linspace(0.1, 0.9, int(np.prod(shape))).reshape(shape)
    model = shaped("PRELU", slopes.astype(np.float32), (1, 4, 4, 7), image)
    images = np.random.default_rng(0).normal(size=(3, 4, 4, 7)).astype(np.float32)
    result = Interpreter(packed_model(model), backend=backend).predict(images)
    expected = np.where(images < 0, slopes * images, images)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def damaged_options(place, value):
    """A binary convolution with one byte of its options changed."""
    words = packed(np.ones((4, 1, 1, 32)))
    options = {
        "channels_in": 32, "stride_height": 1, "stride_width": 1, "padding": 1,
        "dilation_height_factor": 1, "dilation_width_factor": 1, "pad_values": 0,
        "fused_activation_function": 0,
    }  # fmt: skip
    one = np.ones(4, np.float32)
    content = binary_file_of(
        "LceBconv2d",
        [((1, 2, 2, 1), np.int32), words, one, one, None],
        ((1, 2, 2, 4), np.float32),
        {**options, **value} if place is None else options,
    )
    if place is None:
        return content

    def change(model):
        raw = np.array(model.subgraphs[0].operators[0].customOptions, np.uint8)
        raw[place] = value
        model.subgraphs[0].operators[0].customOptions = raw

    return TfliteFile(content).edited(change)


@pytest.mark.parametrize("value", [{"stride_height": 0}, {"channels_in": -1}])
def test_options_of_binary_operators_are_checked(value):
    with pytest.raises(
        ValueError, match=f"option {next(iter(value))} of LceBconv2d is"
    ):
        TfliteFile(damaged_options(None, value))
    assert TfliteFile(damaged_options(None, {})).operators


def test_damaged_options_reach_no_interpreter():
    for place in (-1, -2, -3):
        for value in (0, 255, 128):
            with contextlib.suppress(ValueError):
                Interpreter(damaged_options(place, value), backend="lce")


def test_a_pipe_and_a_foreign_file_are_no_models(tmp_path):
    os.mkfifo(tmp_path / "pipe.tflite")
    with pytest.raises(ValueError, match="is a pipe or a device, not a file"):
        TfliteFile(tmp_path / "pipe.tflite")
    with pytest.raises(ValueError, match="is a pipe or a device, not a file"):
        TfliteFile("/dev/zero")
    (tmp_path / "short.tflite").write_bytes(struct.pack("<I", 8) + b"TFL3")
    with pytest.raises(ValueError, match="damaged"):
        TfliteFile(tmp_path / "short.tflite")

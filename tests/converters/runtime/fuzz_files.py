"""Fuzzer: runs damaged .tflite files, each of which must run or be refused.

    python fuzz_files.py FILES COUNT SEED

FILES is a pickle of files and inputs. Each damaged file must run or be refused with a
ValueError. Half of them have changed bytes; the others are well-formed with changed
references, shapes, types, scales, options, constants or operators. A file that ends the
process is left as FILES.now.
"""

import pickle
import random
import resource
import sys

import numpy as np

import converters
from converters.runtime import TfliteFile

MAX_BYTES = 8 * 2**30
NUMBERS = (0, 1, -1, 2, 3, 7, 127, 128, 255, 1000, 65536, 2**31 - 1, -(2**31))
SCALES = (0.0, -1.0, 1e-38, 1e38, float("inf"), float("nan"), 1.0, 1e-9, 1e9)
TYPES = (0, 2, 3, 4, 6, 7, 9)
KINDS = range(162)  # The builtin operators that have options.


def damaged(content, generator):
    """Returns the content with a few bytes changed, or truncated."""
    changed = bytearray(content)
    for _ in range(generator.choice([1, 1, 2, 5, 20])):
        place = generator.randrange(len(changed))
        changed[place] = generator.choice([0, 1, 255, 128, generator.randrange(256)])
    if generator.random() < 0.05:
        del changed[generator.randrange(len(changed)) :]
    return bytes(changed)


def altered(content, generator):
    """Returns the content after one or two changes of its objects."""

    def change(model):
        for _ in range(generator.choice([1, 1, 2])):
            _alter(model, generator)

    return TfliteFile(content).edited(change)


def _alter(model, generator):
    graph = model.subgraphs[0]
    tensor = generator.choice(graph.tensors)
    operator = generator.choice(graph.operators)
    code = generator.choice(model.operatorCodes)
    buffer = model.buffers[tensor.buffer]
    steps = tensor.quantization

    def references():
        side = generator.choice(["inputs", "outputs"])
        places = np.array(getattr(operator, side))
        if not len(places):
            return
        places[generator.randrange(len(places))] = generator.randrange(
            -1, len(graph.tensors)
        )
        setattr(operator, side, places)

    def shape():
        sizes = np.array(tensor.shape)
        if not len(sizes):
            return
        sizes[generator.randrange(len(sizes))] = generator.choice(NUMBERS)
        tensor.shape = sizes if generator.random() < 0.7 else sizes[:-1]

    def kind():
        tensor.type = generator.choice(TYPES)

    def quantization():
        if steps is not None and steps.scale is not None:
            steps.scale = np.array([generator.choice(SCALES)], np.float32)
            steps.zeroPoint = np.array([generator.choice(NUMBERS)], np.int64)

    def constant():
        if buffer.data is not None and len(buffer.data):
            data = np.array(buffer.data, np.uint8)
            data[generator.randrange(len(data))] = generator.choice([0, 1, 128, 255])
            buffer.data = data

    def options():
        if operator.customOptions is not None and len(operator.customOptions):
            data = np.array(operator.customOptions, np.uint8)
            data[generator.randrange(len(data))] = generator.choice([0, 1, 128, 255])
            operator.customOptions = data

    def operators():
        code.customCode = None
        code.builtinCode = generator.choice(KINDS)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)

    def arity():
        operator.inputs = np.array(operator.inputs)[: generator.randrange(4)]

    def variable():
        tensor.isVariable = not tensor.isVariable

    generator.choice(
        [
            references, shape, kind, quantization, constant, options, operators, arity,
            variable,
        ]
    )()  # fmt: skip


def main():
    """Runs the damaged files."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    with open(sys.argv[1], "rb") as stream:
        files = pickle.load(stream)
    generator = random.Random(int(sys.argv[3]))
    ran = refused = 0
    for _ in range(int(sys.argv[2])):
        content, array = generator.choice(files)
        broken = generator.choice([damaged, altered])(content, generator)
        with open(sys.argv[1] + ".now", "wb") as stream:
            stream.write(broken)
        try:
            interpreter = converters.Interpreter(broken, backend="delegate")
            given = [np.zeros(i.shape, i.dtype) for i in interpreter.inputs]
            if len(given) == 1 and given[0].shape == array.shape:
                given = [array.astype(given[0].dtype)]
            interpreter.run_once(given)
            ran += 1
        except ValueError:
            refused += 1
    print(f"{ran} ran, {refused} were refused")


if __name__ == "__main__":
    main()

"""Outputs of Larq Compute Engine, which the binary kernels must repeat.

They are written on a host that runs Larq Compute Engine, and compared on any host:
    python parity.py ANSWERS [KERNELS ...] [--library LIBRARY]
needs only NumPy, LiteRT and this package.
"""

import argparse
import dataclasses
import pathlib
import pickle

import numpy as np
from flatbuffers import flexbuffers

import converters
from converters.packages.subgraph_runner import SubgraphRunner
from converters.runtime import TfliteFile, delegate

LCE = ("LceQuantize", "LceDequantize", "LceBMaxPool2d", "LceBconv2d")


@dataclasses.dataclass(frozen=True)
class Answers:
    """The outputs of one file.

    Attributes:
        content: The file.
        operators: For each binary operator its name, a file of it alone, a random
            input, the output, and the width of the border that is not exact.
        samples: For some inputs the arrays, the signs that the file computes, and all
            values before signs and after the last one, with these signs supplied.
    """

    content: bytes
    operators: tuple[tuple[str, bytes, np.ndarray, np.ndarray, int], ...]
    samples: tuple[tuple[list, list, list], ...]


def answers_of(content, samples, seed=0, alone=True):
    """Returns the outputs of Larq Compute Engine.

    Args:
        content: The file.
        samples: Arrays by the names of the inputs, a batch of a few samples.
        seed: Seed of the operators' inputs.
        alone: Whether each operator also runs alone.
    """
    file, generator = TfliteFile(content), np.random.default_rng(seed)
    operators = []
    for index, operator in enumerate(file.operators):
        if alone and operator.name in LCE:
            single, (tensor,) = file.repeated(index, 1)
            options = options_of(file, index)
            array = random_array(generator, file, tensor, options.get("channels_in"))
            (answer,) = converters.Interpreter(single, backend="lce").run_once([array])
            border = border_of(file, operator, options)
            operators.append(
                (f"{operator.name} {index}", single, array, answer, border)
            )
    runner = SubgraphRunner(file, backend="lce")
    arrays = [samples[name] for name in file.input_names()]
    found = []
    for index in range(len(arrays[0])):
        sample = [array[index : index + 1] for array in arrays]
        signs = runner.signs(sample)
        values, outputs = runner.run(sample, signs)
        found.append((sample, signs, [*values, *outputs]))
    return Answers(content, tuple(operators), tuple(found))


def assert_repeats(answers, tolerance=1e-5, **options):
    """The binary kernels compute the same: integers exactly, real numbers to 1e-5."""
    for name, content, array, answer, border in answers.operators:
        interpreter = converters.Interpreter(content, backend="delegate", **options)
        (ours,) = interpreter.run_once([array])
        message = f"{name} {options}"
        if answer.dtype != np.float32:
            np.testing.assert_array_equal(ours, answer, err_msg=message)
            continue
        inside = (slice(None), *[slice(border, -border or None)] * (answer.ndim - 2))
        np.testing.assert_array_equal(ours[inside], answer[inside], err_msg=message)
        assert_close(ours, answer, tolerance, message)
    file = TfliteFile(answers.content)
    runner = SubgraphRunner(file, backend="delegate", **options)
    for sample, signs, expected in answers.samples:
        values, outputs = runner.run(sample, signs)
        for ours, answer in zip([*values, *outputs], expected, strict=True):
            assert_close(ours, answer, tolerance, str(options))


def assert_close(ours, answer, tolerance, message):
    """Values are equal, relative to the largest one."""
    scale = max(1e-30, float(np.abs(answer).max(initial=0)))
    np.testing.assert_allclose(
        ours / scale, answer / scale, rtol=0, atol=tolerance, err_msg=message
    )


def options_of(file, index):
    """Returns the options of an operator."""
    raw = file._graph.operators[index].customOptions
    return {} if raw is None or len(raw) == 0 else flexbuffers.Loads(bytes(raw))


def border_of(file, operator, options):
    """Returns the width of the border that Larq Compute Engine corrects in float32.

    There it subtracts the contribution of taps outside of the image.
    """
    if options.get("padding") != 0 or options.get("pad_values") != 0:
        return 0
    _, height, width, _ = file.shape(operator.inputs[1])
    return max(
        (height - 1) * options["dilation_height_factor"],
        (width - 1) * options["dilation_width_factor"],
    )


def random_array(generator, file, tensor, channels=None):
    """Returns values of a tensor's type; bits after the last channel are 0."""
    shape, dtype = file.shape(tensor), file.dtype(tensor)
    if dtype == np.float32:
        values = generator.normal(size=shape).astype(np.float32)
        values.ravel()[:3] = [0.0, -0.0, np.nan][: values.size]
        return values
    if dtype.kind == "b":
        return generator.random(shape) < 0.5
    if dtype == np.int8:
        return generator.integers(-128, 128, shape, np.int8)
    words = generator.integers(-(2**31), 2**31, shape, np.int64).astype(np.int32)
    if channels is not None and channels % 32:
        words[..., -1] &= 2 ** (channels % 32) - 1
    return words


def kernels_here():
    """Returns the names of the kernels that this processor can run."""
    return [name for name, runs in delegate.known_kernels().items() if runs]


def main():
    """Compares all outputs in a file of answers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("answers", type=pathlib.Path)
    parser.add_argument("--library", type=pathlib.Path, help="another build of it")
    parser.add_argument("kernels", nargs="*")
    arguments = parser.parse_args()
    everything = pickle.loads(arguments.answers.read_bytes())
    delegate.LIBRARY = arguments.library or delegate.LIBRARY
    wanted = arguments.kernels or kernels_here()
    for name, answers in everything.items():
        for kernels in wanted:
            for num_threads in (1, 2):
                try:
                    assert_repeats(answers, kernels=kernels, num_threads=num_threads)
                except Exception as error:
                    raise SystemExit(f"{name}: {error}") from error
    print(f"{len(everything)} networks answer the same with {', '.join(wanted)}.")


if __name__ == "__main__":
    main()

"""That two interpreters give the same of one file."""

import numpy as np

import converters
from converters.given_signs import CutFile

LCE = ("LceQuantize", "LceDequantize", "LceBMaxPool2d", "LceBconv2d")


def kernels_here():
    """Returns the names of the kernels that this processor runs."""
    from converters.runtime.delegate import known_kernels

    return [name for name, runs in known_kernels().items() if runs]


def assert_operators_are_equal(file, seed=0, tolerance=1e-5, **options):
    """Each binary operator alone, on random values; integers are the same."""
    generator = np.random.default_rng(seed)
    for index, operator in enumerate(file.operators):
        if operator.name not in LCE:
            continue
        content, given = file.repeated(index, 1)
        (tensor,) = given
        array = random_array(generator, file, tensor, operator.name)
        expected = converters.Interpreter(content, backend="lce").run_once([array])
        ours = converters.Interpreter(content, backend="delegate", **options)
        for one, other in zip(ours.run_once([array]), expected, strict=True):
            said = f"{operator.name} {index} {options}"
            if one.dtype != np.float32:
                np.testing.assert_array_equal(one, other, err_msg=said)
                continue
            # Larq Compute Engine subtracts what lies outside of the image in float32.
            inside = (slice(None), *[slice(3, -3)] * (one.ndim - 2))
            np.testing.assert_array_equal(one[inside], other[inside], err_msg=said)
            scale = max(1.0, float(np.abs(other).max(initial=0)))
            np.testing.assert_allclose(
                one / scale, other / scale, rtol=0, atol=tolerance, err_msg=said
            )


def random_array(generator, file, tensor, name):
    """Returns values of a tensor's type; bits behind the last channel are 0."""
    shape, dtype = file.shape(tensor), file.dtype(tensor)
    if dtype == np.float32:
        values = generator.normal(size=shape).astype(np.float32)
        values.ravel()[:3] = [0.0, -0.0, np.nan][: values.size]
        return values
    if dtype.kind == "b":
        return generator.random(shape) < 0.5
    if dtype == np.int8:
        return generator.integers(-128, 128, shape, np.int8)
    # One word of zeros at the end costs nothing and leaves no bit behind a channel.
    words = generator.integers(-(2**31), 2**31, shape, np.int64).astype(np.int32)
    words[..., -1] &= 1
    return words


def assert_agree_given_signs(file, samples, tolerance=1e-5, **options):
    """The whole file under Larq Compute Engine's signs: values and outputs."""
    reference = CutFile(file, backend="lce")
    ours = CutFile(file, backend="delegate", **options)
    for index in range(len(samples[0])):
        sample = [array[index : index + 1] for array in samples]
        signs = reference.signs(sample)
        for one, other in zip(
            [a for part in ours.run(sample, signs) for a in part],
            [a for part in reference.run(sample, signs) for a in part],
            strict=True,
        ):
            scale = np.abs(other).max(initial=1e-30)
            np.testing.assert_allclose(
                one / scale, other / scale, rtol=0, atol=tolerance
            )

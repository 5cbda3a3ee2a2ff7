"""The binary kernels equal the definition, on each instruction set."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from converters.runtime import Interpreter, delegate

from .convolutions import Case
from .files import file_of, packed, unpacked
from .parity import kernels_here

KERNELS = kernels_here()


def run(content, array, kernels, num_threads=1):
    interpreter = Interpreter(content, num_threads, backend="delegate", kernels=kernels)
    (result,) = interpreter.run_once([array])
    return result


def check(case, kernels, num_threads=1, seed=0):
    operands = case.operands(seed)
    result = run(case.file(operands), packed(operands[0]), kernels, num_threads)
    expected = case.answer(operands)
    assert result.shape == expected.shape
    if case.output == "bits":
        np.testing.assert_array_equal(result, expected)
        return
    # As in Larq Compute Engine, two float32 as large as the largest sum are added.
    _, kernel, multiplier, bias, _ = operands
    size = kernel[0].size * np.abs(multiplier) + np.abs(bias)
    if case.output == "float32":
        assert (np.abs(result - expected) <= 2.0**-22 * size).all()
        return
    steps = case.steps(operands)
    slack = 2.0**-22 * (size / case.scale + abs(case.zero_point))
    halves = np.abs(np.abs(steps - np.trunc(steps)) - 0.5) <= slack
    np.testing.assert_array_equal(result[~halves], expected[~halves])
    assert np.abs(result - expected).max() <= 1


def test_the_library_is_built():
    """A missing library is a failure, not a skip."""
    assert delegate.ready_litert().tested
    assert delegate.known_kernels()["portable"]


CASES = {
    "zero_padding": Case(),
    "padding_of_ones": Case(pad_ones=True),
    "without_padding": Case(same=False),
    "one_by_one": Case(filter_height=1, filter_width=1, channels_in=64),
    "stride": Case(stride_height=2, stride_width=3, height=9, width=10),
    "stride_beyond_the_filter": Case(
        filter_height=1, filter_width=1, stride_height=3, stride_width=2
    ),
    "dilation": Case(dilation_height=2, dilation_width=3, height=9, width=9),
    "dilation_of_rows": Case(dilation_height=2, same=False, height=9),
    "groups": Case(channels_in=64, channels_out=64, groups=2),
    "groups_of_few_outputs": Case(channels_in=96, channels_out=15, groups=3),
    "groups_to_bits": Case(channels_in=96, channels_out=15, groups=3, output="bits"),
    "groups_and_dilation": Case(
        channels_in=64, channels_out=64, groups=2, dilation_width=2, width=9
    ),
    "odd_channels": Case(channels_in=33, channels_out=31),
    "one_channel": Case(channels_in=1, channels_out=1),
    "many_channels": Case(channels_in=512, channels_out=70, height=3, width=3),
    "bits": Case(output="bits", pad_ones=True, channels_out=70),
    "bits_and_zero_padding": Case(output="bits", channels_in=33),
    "int8": Case(output="int8", channels_out=70),
    "relu": Case(activation=1),
    "relu_n1_to_1": Case(activation=2),
    "relu6": Case(activation=3),
    "even_filter": Case(filter_height=2, filter_width=4),
    "image_smaller_than_the_filter": Case(
        height=2, width=1, filter_height=5, filter_width=5
    ),
    "batch": Case(batch=3, height=9, width=9),
    "more_pixels_than_a_tile": Case(height=13, width=17),
}


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", CASES)
def test_convolutions_equal_the_definition(name, kernels):
    for num_threads in (1, 2, 3):
        check(CASES[name], kernels, num_threads)


@strategies.composite
def cases(draw):
    def number(least, most):
        return draw(strategies.integers(least, most))

    groups = draw(strategies.sampled_from([1, 1, 1, 2, 3]))
    channels_in = number(1, 140) if groups == 1 else 32 * groups * number(1, 2)
    return Case(
        batch=number(1, 2),
        height=number(1, 12),
        width=number(1, 12),
        channels_in=channels_in,
        channels_out=groups * number(1, 70),
        groups=groups,
        filter_height=number(1, 4),
        filter_width=number(1, 4),
        stride_height=number(1, 3),
        stride_width=number(1, 3),
        dilation_height=number(1, 3),
        dilation_width=number(1, 3),
        same=draw(strategies.booleans()),
        pad_ones=draw(strategies.booleans()),
        activation=number(0, 3),
        output=draw(strategies.sampled_from(["float32", "int8", "bits"])),
        scale=draw(strategies.sampled_from([0.05, 0.5, 3.0])),
        zero_point=number(-128, 127),
    )


@pytest.mark.parametrize("examples", [30, pytest.param(2000, marks=pytest.mark.slow)])
def test_any_convolution_equals_the_definition(examples):
    @hypothesis.settings(
        max_examples=examples, deadline=None, derandomize=True, database=None
    )
    @hypothesis.given(cases(), strategies.integers(0, 3))
    def compare(case, seed):
        hypothesis.assume(min(case.out_size()) >= 1)
        for kernels in KERNELS:
            check(case, kernels, num_threads=1 + seed % 2, seed=seed)

    compare()


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("output", ["float32", "int8", "bits"])
def test_outputs_equal_those_of_lce_to_the_last_bit(output, kernels):
    case = Case(
        channels_in=100, channels_out=45, height=9, output=output, pad_ones=True
    )
    operands = case.operands(2)
    content, image = case.file(operands), packed(operands[0])
    (expected,) = Interpreter(content, backend="lce").run_once([image])
    np.testing.assert_array_equal(run(content, image, kernels, 2), expected)


@pytest.mark.parametrize("kernels", KERNELS)
def test_kernels_compute_the_same_floats_to_the_last_bit(kernels):
    case = Case(channels_in=300, channels_out=77, height=9, width=9)
    operands = case.operands(1)
    content, image = case.file(operands), packed(operands[0])
    np.testing.assert_array_equal(
        run(content, image, kernels, 2), run(content, image, "portable")
    )


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("channels", [1, 8, 31, 32, 33, 64, 95, 130])
def test_signs_are_packed_and_unpacked(channels, kernels):
    generator = np.random.default_rng(channels)
    shape = (2, 3, 5, channels)
    values = generator.normal(size=shape).astype(np.float32)
    values.ravel()[:4] = [0.0, -0.0, np.nan, -np.inf][: values.size]
    words = (*shape[:-1], -(-channels // 32))
    content = file_of("LceQuantize", [(shape, np.float32)], (words, np.int32))
    result = run(content, values, kernels)
    np.testing.assert_array_equal(result, packed(values))
    for zero_point in (-128, -3, 0, 127):
        steps = generator.integers(-128, 128, shape, np.int8)
        content = file_of(
            "LceQuantize", [(shape, np.int8, (0.1, zero_point))], (words, np.int32)
        )
        expected = packed(steps.astype(int) - zero_point)
        np.testing.assert_array_equal(run(content, steps, kernels), expected)
    truths = generator.random(shape) < 0.5
    content = file_of("LceQuantize", [(shape, bool)], (words, np.int32))
    expected = packed(np.where(truths, 1, -1))
    np.testing.assert_array_equal(run(content, truths, kernels), expected)

    signs = packed(values)
    plus = unpacked(signs, channels)
    content = file_of("LceDequantize", [(words, np.int32)], (shape, np.float32))
    np.testing.assert_array_equal(run(content, signs, kernels), plus)
    content = file_of("LceDequantize", [(words, np.int32)], (shape, bool))
    np.testing.assert_array_equal(run(content, signs, kernels), plus > 0)
    for scale, zero_point in ((0.05, 3), (0.005, -100)):
        content = file_of(
            "LceDequantize",
            [(words, np.int32)],
            (shape, np.int8, (scale, zero_point)),
        )
        expected = np.clip(zero_point + plus * round(1 / scale), -128, 127)
        np.testing.assert_array_equal(run(content, signs, kernels), expected)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("window, stride", [(2, 2), (3, 2), (3, 1), (2, 3)])
def test_pooling_takes_the_largest_sign(window, stride, same):
    image = np.random.default_rng(0).choice([-1, -1, -1, 1], (2, 8, 9, 40))
    sizes = [-(-n // stride) if same else (n - window) // stride + 1 for n in (8, 9)]
    pads = [
        max(0, (out - 1) * stride + window - n) if same else 0
        for out, n in zip(sizes, (8, 9))
    ]
    padded = np.pad(
        image,
        [(0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)],
        constant_values=-1,
    )
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window), (1, 2))
    expected = windows.max(axis=(-2, -1))[:, ::stride, ::stride]
    expected = expected[:, : sizes[0], : sizes[1]]
    content = file_of(
        "LceBMaxPool2d",
        [(packed(image).shape, np.int32)],
        ((2, *sizes, 2), np.int32),
        {
            "filter_height": window,
            "filter_width": window,
            "padding": 0 if same else 1,
            "stride_height": stride,
            "stride_width": stride,
        },
    )
    result = run(content, packed(image), "portable")
    np.testing.assert_array_equal(result, packed(expected))


def test_invalid_operators_are_refused_with_the_reason():
    case = Case()
    operands = case.operands(0)
    _, kernel, multiplier, bias, _ = operands

    def message(change_options=None, inputs=None, output=None, raw=None):
        options = {
            "channels_in": 32,
            "dilation_height_factor": 1,
            "dilation_width_factor": 1,
            "fused_activation_function": 0,
            "pad_values": 0,
            "padding": 0,
            "stride_height": 1,
            "stride_width": 1,
            **(change_options or {}),
        }
        content = file_of(
            "LceBconv2d",
            inputs
            or [((1, 5, 6, 1), np.int32), packed(kernel), multiplier, bias, None],
            output or ((1, 5, 6, 32), np.float32),
            {key: value for key, value in options.items() if value is not None},
            raw,
        )
        # Refused by the checker or, after it, by the kernels.
        with pytest.raises(
            ValueError, match=r"cannot run this file|is a damaged .tflite"
        ) as caught:
            Interpreter(content, backend="delegate")
        return str(caught.value)

    assert "option stride_width of LceBconv2d is 0" in message({"stride_width": 0})
    assert "option stride_width of LceBconv2d is None" in message(
        {"stride_width": None}
    )
    assert "option padding of LceBconv2d is 2" in message({"padding": 2})
    assert "option pad_values of LceBconv2d is 7" in message({"pad_values": 7})
    assert "option fused_activation_function of LceBconv2d is 4" in message(
        {"fused_activation_function": 4}
    )
    assert "1 words of 32 channels, and channels_in is 64" in message(
        {"channels_in": 64}
    )
    assert "the options of LceBconv2d are damaged" in message(raw=b"")
    assert "the options of LceBconv2d are damaged" in message(raw=b"\xff" * 40)
    small = [((1, 5, 6, 1), np.int32), packed(kernel), multiplier[:7], bias, None]
    assert "its multiplier or bias is not constant, or too short" in message(
        inputs=small
    )
    floats = [((1, 5, 6, 1), np.float32), packed(kernel), multiplier, bias, None]
    assert "its input is not int32" in message(inputs=floats)
    assert "its thresholds" in message(output=((1, 5, 6, 1), np.int32))
    wide = dataclasses.replace(case, filter_height=9, same=False)
    with pytest.raises(ValueError, match="smaller than its filter"):
        Interpreter(wide.file(wide.operands(0)), backend="delegate")


def test_an_unknown_kernel_is_refused():
    content = Case().file(Case().operands(0))
    with pytest.raises(ValueError, match=r"kernels must be one of \[.*'portable'"):
        Interpreter(content, backend="delegate", kernels="mmx")
    with pytest.raises(ValueError, match="belong to backend 'delegate'"):
        Interpreter(content, backend="lce", kernels="portable")


def test_a_litert_that_computes_wrongly_is_refused(monkeypatch):
    monkeypatch.setattr(
        delegate, "self_test_input", lambda: -np.ones((1, 7, 7, 40), np.float32)
    )
    litert = delegate.installed_litert()
    assert "the answer of the self-test is" in delegate.run_self_test(litert)


def test_an_untested_litert_is_tested_in_its_own_process(monkeypatch):
    monkeypatch.setattr(delegate, "TESTED", {"tensorflow": (), "ai-edge-litert": ()})
    delegate._outcome.cache_clear()
    assert not delegate.ready_litert().tested
    monkeypatch.setattr(delegate.sys, "executable", "/bin/false")
    delegate._outcome.cache_clear()
    with pytest.raises(RuntimeError, match="does not work with the binary kernels"):
        delegate.ready_litert()
    delegate._outcome.cache_clear()

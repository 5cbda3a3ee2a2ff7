"""Ranges are those of the values, and stand where they do no harm."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.graph.freezing import freeze
from converters.int8.arithmetic import nudged, quant_params, quantize_dequantize
from converters.int8.fake_quants import quant_params_of, with_quantized_kernels
from converters.int8.insertion import insert_fake_quants
from converters.runtime import Interpreter, TfliteFile
from converters.verification.steps import compare_steps

from ..conftest import conv, noise

keras = tf.keras.layers


@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (0.0, 6.0), (-7.3, 0.2), (-2.0, 0)])
def test_steps_are_those_of_tensorflow(low, high):
    values = np.random.default_rng(0).uniform(1.5 * low - 1, 1.5 * high + 1, 1000)
    values = values.astype(np.float32)
    scale, zero_point = quant_params(low, high)
    assert scale == (high - low) / 255 and -128 <= zero_point <= 127
    near = nudged(low, high)
    assert np.abs(np.subtract(near, (low, high))).max() <= scale / 2 + 1e-9
    assert quant_params(*near) == (pytest.approx(scale), zero_point)
    whole = np.clip(np.floor(values / scale + 0.5) + zero_point, -128, 127)
    theirs = tf.quantization.fake_quant_with_min_max_vars(values, *near).numpy()
    np.testing.assert_allclose(theirs, scale * (whole - zero_point), atol=1e-6)
    assert len(np.unique(theirs)) > 100 and 0 in theirs


def net(*layers, shape=(8, 8, 3), seed=0):
    tf.keras.utils.set_random_seed(seed)
    return tf.keras.Sequential([tf.keras.Input(shape), *layers])


def norm():
    """A batch normalization that turns some channels and shifts all."""
    between = tf.keras.initializers.RandomUniform
    return keras.BatchNormalization(
        gamma_initializer=between(-1, 2, seed=1),
        beta_initializer=between(-1, 1, seed=2),
        moving_mean_initializer=between(-1, 1, seed=3),
        moving_variance_initializer=between(0.5, 2, seed=4),
    )


def with_ranges(model, samples=70, ends=False):
    calibration = {model.input_names[0]: noise(model, samples)}
    graph = freeze(model)
    insert_fake_quants(graph, calibration, ends)
    return graph, calibration


def checked(model, ends=False):
    """Converts with ranges and compares step by step; returns the file."""
    frozen, calibration = with_ranges(model, ends=ends)
    content = converters.convert(
        model, inputs=None, rewrites=None, calibration=calibration, int8_io=ends
    ).content
    interpreter = Interpreter(content)
    # Other inputs than those that made the ranges.
    arrays = {name: 1.1 * array[::-1] for name, array in calibration.items()}
    found = compare_steps(with_quantized_kernels(frozen), interpreter, arrays)
    assert found.passed and found.mismatched == 0 and found.farthest <= 1
    assert not found.untraced and found.tensors >= len(quant_params_of(frozen)) > 1
    return interpreter.file


def types(file, name):
    return [
        str(file.dtype(operator.outputs[0]))
        for operator in file.operators
        if operator.name == name
    ]


def test_ranges_are_the_ends_of_the_values_and_zero():
    model = net(
        keras.Conv2D(32, 3, activation="relu", name="stem"),
        conv(name="binary"),
        keras.Flatten(),
        keras.Dense(5, name="top", bias_initializer=tf.constant_initializer(90.0)),
    )
    frozen, calibration = with_ranges(model)
    ranges = {
        (r.layer, r.tensor.endswith("input:0")): r for r in quant_params_of(frozen)
    }
    inner = tf.keras.Model(model.input, [layer.output for layer in model.layers])
    values = inner.predict(calibration, verbose=0)
    expected = {
        (next(iter(frozen.inputs.values())).partition(":")[0], True): calibration[
            model.input_names[0]
        ],
        ("stem", False): values[0],
        # Flatten hands on what the binary layer computes.
        ("binary", True): values[1],
        ("top", False): values[3],
    }
    assert ranges.keys() == expected.keys()
    for key, array in expected.items():
        scale, zero_point = quant_params(min(0, array.min()), max(0, array.max()))
        assert ranges[key].scale == pytest.approx(scale, rel=1e-5)
        assert ranges[key].zero_point == zero_point
    assert values[3].min() > 0 and ranges["top", False].zero_point == -128


def test_weights_are_rounded_as_the_converter_does():
    model = net(
        keras.Conv2D(4, 3, name="real"),
        norm(),
        keras.DepthwiseConv2D(3, name="depthwise"),
        conv(name="binary"),
        keras.Flatten(),
        keras.Dense(5, name="top"),
    )
    file = checked(model)
    for name, kernel, axes in (
        ("DEPTHWISE_CONV_2D", model.get_layer("depthwise").depthwise_kernel, (0, 1)),
        ("FULLY_CONNECTED", model.get_layer("top").kernel, (0, 1)),
    ):
        (operator,) = (o for o in file.operators if o.name == name)
        integers = file.data(operator.inputs[1])
        assert integers.dtype == np.int8 and np.abs(integers).max() == 127
        rounded = quantize_dequantize(kernel.numpy(), axes)
        scale = np.abs(kernel.numpy()).max(axis=axes, keepdims=True) / 127
        ours = np.rint(rounded / scale).reshape(-1, kernel.shape[-1])
        if name == "DEPTHWISE_CONV_2D":
            ours = np.rint(rounded / scale)[..., 0].reshape(-1, kernel.shape[2])
            theirs = integers.reshape(-1, kernel.shape[2])
        else:
            theirs = integers.T
        np.testing.assert_array_equal(ours, theirs)


def test_a_chain_of_binary_layers_hands_on_bits():
    model = net(
        keras.Conv2D(32, 3),
        norm(),
        conv(name="one"),
        norm(),
        conv(name="two"),
        norm(),
        keras.Flatten(),
        keras.Dense(5),
    )
    file = checked(model)
    assert types(file, "LceBconv2d") == ["int32", "float32"]
    assert types(file, "CONV_2D") == ["int8"]
    assert types(file, "FULLY_CONNECTED") == ["int8"]


def test_binary_layers_that_pad_with_zeros_write_float32():
    """Their kernels refuse int8, which the converter does not know."""
    model = net(
        conv(name="binary", pad_values=0.0), norm(), keras.Conv2D(8, 1), shape=(8, 8, 4)
    )
    file = checked(model)
    assert types(file, "LceBconv2d") == ["float32"]
    assert types(file, "CONV_2D") == ["int8"]


class Branches(keras.Layer):
    """What a real-valued layer computes, beside values of another size."""

    def call(self, inputs):
        pooled = tf.nn.avg_pool2d(inputs, 2, 2, "SAME")
        return tf.concat([pooled, 20 * tf.abs(pooled), 3 * pooled], axis=-1)


def test_joined_values_and_means_keep_their_range():
    """The converter gives what is joined the range of a part, and so cuts it off."""
    model = net(
        keras.Conv2D(32, 3, padding="same"),
        norm(),
        Branches(),
        conv(name="binary"),
        norm(),
        keras.AveragePooling2D(4),
        keras.Flatten(),
        keras.Dense(5),
    )
    file = checked(model)
    assert types(file, "CONCATENATION") == ["float32"]
    assert types(file, "FULLY_CONNECTED") == ["int8"]


def test_ends_have_ranges_where_they_are_asked_for():
    model = net(
        conv(name="binary"), norm(), keras.PReLU(shared_axes=(1, 2)), shape=(8, 8, 4)
    )
    frozen, calibration = with_ranges(model)
    assert not quant_params_of(frozen)
    with pytest.raises(converters.ConversionError, match="no real-valued convolution"):
        converters.convert(model, inputs=None, calibration=calibration)
    file = checked(model, ends=True)
    ends = [*file.inputs, *file.outputs]
    assert [file.dtype(tensor) for tensor in ends] == [np.int8, np.int8]


def test_real_layers_that_read_signs_stay_as_they_are():
    model = net(
        lq.layers.QuantDepthwiseConv2D(3, input_quantizer="ste_sign", name="signs"),
        conv(name="binary"),
        keras.Conv2D(4, 1, name="real"),
    )
    frozen, calibration = with_ranges(model)
    assert {r.layer for r in quant_params_of(frozen)} == {"binary", "real"}
    report = converters.convert(model, inputs=None, calibration=calibration).report
    kinds = {entry.name: entry for entry in report.audit.real_valued}
    assert kinds["CONV_2D"].dtype == "int8" and kinds["CONV_2D"].reason is None
    assert kinds["DEPTHWISE_CONV_2D"].layer == "signs"
    assert kinds["DEPTHWISE_CONV_2D"].dtype == "float32"
    assert "its inputs are signs" in kinds["DEPTHWISE_CONV_2D"].reason
    assert "| DEPTHWISE_CONV_2D | signs | float32: its inputs" in report.markdown()


def test_the_file_holds_the_ranges_of_the_graph():
    model = net(keras.Conv2D(32, 3), conv(), keras.Flatten(), keras.Dense(5))
    frozen, calibration = with_ranges(model)
    content = converters.convert(model, inputs=None, calibration=calibration).content
    file = TfliteFile(content)
    written = [
        file.quantization(tensor)
        for operator in file.operators
        for tensor in operator.outputs
        if file.quantization(tensor) is not None
    ]
    for place in quant_params_of(frozen):
        assert any(
            zero_point == place.zero_point and scale == pytest.approx(place.scale)
            for scale, zero_point in written
        )


def test_resizing_rounds_to_the_steps_of_what_it_resizes():
    model = net(
        keras.Conv2D(32, 3),
        keras.UpSampling2D(2, interpolation="bilinear"),
        conv(name="binary"),
        norm(),
        keras.UpSampling2D(2),
        keras.SeparableConv2D(16, 3),
    )
    assert types(checked(model), "RESIZE_BILINEAR") == ["int8"]


def test_several_inputs_and_outputs():
    second, first = tf.keras.Input((8, 8, 3)), tf.keras.Input((8, 8, 4))
    x, y = (norm()(keras.Conv2D(32, 3)(each)) for each in (second, first))
    z = keras.Dense(5, name="dense")(keras.Flatten()(conv()(x)))
    model = tf.keras.Model([second, first], [keras.add([x, y], name="sum"), z])
    arrays = [
        np.random.default_rng(0).normal(size=(40, *tensor.shape[1:]))
        for tensor in model.inputs
    ]
    arrays = [array.astype(np.float32) for array in arrays]
    content = converters.convert(
        model, inputs=arrays, calibration=arrays, int8_io=True
    ).content
    interpreter = Interpreter(content)
    assert [info.name for info in interpreter.inputs] == model.input_names
    assert {info.dtype.name for info in interpreter.inputs} == {"int8"}
    expected = dict(zip(model.output_names, model.predict(arrays, verbose=0)))
    received = interpreter.predict(dict(zip(model.input_names, arrays)))
    for info in interpreter.outputs:
        difference = np.abs(received[info.name] - expected[info.name])
        assert info.scale < np.median(np.abs(expected[info.name])) / 5
        # Signs that turn move the dense layer; sums have none before them.
        assert np.median(difference) < (2 if info.name == "sum" else 10) * info.scale

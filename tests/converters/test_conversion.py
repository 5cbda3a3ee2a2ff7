"""`convert`: what it writes, reports and refuses."""

import json
import os

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx

from .conftest import conv, noise, one_layer


def test_writes_the_file_and_leaves_the_model_alone(tmp_path):
    model = one_layer(conv())
    before = [weight.numpy() for weight in model.weights]
    result = converters.convert(model, tmp_path / "model.tflite", inputs=noise(model))
    assert (tmp_path / "model.tflite").read_bytes() == result.content
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]
    for weight, old in zip(model.weights, before):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_progress_hears_of_each_stage(tmp_path):
    model, heard = one_layer(conv()), []
    path = tmp_path / "model.tflite"
    converters.convert(model, path, inputs=noise(model), progress=heard.append)
    assert heard == [
        f"tracing {model.name}",
        "rewriting its graph",
        "converting it with Larq Compute Engine",
        "comparing the file with the model",
        f"writing {path}",
    ]
    heard.clear()
    converters.convert(model, inputs=None, rewrites=None, progress=heard.append)
    assert len(heard) == 3 and heard[-1] == "auditing the file"
    heard.clear()
    with pytest.raises(converters.ConversionError):
        converters.convert(float_model(), inputs=None, progress=heard.append)
    assert not heard


def test_report_is_plain_data():
    model = one_layer(conv())
    report = converters.convert(model, inputs=noise(model)).report
    content = json.loads(json.dumps(report.as_dict()))
    assert content["verification"]["passed"] is True
    assert content["audit"]["layers"][0]["name"] == "binary"
    # 9 * 64 * 32 weights of the kernel, 4 * 32 of the batch normalization.
    assert report.float_bytes == 4 * (9 * 64 * 32 + 4 * 32)
    assert report.audit.num_bytes < report.float_bytes / 8
    page = report.markdown()
    assert "| binary | QuantConv2D | LceBconv2d |" in page
    (name,) = model.input_names
    assert f"| input | {name} | (1, 8, 8, 64) | float32 |" in page
    (entry,) = content["audit"]["inputs"]
    facts = [entry[key] for key in ("name", "shape", "dtype", "scale")]
    assert facts == [name, [1, 8, 8, 64], "float32", None]
    # The bytes of all parts are those of the file.
    part = page.partition("## Bytes of the file")[2].partition("## Operators")[0]
    rows = [line.strip("| ").split("|") for line in part.splitlines() if "|" in line]
    sizes = [int(row[-1].replace(",", "")) for row in rows[2:]]
    assert sum(sizes[:-1]) == sizes[-1] == report.audit.num_bytes
    assert rows[2] == ["binary ", " 2,560 ", " 2,560"]


def test_a_report_says_that_nothing_was_compared():
    report = converters.convert(one_layer(conv()), inputs=None).report
    line = "| comparison with Keras | not compared: no inputs were given |"
    assert line in report.markdown() and report.as_dict()["compared"] is False
    model = one_layer(conv())
    report = converters.convert(model, inputs=noise(model)).report
    assert "not compared" not in report.markdown() and report.as_dict()["compared"]


def float_model():
    return tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(2)])


def unknown_size():
    return tf.keras.Sequential([tf.keras.Input((None, None, 64)), conv()])


def fixed_batch():
    return tf.keras.Sequential([tf.keras.Input((8, 8, 64), batch_size=4), conv()])


class Subclassed(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = conv()
        self(np.zeros((1, 8, 8, 64), np.float32))

    def call(self, inputs):
        return self.conv(inputs)


def ternary_inputs():
    return one_layer(conv(input_quantizer="ste_tern"))


class Erfinv(tf.keras.layers.Layer):
    def call(self, inputs):
        return tf.math.erfinv(tf.tanh(inputs))


@pytest.mark.parametrize(
    "make, message",
    [
        (float_model, "holds no layer with quantizers"),
        (unknown_size, "has the unknown size"),
        (fixed_batch, "has the fixed batch size 4"),
        (Subclassed, "has no symbolic inputs"),
        # Larq Compute Engine converts it to other numbers, without a word.
        (ternary_inputs, "binary has the input_quantizer SteTern, which Larq Comp"),
        (
            lambda: one_layer(conv(input_quantizer="magnitude_aware_sign")),
            "binary has the input_quantizer MagnitudeAwareSign, whose scale is",
        ),
        (
            lambda: one_layer(conv(), after=[Erfinv()]),
            "No interpreter knows the operators .*Erfinv",
        ),
    ],
    ids=[
        "float",
        "unknown_size",
        "batch",
        "subclassed",
        "ternary",
        "scaled",
        "operator",
    ],
)
def test_refuses_and_writes_nothing(make, message, tmp_path):
    model = make()
    inputs = np.random.default_rng(0).normal(size=(16, 8, 8, 64))
    inputs = inputs.astype(np.float32)
    with pytest.raises(converters.ConversionError, match=message):
        converters.convert(model, tmp_path / "model.tflite", inputs=inputs)
    assert not list(tmp_path.iterdir())


def test_a_refusal_says_what_is_known(monkeypatch):
    from converters import conversion

    # Larq Compute Engine pads images of less than 3x3 pixels wrongly with zeros.
    model = one_layer(conv(pad_values=0.0), (2, 2, 64))
    monkeypatch.setattr(conversion, "check_graph", lambda graph: None)
    with pytest.raises(converters.ConversionError) as refused:
        converters.convert(model, inputs=noise(model), rewrites=None)
    assert refused.value.report.audit.operators["LceBconv2d"] == 1
    assert not refused.value.report.verification.passed


def test_a_file_that_does_not_load_is_refused(monkeypatch):
    from converters import conversion

    x = tf.keras.Input((8, 8, 64))
    by_place = np.arange(64, dtype=np.float32).reshape(8, 8, 1)
    model = tf.keras.Model(x, conv()(x) * by_place)
    with pytest.raises(converters.ConversionError, match=r"shape \(8, 8, 1\) after"):
        converters.convert(model, inputs=None, rewrites=None)
    monkeypatch.setattr(conversion, "check_graph", lambda graph: None)
    with pytest.raises(converters.ConversionError, match="that does not load"):
        converters.convert(model, inputs=None, rewrites=None)


def test_the_converters_own_messages_are_kept(monkeypatch):
    from larq_compute_engine.mlir import _tf_tfl_flatbuffer as binding

    real = binding.convert_graphdef_to_tflite_flatbuffer

    def talks(*arguments):
        os.write(2, b"loc(x): error: Invalid binary convolution\nnothing to see\n")
        return real(*arguments)

    monkeypatch.setattr(binding, "convert_graphdef_to_tflite_flatbuffer", talks)
    report = converters.convert(one_layer(conv()), inputs=None).report
    assert report.messages == ("loc(x): error: Invalid binary convolution",)


def test_ternary_inputs_are_caught_by_the_comparison_too(monkeypatch):
    from converters import conversion

    model = ternary_inputs()
    monkeypatch.setattr(conversion, "check", lambda model: None)
    monkeypatch.setattr(conversion, "check_graph", lambda graph: None)
    with pytest.raises(converters.ConversionError, match="so none was written") as no:
        converters.convert(model, inputs=noise(model))
    assert no.value.report.verification.median_difference > 0.01


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_converted_in_float32(policy):
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        model = one_layer(conv(), after=[conv(name="second")])
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")
    report = converters.convert(model, inputs=noise(model)).report
    assert len(report.audit.converted) == 2 and report.verification.passed
    assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")


def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path):
    model = one_layer(conv())
    with pytest.raises(converters.ConversionError, match="nowhere does not exist"):
        converters.convert(model, tmp_path / "nowhere" / "m.tflite", inputs=None)
    with pytest.raises(converters.ConversionError, match="cannot be written"):
        converters.convert(model, tmp_path, inputs=None)


def test_a_failing_converter_is_one_error(monkeypatch):
    from larq_compute_engine.mlir import _tf_tfl_flatbuffer as binding

    def fail(*arguments):
        raise RuntimeError("no such pass")

    monkeypatch.setattr(binding, "convert_graphdef_to_tflite_flatbuffer", fail)
    with pytest.raises(converters.ConversionError, match=r"could not.*no such pass"):
        converters.convert(one_layer(conv()), inputs=None)


def test_an_older_file_survives_a_failure(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"an older file")
    with pytest.raises(converters.ConversionError):
        converters.convert(float_model(), path, inputs=np.zeros((1, 4), np.float32))
    assert path.read_bytes() == b"an older file"


def test_quantizers_without_larq_layers_do_not_count():
    model = tf.keras.Sequential(
        [tf.keras.Input((4,)), lq.quantizers.SteSign(), tf.keras.layers.Dense(2)]
    )
    with pytest.raises(converters.ConversionError, match="holds no layer"):
        converters.convert(model, inputs=None)


def test_kernels_that_would_be_rounded_are_refused():
    """As after a few steps of Adam on kernels in {-1, +1}."""
    free = lq.quantizers.NoOp(precision=1)
    start = zx.initializers.BernoulliSign()
    model = one_layer(conv(kernel_quantizer=free, kernel_initializer=start))
    kernel = model.layers[0].kernel
    drift = np.random.default_rng(0).uniform(-2e-3, 2e-3, kernel.shape)
    signs = kernel.numpy()
    kernel.assign(signs + drift)
    with pytest.raises(converters.ConversionError, match=r"binary has .* so nearly"):
        converters.convert(model, inputs=None)
    kernel.assign(signs * (1 + 1e-7))
    report = converters.convert(model, inputs=noise(model)).report
    assert report.verification.passed and not report.rounded


def test_kernels_that_are_signs_but_for_rounding_are_in_the_report():
    free = lq.quantizers.NoOp(precision=1)
    start = zx.initializers.BernoulliSign()
    model = one_layer(conv(kernel_quantizer=free, kernel_initializer=start))
    kernel = model.layers[0].kernel
    signs = kernel.numpy()
    near = signs.copy()
    near[0, 0, :5, 3] *= np.float32(1) + np.float32(2**-21)
    near[1, 1, 7, 8] *= np.float32(1) - np.float32(2**-22)
    kernel.assign(near)
    report = converters.convert(model, inputs=noise(model)).report
    (entry,) = report.rounded
    assert (entry.layer, entry.weights, entry.farthest) == ("binary", 6, 2**-21)
    assert "| binary | 6 | 4.8e-07 |" in report.markdown()
    assert report.as_dict()["rounded"][0]["weights"] == 6
    near[1, 1, 7, 8] *= 1 + 4e-6
    kernel.assign(near)
    with pytest.raises(converters.ConversionError, match="binary has 1 weights"):
        converters.convert(model, inputs=None)


def test_what_is_no_model_or_no_input_of_it_is_named():
    model = one_layer(conv())
    with pytest.raises(TypeError, match="A Keras model is needed, not str"):
        converters.convert("model.keras", inputs=None)
    with pytest.raises(ValueError, match=r"'samples', 8, 8, 64\). Received: \(16, 4"):
        converters.convert(model, inputs=noise(model)[:, :4])
    with pytest.raises(ValueError, match="holds values that are not finite"):
        converters.convert(model, inputs=noise(model) * np.nan)
    with pytest.raises(ValueError, match="No rewrite 'padding'"):
        converters.convert(model, inputs=None, rewrites="padding")
    assert len(repr(converters.convert(model, inputs=None))) < 2000


@pytest.mark.parametrize("weight", ["kernel", "moving_variance"])
def test_weights_that_are_no_numbers_are_refused(weight, tmp_path):
    """A sign before the binary layer makes -1 or +1 of them, only in the file."""
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 3)),
            tf.keras.layers.Conv2D(32, 3, name="stem"),
            tf.keras.layers.BatchNormalization(name="norm"),
            conv(),
        ]
    )
    layer = model.get_layer("stem" if weight == "kernel" else "norm")
    variable = getattr(layer, weight)
    values = variable.numpy()
    values.flat[3] = np.nan
    variable.assign(values)
    message = rf"{layer.name} has .* NaN or infinite: 1 of {values.size}"
    with pytest.raises(converters.ConversionError, match=message):
        converters.convert(model, tmp_path / "no.tflite", inputs=noise(model))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("role", ["inputs", "calibration"])
def test_a_data_set_is_no_array(role):
    model = one_layer(conv())
    data = tf.data.Dataset.from_tensor_slices(noise(model)).batch(4)
    given = {"inputs": None, role: data}
    with pytest.raises(TypeError, match=rf"{role}.* are arrays .*unbatch\(\)"):
        converters.convert(model, **given)
    with pytest.raises(ValueError, match=rf"The {role}.* need equally many samples"):
        converters.convert(model, **{**given, role: noise(model)[:0]})

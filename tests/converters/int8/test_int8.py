"""Models in int8: what became of them, and what is refused."""

import json

import larq
import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.runtime import TfliteFile
from larq_bnnopt import datasets

from ..conftest import conv, noise

keras = tf.keras.layers


@pytest.fixture(scope="module")
def calibration():
    data = datasets.load("fashion_mnist_mini", batch_size=64, augment=False)
    return np.concatenate([batch[0].numpy() for batch in data.train.take(4)])


@pytest.fixture(scope="module")
def converted(trained, calibration):
    model, images, labels = trained
    return converters.convert(
        model, inputs=images, labels=labels, calibration=calibration
    )


@pytest.mark.slow
def test_a_trained_model_keeps_its_accuracy(trained, calibration):
    images, labels = datasets.load("fashion_mnist_mini").test_arrays()
    report = converters.convert(
        trained[0], inputs=images, labels=labels, calibration=calibration
    ).report
    result = report.verification
    assert result.int8 and result.passed and result.samples == 1000
    assert result.steps.mismatched == 0 and not result.steps.untraced
    # One step in a hundred is rounded otherwise, by how each side adds up.
    assert result.steps.values > 1e6
    assert 0 < result.steps.off_by_one < 2e-2 * result.steps.values
    assert result.agreement >= 0.95
    assert abs(result.tflite_accuracy - result.keras_accuracy) <= 0.015
    # Neither more nor less than this is proved.
    assert "within one quant step" in result.verdict
    whole = converters.convert(trained[0], inputs=None).report.audit
    assert report.audit.num_bytes < 0.75 * whole.num_bytes
    assert len(report.audit.converted) == 6 and not whole.real_valued
    real = report.audit.real_valued
    kernels = [o for o in real if o.name in ("CONV_2D", "FULLY_CONNECTED")]
    assert len(kernels) == 4 and {o.dtype for o in kernels} == {"int8"}
    sums = [o for o in real if o.name == "ADD"]
    assert len(sums) == 6 and all(o.dtype == "float32" and o.reason for o in sums)
    plain = json.loads(json.dumps(report.as_dict()))
    assert plain["verification"]["steps"]["wrong"] == 0
    rows = dict(report.rows())
    assert rows["real-valued operators in int8"].endswith(f"of {len(real)}")


def test_without_its_ranges_the_file_is_judged_by_its_predictions(trained, converted):
    model, images, labels = trained
    result = converters.verify(model, converted.content, images, labels)
    assert result.passed and result.int8 and result.steps is None
    assert "tensors were not compared" in result.verdict
    assert "`convert` compared them when it made the file" in result.verdict


def test_int8_ends_are_there(trained, calibration, tmp_path):
    model, images, labels = trained
    content = converters.convert(
        model,
        tmp_path / "int8.tflite",
        inputs=images,
        labels=labels,
        calibration=calibration,
        int8_io=True,
    ).content
    file = TfliteFile(content)
    ends = [*file.inputs, *file.outputs]
    assert [file.dtype(tensor) for tensor in ends] == [np.int8, np.int8]
    # Softmax has this one in every TensorFlow Lite.
    assert file.quantization(file.outputs[0]) == (1 / 256, -128)
    interpreter = converters.Interpreter(tmp_path / "int8.tflite")
    (info,) = interpreter.inputs
    assert info.dtype == np.int8
    integers = info.quantized(images[:20])
    scale, zero_point = file.quantization(file.inputs[0])
    assert (info.scale, info.zero_point) == (scale, zero_point)
    expected = np.clip(np.round(images[:20] / scale + zero_point), -128, 127)
    assert np.abs(integers - expected).max() <= 1  # Halves may go either way.
    scores = interpreter.predict(images[:20])
    assert scores.dtype == np.float32 and set(scores.ravel() * 256 % 1) == {0}
    np.testing.assert_array_equal(scores, interpreter.predict(integers))
    np.testing.assert_allclose(scores, model.predict(images[:20], verbose=0), atol=0.2)


def test_int8_ends_that_cannot_be_are_refused(trained, tmp_path):
    model = trained[0]
    with pytest.raises(converters.ConversionError, match="int8_io needs ranges"):
        converters.convert(model, tmp_path / "no.tflite", inputs=None, int8_io=True)

    # Zero for all inputs, so that no range stands there.
    zero = keras.Conv2D(3, 1, kernel_initializer="zeros", name="zero")
    inputs = tf.keras.Input((4, 4, 4))
    model = tf.keras.Model(inputs, [zero(inputs), conv()(inputs)])
    with pytest.raises(converters.ConversionError, match="'zero' is float32"):
        converters.convert(
            model,
            tmp_path / "no.tflite",
            inputs=None,
            calibration=noise(model),
            int8_io=True,
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda images: images[:0], "at least one"),
        (lambda images: images[:, :20], r"is \('samples', 28, 28, 1\). Received"),
        (lambda images: images * np.nan, "not finite"),
        (lambda images: [images, images], "Received: 2 arrays"),
    ],
    ids=["empty", "shape", "nan", "number"],
)
def test_bad_calibration_is_refused(spoil, message, trained, calibration):
    with pytest.raises(ValueError, match=message):
        converters.convert(trained[0], inputs=None, calibration=spoil(calibration))


def test_ranges_that_do_not_fit_the_inputs_are_noticed(trained, calibration, tmp_path):
    model, images, labels = trained
    with pytest.raises(converters.ConversionError, match="predictions are equal") as no:
        converters.convert(
            model,
            tmp_path / "no.tflite",
            inputs=images,
            labels=labels,
            calibration=calibration / 20,
        )
    result = no.value.report.verification
    # The file does what the ranges say; these are wrong.
    assert result.steps.passed and not result.passed and result.agreement < 0.9
    assert not list(tmp_path.iterdir())


def test_a_spoilt_weight_is_found(trained, converted, calibration):
    from converters.conversion import freeze, rewrite
    from converters.int8.fake_quants import with_quantized_kernels
    from converters.int8.insertion import insert_fake_quants
    from converters.verification.steps import compare_steps

    model, images, _ = trained
    graph = freeze(model)
    rewrite(graph)
    insert_fake_quants(graph, {model.input_names[0]: calibration})
    ranged = with_quantized_kernels(graph)
    file = TfliteFile(converted.content)
    shortcuts = [o for o in file.operators if o.name == "CONV_2D"]
    kernel = file.data(shortcuts[1].inputs[1])
    spoilt = kernel.copy()
    spoilt[5] = -spoilt[5]
    assert converted.content.count(kernel.tobytes()) == 1
    content = converted.content.replace(kernel.tobytes(), spoilt.tobytes())
    arrays = {model.input_names[0]: images[:20]}
    found = compare_steps(ranged, converters.Interpreter(content), arrays)
    assert not found.passed and found.first_mismatch == "stage2_1_shortcut_norm"
    sound = compare_steps(ranged, converters.Interpreter(converted.content), arrays)
    assert sound.passed and sound.tensors > found.tensors


class FakeQuant(keras.Layer):
    """A range as quantisation-aware training leaves it."""

    def __init__(self, low, high, **options):
        super().__init__(**options)
        self.low, self.high = low, high

    def call(self, inputs):
        return tf.quantization.fake_quant_with_min_max_vars(inputs, self.low, self.high)


@pytest.mark.parametrize("pad_values", [0.0, 1.0])
def test_ranges_from_training_are_used(pad_values):
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 3)),
            FakeQuant(-4.0, 4.0),
            keras.Conv2D(32, 3, activation="relu", name="stem"),
            FakeQuant(0.0, 6.0),
            conv(name="binary", pad_values=pad_values),
            FakeQuant(-160.0, 160.0),
            keras.MaxPool2D(2),
            keras.Flatten(),
            keras.Dense(3, name="top"),
            FakeQuant(-60.0, 60.0),
        ]
    )
    inputs = noise(model, 40)
    result = converters.convert(model, inputs=inputs, int8_io=True)
    verification = result.report.verification
    assert verification.steps.passed and not verification.steps.untraced
    assert converters.verify(model, result.content, inputs).steps.passed
    file = TfliteFile(result.content)
    assert file.quantization(file.outputs[0]) == (pytest.approx(120 / 255), 0)
    kinds = {o.name: o.dtype for o in result.report.audit.real_valued}
    assert kinds["CONV_2D"] == kinds["FULLY_CONNECTED"] == "int8"
    with pytest.raises(converters.ConversionError, match="Leave calibration out"):
        converters.convert(model, inputs=None, calibration=inputs)


def dead_relu(skip):
    """A layer whose answers are zero for all inputs, as one that training killed."""
    inputs = tf.keras.Input((8, 8, 4))
    far = tf.keras.initializers.Constant(-100.0)
    x = keras.ReLU()(keras.Conv2D(32, 3, bias_initializer=far)(inputs))
    y = keras.Conv2D(32, 1, bias_initializer=tf.keras.initializers.Constant(0.3))(x)
    y = keras.Add()([y, x]) if skip else y
    y = keras.GlobalAveragePooling2D()(keras.BatchNormalization()(conv()(y)))
    return tf.keras.Model(inputs, keras.Dense(5)(y))


@pytest.mark.parametrize("skip", [False, True])
def test_tensors_that_are_zero_for_all_inputs_need_no_range(skip):
    model = dead_relu(skip)
    inputs = noise(model)
    result = converters.convert(model, inputs=inputs, calibration=inputs)
    assert result.report.verification.passed
    zeros = converters.convert(model, inputs=None, calibration=0 * inputs)
    assert "CONV_2D" in zeros.report.audit.operators


def test_a_refusal_says_the_limits_and_the_cure(trained, calibration):
    model, images, _ = trained
    # Labels that the model itself gives: then all that changes is loss.
    labels = model.predict(images, verbose=0).argmax(axis=1)
    dark = np.full_like(calibration, -1) + 0.02 * (calibration + 1)
    with pytest.raises(converters.ConversionError) as refusal:
        converters.convert(model, inputs=images, labels=labels, calibration=dark)
    text = str(refusal.value)
    assert "predictions are equal (at least 90% needed)" in text
    assert "(at most 2 points less needed)" in text
    assert "Give as calibration a few hundred inputs" in text


def test_a_package_says_what_its_integers_are_worth(trained, calibration, tmp_path):
    model, images, _ = trained
    conversion = converters.convert(
        model, inputs=images[:50], calibration=calibration, int8_io=True
    )
    page = conversion.report.markdown()
    scale, zero_point = TfliteFile(conversion.content).quantization(
        TfliteFile(conversion.content).inputs[0]
    )
    assert f"int8, scale {scale!r}, zero point {zero_point} |" in page
    folder = converters.package(conversion, tmp_path / "device", inputs=images[:4])
    (entry,) = json.loads((folder / "metadata.json").read_text())["inputs"]
    assert (entry["dtype"], entry["scale"]) == ("int8", scale)
    assert entry["zero_point"] == zero_point
    readme = (folder / "README.md").read_text()
    assert f"of int8, scale {scale!r}, zero point {zero_point}" in readme
    assert "returned as float32" in readme
    assert converters.replay(folder).passed


def over_time(*layers):
    """A real convolution, layers over time, and their largest answers."""
    inputs = x = tf.keras.Input((20, 8))
    for layer in (keras.Conv1D(16, 1), *layers, keras.GlobalMaxPooling1D()):
        x = layer(x)
    return tf.keras.Model(inputs, x)


def binary_over_time(padding, **options):
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    return larq.layers.QuantConv1D(16, 3, padding=padding, **signs, **options)


def around_a_binary(before, after=lambda x: x):
    """What `before` makes of an image, a binary convolution, and what is made of it."""
    inputs = tf.keras.Input((8, 8, 4))
    x = keras.BatchNormalization()(conv(filters=8)(before(inputs)))
    return tf.keras.Model(inputs, after(x))


def twins():
    """Two images that go through one network as one batch."""
    images = [tf.keras.Input((8, 8, 3), name=name) for name in ("left", "right")]
    x = conv(filters=8)(keras.Conv2D(8, 3)(tf.concat(images, 0)))
    x = keras.GlobalAveragePooling2D()(keras.BatchNormalization()(x))
    left, right = tf.split(x, 2, 0)
    return tf.keras.Model(images, [left - right, left])


def in_blocks(x):
    x = keras.Conv2D(8, 3, padding="same")(tf.space_to_batch(x, [2, 2], [[0, 0]] * 2))
    return tf.batch_to_space(x, [2, 2], [[0, 0]] * 2)


def pooled(x):
    return keras.GlobalAveragePooling2D()(x)


# Dilated convolutions, and pairs, hold the first parts of all samples before the second
# ones: a file has all parts of a sample together.
MOVED = {
    "binary, causal": lambda: over_time(binary_over_time("causal", dilation_rate=2)),
    "binary, valid": lambda: over_time(binary_over_time("valid", dilation_rate=3)),
    "real, causal": lambda: over_time(
        keras.Conv1D(16, 3, dilation_rate=2, padding="causal"),
        binary_over_time("valid"),
    ),
    "real, same": lambda: over_time(
        keras.Conv1D(16, 3, dilation_rate=2, padding="same"), binary_over_time("valid")
    ),
    "depthwise": lambda: around_a_binary(
        keras.DepthwiseConv2D(3, dilation_rate=2, padding="same"), pooled
    ),
    "space to batch": lambda: around_a_binary(in_blocks, pooled),
    "twins": twins,
}


@pytest.mark.parametrize("make", MOVED.values(), ids=MOVED)
def test_parts_of_samples_in_another_order_are_the_same(make):
    tf.keras.utils.set_random_seed(0)
    result = steps_of(make())
    assert result.steps.passed and not result.steps.untraced
    assert result.steps.mismatched == 0 and result.steps.tensors >= 3


def random_inputs(model, samples):
    generator = np.random.default_rng(1)
    shapes = [(samples, *tensor.shape[1:]) for tensor in model.inputs]
    arrays = [generator.normal(size=shape).astype(np.float32) for shape in shapes]
    return arrays if len(arrays) > 1 else arrays[0]


def steps_of(model):
    """Returns the verification of a file in int8, also of one that says too little."""
    inputs = random_inputs(model, 24)
    try:
        return converters.convert(
            model, inputs=inputs, calibration=inputs, int8_io=True
        ).report.verification
    except converters.ConversionError as error:
        return error.report.verification


def test_pairs_in_one_batch_are_followed_in_float32():
    tf.keras.utils.set_random_seed(0)
    model = twins()
    result = converters.convert(
        model, inputs=random_inputs(model, 6)
    ).report.verification
    assert result.passed and result.layers and not result.untraced


# Outputs that have no steps, and those without an axis for the batch.
ENDS = {
    "booleans too": lambda x: [x, x > 0.0],
    "booleans": lambda x: pooled(x) > 0.1,
    "classes": lambda x: tf.argmax(pooled(x), -1),
    "best three": lambda x: list(tf.math.top_k(pooled(x), 3)),
    "signs": lambda x: [tf.cast(tf.sign(x), tf.int8), x],
    "unsigned": lambda x: [tf.cast(tf.abs(x), tf.uint8), x],
    "a number": lambda x: [x, tf.reduce_mean(x)],
    "only a number": lambda x: tf.reduce_sum(x),
    "columns": lambda x: tf.transpose(pooled(x)),
    "a shape": lambda x: [x, tf.shape(x)],
    "a mean": lambda x: tf.reduce_mean(x, [1, 2, 3]),
}


@pytest.mark.parametrize(
    "before, end",
    [
        *(("real", end) for end in ENDS),
        # Of these nothing but the input has steps.
        *(("none", end) for end in ("booleans", "classes")),
    ],
)
def test_int8_ends_of_every_kind_are_judged_by_steps(before, end):
    tf.keras.utils.set_random_seed(0)
    begin = keras.Conv2D(8, 3) if before == "real" else tf.identity
    result = steps_of(around_a_binary(begin, ENDS[end]))
    assert result.int8 and result.steps.passed and not result.steps.untraced
    assert (
        "within one quant step" in result.verdict
        and "signs differ" not in result.verdict
    )
